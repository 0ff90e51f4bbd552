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

package evaluate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
)

// Findings returns what would not work with these objects alone, although an API server would take each of them:
// references to what is not there or not permitted, Services that are not used, and whatever else a status would
// complain of. Nothing is said that only follows from an object's own errors.
func (s *State) Findings() []manifests.Finding {
	f := &finder{State: s, told: map[string]bool{}}
	for i := range s.Backends {
		f.backend(&s.Backends[i])
	}
	f.others()
	return f.findings
}

// Problems returns the findings that the status of no Backend has, for who shows those statuses anyway.
func (s *State) Problems() []manifests.Finding {
	f := &finder{State: s, told: map[string]bool{}}
	for i := range s.Backends {
		if b := &s.Backends[i]; b.Spec.MCP != nil {
			f.emptySelectors(f.document(v1alpha1.KindBackend, b), b)
		}
	}
	f.others()
	return f.findings
}

// others looks at everything but Backends.
func (f *finder) others() {
	for _, gateway := range f.Foreign {
		if f.set.AnyInvalid(gatewayv1.GroupName, "GatewayClass") {
			break // It may be the Gateway's.
		}
		f.add(f.gatewayDocument(gateway), manifests.Note, "spec.gatewayClassName", fmt.Sprintf(
			"GatewayClass %s is not one of %s: the Gateway is another implementation's, and nothing is served for it; ours is %s",
			gateway.Spec.GatewayClassName, v1alpha1.ControllerName, v1alpha1.GatewayClassName))
	}
	for i := range f.set.GatewayClasses {
		f.gatewayClass(&f.set.GatewayClasses[i])
	}
	for i := range f.Gateways {
		f.gateway(&f.Gateways[i])
	}
	for i := range f.set.HTTPRoutes {
		f.route(&f.set.HTTPRoutes[i])
	}
	for i := range f.set.TLSPolicies {
		f.tlsPolicy(&f.set.TLSPolicies[i])
	}
}

type finder struct {
	*State
	findings []manifests.Finding
	told     map[string]bool
}

// add adds a finding about a document, once.
func (f *finder) add(d *manifests.Document, severity manifests.Severity, field, message string) {
	if d == nil {
		return
	}
	finding := d.Finding(severity, field, message)
	if text := finding.String(); !f.told[text] {
		f.told[text] = true
		f.findings = append(f.findings, finding)
	}
}

func (f *finder) document(kind string, o metav1.Object) *manifests.Document {
	group := ""
	switch kind {
	case v1alpha1.KindBackend:
		group = v1alpha1.GroupVersion.Group
	case "GatewayClass", "Gateway", "HTTPRoute", "BackendTLSPolicy":
		group = gatewayv1.GroupName
	}
	return f.set.Find(group, kind, o.GetNamespace(), o.GetName())
}

func (f *finder) gatewayDocument(g *gatewayv1.Gateway) *manifests.Document {
	return f.document("Gateway", g)
}

// backend tells what is wrong with the targets of a Backend.
func (f *finder) backend(b *v1alpha1.Backend) {
	d := f.document(v1alpha1.KindBackend, b)
	if d == nil || d.Invalid || b.Spec.MCP == nil {
		return
	}
	name := b.Namespace + "/" + b.Name
	for i := range b.Status.Skipped {
		skipped := &b.Status.Skipped[i]
		switch {
		case skipped.Reason == v1alpha1.SkipReasonDuplicate: // Another entry of the same Backend uses it.
		case skipped.Service == nil:
			f.add(d, manifests.Warning, targetField(b, skipped.Target)+".selector", fmt.Sprintf(
				"target %q: %s: %s", skipped.Target, skipped.Reason, skipped.Message))
		default:
			f.service(skipped.Service.Namespace, skipped.Service.Name, skipField(skipped.Reason), fmt.Sprintf(
				"Backend %s does not use this Service: %s: %s", name, skipped.Reason, skipped.Message))
		}
	}
	for i := range b.Status.Targets {
		f.target(d, b, &b.Status.Targets[i])
	}
	f.emptySelectors(d, b)
}

// target tells what is wrong with a target. Its Service is where that can be put right.
func (f *finder) target(d *manifests.Document, b *v1alpha1.Backend, t *v1alpha1.ResolvedTarget) {
	if t.Message == "" {
		return
	}
	message := t.Message
	if !t.IsReady() {
		message = t.Reason + ": " + message
	}
	if t.Service == nil {
		f.add(d, manifests.Warning, targetField(b, t.Target), fmt.Sprintf("target %q: %s", t.Name, message))
		return
	}
	f.service(t.Service.Namespace, t.Service.Name, "", fmt.Sprintf("target %q of Backend %s/%s: %s", t.Name, b.Namespace, b.Name, message))
}

