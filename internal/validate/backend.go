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

// Package validate has every rule of the API that the schema of the CRDs can't say. It is pure: webhooks, controllers
// and the commands that read files all get the same errors from it.
package validate

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// DefaultClusterDomain is the cluster's DNS domain where nothing else is configured.
const DefaultClusterDomain = "cluster.local"

// Options are what the rules depend on beside the object.
type Options struct {
	// AllowLoopback permits loopback addresses as static hosts. Set where proxies run on the user's own machine; in a
	// pod the loopback address is the proxy itself.
	AllowLoopback bool
	// ClusterDomain is the DNS domain of the cluster's Services. Default: DefaultClusterDomain.
	ClusterDomain string
}

func (o Options) clusterDomain() string {
	if domain := strings.Trim(o.ClusterDomain, "."); domain != "" {
		return strings.ToLower(domain)
	}
	return DefaultClusterDomain
}

// Backend returns every error of a Backend that the schema does not find, in the order of the spec's fields. It
// accepts objects that the schema would refuse, and leaves those errors to the schema.
func Backend(b *v1alpha1.Backend, o Options) field.ErrorList {
	if b == nil || b.Spec.MCP == nil {
		return nil
	}
	var errs field.ErrorList
	targets := field.NewPath("spec", "mcp", "targets")
	for i := range b.Spec.MCP.Targets {
		target, path := &b.Spec.MCP.Targets[i], targets.Index(i)
		if target.Selector != nil {
			errs = append(errs, validateSelector(target.Selector, path.Child("selector"))...)
		}
		if target.Static != nil {
			errs = append(errs, validateStatic(target.Static, o, path.Child("static"))...)
		}
	}
	return errs
}

func validateSelector(s *v1alpha1.MCPTargetSelector, path *field.Path) field.ErrorList {
	errs := validateLabelSelector(s.Service, path.Child("service"))
	errs = append(errs, validateLabelSelector(s.Namespace, path.Child("namespace"))...)
	if s.Protocol == v1alpha1.MCPProtocolSSE {
		errs = append(errs, &field.Error{
			Type:     field.ErrorTypeNotSupported,
			Field:    path.Child("protocol").String(),
			BadValue: string(s.Protocol),
			Detail:   "label selectors support only StreamableHTTP; use a static target for an SSE server",
		})
	}
	return errs
}

func validateStatic(s *v1alpha1.MCPStaticTarget, o Options, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	// An absent host is the schema's to refuse; an absent path has a default.
	if s.Host != "" {
		if err := Host(s.Host, o); err != nil {
			errs = append(errs, field.Invalid(path.Child("host"), s.Host, err.Error()))
		}
	}
	if s.Path != "" {
		if err := Path(s.Path); err != nil {
			errs = append(errs, field.Invalid(path.Child("path"), s.Path, err.Error()))
		}
	}
	return errs
}

// BackendWarnings returns what is allowed but probably not meant.
func BackendWarnings(b *v1alpha1.Backend, o Options) []string {
	if b == nil || b.Spec.MCP == nil {
		return nil
	}
	var warnings []string
	targets := field.NewPath("spec", "mcp", "targets")
	firstWith := map[string]int{}
	for i := range b.Spec.MCP.Targets {
		target, path := &b.Spec.MCP.Targets[i], targets.Index(i)
		if static := target.Static; static != nil && static.Protocol != v1alpha1.MCPProtocolSSE && isServiceHost(static.Host, o) {
			warnings = append(warnings, fmt.Sprintf("%s: this is a Service of the cluster; a selector for its labels "+
				"instead of static follows its endpoints and shows its readiness in status", path.Child("static", "host")))
		}
		if selector := target.Selector; selector != nil && selector.Service != nil {
			key := selectorKey(selector)
			first, seen := firstWith[key]
			if !seen {
				firstWith[key] = i
				continue
			}
			warnings = append(warnings, fmt.Sprintf("%s: selects the same Services as %s, which gets them all: "+
				"remove one of the two, or make them differ", path.Child("selector"), targets.Index(first).Child("selector")))
		}
	}
	return warnings
}

// isServiceHost is whether host is the name of a Service of this cluster.
func isServiceHost(host string, o Options) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".svc."+o.clusterDomain())
}

// selectorKey is equal for selectors that select the same Services. The protocol is no part of it, because it does
// not change what is selected. An absent namespace selector and an empty one differ: own namespace, and all.
func selectorKey(s *v1alpha1.MCPTargetSelector) string {
	key := labelSelectorKey(s.Service)
	if s.Namespace == nil {
		return key
	}
	return key + " in namespaces " + labelSelectorKey(s.Namespace)
}
