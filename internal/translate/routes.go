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
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
)

// attachRoute attaches a route to the Gateway's listeners that it names, and returns its parent statuses for the
// Gateway. None: it doesn't name the Gateway.
func attachRoute(
	gateway *gatewayv1.Gateway, listeners []*listener, route *gatewayv1.HTTPRoute, objects *objects,
) []gatewayv1.RouteParentStatus {
	var parents []gatewayv1.RouteParentStatus
	var translated *translatedRoute
	for i := range route.Spec.ParentRefs {
		ref := &route.Spec.ParentRefs[i]
		if !refersTo(ref, route.Namespace, gateway) {
			continue
		}
		if translated == nil {
			translated = translateRoute(route, objects)
		}
		verdict := accepted(string(gatewayv1.RouteReasonAccepted), "The route is accepted")
		attached, refusal := selectListeners(ref, listeners, route, objects)
		switch {
		case refusal != nil:
			verdict = *refusal
		case translated.refused != nil:
			verdict = *translated.refused
		default:
			for _, listener := range attached {
				translated.attach(listener)
			}
		}
		parents = append(parents, translated.parentStatus(ref, verdict, route.Generation))
	}
	return parents
}

// refersTo returns whether a parentRef of a route means the Gateway.
func refersTo(ref *gatewayv1.ParentReference, routeNamespace string, gateway *gatewayv1.Gateway) bool {
	return valueOr(ref.Group, gatewayv1.GroupName) == gatewayv1.GroupName &&
		valueOr(ref.Kind, "Gateway") == "Gateway" &&
		string(valueOr(ref.Namespace, gatewayv1.Namespace(routeNamespace))) == gateway.Namespace &&
		string(ref.Name) == gateway.Name
}

// selectListeners returns the listeners that a parentRef selects and that let the route attach, or why there are
// none. Whether a listener is accepted plays no part: the specification keeps the two statuses apart.
// https://gateway-api.sigs.k8s.io/reference/spec/#listenerstatus (attachedRoutes)
func selectListeners(
	ref *gatewayv1.ParentReference, all []*listener, route *gatewayv1.HTTPRoute, objects *objects,
) ([]*listener, *Condition) {
	named := slices.DeleteFunc(slices.Clone(all), func(l *listener) bool {
		return ref.SectionName != nil && *ref.SectionName != "" && *ref.SectionName != l.spec.Name ||
			ref.Port != nil && *ref.Port != l.spec.Port
	})
	if len(named) == 0 {
		refusal := rejected(string(gatewayv1.RouteReasonNoMatchingParent), noSuchListener(ref, all))
		return nil, &refusal
	}
	var problems problems
	allowed := slices.DeleteFunc(slices.Clone(named), func(l *listener) bool {
		switch {
		case l.spec.Protocol != gatewayv1.HTTPProtocolType:
			problems.add("listener %s has protocol %s, which is not supported", l.spec.Name, l.spec.Protocol)
		case len(l.kinds) == 0:
			problems.add("listener %s doesn't allow routes of kind %s (allowedRoutes.kinds)", l.spec.Name, kindHTTPRoute)
		case !l.allowed(route.Namespace, objects):
			problems.add("listener %s doesn't allow routes of namespace %s (allowedRoutes.namespaces)",
				l.spec.Name, route.Namespace)
		default:
			return false
		}
		return true
	})
	if len(allowed) == 0 {
		refusal := rejected(string(gatewayv1.RouteReasonNotAllowedByListeners), problems.String())
		return nil, &refusal
	}
	attached := slices.DeleteFunc(slices.Clone(allowed), func(l *listener) bool {
		_, overlap := hostnamesFor(l, route)
		if !overlap {
			problems.add("listener %s has the hostname %q", l.spec.Name, l.config.Hostname)
		}
		return !overlap
	})
	if len(attached) == 0 {
		refusal := rejected(string(gatewayv1.RouteReasonNoMatchingListenerHostname), fmt.Sprintf(
			"None of the route's hostnames (%s) overlaps with a listener's: %s",
			joinHostnames(route.Spec.Hostnames), problems.String()))
		return nil, &refusal
	}
	return attached, nil
}

// noSuchListener says what a parentRef asked for and what there is.
func noSuchListener(ref *gatewayv1.ParentReference, all []*listener) string {
	wanted := []string{}
	if ref.SectionName != nil && *ref.SectionName != "" {
		wanted = append(wanted, "named "+string(*ref.SectionName))
	}
	if ref.Port != nil {
		wanted = append(wanted, fmt.Sprintf("on port %d", *ref.Port))
	}
	existing := make([]string, 0, len(all))
	for _, l := range all {
		existing = append(existing, fmt.Sprintf("%s (port %d)", l.spec.Name, l.spec.Port))
	}
	return fmt.Sprintf("The Gateway has no listener %s; it has: %s",
		strings.Join(wanted, " "), strings.Join(existing, ", "))
}

// hostnamesFor returns the route's hostnames that overlap with the listener's, and whether requests can reach the
// route through the listener at all. None, with true, is any.
// https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec (hostnames)
func hostnamesFor(l *listener, route *gatewayv1.HTTPRoute) ([]string, bool) {
	if len(route.Spec.Hostnames) == 0 {
		return nil, true
	}
	var overlapping []string
	for _, hostname := range route.Spec.Hostnames {
		lowered := strings.ToLower(string(hostname))
		if _, ok := httproute.IntersectHostnames(l.config.Hostname, lowered); ok && lowered != "" {
			overlapping = append(overlapping, lowered)
		}
	}
	return overlapping, len(overlapping) > 0
}

func joinHostnames(hostnames []gatewayv1.Hostname) string {
	joined := make([]string, 0, len(hostnames))
	for _, hostname := range hostnames {
		joined = append(joined, string(hostname))
	}
	return strings.Join(joined, ", ")
}

// attach adds the route to a listener, once, however many parentRefs lead to it. Routes are attached one after the
// other, so that only the last one can be the same.
func (t *translatedRoute) attach(l *listener) {
	name := backendKey(t.route.Namespace, t.route.Name)
	if last := len(l.config.Routes) - 1; last >= 0 && l.config.Routes[last].Name == name {
		return
	}
	hostnames, _ := hostnamesFor(l, t.route)
	l.config.Routes = append(l.config.Routes, httproute.Route{
		Name: name, Created: t.route.CreationTimestamp.Time, Hostnames: hostnames, Rules: t.rules,
	})
}

// parentStatus returns the route's status for one parentRef.
func (t *translatedRoute) parentStatus(
	ref *gatewayv1.ParentReference, verdict Condition, generation int64,
) gatewayv1.RouteParentStatus {
	conditions := []metav1.Condition{
		verdict.As(string(gatewayv1.RouteConditionAccepted), generation),
		t.resolvedRefs.As(string(gatewayv1.RouteConditionResolvedRefs), generation),
	}
	// PartiallyInvalid must not be there unless the route is accepted, and never as False.
	if verdict.Status && t.partiallyInvalid != nil {
		conditions = append(conditions, t.partiallyInvalid.As(
			string(gatewayv1.RouteConditionPartiallyInvalid), generation))
	}
	return gatewayv1.RouteParentStatus{
		ParentRef: *ref.DeepCopy(), ControllerName: v1alpha1.ControllerName, Conditions: conditions,
	}
}
