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
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/status"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// proxyState is what is known of a Gateway's proxy.
type proxyState struct {
	provision.State
	// known is false if it was not asked for, or could not be.
	known bool
	err   error
}

// listenerConditionTypes are those that we answer for: what is not decided now does not stay from before.
var listenerConditionTypes = []string{
	string(gatewayv1.ListenerConditionAccepted),
	string(gatewayv1.ListenerConditionResolvedRefs),
	string(gatewayv1.ListenerConditionConflicted),
	string(gatewayv1.ListenerConditionProgrammed),
}

// gatewayStatus returns the status that a Gateway should have: what translation decided, what the proxy really does,
// and what others have written.
func gatewayStatus(
	gateway *gatewayv1.Gateway, translated *translate.Result, proxy proxyState, keys keysState, now metav1.Time,
) gatewayv1.GatewayStatus {
	desired := *gateway.Status.DeepCopy()
	accepted := translated.Accepted.As(string(gatewayv1.GatewayConditionAccepted), gateway.Generation)
	programmed := programmedCondition(translated, proxy)
	if proxy.Undecided && isProgrammed(gateway) {
		programmed = programmedTrue()
	}
	programmed.ObservedGeneration = gateway.Generation
	conditions, owned := []metav1.Condition{accepted, programmed}, []string(nil)
	if keys.known {
		owned = []string{v1alpha1.GatewayConditionSessionKeys}
	}
	if keys.condition != nil {
		keys.condition.ObservedGeneration = gateway.Generation
		conditions = append(conditions, *keys.condition)
	}
	status.Conditions(&desired.Conditions, conditions, now, owned...)

	served := sets.Set[gatewayv1.SectionName]{}
	for i := range translated.Config.Listeners {
		served.Insert(gatewayv1.SectionName(translated.Config.Listeners[i].Name))
	}
	listeners := make([]gatewayv1.ListenerStatus, len(translated.Listeners))
	for i, listener := range translated.Listeners {
		condition := programmed
		if !served.Has(listener.Name) {
			condition = notProgrammed(gatewayv1.ListenerReasonInvalid, "The listener can't be served: see its other conditions")
			condition.ObservedGeneration = gateway.Generation
		}
		listener.Conditions = append(slices.Clip(listener.Conditions), condition)
		listeners[i] = listener
	}
	desired.Listeners, _ = status.Listeners(desired.Listeners, listeners, now, listenerConditionTypes...)
	if proxy.known { // Otherwise the addresses are most likely what they were.
		desired.Addresses = proxy.Addresses
	}
	return desired
}

// programmedCondition is True only when the proxy serves, whether or not it has an address: without a load balancer
// it never gets one, and can be reached all the same. Type and reasons are the same for Gateways and listeners.
func programmedCondition(translated *translate.Result, proxy proxyState) metav1.Condition {
	switch {
	case !translated.Accepted.Status:
		return notProgrammed(gatewayv1.ListenerReasonInvalid, "The Gateway is not accepted")
	case proxy.err != nil:
		c := notProgrammed(gatewayv1.ListenerReasonPending, proxy.err.Error())
		c.Status = metav1.ConditionUnknown
		return c
	case !proxy.Serving && proxy.Message == "":
		return notProgrammed(gatewayv1.ListenerReasonPending, "Waiting for the proxy")
	case !proxy.Serving && proxy.Reason != "":
		return notProgrammed(gatewayv1.ListenerConditionReason(proxy.Reason), proxy.Message)
	case !proxy.Serving:
		return notProgrammed(gatewayv1.ListenerReasonPending, proxy.Message)
	}
	return programmedTrue()
}

// isProgrammed is whether a Gateway's status says that the proxy serves it as it is now.
func isProgrammed(gateway *gatewayv1.Gateway) bool {
	c := apimeta.FindStatusCondition(gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed))
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == gateway.Generation
}

func programmedTrue() metav1.Condition {
	return metav1.Condition{
		Type:    string(gatewayv1.GatewayConditionProgrammed),
		Status:  metav1.ConditionTrue,
		Reason:  string(gatewayv1.GatewayReasonProgrammed),
		Message: "The proxy serves this configuration",
	}
}

func notProgrammed(reason gatewayv1.ListenerConditionReason, message string) metav1.Condition {
	return metav1.Condition{
		Type:    string(gatewayv1.GatewayConditionProgrammed),
		Status:  metav1.ConditionFalse,
		Reason:  string(reason),
		Message: message,
	}
}
