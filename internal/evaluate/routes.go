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

package evaluate

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// route tells why a route, or a part of it, would not be accepted.
func (f *finder) route(route *gatewayv1.HTTPRoute) {
	d := f.document("HTTPRoute", route)
	if d == nil || d.Invalid {
		return
	}
	key := types.NamespacedName{Namespace: route.Namespace, Name: route.Name}
	for i := range f.Gateways {
		g := &f.Gateways[i]
		parent := f.gatewayDocument(g.Gateway)
		for _, status := range g.Routes[key] {
			f.parent(d, parent, &status)
		}
	}
	for i := range route.Spec.ParentRefs {
		ref := &route.Spec.ParentRefs[i]
		if !isGatewayRef(ref) || f.set.Find(gatewayv1.GroupName, "Gateway", parentNamespace(route, ref), string(ref.Name)) != nil {
			continue
		}
		field := fmt.Sprintf("spec.parentRefs[%d]", i)
		f.add(d, manifests.Warning, field, missing(field, "Gateway", parentNamespace(route, ref), string(ref.Name)))
		// What is wrong with the route apart from its parent can be told without the Gateway.
		for _, status := range f.translate(standIn(route, ref), []gatewayv1.HTTPRoute{*route}).Routes[key] {
			f.parent(d, nil, &status)
		}
	}
}

// parent tells what is bad in a route's status for one parent.
func (f *finder) parent(d, gateway *manifests.Document, status *gatewayv1.RouteParentStatus) {
	for _, c := range bad(status.Conditions) {
		if f.follows(gateway, &c) {
			continue
		}
		messages := perField(c.Message)
		for i, message := range messages {
			reason := c.Reason
			if i > 0 {
				reason = "" // A condition has the reason of its first problem only.
			}
			f.add(d, manifests.Warning, fieldIn(message, "spec.parentRefs"), wouldBe(c.Type, reason, message))
		}
	}
}

// perField cuts a message that is about several fields into one for each.
func perField(message string) []string {
	parts := strings.Split(message, "; spec.")
	for i := 1; i < len(parts); i++ {
		parts[i] = "spec." + parts[i]
	}
	return parts
}

// follows is whether a condition only follows from errors that are told already.
func (f *finder) follows(gateway *manifests.Document, c *metav1.Condition) bool {
	switch c.Reason {
	case string(translate.RouteReasonBackendNotAccepted), string(gatewayv1.RouteReasonBackendNotFound):
		return f.set.AnyInvalid(v1alpha1.GroupVersion.Group, v1alpha1.KindBackend)
	case string(gatewayv1.RouteReasonUnsupportedValue):
		return false
	}
	return gateway != nil && gateway.Invalid && c.Type == string(gatewayv1.RouteConditionAccepted)
}

func isGatewayRef(ref *gatewayv1.ParentReference) bool {
	return (ref.Group == nil || *ref.Group == gatewayv1.GroupName) && (ref.Kind == nil || *ref.Kind == "Gateway")
}

func parentNamespace(route *gatewayv1.HTTPRoute, ref *gatewayv1.ParentReference) string {
	if ref.Namespace != nil {
		return string(*ref.Namespace)
	}
	return route.Namespace
}

// standIn returns a Gateway that takes the route by the parentRef, whatever it asks for.
func standIn(route *gatewayv1.HTTPRoute, ref *gatewayv1.ParentReference) *gatewayv1.Gateway {
	gateway := &gatewayv1.Gateway{}
	gateway.Namespace, gateway.Name = parentNamespace(route, ref), string(ref.Name)
	for i := range route.Spec.ParentRefs {
		other := &route.Spec.ParentRefs[i]
		listener := gatewayv1.Listener{
			Name: gatewayv1.SectionName(fmt.Sprintf("listener-%d", i)), Protocol: gatewayv1.HTTPProtocolType, Port: int32(i + 1),
			AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromAll)}},
		}
		if other.SectionName != nil {
			listener.Name = *other.SectionName
		}
		if other.Port != nil {
			listener.Port = *other.Port
		}
		gateway.Spec.Listeners = append(gateway.Spec.Listeners, listener)
	}
	return gateway
}