func (f *finder) service(namespace, name, field, message string) {
	if d := f.set.Find("", "Service", namespace, name); d != nil && !d.Invalid {
		f.add(d, manifests.Warning, field, message)
	}
}

// skipField returns the field of a Service that the reason for skipping it is about.
func skipField(reason string) string {
	switch reason {
	case v1alpha1.SkipReasonInvalidPath:
		return "metadata.annotations[" + v1alpha1.AnnotationMCPPath + "]"
	case v1alpha1.SkipReasonNameConflict:
		return "metadata.annotations[" + v1alpha1.AnnotationMCPTargetName + "]"
	case v1alpha1.SkipReasonNoMCPPort, v1alpha1.SkipReasonUnsupportedProtocol:
		return "spec.ports"
	case v1alpha1.SkipReasonExternalNameNotAllowed:
		return "spec.type"
	default:
		return ""
	}
}

func targetField(b *v1alpha1.Backend, entry string) string {
	i := slices.IndexFunc(b.Spec.MCP.Targets, func(t v1alpha1.MCPTarget) bool { return t.Name == entry })
	return fmt.Sprintf("spec.mcp.targets[%d]", max(i, 0))
}

// emptySelectors tells of selectors that match no Service, if there are Services that they could match.
func (f *finder) emptySelectors(d *manifests.Document, b *v1alpha1.Backend) {
	if len(f.set.Services) == 0 || f.set.AnyInvalid("", "Service") {
		return
	}
	for i := range b.Spec.MCP.Targets {
		entry := &b.Spec.MCP.Targets[i]
		found := entry.Selector == nil ||
			slices.ContainsFunc(b.Status.Targets, func(t v1alpha1.ResolvedTarget) bool { return t.Target == entry.Name }) ||
			slices.ContainsFunc(b.Status.Skipped, func(s v1alpha1.SkippedService) bool { return s.Target == entry.Name })
		if found {
			continue
		}
		where := "namespace " + b.Namespace
		if entry.Selector.Namespace != nil {
			where = "the namespaces that the selector means"
		}
		field := fmt.Sprintf("spec.mcp.targets[%d].selector.service", i)
		f.add(d, manifests.Warning, field, fmt.Sprintf("%s: no Service of these files in %s has the labels %s; there are: %s",
			field, where, metav1.FormatLabelSelector(entry.Selector.Service), f.services(b.Namespace, entry.Selector.Namespace != nil)))
	}
}

// maxShown bounds how many objects a message lists.
const maxShown = 4

