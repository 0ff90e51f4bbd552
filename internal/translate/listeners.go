/*
Copyright 2026 The Dynamic MCP Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package translate

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
)

// kindHTTPRoute is the only kind of route that is supported.
const kindHTTPRoute gatewayv1.Kind = "HTTPRoute"

// listener is a Gateway's listener while it is translated.
type listener struct {
	spec *gatewayv1.Listener
	// config is what the data plane gets if the listener is accepted. Its routes are those that are accepted and
	// attached, whatever becomes of the listener: their number is the status's attachedRoutes.
	config httproute.Listener

	accepted, conflicted, resolvedRefs Condition
	// kinds of routes that may attach, HTTPRoute or none: never nil, because status must say that there are none.
	kinds []gatewayv1.RouteGroupKind
	// allowed returns whether routes of a namespace may attach.
	allowed func(namespace string, objects *objects) bool
}

// translateListeners returns all listeners of the Gateway, in its order.
func translateListeners(gateway *gatewayv1.Gateway) []*listener {
	listeners := make([]*listener, 0, len(gateway.Spec.Listeners))
	for i := range gateway.Spec.Listeners {
		listeners = append(listeners, translateListener(gateway, &gateway.Spec.Listeners[i]))
	}
	markConflicts(listeners)
	return listeners
}

func translateListener(gateway *gatewayv1.Gateway, spec *gatewayv1.Listener) *listener {
	l := &listener{
		spec: spec,
		config: httproute.Listener{
			Name:     string(spec.Name),
			Port:     spec.Port,
			Hostname: strings.ToLower(string(valueOr(spec.Hostname, ""))),
		},
		accepted:   accepted(string(gatewayv1.ListenerReasonAccepted), "The listener is accepted"),
		conflicted: rejected(string(gatewayv1.ListenerReasonNoConflicts), "No other listener claims the same requests"),
	}
	l.kinds, l.resolvedRefs = supportedKinds(spec)
	var err error
	if l.allowed, err = allowedNamespaces(gateway.Namespace, spec.AllowedRoutes); err != nil {
		l.accepted = rejected(string(gatewayv1.ListenerReasonUnsupportedValue), err.Error())
	}
	if err := httproute.ValidateHostname(string(valueOr(spec.Hostname, ""))); err != nil {
		l.accepted = rejected(string(gatewayv1.ListenerReasonUnsupportedValue), err.Error())
	}
	if spec.Port < 1 || spec.Port > 65535 {
		l.accepted = rejected(string(gatewayv1.ListenerReasonPortUnavailable),
			fmt.Sprintf("Port %d is not between 1 and 65535", spec.Port))
	}
	if spec.Protocol != gatewayv1.HTTPProtocolType {
		l.accepted = rejected(string(gatewayv1.ListenerReasonUnsupportedProtocol), fmt.Sprintf(
			"Protocol %s is not supported: use %s", spec.Protocol, gatewayv1.HTTPProtocolType))
	}
	return l
}

// supportedKinds returns the kinds of routes that may attach to a listener, and its condition ResolvedRefs.
// https://gateway-api.sigs.k8s.io/reference/spec/#listenerstatus (supportedKinds)
func supportedKinds(spec *gatewayv1.Listener) ([]gatewayv1.RouteGroupKind, Condition) {
	kinds := []gatewayv1.RouteGroupKind{}
	resolved := accepted(string(gatewayv1.ListenerReasonResolvedRefs), "All references are resolved")
	httpRoute := gatewayv1.RouteGroupKind{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: kindHTTPRoute}
	if spec.AllowedRoutes == nil || len(spec.AllowedRoutes.Kinds) == 0 {
		if spec.Protocol == gatewayv1.HTTPProtocolType {
			kinds = append(kinds, httpRoute)
		}
		return kinds, resolved
	}
	var problems problems
	for i, kind := range spec.AllowedRoutes.Kinds {
		group := valueOr(kind.Group, gatewayv1.GroupName)
		if group != gatewayv1.GroupName || kind.Kind != kindHTTPRoute || spec.Protocol != gatewayv1.HTTPProtocolType {
			problems.add("allowedRoutes.kinds[%d]: %s is not supported by a listener of protocol %s",
				i, groupKind(group, kind.Kind), spec.Protocol)
			continue
		}
		if len(kinds) == 0 {
			kinds = append(kinds, httpRoute)
		}
	}
	if message := problems.String(); message != "" {
		resolved = rejected(string(gatewayv1.ListenerReasonInvalidRouteKinds),
			message+"; only "+groupKind(gatewayv1.GroupName, kindHTTPRoute)+" on protocol HTTP is")
	}
	return kinds, resolved
}

// allowedNamespaces returns the function that says whether routes of a namespace may attach. With an error it allows
// none, because what was meant is not known.
func allowedNamespaces(
	own string, allowed *gatewayv1.AllowedRoutes,
) (func(namespace string, objects *objects) bool, error) {
	none := func(string, *objects) bool { return false }
	namespaces := &gatewayv1.RouteNamespaces{}
	if allowed != nil && allowed.Namespaces != nil {
		namespaces = allowed.Namespaces
	}
	switch from := valueOr(namespaces.From, gatewayv1.NamespacesFromSame); from {
	case gatewayv1.NamespacesFromAll:
		return func(string, *objects) bool { return true }, nil
	case gatewayv1.NamespacesFromSame:
		return func(namespace string, _ *objects) bool { return namespace == own }, nil
	case gatewayv1.NamespacesFromNone:
		return none, nil
	case gatewayv1.NamespacesFromSelector:
		if namespaces.Selector == nil {
			return none, errors.New("allowedRoutes.namespaces.selector is required when from is Selector")
		}
		selector, err := metav1.LabelSelectorAsSelector(namespaces.Selector)
		if err != nil {
			return none, fmt.Errorf("allowedRoutes.namespaces.selector: %w", err)
		}
		return func(namespace string, objects *objects) bool {
			found, ok := objects.namespaces[namespace]
			return ok && selector.Matches(labels.Set(found.Labels))
		}, nil
	default:
		return none, fmt.Errorf("allowedRoutes.namespaces.from: %q is not supported: use All, Same or Selector", from)
	}
}

// markConflicts finds listeners that can't be told apart by a request. No winner is picked: all of them are refused.
//
// HTTP can't share a port with HTTPS or TLS, because a connection's protocol is known only to its port. Protocols
// that are not supported at all (TCP, UDP and others) are refused by themselves and, by the specification, don't
// make others conflict.
// https://gateway-api.sigs.k8s.io/reference/spec/#gatewayspec ("Distinct Listeners")
func markConflicts(listeners []*listener) {
	for _, l := range listeners {
		var sameHostname, otherProtocol []string
		for _, other := range listeners {
			switch {
			case other == l || other.spec.Port != l.spec.Port || !l.isWeb() || !other.isWeb():
			case other.isEncrypted() != l.isEncrypted():
				otherProtocol = append(otherProtocol, string(other.spec.Name))
			case other.spec.Protocol == l.spec.Protocol && other.config.Hostname == l.config.Hostname:
				sameHostname = append(sameHostname, string(other.spec.Name))
			}
		}
		switch {
		case len(otherProtocol) > 0:
			l.conflict(gatewayv1.ListenerReasonProtocolConflict, fmt.Sprintf(
				"Port %d has listeners of other protocols (%s): give each protocol a port of its own",
				l.spec.Port, strings.Join(otherProtocol, ", ")))
		case len(sameHostname) > 0:
			l.conflict(gatewayv1.ListenerReasonHostnameConflict, fmt.Sprintf(
				"Port %d has other listeners with the hostname %q (%s): give each a hostname of its own",
				l.spec.Port, l.config.Hostname, strings.Join(sameHostname, ", ")))
		}
	}
}

func (l *listener) isWeb() bool {
	return l.spec.Protocol == gatewayv1.HTTPProtocolType || l.isEncrypted()
}

func (l *listener) isEncrypted() bool {
	return l.spec.Protocol == gatewayv1.HTTPSProtocolType || l.spec.Protocol == gatewayv1.TLSProtocolType
}

// conflict marks the listener. What was wrong with it by itself remains the reason why it is not accepted.
func (l *listener) conflict(reason gatewayv1.ListenerConditionReason, message string) {
	l.conflicted = accepted(string(reason), message)
	if l.accepted.Status {
		l.accepted = rejected(string(reason), message)
	}
}

// status returns the listener's status, without Programmed and without times.
func (l *listener) status(generation int64) gatewayv1.ListenerStatus {
	return gatewayv1.ListenerStatus{
		Name:           l.spec.Name,
		SupportedKinds: l.kinds,
		AttachedRoutes: int32(min(len(l.config.Routes), 1<<30)),
		Conditions: []metav1.Condition{
			l.accepted.As(string(gatewayv1.ListenerConditionAccepted), generation),
			l.conflicted.As(string(gatewayv1.ListenerConditionConflicted), generation),
			l.resolvedRefs.As(string(gatewayv1.ListenerConditionResolvedRefs), generation),
		},
	}
}
