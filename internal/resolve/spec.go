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

package resolve

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// entry is one of spec.mcp.targets, with its selectors compiled.
type entry struct {
	index int
	spec  *v1alpha1.MCPTarget
	// service is nil for a static target.
	service labels.Selector
	// namespace is nil where only the Backend's own namespace is looked at.
	namespace labels.Selector
}

// specProblems returns everything that keeps the spec from working. Rules of the schema are repeated where breaking
// one would do harm, such as an empty selector, which matches every Service: not all inputs went through a schema.
func specProblems(b *v1alpha1.Backend, o validate.Options) []string {
	if b.Spec.Type != v1alpha1.BackendTypeMCP {
		return []string{fmt.Sprintf("spec.type: Unsupported value: %s: write MCP, the only type so far", quoted(string(b.Spec.Type)))}
	}
	if b.Spec.MCP == nil || len(b.Spec.MCP.Targets) == 0 {
		return []string{"spec.mcp.targets: Required value: write at least one target"}
	}
	problems := targetsProblems(b.Spec.MCP.Targets)
	for _, err := range validate.Backend(b, o) {
		problems = append(problems, err.Error())
	}
	return problems
}

func targetsProblems(targets []v1alpha1.MCPTarget) []string {
	var problems []string
	names := make(map[string]bool, len(targets))
	for i := range targets {
		t := &targets[i]
		at := fmt.Sprintf("spec.mcp.targets[%d]", i)
		if err := validate.TargetName(t.Name); err != nil {
			problems = append(problems, fmt.Sprintf("%s.name: Invalid value: %s: %v", at, quoted(t.Name), err))
		} else if names[t.Name] {
			problems = append(problems, fmt.Sprintf("%s.name: Duplicate value: %q: give each target its own name", at, t.Name))
		}
		names[t.Name] = true
		switch {
		case (t.Selector == nil) == (t.Static == nil):
			problems = append(problems, at+": exactly one of selector and static must be set")
		case t.Selector != nil && isEmptySelector(t.Selector.Service):
			problems = append(problems, at+".selector.service: must not be empty: set matchLabels or matchExpressions")
		case t.Static != nil && t.Static.Host == "":
			problems = append(problems, at+".static.host: Required value: write a DNS name or an IP address")
		case t.Static != nil && (t.Static.Port < 1 || t.Static.Port > 65535):
			problems = append(problems, fmt.Sprintf("%s.static.port: Invalid value: %d: write a number from 1 to 65535",
				at, t.Static.Port))
		}
	}
	return problems
}

func isEmptySelector(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// compileEntries compiles the selectors once, because each is held against every Service.
func compileEntries(targets []v1alpha1.MCPTarget) ([]entry, error) {
	entries := make([]entry, len(targets))
	for i := range targets {
		entries[i] = entry{index: i, spec: &targets[i]}
		s := targets[i].Selector
		if s == nil {
			continue
		}
		var err error
		if entries[i].service, err = metav1.LabelSelectorAsSelector(s.Service); err != nil {
			return nil, fmt.Errorf("spec.mcp.targets[%d].selector.service: %w", i, err)
		}
		if s.Namespace == nil {
			continue
		}
		if entries[i].namespace, err = metav1.LabelSelectorAsSelector(s.Namespace); err != nil {
			return nil, fmt.Errorf("spec.mcp.targets[%d].selector.namespace: %w", i, err)
		}
	}
	return entries, nil
}
