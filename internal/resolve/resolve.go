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

// Package resolve turns a Backend and the objects around it into the Backend's status: the MCP servers found, the
// Services that are matched and not used, with reason and cure, and the conditions. It is pure and deterministic: the
// same inputs, in whatever order, give the same status, and a status resolved again from itself stays as it is.
//
// The steps, in the order of the code: the spec is checked (spec.go), the selectors' matches are looked at one by one
// (selection.go, service.go), targets get their places and names (roster.go, names.go), then endpoints and TLS
// (target.go, endpoints.go, tls.go), and what exceeds the bounds of a status is left out (limits.go).
package resolve

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// Options are what resolution depends on beside the objects.
type Options struct {
	// AllowExternalName permits selectors to pick Services of type ExternalName. They name any host, in or outside
	// the cluster, and so get around ReferenceGrants: off where users don't trust each other.
	AllowExternalName bool
	// AllowLoopback permits loopback addresses. Set where proxies run on the user's own machine.
	AllowLoopback bool
	// ClusterDomain is the DNS domain of the cluster's Services. Default: validate.DefaultClusterDomain.
	ClusterDomain string
}

func (o Options) validation() validate.Options {
	return validate.Options{AllowLoopback: o.AllowLoopback, ClusterDomain: o.ClusterDomain}
}

// Inputs are a Backend and the objects around it. Supersets are fine: what the Backend does not select is passed over.
// The order of the lists does not matter, and nothing in them is changed.
type Inputs struct {
	// Backend with its previous status, whose targets are the incumbents. Required.
	Backend *v1alpha1.Backend
	// Services of the Backend's namespace and of those that its selectors look at.
	Services []corev1.Service
	// Namespaces whose labels selectors look at. A namespace that is not in the list is matched by the empty
	// namespace selector only.
	Namespaces []corev1.Namespace
	// EndpointSlices of the Services.
	EndpointSlices []discoveryv1.EndpointSlice
	// ReferenceGrants of the Services' namespaces.
	ReferenceGrants []gatewayv1.ReferenceGrant
	// TLSPolicies of the Services' namespaces.
	TLSPolicies []gatewayv1.BackendTLSPolicy
	// ConfigMaps that TLSPolicies refer to.
	ConfigMaps []corev1.ConfigMap
	// Options of the manager.
	Options Options
}

// Backend returns the status that the Backend should have. Conditions have the observed generation and no times.
func Backend(in Inputs) v1alpha1.BackendStatus {
	problems := specProblems(in.Backend, in.Options.validation())
	if len(problems) > 0 {
		return invalidStatus(in.Backend, problems)
	}
	entries, err := compileEntries(in.Backend.Spec.MCP.Targets)
	if err != nil {
		return invalidStatus(in.Backend, []string{err.Error()})
	}
	ix := newIndex(&in)
	selected := selectCandidates(ix, entries)

	r := newRoster(in.Backend.Namespace)
	r.seatIncumbents(in.Backend.Status.Targets, selected.candidates)
	r.renameIncumbents()
	r.seatNewcomers(selected.candidates)

	d := draft{backend: in.Backend, entries: entries, skipped: append(selected.skipped, r.skipped...)}
	d.targets, d.bundles = resolveTargets(ix, r.seated)
	return d.boundedStatus()
}
