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

// Package evaluate finds out what the controllers of a cluster would make of the objects of some files: the status of
// each Backend, and what each Gateway serves. It is pure: the same functions as in a cluster decide, on the files alone.
package evaluate

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// Options are what the result depends on beside the objects.
type Options struct {
	// Resolve is how Backends are resolved.
	Resolve resolve.Options
	// AssumeEndpoints takes Services without any EndpointSlice for ready: files that are meant for a cluster have none,
	// because the cluster makes them.
	AssumeEndpoints bool
	// NoPods says where endpoints come from where there is no cluster to make them.
	NoPods bool
	// Previous has the statuses that Backends had before, whose targets keep their names and places.
	Previous map[types.NamespacedName]v1alpha1.BackendStatus
}

// State is what was found out.
type State struct {
	// Backends with their status.
	Backends []v1alpha1.Backend
	// Gateways of this implementation.
	Gateways []Gateway
	// Foreign are the Gateways of other classes.
	Foreign []*gatewayv1.Gateway

	set *manifests.Set
}

// Gateway is a Gateway with what it serves.
type Gateway struct {
	*gatewayv1.Gateway
	*translate.Result
	// Parameters are those of the Gateway and of its class. Where they are not valid, the Gateway is not accepted, and
	// there are none here.
	Parameters parameters.Parameters
}

// Key returns the Gateway's namespace and name.
func (g *Gateway) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: g.Gateway.Namespace, Name: g.Gateway.Name}
}

// Evaluate finds out what becomes of the objects. Nothing in the set is changed.
func Evaluate(set *manifests.Set, o Options) *State {
	s := &State{set: set}
	slices := set.EndpointSlices
	if o.AssumeEndpoints {
		slices = append(slices[:len(slices):len(slices)], assumedEndpoints(set)...)
	}
	for i := range set.Backends {
		backend := set.Backends[i]
		backend.Status = o.Previous[types.NamespacedName{Namespace: backend.Namespace, Name: backend.Name}]
		backend.Status = resolve.Backend(resolve.Inputs{
			Backend: &backend, Services: set.Services, Namespaces: set.Namespaces, EndpointSlices: slices,
			ReferenceGrants: set.ReferenceGrants, TLSPolicies: set.TLSPolicies, ConfigMaps: set.ConfigMaps, Options: o.Resolve,
		})
		if o.NoPods {
			explainEndpoints(set, backend.Status.Targets)
		}
		s.Backends = append(s.Backends, backend)
	}
	for i := range set.Gateways {
		gateway := &set.Gateways[i]
		if !s.isOurs(gateway) {
			s.Foreign = append(s.Foreign, gateway)
			continue
		}
		s.Gateways = append(s.Gateways, s.gateway(gateway))
	}
	return s
}

// gateway finds out what a Gateway of this implementation serves.
func (s *State) gateway(gateway *gatewayv1.Gateway) Gateway {
	g := Gateway{Gateway: gateway, Result: s.translate(gateway, s.set.HTTPRoutes)}
	merged, err := parameters.OfGateway(s.class(string(gateway.Spec.GatewayClassName)), gateway, s.parameters)
	if err != nil {
		g.Accepted = translate.Condition{Reason: string(gatewayv1.GatewayReasonInvalidParameters), Message: err.Error()}
	}
	g.Parameters = merged
	return g
}

func (s *State) translate(gateway *gatewayv1.Gateway, routes []gatewayv1.HTTPRoute) *translate.Result {
	return translate.Gateway(translate.Inputs{
		Gateway: gateway, HTTPRoutes: routes, Backends: s.Backends, Namespaces: s.set.Namespaces, ReferenceGrants: s.set.ReferenceGrants,
	})
}

func (s *State) parameters(key types.NamespacedName) *v1alpha1.GatewayParameters {
	for i := range s.set.GatewayParameters {
		if p := &s.set.GatewayParameters[i]; p.Namespace == key.Namespace && p.Name == key.Name {
			return p
		}
	}
	return nil
}

// Statuses returns the Backends' statuses, as Options.Previous takes them.
func (s *State) Statuses() map[types.NamespacedName]v1alpha1.BackendStatus {
	statuses := make(map[types.NamespacedName]v1alpha1.BackendStatus, len(s.Backends))
	for i := range s.Backends {
		b := &s.Backends[i]
		statuses[types.NamespacedName{Namespace: b.Namespace, Name: b.Name}] = b.Status
	}
	return statuses
}

// isOurs is whether a Gateway's class belongs to this implementation. The default class need not be in the files, as it
// need not be applied to a cluster.
func (s *State) isOurs(gateway *gatewayv1.Gateway) bool {
	name := string(gateway.Spec.GatewayClassName)
	if class := s.class(name); class != nil {
		return class.Spec.ControllerName == v1alpha1.ControllerName
	}
	return name == v1alpha1.GatewayClassName
}

func (s *State) class(name string) *gatewayv1.GatewayClass {
	for i := range s.set.GatewayClasses {
		if s.set.GatewayClasses[i].Name == name {
			return &s.set.GatewayClasses[i]
		}
	}
	return nil
}

// HasEndpointSlices is whether the files have EndpointSlices of a Service.
func HasEndpointSlices(set *manifests.Set, namespace, service string) bool {
	for i := range set.EndpointSlices {
		s := &set.EndpointSlices[i]
		if s.Namespace == namespace && s.Labels[discoveryv1.LabelServiceName] == service {
			return true
		}
	}
	return false
}

// assumedEndpoints returns an EndpointSlice with one address for each Service that has none. The address is one that
// documentation may use and nobody has: https://www.rfc-editor.org/rfc/rfc5737
func assumedEndpoints(set *manifests.Set) []discoveryv1.EndpointSlice {
	var assumed []discoveryv1.EndpointSlice
	for i := range set.Services {
		service := &set.Services[i]
		if HasEndpointSlices(set, service.Namespace, service.Name) {
			continue
		}
		slice := discoveryv1.EndpointSlice{
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
		}
		slice.Namespace, slice.Name = service.Namespace, service.Name
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: service.Name}
		for j := range service.Spec.Ports {
			slice.Ports = append(slice.Ports, endpointPort(&service.Spec.Ports[j]))
		}
		assumed = append(assumed, slice)
	}
	return assumed
}

func endpointPort(p *corev1.ServicePort) discoveryv1.EndpointPort {
	protocol := p.Protocol
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	return discoveryv1.EndpointPort{Name: new(p.Name), Port: new(p.Port), Protocol: &protocol}
}

// explainEndpoints says what to do about targets without endpoints where there are no pods. Where the Service has
// EndpointSlices, what resolution found out about them is the better answer.
func explainEndpoints(set *manifests.Set, targets []v1alpha1.ResolvedTarget) {
	for i := range targets {
		t := &targets[i]
		if t.Reason == v1alpha1.TargetReasonNoReadyEndpoints && t.Service != nil &&
			!HasEndpointSlices(set, t.Service.Namespace, t.Service.Name) {
			t.Message = fmt.Sprintf("no pods run without a cluster: start the MCP server on this machine, at port %d, and make "+
				"the Service type: ExternalName with externalName: localhost, or add an EndpointSlice with the server's address",
				t.Service.Port)
		}
	}
}
