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
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/apiserver"
	"github.com/dynamic-mcp/dynamic-mcp/internal/status"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// GatewayClassReconciler accepts the GatewayClasses that name this controller, and keeps those that are in use from
// being deleted.
type GatewayClassReconciler struct {
	client.Client
	Recorder recorder.EventRecorder
}

// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses/status,verbs=patch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gateways,verbs=get;list;watch

// Reconcile sets one GatewayClass's status and finalizer.
func (r *GatewayClassReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var class gatewayv1.GatewayClass
	if err := r.Get(ctx, req.NamespacedName, &class); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !isOurClass(&class) {
		return ctrl.Result{}, nil
	}
	if err := r.ensureFinalizer(ctx, &class); err != nil {
		return afterWrite(ctx, err)
	}
	if !class.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	crds := &metav1.PartialObjectMetadataList{}
	crds.SetGroupVersionKind(crdKind)
	if err := r.List(ctx, crds, readOnly); err != nil {
		return ctrl.Result{}, fmt.Errorf("read CRDs: %w", err)
	}
	problem, err := classProblem(ctx, r, &class)
	if err != nil {
		return ctrl.Result{}, err
	}
	return afterWrite(ctx, r.writeStatus(ctx, &class, classConditions(&class, problem, crds.Items)))
}

// ensureFinalizer keeps a class from going away under its Gateways, as the specification recommends.
// https://gateway-api.sigs.k8s.io/reference/spec/#gatewayclass
func (r *GatewayClassReconciler) ensureFinalizer(ctx context.Context, class *gatewayv1.GatewayClass) error {
	var gateways gatewayv1.GatewayList
	if err := r.List(ctx, &gateways, readOnly, client.MatchingFields{indexGatewayClass: class.Name}); err != nil {
		return fmt.Errorf("read Gateways of the class: %w", err)
	}
	before := class.DeepCopy()
	changed := false
	switch {
	case len(gateways.Items) == 0:
		changed = controllerutil.RemoveFinalizer(class, gatewayv1.GatewayClassFinalizerGatewaysExist)
	case class.DeletionTimestamp.IsZero(): // The API server refuses a new finalizer on what is being deleted.
		changed = controllerutil.AddFinalizer(class, gatewayv1.GatewayClassFinalizerGatewaysExist)
	}
	if !changed {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Patch(ctx, class, patch); err != nil {
		return fmt.Errorf("set finalizers: %w", err)
	}
	return nil
}

func (r *GatewayClassReconciler) writeStatus(
	ctx context.Context, class *gatewayv1.GatewayClass, desired []metav1.Condition,
) error {
	before := class.DeepCopy()
	if !status.Conditions(&class.Status.Conditions, desired, metav1.Now()) {
		return nil
	}
	if err := patchStatus(ctx, r.Client, before, class); err != nil {
		return err
	}
	recordTransitions(r.Recorder, class, before.Status.Conditions, class.Status.Conditions,
		string(gatewayv1.GatewayClassConditionStatusAccepted),
		string(gatewayv1.GatewayClassConditionStatusSupportedVersion))
	return nil
}

// classConditions decides on a class of ours, of which a problem is known, or none. CRDs of another release of the Gateway
// API get best effort, as the specification permits: they are mostly compatible, and refusing would stop traffic for a
// version number.
func classConditions(class *gatewayv1.GatewayClass, problem string, crds []metav1.PartialObjectMetadata) []metav1.Condition {
	accepted := translate.Condition{
		Status:  true,
		Reason:  string(gatewayv1.GatewayClassReasonAccepted),
		Message: "Gateways of this class get an MCP proxy",
	}
	if problem != "" {
		accepted = translate.Condition{
			Reason:  string(gatewayv1.GatewayClassReasonInvalidParameters),
			Message: problem,
		}
	}
	supported := translate.Condition{
		Status:  true,
		Reason:  string(gatewayv1.GatewayClassReasonSupportedVersion),
		Message: "The Gateway API CRDs are of a supported version",
	}
	if versions := unsupportedBundles(crds); len(versions) > 0 {
		supported = translate.Condition{
			Reason: string(gatewayv1.GatewayClassReasonUnsupportedVersion),
			Message: fmt.Sprintf("There are Gateway API CRDs %s; supported is %sx, everything else works as far as it can",
				strings.Join(versions, ", "), supportedBundle),
		}
	}
	return []metav1.Condition{
		accepted.As(string(gatewayv1.GatewayClassConditionStatusAccepted), class.Generation),
		supported.As(string(gatewayv1.GatewayClassConditionStatusSupportedVersion), class.Generation),
	}
}

func isOurClass(class *gatewayv1.GatewayClass) bool {
	return class.Spec.ControllerName == v1alpha1.ControllerName
}

// SetupWithManager registers the reconciler, what wakes it, and the creation of the default class.
func (r *GatewayClassReconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.Add(&classCreator{Client: r.Client, recorder: r.Recorder}); err != nil {
		return fmt.Errorf("set up the creation of the GatewayClass: %w", err)
	}
	ours := predicate.NewPredicateFuncs(func(object client.Object) bool {
		class, ok := object.(*gatewayv1.GatewayClass)
		return ok && isOurClass(class)
	})
	err := ctrl.NewControllerManagedBy(mgr).
		For(&gatewayv1.GatewayClass{}, builder.WithPredicates(ours, onUpdate(gatewayClassDiffers))).
		Watches(&gatewayv1.Gateway{}, wake(0, beforeOrAfter(classOfGateway)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		Watches(&v1alpha1.GatewayParameters{}, wake(0, beforeOrAfter(r.withParameters)),
			builder.WithPredicates(onUpdate(generationDiffers))).
		WatchesMetadata(crdMetadata(), wake(0, beforeOrAfter(r.allClasses)),
			builder.WithPredicates(predicate.NewPredicateFuncs(isGatewayAPICRD), onUpdate(crdDiffers))).
		WithOptions(controller.Options{RateLimiter: apiserver.RateLimiter()}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the GatewayClass controller: %w", err)
	}
	return nil
}

func classOfGateway(_ context.Context, gateway *gatewayv1.Gateway) wakeups {
	return wakeups{}.Insert(types.NamespacedName{Name: string(gateway.Spec.GatewayClassName)})
}

// withParameters finds the classes of ours that refer to some GatewayParameters.
func (r *GatewayClassReconciler) withParameters(ctx context.Context, changed *v1alpha1.GatewayParameters) wakeups {
	found := wakeups{}
	for _, class := range classesWithParameters(ctx, r, changed) {
		if isOurClass(&class) {
			found.Insert(client.ObjectKeyFromObject(&class))
		}
	}
	return found
}

// allClasses finds our classes, whose SupportedVersion depends on the CRDs.
func (r *GatewayClassReconciler) allClasses(ctx context.Context, _ *metav1.PartialObjectMetadata) wakeups {
	found := wakeups{}
	var classes gatewayv1.GatewayClassList
	if err := r.List(ctx, &classes, readOnly); err != nil {
		log.FromContext(ctx).Error(err, "Could not list GatewayClasses")
	}
	for i := range classes.Items {
		if isOurClass(&classes.Items[i]) {
			found.Insert(client.ObjectKeyFromObject(&classes.Items[i]))
		}
	}
	return found
}
