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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// labelSet converts without copying.
func labelSet(m map[string]string) labels.Set { return labels.Set(m) }

// examine adds the MCP ports of a Service that an entry matches and may use, or the reason why it has none.
func (sel *selection) examine(ix *index, e *entry, s *corev1.Service) {
	whole := &candidate{entry: e, service: s}
	ports := mcpPorts(s)
	if len(ports) == 0 {
		if sse := ssePort(s); sse != nil {
			whole.port = sse
			sel.skipped = append(sel.skipped, whole.skip(v1alpha1.SkipReasonUnsupportedProtocol, sseMessage(ix, s, sse)))
			return
		}
		sel.skipped = append(sel.skipped, whole.skip(v1alpha1.SkipReasonNoMCPPort, noPortMessage(s)))
		return
	}
	if problem := externalNameProblem(s, ix.options); problem != "" {
		sel.skipped = append(sel.skipped, whole.skip(v1alpha1.SkipReasonExternalNameNotAllowed, problem))
		return
	}
	path, err := servicePath(s)
	if err != nil {
		sel.skipped = append(sel.skipped, whole.skip(v1alpha1.SkipReasonInvalidPath, fmt.Sprintf(
			"annotation %s: %s: %v; or remove the annotation for the default, %s", v1alpha1.AnnotationMCPPath,
			quoted(s.Annotations[v1alpha1.AnnotationMCPPath]), err, v1alpha1.DefaultPathStreamableHTTP)))
		return
	}
	name, problem := askedName(s)
	var notes []string
	if problem != nil {
		notes = append(notes, fmt.Sprintf("annotation %s is ignored: %s: %v", v1alpha1.AnnotationMCPTargetName,
			quoted(s.Annotations[v1alpha1.AnnotationMCPTargetName]), problem))
	}
	for ordinal, port := range ports {
		sel.candidates = append(sel.candidates, &candidate{
			entry: e, service: s, port: port, ordinal: ordinal, path: path, askedName: name, notes: notes[:len(notes):len(notes)],
		})
	}
}

func isTCP(p corev1.Protocol) bool { return p == "" || p == corev1.ProtocolTCP }

func appProtocol(p *corev1.ServicePort) string {
	if p.AppProtocol == nil {
		return ""
	}
	return *p.AppProtocol
}

// mcpPorts returns the ports that speak streamable HTTP, in the Service's order.
func mcpPorts(s *corev1.Service) []*corev1.ServicePort {
	return portsThatSay(s, v1alpha1.AppProtocolMCP, v1alpha1.AppProtocolMCPAgentgateway)
}

// ssePort returns the first port that speaks SSE, or nil.
func ssePort(s *corev1.Service) *corev1.ServicePort {
	ports := portsThatSay(s, v1alpha1.AppProtocolMCPSSE, v1alpha1.AppProtocolMCPSSEAgentgateway)
	if len(ports) == 0 {
		return nil
	}
	return ports[0]
}

func portsThatSay(s *corev1.Service, protocol, alias string) []*corev1.ServicePort {
	var ports []*corev1.ServicePort
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if says := appProtocol(p); isTCP(p.Protocol) && (says == protocol || says == alias) {
			ports = append(ports, p)
		}
	}
	return ports
}

func noPortMessage(s *corev1.Service) string {
	cure := "set appProtocol: " + v1alpha1.AppProtocolMCP + " on the port"
	if len(s.Spec.Ports) == 0 {
		return "the Service has no ports: add the TCP port of the MCP server, and " + cure
	}
	var found []string
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		port := fmt.Sprintf("port %d", p.Port)
		if !isTCP(p.Protocol) {
			port += "/" + string(p.Protocol)
		}
		if says := appProtocol(p); says != "" {
			port += " says " + quoted(says)
		} else {
			port += " says nothing"
		}
		found = append(found, port)
	}
	return fmt.Sprintf("no TCP port says that it speaks MCP (%s): %s of the MCP server", listed(found, 4), cure)
}

func sseMessage(ix *index, s *corev1.Service, port *corev1.ServicePort) string {
	path, err := servicePath(s)
	if _, set := s.Annotations[v1alpha1.AnnotationMCPPath]; !set || err != nil || len(path) > maxQuoted {
		path = v1alpha1.DefaultPathSSE
	}
	return fmt.Sprintf("port %d speaks SSE (appProtocol: %s), and label selectors support only StreamableHTTP: use a "+
		"static target for it, {name: %s, static: {host: %s, port: %d, path: %s, protocol: SSE}}",
		port.Port, appProtocol(port), fitName(s.Name), ix.hostOf(s), port.Port, path)
}

// servicePath returns the path of the MCP endpoint behind the Service.
func servicePath(s *corev1.Service) (string, error) {
	path, set := s.Annotations[v1alpha1.AnnotationMCPPath]
	if !set {
		return v1alpha1.DefaultPathStreamableHTTP, nil
	}
	if err := validate.Path(path); err != nil {
		return "", err
	}
	return path, nil
}

func staticPath(s *v1alpha1.MCPStaticTarget) string {
	switch {
	case s.Path != "":
		return s.Path
	case s.Protocol == v1alpha1.MCPProtocolSSE:
		return v1alpha1.DefaultPathSSE
	}
	return v1alpha1.DefaultPathStreamableHTTP
}

// externalNameProblem returns why a Service of type ExternalName can't be used, or "".
func externalNameProblem(s *corev1.Service, o Options) string {
	if s.Spec.Type != corev1.ServiceTypeExternalName {
		return ""
	}
	if !o.AllowExternalName {
		return "the Service is of type ExternalName, which can name any host and which this manager does not allow: " +
			"use a static target for the host, or start the manager with --allow-external-name"
	}
	if err := validate.Host(externalHost(s), o.validation()); err != nil {
		return fmt.Sprintf("spec.externalName of the Service: %s: %v", quoted(s.Spec.ExternalName), err)
	}
	return ""
}

// externalHost is the host that an ExternalName Service names. A final dot only says that the name is complete.
func externalHost(s *corev1.Service) string {
	return strings.TrimSuffix(s.Spec.ExternalName, ".")
}

// hostOf returns the DNS name of a Service: the host that its servers expect to be called by.
func (ix *index) hostOf(s *corev1.Service) string {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return externalHost(s)
	}
	return s.Name + "." + s.Namespace + ".svc." + ix.clusterDomain
}
