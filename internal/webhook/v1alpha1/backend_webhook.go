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

// Package v1alpha1 has the admission webhooks of the API group gateway.kgateway.dev, version v1alpha1. They only carry
// the rules of internal/validate to the API server, and do no I/O.
package v1alpha1

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// +kubebuilder:webhook:path=/validate-gateway-kgateway-dev-v1alpha1-backend,mutating=false,failurePolicy=fail,sideEffects=None,groups=gateway.kgateway.dev,resources=backends,verbs=create;update,versions=v1alpha1,name=backends.gateway.kgateway.dev,admissionReviewVersions=v1

// SetupBackendWebhookWithManager registers the validating webhook of Backends with the manager's webhook server.
func SetupBackendWebhookWithManager(mgr ctrl.Manager, options validate.Options) error {
	return ctrl.NewWebhookManagedBy(mgr, &v1alpha1.Backend{}).
		WithValidator(&backendValidator{options: options}).
		Complete()
}

type backendValidator struct {
	options validate.Options
}

var _ admission.Validator[*v1alpha1.Backend] = &backendValidator{}

// ValidateCreate refuses a Backend that breaks a rule, with every error.
func (v *backendValidator) ValidateCreate(_ context.Context, backend *v1alpha1.Backend) (admission.Warnings, error) {
	return v.validate(backend)
}

// ValidateUpdate refuses a change of the spec that breaks a rule. A Backend may have been stored while no webhook ran,
// or before a rule existed. Its labels, annotations and finalizers must stay editable, and its deletion, which ends with
// an update that removes the last finalizer, must go through; the controller reports what is wrong with its spec.
func (v *backendValidator) ValidateUpdate(
	_ context.Context, old, backend *v1alpha1.Backend,
) (admission.Warnings, error) {
	if backend.DeletionTimestamp != nil || apiequality.Semantic.DeepEqual(old.Spec, backend.Spec) {
		return nil, nil
	}
	return v.validate(backend)
}

// ValidateDelete permits every deletion.
func (v *backendValidator) ValidateDelete(context.Context, *v1alpha1.Backend) (admission.Warnings, error) {
	return nil, nil
}

func (v *backendValidator) validate(backend *v1alpha1.Backend) (admission.Warnings, error) {
	warnings := validate.BackendWarnings(backend, v.options)
	if errs := validate.Backend(backend, v.options); len(errs) > 0 {
		kind := v1alpha1.GroupVersion.WithKind("Backend").GroupKind()
		return warnings, apierrors.NewInvalid(kind, backend.Name, errs)
	}
	return warnings, nil
}
