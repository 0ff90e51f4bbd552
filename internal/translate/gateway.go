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

package translate

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Gateway translates the inputs. It decides for the Gateway whatever its class: choosing the Gateways of this
// implementation is the caller's. The result doesn't depend on the order of the inputs' lists, and
// httproute.Compile takes the listeners of any port of Result.Config without an error.
//
// An object that is being deleted counts until it is gone: a finalizer may be waiting for just what a premature
// removal would cut off, and the specification knows no other moment.
func Gateway(in Inputs) *Result {
	objects := indexObjects(in)
	listeners := translateListeners(in.Gateway)
	result := &Result{
		Config: Config{Generation: in.Gateway.Generation, Backends: map[string]*config.Backend{}},
		Routes: map[types.NamespacedName][]gatewayv1.RouteParentStatus{},
	}
	for _, route := range sortedRoutes(in.HTTPRoutes) {
		if parents := attachRoute(in.Gateway, listeners, route, objects); len(parents) > 0 {
			result.Routes[types.NamespacedName{Namespace: route.Namespace, Name: route.Name}] = parents
		}
	}
	for _, listener := range listeners {
		result.Listeners = append(result.Listeners, listener.status(in.Gateway.Generation))
	}
	result.Accepted = gatewayAccepted(in.Gateway, listeners)
	result.Config.serve(listeners, objects)
	return result
}

// serve fills in what the listeners that are accepted serve.
func (c *Config) serve(listeners []*listener, objects *objects) {
	for _, listener := range listeners {
		if !listener.accepted.Status {
			continue
		}
		c.Listeners = append(c.Listeners, listener.config)
		for i := range listener.config.Routes {
			for _, rule := range listener.config.Routes[i].Rules {
				for _, backend := range rule.Backends {
					if backend.MCP != "" && c.Backends[backend.MCP] == nil {
						c.Backends[backend.MCP] = translateBackend(objects.backends[backend.MCP])
					}
				}
			}
		}
	}
}

// gatewayAccepted returns the Gateway's condition Accepted. A Gateway with some listeners that are not valid is
// accepted for the others; ListenersNotValid must be its reason all the same. Parameters are the caller's to look at.
// https://gateway-api.sigs.k8s.io/reference/spec/#gatewayspec ("Handling indistinct Listeners")
func gatewayAccepted(gateway *gatewayv1.Gateway, listeners []*listener) Condition {
	if unsupported := unsupportedAddresses(gateway); unsupported != "" {
		return rejected(string(gatewayv1.GatewayReasonUnsupportedAddress), unsupported)
	}
	var valid, invalid []string
	for _, listener := range listeners {
		if listener.accepted.Status {
			valid = append(valid, string(listener.spec.Name))
			continue
		}
		invalid = append(invalid, fmt.Sprintf("%s (%s)", listener.spec.Name, listener.accepted.Reason))
	}
	if len(invalid) == 0 && len(valid) > 0 {
		return accepted(string(gatewayv1.GatewayReasonAccepted), "The Gateway is accepted")
	}
	message := "Listeners that are not valid: " + strings.Join(invalid, ", ")
	if len(listeners) == 0 {
		message = "The Gateway has no listeners"
	}
	if len(valid) == 0 {
		return rejected(string(gatewayv1.GatewayReasonListenersNotValid), message+"; no listener is accepted")
	}
	return accepted(string(gatewayv1.GatewayReasonListenersNotValid),
		message+"; accepted: "+strings.Join(valid, ", "))
}

// unsupportedAddresses returns why the requested addresses can't be had, or nothing. An IP address without a value
// asks for any, which is what every Gateway gets; a particular address or a hostname would have to be assigned.
func unsupportedAddresses(gateway *gatewayv1.Gateway) string {
	var problems problems
	for i, address := range gateway.Spec.Addresses {
		addressType := valueOr(address.Type, gatewayv1.IPAddressType)
		if addressType == gatewayv1.IPAddressType && address.Value == "" {
			continue
		}
		problems.add("spec.addresses[%d]: %s %q can't be requested", i, addressType, address.Value)
	}
	if len(problems.list) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: remove it; the Gateway gets an address by itself, and only type %s without a value "+
		"is supported here", problems.String(), gatewayv1.IPAddressType)
}
