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
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// kindBackend is the kind of v1alpha1.Backend.
const kindBackend gatewayv1.Kind = "Backend"

// groupBackend is the API group of v1alpha1.Backend.
var groupBackend = gatewayv1.Group(v1alpha1.GroupVersion.Group)

// objects are the inputs, by name.
type objects struct {
	// backends by "namespace/name".
	backends   map[string]*v1alpha1.Backend
	namespaces map[string]*corev1.Namespace
	// grants by their namespace, which is that of the objects they permit references to.
	grants map[string][]*gatewayv1.ReferenceGrant
}

func indexObjects(in Inputs) *objects {
	indexed := &objects{
		backends:   make(map[string]*v1alpha1.Backend, len(in.Backends)),
		namespaces: make(map[string]*corev1.Namespace, len(in.Namespaces)),
		grants:     make(map[string][]*gatewayv1.ReferenceGrant, len(in.ReferenceGrants)),
	}
	for i := range in.Backends {
		indexed.backends[backendKey(in.Backends[i].Namespace, in.Backends[i].Name)] = &in.Backends[i]
	}
	for i := range in.Namespaces {
		indexed.namespaces[in.Namespaces[i].Name] = &in.Namespaces[i]
	}
	for i := range in.ReferenceGrants {
		namespace := in.ReferenceGrants[i].Namespace
		indexed.grants[namespace] = append(indexed.grants[namespace], &in.ReferenceGrants[i])
	}
	return indexed
}

// sortedRoutes returns the routes by namespace and name, so that the order of the inputs doesn't matter.
func sortedRoutes(routes []gatewayv1.HTTPRoute) []*gatewayv1.HTTPRoute {
	sorted := make([]*gatewayv1.HTTPRoute, 0, len(routes))
	for i := range routes {
		sorted = append(sorted, &routes[i])
	}
	slices.SortFunc(sorted, func(a, b *gatewayv1.HTTPRoute) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

func backendKey(namespace, name string) string { return namespace + "/" + name }

// permits returns whether an HTTPRoute may refer to a Backend: within a namespace always, across namespaces if a
// ReferenceGrant beside the Backend says so.
// https://gateway-api.sigs.k8s.io/reference/spec/#referencegrant
func (o *objects) permits(routeNamespace, backendNamespace string, name gatewayv1.ObjectName) bool {
	if routeNamespace == backendNamespace {
		return true
	}
	return slices.ContainsFunc(o.grants[backendNamespace], func(grant *gatewayv1.ReferenceGrant) bool {
		from := slices.ContainsFunc(grant.Spec.From, func(from gatewayv1.ReferenceGrantFrom) bool {
			return from.Group == gatewayv1.GroupName && from.Kind == kindHTTPRoute &&
				string(from.Namespace) == routeNamespace
		})
		return from && slices.ContainsFunc(grant.Spec.To, func(to gatewayv1.ReferenceGrantTo) bool {
			return to.Group == groupBackend && to.Kind == kindBackend && (to.Name == nil || *to.Name == name)
		})
	})
}
