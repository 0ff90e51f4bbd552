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

package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// Names of the cache's field indexes. They answer "whom does this object concern?" without a walk over all objects.
const (
	// indexBackendStatusService finds Backends by the Services that their status names, "namespace/name".
	indexBackendStatusService = "dynamic-mcp.status.service"
	// indexBackendSourceNamespace finds Backends by the namespace that their selectors look at, or anyNamespace.
	indexBackendSourceNamespace = "dynamic-mcp.source.namespace"
	// indexEndpointSliceService finds EndpointSlices by the name of their Service.
	indexEndpointSliceService = "dynamic-mcp.service"
	// indexTLSPolicyService finds BackendTLSPolicies by the names of the Services that they target.
	indexTLSPolicyService = "dynamic-mcp.target.service"
	// indexTLSPolicyConfigMap finds BackendTLSPolicies by the names of the ConfigMaps with their certificates.
	indexTLSPolicyConfigMap = "dynamic-mcp.ca.configmap"
	// indexGatewayClass finds Gateways by the name of their class.
	indexGatewayClass = "dynamic-mcp.class"
	// indexParameters finds Gateways and GatewayClasses by the GatewayParameters that they refer to, "namespace/name".
	indexParameters = "dynamic-mcp.parameters"
	// indexRouteGateway finds HTTPRoutes by their parent Gateways, "namespace/name".
	indexRouteGateway = "dynamic-mcp.parent.gateway"
	// indexRouteBackend finds HTTPRoutes by the Backends that they send requests to, "namespace/name".
	indexRouteBackend = "dynamic-mcp.backend"
	// indexRouteForeignNamespace finds HTTPRoutes by the other namespaces that they refer to.
	indexRouteForeignNamespace = "dynamic-mcp.foreign.namespace"
)

// anyNamespace stands in indexBackendSourceNamespace for "namespaces by their labels".
const anyNamespace = "*"

// addIndexes registers the indexes of this package with the manager's cache.
func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, index := range []struct {
		object client.Object
		field  string
		values client.IndexerFunc
	}{
		{&v1alpha1.Backend{}, indexBackendStatusService, indexBy(backendStatusServices)},
		{&v1alpha1.Backend{}, indexBackendSourceNamespace, indexBy(backendSourceNamespaces)},
		{&discoveryv1.EndpointSlice{}, indexEndpointSliceService, indexBy(endpointSliceServices)},
		{&gatewayv1.BackendTLSPolicy{}, indexTLSPolicyService, indexBy(tlsPolicyServices)},
		{&gatewayv1.BackendTLSPolicy{}, indexTLSPolicyConfigMap, indexBy(tlsPolicyConfigMaps)},
		{&gatewayv1.Gateway{}, indexGatewayClass, indexBy(gatewayClasses)},
		{&gatewayv1.Gateway{}, indexParameters, indexBy(gatewayParametersKey)},
		{&gatewayv1.GatewayClass{}, indexParameters, indexBy(classParametersKey)},
		{&gatewayv1.HTTPRoute{}, indexRouteGateway, indexBy(routeGatewayKeys)},
		{&gatewayv1.HTTPRoute{}, indexRouteBackend, indexBy(routeBackendKeys)},
		{&gatewayv1.HTTPRoute{}, indexRouteForeignNamespace, indexBy(routeForeignNamespaces)},
	} {
		if err := indexer.IndexField(ctx, index.object, index.field, index.values); err != nil {
			return fmt.Errorf("index %T by %s: %w", index.object, index.field, err)
		}
	}
	return nil
}

func indexBy[T client.Object](values func(T) []string) client.IndexerFunc {
	return func(object client.Object) []string {
		typed, ok := object.(T)
		if !ok {
			return nil
		}
		return values(typed)
	}
}

func backendStatusServices(backend *v1alpha1.Backend) []string {
	var values []string
	for i := range backend.Status.Targets {
		if s := backend.Status.Targets[i].Service; s != nil {
			values = append(values, serviceKey(s.Namespace, s.Name))
		}
	}
	for i := range backend.Status.Skipped {
		if s := backend.Status.Skipped[i].Service; s != nil {
			values = append(values, serviceKey(s.Namespace, s.Name))
		}
	}
	return values
}

func backendSourceNamespaces(backend *v1alpha1.Backend) []string {
	var values []string
	for _, selector := range selectorsOf(backend) {
		if selector.Namespace != nil {
			values = append(values, anyNamespace)
		} else {
			values = append(values, backend.Namespace)
		}
	}
	return values
}

