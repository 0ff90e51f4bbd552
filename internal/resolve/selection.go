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

	corev1 "k8s.io/api/core/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// candidate is a static target, or one MCP port of a Service that a selector matches. It becomes a target if there is
// a place and a name for it.
type candidate struct {
	entry *entry
	// service and port are nil for a static target.
	service *corev1.Service
	port    *corev1.ServicePort
	// ordinal is the place of the port among the Service's MCP ports.
	ordinal int
	path    string
	// askedName is what the Service's annotation asks for, if it does and if that is a valid name.
	askedName string
	// notes are what its owner should know although the target can be used.
	notes []string

	// name and previous are set when the candidate is seated; previous is nil for newcomers.
	name     string
	previous *v1alpha1.ResolvedTarget
}

// identity is what makes a target the same one as in the previous status.
type identity struct {
	// static is the name of a static target's entry.
	static string
	// service is the UID of the Service or, where files have none, its namespace and name.
	service string
	port    int32
}

func (c *candidate) identity() identity {
	if c.service == nil {
		return identity{static: c.entry.spec.Name}
	}
	return identity{service: serviceID(string(c.service.UID), c.service.Namespace, c.service.Name), port: c.port.Port}
}

func identityOf(t *v1alpha1.ResolvedTarget) identity {
	if t.Service == nil {
		return identity{static: t.Target}
	}
	return identity{service: serviceID(string(t.Service.UID), t.Service.Namespace, t.Service.Name), port: t.Service.Port}
}

// serviceID never takes a UID for a name: names have a slash here.
func serviceID(uid, namespace, name string) string {
	if uid != "" {
		return uid
	}
	return namespace + "/" + name
}

// skip is a status entry about something that is not used, with the index of its spec entry for the order.
type skip struct {
	entry int
	v1alpha1.SkippedService
}

func (c *candidate) skip(reason, message string) skip {
	s := skip{entry: c.entry.index, SkippedService: v1alpha1.SkippedService{
		Target:  c.entry.spec.Name,
		Reason:  reason,
		Message: truncated(message, maxMessage),
	}}
	if c.service != nil {
		s.Service = &v1alpha1.SkippedServiceRef{Namespace: c.service.Namespace, Name: c.service.Name}
		if c.port != nil {
			s.Service.Port = c.port.Port
		}
	}
	return s
}

// selection is what the entries of the spec pick.
type selection struct {
	// candidates in the order that newcomers are seated in: by spec order, then age of the Service, then port.
	candidates []*candidate
	skipped    []skip
}

func selectCandidates(ix *index, entries []entry) selection {
	var sel selection
	for i := range entries {
		e := &entries[i]
		if e.service == nil {
			sel.candidates = append(sel.candidates, &candidate{entry: e, path: staticPath(e.spec.Static)})
			continue
		}
		forbidden := 0
		for _, s := range ix.services {
			if !e.looksAt(ix, s.Namespace) || !e.service.Matches(labelSet(s.Labels)) {
				continue
			}
			if !ix.permitted(s) {
				forbidden++
				continue
			}
			sel.examine(ix, e, s)
		}
		if forbidden > 0 {
			sel.skipped = append(sel.skipped, forbiddenSkip(e, ix.backend.Namespace, forbidden))
		}
	}
	return sel
}

// looksAt is whether the entry's selector looks at Services in a namespace.
func (e *entry) looksAt(ix *index, namespace string) bool {
	if e.namespace == nil {
		return namespace == ix.backend.Namespace
	}
	if e.namespace.Empty() {
		return true
	}
	set, known := ix.namespaces[namespace]
	return known && e.namespace.Matches(set)
}

// forbiddenSkip stands for all Services that an entry matches and must not use. It tells their number and nothing
// else: not their names, not their namespaces, and not whether they speak MCP, because all that match are counted.
func forbiddenSkip(e *entry, namespace string, count int) skip {
	services := "1 Service in another namespace matches"
	if count > 1 {
		services = fmt.Sprintf("%d Services in other namespaces match", count)
	}
	return skip{entry: e.index, SkippedService: v1alpha1.SkippedService{
		Target: e.spec.Name,
		Count:  int32(min(count, 1<<30)),
		Reason: v1alpha1.SkipReasonRefNotPermitted,
		Message: truncated(fmt.Sprintf("%s, and no ReferenceGrant there permits this Backend to use them. Whoever owns "+
			"such a namespace can permit it: {apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, "+
			"metadata: {name: mcp-from-%s, namespace: <the Service's namespace>}, spec: {from: [{group: %s, kind: Backend, "+
			"namespace: %s}], to: [{group: \"\", kind: Service}]}}; with name: <Service> in to, it permits one Service only",
			services, namespace, v1alpha1.GroupVersion.Group, namespace), maxMessage),
	}}
}
