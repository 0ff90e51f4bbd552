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
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// resolvedTarget is a target of the status, with the candidate that it was made of.
type resolvedTarget struct {
	*v1alpha1.ResolvedTarget
	candidate *candidate
}

// resolveTargets makes targets of the seated candidates, and the CA bundles that they refer to.
func resolveTargets(ix *index, seated []*candidate) ([]resolvedTarget, map[string]string) {
	addresses, problems := make([][]string, len(seated)), make([]string, len(seated))
	for i, c := range seated {
		addresses[i], problems[i] = ix.endpointsOf(c)
	}
	limited := limitEndpoints(seated, addresses)
	policies := newTLSResolver(ix)
	targets := make([]resolvedTarget, len(seated))
	for i, c := range seated {
		if found, kept := len(addresses[i]), len(limited[i]); kept < found {
			c.notes = append(c.notes, fmt.Sprintf("%d of %d ready endpoints are used: all targets of a Backend share room "+
				"for %d", kept, found, v1alpha1.MaxEndpoints))
		}
		targets[i] = resolvedTarget{candidate: c, ResolvedTarget: newTarget(ix, c, limited[i], problems[i], policies)}
	}
	return targets, policies.bundles
}

func newTarget(ix *index, c *candidate, endpoints []string, problem string, policies *tlsResolver) *v1alpha1.ResolvedTarget {
	t := &v1alpha1.ResolvedTarget{
		Name:      c.name,
		Target:    c.entry.spec.Name,
		Protocol:  v1alpha1.MCPProtocolStreamableHTTP,
		Path:      c.path,
		Endpoints: endpoints,
	}
	notes := c.notes
	if c.service == nil {
		static := c.entry.spec.Static
		t.Host, t.Port = static.Host, static.Port
		if static.Protocol != "" {
			t.Protocol = static.Protocol
		}
	} else {
		t.Host, t.Port = ix.hostOf(c.service), c.port.Port
		t.Service = &v1alpha1.TargetService{
			Namespace: c.service.Namespace,
			Name:      c.service.Name,
			UID:       c.service.UID,
			Port:      c.port.Port,
			PortName:  c.port.Name,
		}
		notes = append(notes, policies.notes(c.service)...)
	}
	setVerdict(t, problem, policies.policyFor(c, t.Host), notes)
	return t
}

// setVerdict sets whether the target is ready, and why not. A broken policy is told before missing endpoints: no
// endpoint would help.
func setVerdict(t *v1alpha1.ResolvedTarget, endpointProblem string, tls tlsVerdict, notes []string) {
	t.TLS = tls.tls
	t.Reason = v1alpha1.TargetReasonReady
	messages := notes
	switch {
	case tls.problem != "":
		t.Reason = v1alpha1.TargetReasonInvalidTLSPolicy
		messages = append([]string{tls.problem}, notes...)
	case endpointProblem != "":
		t.Reason = v1alpha1.TargetReasonNoReadyEndpoints
		messages = append([]string{endpointProblem}, notes...)
	}
	ready := t.Reason == v1alpha1.TargetReasonReady
	t.Ready = &ready
	t.Message = truncated(strings.Join(messages, "; "), maxMessage)
}