func endpointSliceServices(slice *discoveryv1.EndpointSlice) []string {
	if name := slice.Labels[discoveryv1.LabelServiceName]; name != "" {
		return []string{name}
	}
	return nil
}

func tlsPolicyServices(policy *gatewayv1.BackendTLSPolicy) []string {
	var values []string
	for _, ref := range policy.Spec.TargetRefs {
		if ref.Group == corev1.GroupName && ref.Kind == "Service" {
			values = append(values, string(ref.Name))
		}
	}
	return values
}

func tlsPolicyConfigMaps(policy *gatewayv1.BackendTLSPolicy) []string {
	var values []string
	for _, ref := range policy.Spec.Validation.CACertificateRefs {
		if ref.Group == corev1.GroupName && ref.Kind == "ConfigMap" {
			values = append(values, string(ref.Name))
		}
	}
	return values
}

func gatewayClasses(gateway *gatewayv1.Gateway) []string {
	return []string{string(gateway.Spec.GatewayClassName)}
}

func routeGatewayKeys(route *gatewayv1.HTTPRoute) []string {
	var values []string
	for _, key := range routeGateways(route) {
		values = append(values, key.String())
	}
	return values
}

func routeBackendKeys(route *gatewayv1.HTTPRoute) []string {
	var values []string
	for _, key := range routeBackends(route) {
		values = append(values, key.String())
	}
	return values
}

func routeForeignNamespaces(route *gatewayv1.HTTPRoute) []string {
	var values []string
	for _, ref := range routeBackendRefs(route) {
		if ref.Namespace != nil && string(*ref.Namespace) != route.Namespace {
			values = append(values, string(*ref.Namespace))
		}
	}
	return values
}

// selectorsOf returns the selectors among a Backend's targets.
func selectorsOf(backend *v1alpha1.Backend) []*v1alpha1.MCPTargetSelector {
	if backend.Spec.MCP == nil {
		return nil
	}
	var selectors []*v1alpha1.MCPTargetSelector
	for i := range backend.Spec.MCP.Targets {
		if s := backend.Spec.MCP.Targets[i].Selector; s != nil {
			selectors = append(selectors, s)
		}
	}
	return selectors
}

// routeGateways returns the Gateways that a route names as parents, each once, in the order of the route.
func routeGateways(route *gatewayv1.HTTPRoute) []types.NamespacedName {
	var keys []types.NamespacedName
	seen := wakeups{}
	for _, ref := range route.Spec.ParentRefs {
		if (ref.Group != nil && *ref.Group != gatewayv1.GroupName) || (ref.Kind != nil && *ref.Kind != "Gateway") {
			continue
		}
		key := types.NamespacedName{Namespace: route.Namespace, Name: string(ref.Name)}
		if ref.Namespace != nil {
			key.Namespace = string(*ref.Namespace)
		}
		if !seen.Has(key) {
			seen.Insert(key)
			keys = append(keys, key)
		}
	}
	return keys
}

// routeBackends returns the Backends that a route refers to, each once.
func routeBackends(route *gatewayv1.HTTPRoute) []types.NamespacedName {
	var keys []types.NamespacedName
	seen := wakeups{}
	for _, ref := range routeBackendRefs(route) {
		if ref.Group == nil || *ref.Group != gatewayv1.Group(v1alpha1.GroupVersion.Group) ||
			ref.Kind == nil || *ref.Kind != v1alpha1.KindBackend {
			continue
		}
		key := types.NamespacedName{Namespace: route.Namespace, Name: string(ref.Name)}
		if ref.Namespace != nil {
			key.Namespace = string(*ref.Namespace)
		}
		if !seen.Has(key) {
			seen.Insert(key)
			keys = append(keys, key)
		}
	}
	return keys
}

// routeBackendRefs returns every reference of a route, by a rule or by a mirror filter.
func routeBackendRefs(route *gatewayv1.HTTPRoute) []*gatewayv1.BackendObjectReference {
	var refs []*gatewayv1.BackendObjectReference
	mirrors := func(filters []gatewayv1.HTTPRouteFilter) {
		for i := range filters {
			if filters[i].RequestMirror != nil {
				refs = append(refs, &filters[i].RequestMirror.BackendRef)
			}
		}
	}
	for i := range route.Spec.Rules {
		rule := &route.Spec.Rules[i]
		mirrors(rule.Filters)
		for j := range rule.BackendRefs {
			refs = append(refs, &rule.BackendRefs[j].BackendObjectReference)
			mirrors(rule.BackendRefs[j].Filters)
		}
	}
	return refs
}

func serviceKey(namespace, name string) string {
	return types.NamespacedName{Namespace: namespace, Name: name}.String()
}
