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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// gatewayWatches finds the Gateways of our classes that a change concerns.
type gatewayWatches struct {
	client.Reader
}

// class finds the Gateways of a class of ours.
func (w gatewayWatches) class(ctx context.Context, class *gatewayv1.GatewayClass) wakeups {
	found := wakeups{}
	if !isOurClass(class) {
		return found
	}
	for _, gateway := range w.gateways(ctx, client.MatchingFields{indexGatewayClass: class.Name}) {
		found.Insert(client.ObjectKeyFromObject(&gateway))
	}
	return found
}

// route finds the Gateways that count a route as attached, or might.
func (w gatewayWatches) route(ctx context.Context, route *gatewayv1.HTTPRoute) wakeups {
	found := wakeups{}
	for _, key := range routeGateways(route) {
		var gateway gatewayv1.Gateway
		if err := w.Get(ctx, key, &gateway, readOnly); err != nil {
			// Most often not found: then the Gateway's creation will wake it.
			if client.IgnoreNotFound(err) != nil {
				log.FromContext(ctx).Error(err, "Could not read Gateway", "gateway", key)
			}
			continue
		}
		if w.ours(ctx, &gateway) {
			found.Insert(key)
		}
	}
	return found
}

// namespace finds the Gateways with a listener that begins or ceases to allow routes of a namespace.
func (w gatewayWatches) namespace(ctx context.Context, before, after *corev1.Namespace) wakeups {
	found := wakeups{}
	for _, gateway := range w.gateways(ctx) {
		for _, selector := range routeNamespaceSelectors(&gateway) {
			allowed := before != nil && selector.Matches(labels.Set(before.Labels))
			allows := after != nil && selector.Matches(labels.Set(after.Labels))
			if allowed != allows && w.ours(ctx, &gateway) {
				found.Insert(client.ObjectKeyFromObject(&gateway))
			}
		}
	}
	return found
}

func (w gatewayWatches) ours(ctx context.Context, gateway *gatewayv1.Gateway) bool {
	class, err := ourClassOf(ctx, w, gateway)
	if err != nil {
		log.FromContext(ctx).Error(err, "Could not read GatewayClass", "gateway", klog.KObj(gateway))
	}
	return class != nil
}

func (w gatewayWatches) gateways(ctx context.Context, options ...client.ListOption) []gatewayv1.Gateway {
	var list gatewayv1.GatewayList
	if err := w.List(ctx, &list, append(options, readOnly)...); err != nil {
		log.FromContext(ctx).Error(err, "Could not list Gateways")
	}
	return list.Items
}

// routeNamespaceSelectors returns the selectors by which a Gateway's listeners choose the namespaces of routes.
func routeNamespaceSelectors(gateway *gatewayv1.Gateway) []labels.Selector {
	var selectors []labels.Selector
	for i := range gateway.Spec.Listeners {
		allowed := gateway.Spec.Listeners[i].AllowedRoutes
		if allowed == nil || allowed.Namespaces == nil || allowed.Namespaces.From == nil ||
			*allowed.Namespaces.From != gatewayv1.NamespacesFromSelector {
			continue
		}
		// An invalid selector chooses nothing; translation says so in the listener's status.
		if selector, err := metav1.LabelSelectorAsSelector(allowed.Namespaces.Selector); err == nil {
			selectors = append(selectors, selector)
		}
	}
	return selectors
}
