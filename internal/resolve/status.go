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
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// shownNames bounds how many targets or selectors a condition names.
const shownNames = 5

// invalidStatus is the status of a Backend whose spec can't work: nothing is resolved.
func invalidStatus(b *v1alpha1.Backend, problems []string) v1alpha1.BackendStatus {
	const later = "Nothing is resolved until the spec is accepted; see condition Accepted"
	return v1alpha1.BackendStatus{
		Summary: "0/0",
		Conditions: []metav1.Condition{
			condition(b, v1alpha1.BackendConditionAccepted, false, v1alpha1.BackendReasonInvalid, strings.Join(problems, "; ")),
			condition(b, v1alpha1.BackendConditionResolvedRefs, false, v1alpha1.BackendReasonInvalid, later),
			condition(b, v1alpha1.BackendConditionReady, false, v1alpha1.BackendReasonInvalid, later),
		},
	}
}

// condition returns a condition without times, which the writer of the status knows.
func condition(b *v1alpha1.Backend, kind string, holds bool, reason, message string) metav1.Condition {
	status := metav1.ConditionFalse
	if holds {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{
		Type:               kind,
		Status:             status,
		ObservedGeneration: b.Generation,
		Reason:             reason,
		Message:            truncated(message, maxConditionMessage),
	}
}

// status puts the parts of the draft together.
func (d *draft) status() v1alpha1.BackendStatus {
	skipped := slices.Clone(d.skipped)
	slices.SortStableFunc(skipped, compareSkips)
	status := v1alpha1.BackendStatus{
		Conditions: []metav1.Condition{
			condition(d.backend, v1alpha1.BackendConditionAccepted, true, v1alpha1.BackendReasonAccepted, "The spec is valid"),
			d.resolvedRefs(skipped),
			d.ready(skipped),
		},
	}
	ready := 0
	for _, t := range d.targets {
		status.Targets = append(status.Targets, *t.ResolvedTarget)
		if t.IsReady() {
			ready++
		}
		if t.TLS == nil || t.TLS.CABundle == "" {
			continue
		}
		if status.CABundles == nil {
			status.CABundles = map[string]string{}
		}
		status.CABundles[t.TLS.CABundle] = d.bundles[t.TLS.CABundle]
	}
	status.Summary = fmt.Sprintf("%d/%d", ready, len(d.targets))
	status.Skipped, status.SkippedCount = boundedSkips(skipped)
	return status
}

// resolvedRefs is False when something that the spec refers to can't be used. A Service that another entry of the same
// Backend has selected already is used, and does not count.
func (d *draft) resolvedRefs(skipped []skip) metav1.Condition {
	var first *skip
	var reasons []string
	counts := map[string]int{}
	for i := range skipped {
		s := &skipped[i]
		if s.Reason == v1alpha1.SkipReasonDuplicate {
			continue
		}
		if first == nil {
			first = s
		}
		if counts[s.Reason] == 0 {
			reasons = append(reasons, s.Reason)
		}
		counts[s.Reason] += int(max(s.Count, 1))
	}
	var parts []string
	reason := ""
	if first != nil {
		reason = first.Reason
		for i, r := range reasons {
			reasons[i] = fmt.Sprintf("%d %s", counts[r], r)
		}
		parts = append(parts, fmt.Sprintf("Not used: %s; status.skipped has the cure for each; first is %s: %s",
			strings.Join(reasons, ", "), first.subject(), first.Message))
	}
	if broken := d.withReason(v1alpha1.TargetReasonInvalidTLSPolicy); len(broken) > 0 {
		if reason == "" {
			reason = v1alpha1.TargetReasonInvalidTLSPolicy
		}
		parts = append(parts, "Targets whose BackendTLSPolicy can't be used: "+listed(broken, shownNames))
	}
	if reason == "" {
		return condition(d.backend, v1alpha1.BackendConditionResolvedRefs, true, v1alpha1.BackendReasonResolvedRefs,
			"Everything that the spec refers to can be used")
	}
	return condition(d.backend, v1alpha1.BackendConditionResolvedRefs, false, reason, strings.Join(parts, ". "))
}

// subject says what a skipped entry is about.
func (s *skip) subject() string {
	if s.Service == nil {
		return fmt.Sprintf("target %q", s.Target)
	}
	return fmt.Sprintf("Service %s/%s", s.Service.Namespace, s.Service.Name)
}

// withReason returns the names of the targets that have the reason.
func (d *draft) withReason(reason string) []string {
	var names []string
	for _, t := range d.targets {
		if t.Reason == reason {
			names = append(names, t.Name)
		}
	}
	return names
}

func (d *draft) ready(skipped []skip) metav1.Condition {
	var notReady []string
	for _, t := range d.targets {
		if !t.IsReady() {
			notReady = append(notReady, fmt.Sprintf("%s (%s)", t.Name, t.Reason))
		}
	}
	verdict := func(holds bool, reason, message string) metav1.Condition {
		return condition(d.backend, v1alpha1.BackendConditionReady, holds, reason, message)
	}
	all := counted(len(d.targets), "target")
	switch len(notReady) {
	case 0:
		if len(d.targets) == 0 {
			return verdict(false, v1alpha1.BackendReasonNoTargets, d.nothingFound(skipped))
		}
		return verdict(true, v1alpha1.BackendReasonAllTargetsReady, "Ready: "+all)
	case len(d.targets):
		return verdict(false, v1alpha1.BackendReasonNoTargetsReady, fmt.Sprintf("0 of %s ready: %s; "+
			"status.targets has the cure for each", all, listed(notReady, shownNames)))
	}
	return verdict(true, v1alpha1.BackendReasonSomeTargetsReady, fmt.Sprintf("%d of %s ready; not ready: %s; "+
		"status.targets has the cure for each", len(d.targets)-len(notReady), all, listed(notReady, shownNames)))
}

// nothingFound says for a Backend without targets where its selectors looked and what for.
func (d *draft) nothingFound(skipped []skip) string {
	if len(skipped) > 0 {
		_, count := boundedSkips(skipped)
		return fmt.Sprintf("There are no targets: nothing of what the selectors match can be used; status.skipped has the "+
			"reason and the cure for each (%d in all)", count)
	}
	var searches []string
	for i := range d.entries {
		searches = append(searches, d.entries[i].search(d.backend.Namespace))
	}
	return "There are no targets: " + listed(searches, shownNames)
}

// search says what a selector found nothing for, and how to look oneself.
func (e *entry) search(namespace string) string {
	services := metav1.FormatLabelSelector(e.spec.Selector.Service)
	where, look := "namespace "+namespace, "kubectl get services -n "+namespace
	if s := e.spec.Selector.Namespace; s != nil {
		where, look = "any namespace", "kubectl get services -A"
		if !isEmptySelector(s) {
			labels := metav1.FormatLabelSelector(s)
			where += " with the labels " + labels
			look = fmt.Sprintf("kubectl get namespaces -l '%s'; %s", labels, look)
		}
	}
	return fmt.Sprintf("target %q finds no Service with the labels %s in %s (%s -l '%[2]s')", e.spec.Name, services, where, look)
}
