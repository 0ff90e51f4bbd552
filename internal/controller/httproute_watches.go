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

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// httpRouteWatches finds the HTTPRoutes that a change concerns.
type httpRouteWatches struct {
	gateways gatewayWatches
}

// gateway finds the routes that name a Gateway of ours. An update asks for the Gateway as it was, too: one that moved
// to another class leaves entries behind that its routes must lose.
func (w httpRouteWatches) gateway(ctx context.Context, gateway *gatewayv1.Gateway) wakeups {
	if !w.gateways.ours(ctx, gateway) {
		return wakeups{}
	}
	return w.routes(ctx, client.MatchingFields{indexRouteGateway: client.ObjectKeyFromObject(gateway).String()})
}

// class finds the routes that name a Gateway of a class of ours.
func (w httpRouteWatches) class(ctx context.Context, class *gatewayv1.GatewayClass) wakeups {
	found := wakeups{}
	for key := range w.gateways.class(ctx, class) {
		found = found.Union(w.routes(ctx, client.MatchingFields{indexRouteGateway: key.String()}))
	}
	return found
}

// backend finds the routes that refer to a Backend.
func (w httpRouteWatches) backend(ctx context.Context, backend *v1alpha1.Backend) wakeups {
	return w.routes(ctx, client.MatchingFields{indexRouteBackend: client.ObjectKeyFromObject(backend).String()})
}

// referenceGrant finds the routes that a grant lets refer to something in its namespace.
func (w httpRouteWatches) referenceGrant(ctx context.Context, grant *gatewayv1.ReferenceGrant) wakeups {
	found := wakeups{}
	for _, from := range grant.Spec.From {
		if from.Group == gatewayv1.GroupName && from.Kind == "HTTPRoute" {
			found = found.Union(w.routes(ctx, client.InNamespace(from.Namespace),
				client.MatchingFields{indexRouteForeignNamespace: grant.Namespace}))
		}
	}
	return found
}

// namespace finds the routes of a namespace, whose labels decide at which listeners they are allowed.
func (w httpRouteWatches) namespace(ctx context.Context, namespace *corev1.Namespace) wakeups {
	return w.routes(ctx, client.InNamespace(namespace.Name))
}

func (w httpRouteWatches) routes(ctx context.Context, options ...client.ListOption) wakeups {
	found := wakeups{}
	var list gatewayv1.HTTPRouteList
	if err := w.gateways.List(ctx, &list, append(options, readOnly)...); err != nil {
		log.FromContext(ctx).Error(err, "Could not list HTTPRoutes")
	}
	for i := range list.Items {
		found.Insert(client.ObjectKeyFromObject(&list.Items[i]))
	}
	return found
}