// services lists Services with their labels.
func (f *finder) services(namespace string, everywhere bool) string {
	var listed []string
	for i := range f.set.Services {
		s := &f.set.Services[i]
		if s.Namespace == namespace || everywhere {
			labels := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: s.Labels})
			if len(s.Labels) == 0 {
				labels = "no labels"
			}
			listed = append(listed, fmt.Sprintf("%s/%s (%s)", s.Namespace, s.Name, labels))
		}
	}
	if len(listed) == 0 {
		return "none at all"
	}
	if more := len(listed) - maxShown; more > 0 {
		listed = append(listed[:maxShown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(listed, ", ")
}

// gatewayClass tells what is wrong with the parameters of a class of this implementation.
func (f *finder) gatewayClass(class *gatewayv1.GatewayClass) {
	d := f.document("GatewayClass", class)
	if d == nil || d.Invalid || class.Spec.ControllerName != v1alpha1.ControllerName || f.anyInvalidParameters() {
		return
	}
	if _, err := parameters.OfClass(class, f.parameters); err != nil {
		f.add(d, manifests.Warning, fieldIn(err.Error(), "spec"),
			wouldBe("Accepted", string(gatewayv1.GatewayClassReasonInvalidParameters), err.Error()))
	}
}

func (f *finder) anyInvalidParameters() bool {
	return f.set.AnyInvalid(v1alpha1.GroupVersion.Group, v1alpha1.KindGatewayParameters)
}

// gateway tells what is not accepted of a Gateway.
func (f *finder) gateway(g *Gateway) {
	d := f.gatewayDocument(g.Gateway)
	if d == nil || d.Invalid {
		return
	}
	// What an invalid object and a class are to blame for is told there.
	_, classErr := parameters.OfClass(f.class(string(g.Spec.GatewayClassName)), f.parameters)
	told := g.Accepted.Reason == string(gatewayv1.GatewayReasonInvalidParameters) && (classErr != nil || f.anyInvalidParameters()) ||
		g.Accepted.Reason == string(gatewayv1.GatewayReasonListenersNotValid) && len(g.Listeners) > 0
	if !g.Accepted.Status && !told {
		f.add(d, manifests.Warning, fieldIn(g.Accepted.Message, "spec"), wouldBe("Accepted", g.Accepted.Reason, g.Accepted.Message))
	}
	for i := range g.Listeners {
		field := fmt.Sprintf("spec.listeners[%d]", i)
		for _, c := range bad(g.Listeners[i].Conditions) {
			f.add(d, manifests.Warning, field, field+": "+wouldBe(c.Type, c.Reason, c.Message))
		}
	}
}

// bad returns the conditions that are not as they should be. Conflicted is told by Accepted.
func bad(conditions []metav1.Condition) []metav1.Condition {
	var found []metav1.Condition
	for _, c := range conditions {
		positive := c.Type == string(gatewayv1.RouteConditionAccepted) || c.Type == string(gatewayv1.RouteConditionResolvedRefs)
		if positive && c.Status == metav1.ConditionFalse ||
			c.Type == string(gatewayv1.RouteConditionPartiallyInvalid) && c.Status == metav1.ConditionTrue {
			found = append(found, c)
		}
	}
	return found
}

func wouldBe(condition, reason, message string) string {
	if condition == string(gatewayv1.RouteConditionPartiallyInvalid) {
		return fmt.Sprintf("would be partially invalid: %s", message)
	}
	if reason == "" {
		return fmt.Sprintf("%s would be False: %s", condition, message)
	}
	return fmt.Sprintf("%s would be False, %s: %s", condition, reason, message)
}

var fieldPath = regexp.MustCompile(`spec(\.\w+|\[\d+\])+`)

// fieldIn returns the first field path in a message, or otherwise the one given.
func fieldIn(message, otherwise string) string {
	if field := fieldPath.FindString(message); field != "" {
		return field
	}
	return otherwise
}

// missing says that a reference leads nowhere, as far as the files go.
func missing(field, kind, namespace, name string) string {
	return fmt.Sprintf("%s: %s %s/%s is not in these files", field, kind, namespace, name)
}

// tlsPolicy tells of references of a BackendTLSPolicy to what is not there. What is wrong with one that is in use is
// told at the Service.
func (f *finder) tlsPolicy(p *gatewayv1.BackendTLSPolicy) {
	d := f.document("BackendTLSPolicy", p)
	if d == nil || d.Invalid {
		return
	}
	for i, ref := range p.Spec.TargetRefs {
		field := fmt.Sprintf("spec.targetRefs[%d]", i)
		if ref.Group != corev1.GroupName || ref.Kind != "Service" {
			f.add(d, manifests.Warning, field, fmt.Sprintf("%s: kind %s is not supported: refer to a Service", field, ref.Kind))
			continue
		}
		if f.set.Find("", "Service", p.Namespace, string(ref.Name)) == nil {
			f.add(d, manifests.Warning, field+".name", missing(field+".name", "Service", p.Namespace, string(ref.Name)))
		}
	}
	if f.inUse(p) {
		return
	}
	for i, ref := range p.Spec.Validation.CACertificateRefs {
		field := fmt.Sprintf("spec.validation.caCertificateRefs[%d]", i)
		if ref.Group == corev1.GroupName && ref.Kind == "ConfigMap" && f.set.Find("", "ConfigMap", p.Namespace, string(ref.Name)) == nil {
			f.add(d, manifests.Warning, field+".name", missing(field+".name", "ConfigMap", p.Namespace, string(ref.Name)))
		}
	}
}

// inUse is whether the policy is on a Service that a Backend uses, so that resolving it has told of its certificates.
func (f *finder) inUse(p *gatewayv1.BackendTLSPolicy) bool {
	return slices.ContainsFunc(p.Spec.TargetRefs, func(ref gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
		return slices.ContainsFunc(f.Backends, func(b v1alpha1.Backend) bool {
			return slices.ContainsFunc(b.Status.Targets, func(t v1alpha1.ResolvedTarget) bool {
				return t.TLS != nil && t.Service != nil && t.Service.Namespace == p.Namespace && t.Service.Name == string(ref.Name)
			})
		})
	})
}
