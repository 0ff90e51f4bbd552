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
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
	"github.com/dynamic-mcp/dynamic-mcp/internal/status"
)

// concurrentBackends is how many Backends are resolved at a time; most of the time of one is the write.
const concurrentBackends = 4

// BackendReconciler resolves Backends: it writes into a Backend's status which MCP servers are behind it.
type BackendReconciler struct {
	client.Client
	Recorder recorder.EventRecorder
	// Options of the resolution.
	Options resolve.Options
}

// +kubebuilder:rbac:groups=gateway.kgateway.dev,resources=backends,verbs=get;list;watch
// +kubebuilder:rbac:groups=gateway.kgateway.dev,resources=backends/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=services;namespaces;configmaps,verbs=get;list;watch
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=referencegrants;backendtlspolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile resolves one Backend.
func (r *BackendReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var backend v1alpha1.Backend
	if err := r.Get(ctx, req.NamespacedName, &backend); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !backend.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	inputs, err := r.gather(ctx, &backend)
	if err != nil {
		return ctrl.Result{}, err
	}
	return afterWrite(ctx, r.writeStatus(ctx, &backend, resolve.Backend(inputs)))
}

// writeStatus writes what was resolved, if it differs from what the status says, and reports what changed.
func (r *BackendReconciler) writeStatus(
	ctx context.Context, backend *v1alpha1.Backend, resolved v1alpha1.BackendStatus,
) error {
	before := backend.DeepCopy()
	conditions := before.Status.Conditions
	status.Conditions(&conditions, resolved.Conditions, metav1.Now())
	resolved.Conditions = conditions
	if equality.Semantic.DeepEqual(&before.Status, &resolved) {
		return nil
	}
	backend.Status = resolved
	if err := patchStatus(ctx, r.Client, before, backend); err != nil {
		return err
	}
	log.FromContext(ctx).V(1).Info("Status written",
		"summary", resolved.Summary, "skippedCount", resolved.SkippedCount)
	recordTransitions(r.Recorder, backend, before.Status.Conditions, conditions,
		v1alpha1.BackendConditionAccepted, v1alpha1.BackendConditionResolvedRefs, v1alpha1.BackendConditionReady)
	return nil
}

// SetupWithManager registers the reconciler and what wakes it.
func (r *BackendReconciler) SetupWithManager(mgr ctrl.Manager) error {
	w := backendWatches{Reader: mgr.GetClient()}
	err := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Backend{}, builder.WithPredicates(onUpdate(backendDiffers))).
		Watches(&corev1.Service{}, wake(0, beforeOrAfter(w.service)),
			builder.WithPredicates(onUpdate(serviceDiffers))).
		Watches(&discoveryv1.EndpointSlice{}, wake(endpointsDelay, beforeOrAfter(w.endpointSlice)),
			builder.WithPredicates(onUpdate(endpointSliceDiffers))).
		Watches(&corev1.Namespace{}, wake(0, w.namespace),
			builder.WithPredicates(onUpdate(labelsDiffer))).
		Watches(&gatewayv1.ReferenceGrant{}, wake(0, beforeOrAfter(w.referenceGrant)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&gatewayv1.BackendTLSPolicy{}, wake(0, beforeOrAfter(w.tlsPolicy)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&corev1.ConfigMap{}, wake(0, beforeOrAfter(w.configMap)),
			builder.WithPredicates(onUpdate(configMapDiffers))).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrentBackends, RateLimiter: apiserver.RateLimiter()}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the Backend controller: %w", err)
	}
	return nil
}
