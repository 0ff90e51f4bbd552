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

// +kubebuilder:webhook:path=/validate-gateway-kgateway-dev-v1alpha1-gatewayparameters,mutating=false,failurePolicy=fail,sideEffects=None,groups=gateway.kgateway.dev,resources=gatewayparameters,verbs=create;update,versions=v1alpha1,name=gatewayparameters.gateway.kgateway.dev,admissionReviewVersions=v1

// SetupGatewayParametersWebhookWithManager registers the validating webhook of GatewayParameters with the manager's
// webhook server.
func SetupGatewayParametersWebhookWithManager(mgr ctrl.Manager) error {
	return ctrl.NewWebhookManagedBy(mgr, &v1alpha1.GatewayParameters{}).
		WithValidator(&gatewayParametersValidator{}).
		Complete()
}

type gatewayParametersValidator struct{}

var _ admission.Validator[*v1alpha1.GatewayParameters] = &gatewayParametersValidator{}

// ValidateCreate refuses GatewayParameters that break a rule, with every error.
func (v *gatewayParametersValidator) ValidateCreate(
	_ context.Context, parameters *v1alpha1.GatewayParameters,
) (admission.Warnings, error) {
	return v.validate(parameters)
}

// ValidateUpdate refuses a change of the spec that breaks a rule. Metadata stay editable, and deletion goes through, where
// the spec was stored while no webhook ran: the Gateways concerned report what is wrong with it.
func (v *gatewayParametersValidator) ValidateUpdate(
	_ context.Context, old, parameters *v1alpha1.GatewayParameters,
) (admission.Warnings, error) {
	if parameters.DeletionTimestamp != nil || apiequality.Semantic.DeepEqual(old.Spec, parameters.Spec) {
		return nil, nil
	}
	return v.validate(parameters)
}

// ValidateDelete permits every deletion.
func (v *gatewayParametersValidator) ValidateDelete(
	context.Context, *v1alpha1.GatewayParameters,
) (admission.Warnings, error) {
	return nil, nil
}

func (v *gatewayParametersValidator) validate(parameters *v1alpha1.GatewayParameters) (admission.Warnings, error) {
	warnings := validate.GatewayParametersWarnings(parameters)
	if errs := validate.GatewayParameters(parameters); len(errs) > 0 {
		kind := v1alpha1.GroupVersion.WithKind(v1alpha1.KindGatewayParameters).GroupKind()
		return warnings, apierrors.NewInvalid(kind, parameters.Name, errs)
	}
	return warnings, nil
}
