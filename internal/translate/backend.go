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
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// translateBackend returns what the data plane needs of a Backend: the spec's settings and the status's targets.
func translateBackend(backend *v1alpha1.Backend) *config.Backend {
	mcp := backend.Spec.MCP
	key := backendKey(backend.Namespace, backend.Name)
	translated := &config.Backend{
		// Objects that never were in an API server have no UID; their name is all there is to tell them apart.
		ID:         config.BackendID(cmp.Or(string(backend.UID), key)),
		Key:        key,
		ServerName: cmp.Or(mcp.Name, backend.Name),
		Dynamic: slices.ContainsFunc(mcp.Targets, func(target v1alpha1.MCPTarget) bool {
			return target.Selector != nil
		}),
		PrefixMode:  config.PrefixMode(cmp.Or(mcp.PrefixMode, v1alpha1.PrefixModeOnConflict)),
		FailureMode: config.FailureMode(cmp.Or(mcp.FailureMode, v1alpha1.FailureModeFailOpen)),
		Targets:     make([]config.Target, 0, len(backend.Status.Targets)),
	}
	for i := range backend.Status.Targets {
		translated.Targets = append(translated.Targets,
			translateTarget(&backend.Status.Targets[i], backend.Status.CABundles))
	}
	return translated
}

// translateTarget returns the target. One that can't be used has no endpoints: there is then nothing to dial by
// mistake, least of all in plain text where TLS was asked for.
func translateTarget(target *v1alpha1.ResolvedTarget, caBundles map[string]string) config.Target {
	translated := config.Target{
		Name:     config.TargetName(target.Name),
		Service:  serviceID(target),
		Protocol: config.Protocol(target.Protocol),
		Host:     target.Host,
		Port:     target.Port,
		Path:     target.Path,
		Unready:  unready(target),
	}
	if target.TLS != nil {
		var problem string
		translated.TLS, problem = translateTLS(target, caBundles)
		translated.Unready = cmp.Or(translated.Unready, problem)
	}
	if translated.Unready == "" {
		translated.Endpoints = slices.Clone(target.Endpoints)
	}
	return translated
}

// unready returns why a target can't be used by what its status says, or nothing.
func unready(target *v1alpha1.ResolvedTarget) string {
	switch {
	case !target.IsReady() && target.Message != "":
		return fmt.Sprintf("%s: %s", target.Reason, target.Message)
	case !target.IsReady():
		return cmp.Or(target.Reason, "not ready")
	case len(target.Endpoints) == 0:
		return v1alpha1.TargetReasonNoReadyEndpoints
	}
	return ""
}

// translateTLS returns how to connect, or in addition why that can't be known. A bundle that is not there must not
// become an empty one, which would mean the system's certificates.
func translateTLS(target *v1alpha1.ResolvedTarget, caBundles map[string]string) (*config.TLS, string) {
	tls := &config.TLS{
		ServerName:      cmp.Or(target.TLS.Hostname, target.Host),
		SubjectAltNames: slices.Clone(target.TLS.SubjectAltNames),
	}
	bundle, wellKnown := target.TLS.CABundle, target.TLS.WellKnownCACertificates
	switch {
	case bundle != "":
		tls.CABundle = caBundles[bundle]
		if tls.CABundle == "" {
			return tls, fmt.Sprintf("%s: CA bundle %q is not in status.caBundles",
				v1alpha1.TargetReasonInvalidTLSPolicy, bundle)
		}
	case wellKnown != wellKnownSystem:
		return tls, fmt.Sprintf("%s: neither a CA bundle nor wellKnownCACertificates %s, but %q",
			v1alpha1.TargetReasonInvalidTLSPolicy, wellKnownSystem, wellKnown)
	}
	return tls, ""
}

// wellKnownSystem stands for the system's certificates.
// https://gateway-api.sigs.k8s.io/reference/spec/#wellknowncacertificatestype
const wellKnownSystem = "System"

// serviceID identifies the server behind a target. A Service that is deleted and created again is another server,
// because its sessions are gone.
func serviceID(target *v1alpha1.ResolvedTarget) config.ServiceID {
	if target.Service == nil {
		return config.ServiceID("static:" + net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port))) + target.Path)
	}
	// Services from files have no UID.
	id := cmp.Or(string(target.Service.UID), backendKey(target.Service.Namespace, target.Service.Name))
	return config.ServiceID(id + ":" + strconv.Itoa(int(target.Service.Port)))
}
