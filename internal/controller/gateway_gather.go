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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// gatherGateway reads from the cache what the translation of a Gateway with some routes depends on. The Gateway
// reconciler asks with all routes of a Gateway, the HTTPRoute reconciler with its one route, whose status no other
// route can change.
func gatherGateway(
	ctx context.Context, reader client.Reader, gateway *gatewayv1.Gateway, routes []gatewayv1.HTTPRoute,
) (translate.Inputs, error) {
	in := translate.Inputs{Gateway: gateway, HTTPRoutes: routes}
	backends, foreign := sets.Set[types.NamespacedName]{}, sets.Set[string]{}
	for i := range routes {
		backends.Insert(routeBackends(&routes[i])...)
		foreign.Insert(routeForeignNamespaces(&routes[i])...)
	}
	for key := range backends {
		var backend v1alpha1.Backend
		if err := reader.Get(ctx, key, &backend, readOnly); client.IgnoreNotFound(err) != nil {
			return translate.Inputs{}, fmt.Errorf("read Backend %s: %w", key, err)
		} else if err == nil {
			in.Backends = append(in.Backends, backend)
		}
	}
	for namespace := range foreign {
		var grants gatewayv1.ReferenceGrantList
		if err := reader.List(ctx, &grants, readOnly, client.InNamespace(namespace)); err != nil {
			return translate.Inputs{}, fmt.Errorf("read ReferenceGrants: %w", err)
		}
		in.ReferenceGrants = append(in.ReferenceGrants, grants.Items...)
	}
	if len(routeNamespaceSelectors(gateway)) > 0 {
		var namespaces corev1.NamespaceList
		if err := reader.List(ctx, &namespaces, readOnly); err != nil {
			return translate.Inputs{}, fmt.Errorf("read Namespaces: %w", err)
		}
		in.Namespaces = namespaces.Items
	}
	return in, nil
}

// ourClassOf returns a Gateway's class if it exists and is ours, else nil.
func ourClassOf(
	ctx context.Context, reader client.Reader, gateway *gatewayv1.Gateway,
) (*gatewayv1.GatewayClass, error) {
	var class gatewayv1.GatewayClass
	key := types.NamespacedName{Name: string(gateway.Spec.GatewayClassName)}
	err := reader.Get(ctx, key, &class, readOnly)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return nil, fmt.Errorf("read GatewayClass %s: %w", key.Name, err)
	case err == nil && isOurClass(&class):
		return &class, nil
	}
	return nil, nil
}
