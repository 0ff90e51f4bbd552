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
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/apiserver"
	"github.com/dynamic-mcp/dynamic-mcp/internal/status"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// HTTPRouteReconciler writes into an HTTPRoute's status what becomes of it at each parent that is a Gateway of ours.
type HTTPRouteReconciler struct {
	client.Client
	Recorder recorder.EventRecorder
}

// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes;gateways;gatewayclasses;referencegrants,verbs=get;list;watch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes/status,verbs=patch
// +kubebuilder:rbac:groups=gateway.kgateway.dev,resources=backends,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile sets one HTTPRoute's status.
func (r *HTTPRouteReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var route gatewayv1.HTTPRoute
	if err := r.Get(ctx, req.NamespacedName, &route); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !route.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	parents, err := r.parents(ctx, &route)
	if err != nil {
		return ctrl.Result{}, err
	}
	return afterWrite(ctx, r.writeStatus(ctx, &route, parents))
}

// parents returns the route's parent statuses at the Gateways of ours that it names.
func (r *HTTPRouteReconciler) parents(
	ctx context.Context, route *gatewayv1.HTTPRoute,
) ([]gatewayv1.RouteParentStatus, error) {
	var parents []gatewayv1.RouteParentStatus
	for _, key := range routeGateways(route) {
		var gateway gatewayv1.Gateway
		if err := r.Get(ctx, key, &gateway, readOnly); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read Gateway %s: %w", key, err)
		} else if err != nil {
			continue // Nobody can tell whose the Gateway would be.
		}
		class, err := ourClassOf(ctx, r, &gateway)
		if err != nil {
			return nil, err
		}
		if class == nil {
			continue
		}
		inputs, err := gatherGateway(ctx, r, &gateway, []gatewayv1.HTTPRoute{*route})
		if err != nil {
			return nil, err
		}
		parents = append(parents, translate.Gateway(inputs).Routes[client.ObjectKeyFromObject(route)]...)
	}
	return parents, nil
}

// writeStatus writes our entries of the route's parents, if they differ from what is there. Entries of ours for
// Gateways that are gone, or are not ours any more, go; everybody else's stay.
func (r *HTTPRouteReconciler) writeStatus(
	ctx context.Context, route *gatewayv1.HTTPRoute, desired []gatewayv1.RouteParentStatus,
) error {
	owner := status.Owner{Controller: v1alpha1.ControllerName, RouteNamespace: route.Namespace}
	parents, changed := status.RouteParents(route.Status.Parents, desired, owner, metav1.Now())
	if !changed {
		return nil
	}
	before := route.DeepCopy()
	route.Status.Parents = parents
	if err := patchStatus(ctx, r.Client, before, route); err != nil {
		return err
	}
	log.FromContext(ctx).V(1).Info("Status written")
	for i := range parents {
		if parents[i].ControllerName == v1alpha1.ControllerName {
			recordTransitions(r.Recorder, route, conditionsAt(before, parents[i].ParentRef), parents[i].Conditions,
				string(gatewayv1.RouteConditionAccepted), string(gatewayv1.RouteConditionResolvedRefs))
		}
	}
	return nil
}

// conditionsAt returns our conditions of a route at one parent.
func conditionsAt(route *gatewayv1.HTTPRoute, ref gatewayv1.ParentReference) []metav1.Condition {
	for i := range route.Status.Parents {
		parent := &route.Status.Parents[i]
		if parent.ControllerName == v1alpha1.ControllerName && equality.Semantic.DeepEqual(parent.ParentRef, ref) {
			return parent.Conditions
		}
	}
	return nil
}

// SetupWithManager registers the reconciler and what wakes it.
func (r *HTTPRouteReconciler) SetupWithManager(mgr ctrl.Manager) error {
	w := httpRouteWatches{gatewayWatches{Reader: mgr.GetClient()}}
	err := ctrl.NewControllerManagedBy(mgr).
		For(&gatewayv1.HTTPRoute{}, builder.WithPredicates(onUpdate(httpRouteDiffers))).
		Watches(&gatewayv1.Gateway{}, wake(0, beforeOrAfter(w.gateway)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&gatewayv1.GatewayClass{}, wake(0, beforeOrAfter(w.class)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&v1alpha1.Backend{}, wake(0, beforeOrAfter(w.backend)),
			builder.WithPredicates(onUpdate(backendDiffersForRoutes))).
		Watches(&gatewayv1.ReferenceGrant{}, wake(0, beforeOrAfter(w.referenceGrant)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&corev1.Namespace{}, wake(0, beforeOrAfter(w.namespace)),
			builder.WithPredicates(onUpdate(labelsDiffer))).
		WithOptions(controller.Options{RateLimiter: apiserver.RateLimiter()}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the HTTPRoute controller: %w", err)
	}
	return nil
}
