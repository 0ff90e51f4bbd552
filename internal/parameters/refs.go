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

package parameters

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// Find returns the GatewayParameters of a namespace and name; nil if there are none.
type Find func(key types.NamespacedName) *v1alpha1.GatewayParameters

const (
	classField   = "spec.parametersRef"
	gatewayField = "spec.infrastructure.parametersRef"
)

// ClassRef returns which GatewayParameters a GatewayClass refers to; nil for none. The error says, with the field, why the
// reference can't be followed.
func ClassRef(class *gatewayv1.GatewayClass) (*types.NamespacedName, error) {
	if class == nil || class.Spec.ParametersRef == nil {
		return nil, nil
	}
	ref := class.Spec.ParametersRef
	if err := checkKind(classField, ref.Group, ref.Kind); err != nil {
		return nil, err
	}
	if ref.Namespace == nil || *ref.Namespace == "" {
		return nil, fmt.Errorf("%s.namespace: is required: write the namespace of the GatewayParameters %s", classField, ref.Name)
	}
	return &types.NamespacedName{Namespace: string(*ref.Namespace), Name: ref.Name}, nil
}

// GatewayRef returns which GatewayParameters a Gateway itself refers to; nil for none. The error says, with the field, why
// the reference can't be followed.
func GatewayRef(gateway *gatewayv1.Gateway) (*types.NamespacedName, error) {
	if gateway.Spec.Infrastructure == nil || gateway.Spec.Infrastructure.ParametersRef == nil {
		return nil, nil
	}
	ref := gateway.Spec.Infrastructure.ParametersRef
	if err := checkKind(gatewayField, ref.Group, ref.Kind); err != nil {
		return nil, err
	}
	return &types.NamespacedName{Namespace: gateway.Namespace, Name: ref.Name}, nil
}

func checkKind(field string, group gatewayv1.Group, kind gatewayv1.Kind) error {
	if string(group) == v1alpha1.GroupVersion.Group && kind == v1alpha1.KindGatewayParameters {
		return nil
	}
	return fmt.Errorf("%s: parameters of kind %q in group %q are not supported: refer to kind %s in group %s, or remove the reference",
		field, kind, group, v1alpha1.KindGatewayParameters, v1alpha1.GroupVersion.Group)
}

// OfClass returns what the parameters of a GatewayClass say; nil if it refers to none. The error is the message of its
// condition Accepted.
func OfClass(class *gatewayv1.GatewayClass, find Find) (*v1alpha1.GatewayParametersSpec, error) {
	key, err := ClassRef(class)
	return follow(classField, key, err, find)
}

// OfGateway returns what the parameters of a Gateway and of its class, which may be nil, say together; defaults are not
// filled in. The error is the message of the Gateway's condition Accepted.
func OfGateway(class *gatewayv1.GatewayClass, gateway *gatewayv1.Gateway, find Find) (Parameters, error) {
	far, err := OfClass(class, find)
	if err != nil {
		return Parameters{}, fmt.Errorf("GatewayClass %s is not accepted: %w", class.Name, err)
	}
	key, err := GatewayRef(gateway)
	near, err := follow(gatewayField, key, err, find)
	if err != nil {
		return Parameters{}, err
	}
	merged := Merge(far, near)
	// Each of the two is valid.
	if errs := validate.GatewayParametersSpec(&merged.Spec); len(errs) > 0 {
		return Parameters{}, fmt.Errorf("%s: the GatewayParameters %s don't fit with those of GatewayClass %s: %w",
			gatewayField, key, class.Name, errs.ToAggregate())
	}
	return merged, nil
}

func follow(field string, key *types.NamespacedName, err error, find Find) (*v1alpha1.GatewayParametersSpec, error) {
	if err != nil || key == nil {
		return nil, err
	}
	found := find(*key)
	if found == nil {
		return nil, fmt.Errorf("%s: GatewayParameters %s do not exist: create them, or correct the reference", field, key)
	}
	if errs := validate.GatewayParameters(found); len(errs) > 0 {
		return nil, fmt.Errorf("%s: GatewayParameters %s are not valid: %w", field, key, errs.ToAggregate())
	}
	return &found.Spec, nil
}
