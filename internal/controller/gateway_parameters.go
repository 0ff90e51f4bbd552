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

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// +kubebuilder:rbac:groups=gateway.kgateway.dev,resources=gatewayparameters,verbs=get;list;watch

// gatewayParameters returns what holds for the proxy of a Gateway. Where the Gateway's parameters or those of its class
// can't be used, the Gateway is not accepted, and invalid says why.
func gatewayParameters(
	ctx context.Context, reader client.Reader, class *gatewayv1.GatewayClass, gateway *gatewayv1.Gateway,
) (found parameters.Parameters, invalid error, err error) {
	find, readErr := findParameters(ctx, reader)
	merged, invalid := parameters.OfGateway(class, gateway, find)
	if err := *readErr; err != nil {
		return parameters.Parameters{}, nil, err
	}
	if invalid != nil {
		return parameters.Parameters{}, invalid, nil
	}
	return merged.WithDefaults(), nil, nil
}

// classProblem returns why a class of ours can't be accepted; empty if it can.
func classProblem(ctx context.Context, reader client.Reader, class *gatewayv1.GatewayClass) (string, error) {
	find, readErr := findParameters(ctx, reader)
	problem := ""
	if _, invalid := parameters.OfClass(class, find); invalid != nil {
		problem = invalid.Error()
	}
	return problem, *readErr
}

// findParameters returns a function that reads GatewayParameters, and where it puts the error if it could not.
func findParameters(ctx context.Context, reader client.Reader) (find parameters.Find, readErr *error) {
	readErr = new(error)
	return func(key types.NamespacedName) *v1alpha1.GatewayParameters {
		var found v1alpha1.GatewayParameters
		err := reader.Get(ctx, key, &found, readOnly)
		if client.IgnoreNotFound(err) != nil {
			*readErr = errors.Join(*readErr, fmt.Errorf("read GatewayParameters %s: %w", key, err))
		}
		if err != nil {
			return nil
		}
		return &found
	}, readErr
}

func invalidParameters(err error) translate.Condition {
	return translate.Condition{Reason: string(gatewayv1.GatewayReasonInvalidParameters), Message: err.Error()}
}

// parameters finds the Gateways whose proxies run by some GatewayParameters.
func (w gatewayWatches) parameters(ctx context.Context, changed *v1alpha1.GatewayParameters) wakeups {
	key := client.ObjectKeyFromObject(changed).String()
	found := wakeups{}
	for _, gateway := range w.gateways(ctx, client.MatchingFields{indexParameters: key}) {
		if w.ours(ctx, &gateway) {
			found.Insert(client.ObjectKeyFromObject(&gateway))
		}
	}
	for _, class := range classesWithParameters(ctx, w, changed) {
		found = found.Union(w.class(ctx, &class))
	}
	return found
}

// classesWithParameters returns the GatewayClasses that refer to some GatewayParameters.
func classesWithParameters(
	ctx context.Context, reader client.Reader, changed *v1alpha1.GatewayParameters,
) []gatewayv1.GatewayClass {
	var classes gatewayv1.GatewayClassList
	key := client.ObjectKeyFromObject(changed).String()
	if err := reader.List(ctx, &classes, readOnly, client.MatchingFields{indexParameters: key}); err != nil {
		log.FromContext(ctx).Error(err, "Could not list GatewayClasses", "parameters", key)
	}
	return classes.Items
}

func gatewayParametersKey(gateway *gatewayv1.Gateway) []string {
	return keyOf(parameters.GatewayRef(gateway))
}

func classParametersKey(class *gatewayv1.GatewayClass) []string {
	return keyOf(parameters.ClassRef(class))
}

// keyOf leaves out references that can't be followed, which no GatewayParameters can mend.
func keyOf(key *types.NamespacedName, err error) []string {
	if err != nil || key == nil {
		return nil
	}
	return []string{key.String()}
}
