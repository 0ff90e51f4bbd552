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
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/apiserver"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// GatewayReconciler makes a proxy run for each Gateway of our classes, rotates the keys that seal its clients' sessions,
// and writes the Gateways' status.
//
// It needs no finalizer: a Gateway that is gone is still asked about once, by name, and that is enough to end its
// proxy. Proxies whose Gateway went away while no manager ran are the provisioner's: children end with the manager,
// objects in the cluster are owned by the Gateway.
type GatewayReconciler struct {
	client.Client
	Recorder    recorder.EventRecorder
	Provisioner provision.Provisioner
	// Events name Gateways whose proxy has changed its state; may be nil.
	Events <-chan event.GenericEvent
	// SessionKeyRotation is how often the keys that seal sessions rotate; 0: never. They never rotate faster than the
	// sessions of a Gateway expire.
	SessionKeyRotation time.Duration
	// Now is the time by which they do.
	Now func() time.Time
}

// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gateways;gatewayclasses;httproutes;referencegrants,verbs=get;list;watch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gateways/status,verbs=patch
// +kubebuilder:rbac:groups=gateway.kgateway.dev,resources=backends,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile sets up one Gateway's proxy and its status. A Gateway of another controller's class loses the proxy that it
// may have had when its class was ours; nothing else of it is touched.
func (r *GatewayReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var gateway gatewayv1.Gateway
	err := r.Get(ctx, req.NamespacedName, &gateway)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read Gateway: %w", err)
	}
	if apierrors.IsNotFound(err) || !gateway.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.removeProxy(ctx, req)
	}
	class, err := ourClassOf(ctx, r, &gateway)
	if err != nil {
		return ctrl.Result{}, err
	}
	if class == nil {
		return ctrl.Result{}, r.removeProxy(ctx, req)
	}
	translated, wanted, err := r.translate(ctx, &gateway, class)
	if err != nil {
		return ctrl.Result{}, err
	}
	proxy, ensureErr := r.ensureProxy(ctx, translated, wanted)
	var keys keysState
	var keysErr error
	if ensureErr == nil { // Otherwise all of it is tried again soon.
		keys, keysErr = r.rotateKeys(ctx, translated, wanted)
	}
	desired := gatewayStatus(&gateway, translated, proxy, keys, metav1.Now())
	result, writeErr := afterWrite(ctx, r.writeStatus(ctx, &gateway, desired))
	if err := errors.Join(ensureErr, keysErr, writeErr); err != nil {
		return ctrl.Result{}, err
	}
	if result.IsZero() {
		result.RequeueAfter = keys.lookAfter
	}
	return result, nil
}

// translate decides on the Gateway, its listeners and its routes, and on the proxy that it should have.
func (r *GatewayReconciler) translate(
	ctx context.Context, gateway *gatewayv1.Gateway, class *gatewayv1.GatewayClass,
) (*translate.Result, *provision.Wanted, error) {
	var routes gatewayv1.HTTPRouteList
	if err := r.List(ctx, &routes, readOnly,
		client.MatchingFields{indexRouteGateway: client.ObjectKeyFromObject(gateway).String()}); err != nil {
		return nil, nil, fmt.Errorf("read HTTPRoutes: %w", err)
	}
	inputs, err := gatherGateway(ctx, r, gateway, routes.Items)
	if err != nil {
		return nil, nil, err
	}
	found, invalid, err := gatewayParameters(ctx, r, class, gateway)
	if err != nil {
		return nil, nil, err
	}
	translated := translate.Gateway(inputs)
	if invalid != nil {
		translated.Accepted = invalidParameters(invalid)
	}
	wanted := &provision.Wanted{Gateway: gateway.DeepCopy(), Parameters: found}
	for _, port := range translated.Config.Ports() {
		wanted.Ports = append(wanted.Ports, port.Port)
	}
	return translated, wanted, nil
}

// ensureProxy makes the proxy run. A Gateway that is not accepted gets none; one that it already has is left as it is,
// because a mistake in a class or a Gateway should not end what is served. What can't be seen of parameters before an API
// server is asked makes the Gateway not accepted here.
func (r *GatewayReconciler) ensureProxy(
	ctx context.Context, translated *translate.Result, wanted *provision.Wanted,
) (proxyState, error) {
	if !translated.Accepted.Status {
		return proxyState{}, nil
	}
	state, err := r.Provisioner.Ensure(ctx, wanted)
	if invalid, ok := errors.AsType[*provision.InvalidParametersError](err); ok {
		translated.Accepted = invalidParameters(invalid)
		return proxyState{}, nil
	}
	if err != nil {
		err = fmt.Errorf("ensure proxy: %w", err)
	}
	return proxyState{State: state, known: err == nil, err: err}, err
}

func (r *GatewayReconciler) removeProxy(ctx context.Context, req ctrl.Request) error {
	if err := r.Provisioner.Remove(ctx, req.NamespacedName); err != nil {
		return fmt.Errorf("remove proxy: %w", err)
	}
	return nil
}

func (r *GatewayReconciler) writeStatus(
	ctx context.Context, gateway *gatewayv1.Gateway, desired gatewayv1.GatewayStatus,
) error {
	before := gateway.DeepCopy()
	if equality.Semantic.DeepEqual(&before.Status, &desired) {
		return nil
	}
	gateway.Status = desired
	if err := patchStatus(ctx, r.Client, before, gateway); err != nil {
		return err
	}
	log.FromContext(ctx).V(1).Info("Status written")
	recordTransitions(r.Recorder, gateway, before.Status.Conditions, desired.Conditions,
		string(gatewayv1.GatewayConditionAccepted), string(gatewayv1.GatewayConditionProgrammed),
		v1alpha1.GatewayConditionSessionKeys)
	return nil
}

// SetupWithManager registers the reconciler and what wakes it. Backends and ReferenceGrants are not among it: a
// Gateway's status does not depend on them, and the proxy watches them itself.
func (r *GatewayReconciler) SetupWithManager(mgr ctrl.Manager) error {
	w := gatewayWatches{Reader: mgr.GetClient()}
	b := ctrl.NewControllerManagedBy(mgr).
		For(&gatewayv1.Gateway{}, builder.WithPredicates(onUpdate(gatewayDiffers))).
		Watches(&gatewayv1.GatewayClass{}, wake(0, beforeOrAfter(w.class)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&v1alpha1.GatewayParameters{}, wake(0, beforeOrAfter(w.parameters)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&gatewayv1.HTTPRoute{}, wake(0, beforeOrAfter(w.route)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&corev1.Namespace{}, wake(0, w.namespace),
			builder.WithPredicates(onUpdate(labelsDiffer))).
		WithOptions(controller.Options{RateLimiter: apiserver.RateLimiter()})
	if r.Events != nil {
		b = b.WatchesRawSource(source.Channel(r.Events, &handler.EnqueueRequestForObject{}))
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("set up the Gateway controller: %w", err)
	}
	return nil
}
