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

package validate

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

func backendOf(targets ...v1alpha1.MCPTarget) *v1alpha1.Backend {
	return &v1alpha1.Backend{Spec: v1alpha1.BackendSpec{
		Type: v1alpha1.BackendTypeMCP,
		MCP:  &v1alpha1.MCPBackend{Targets: targets},
	}}
}

func static(host string, change ...func(*v1alpha1.MCPStaticTarget)) v1alpha1.MCPTarget {
	s := &v1alpha1.MCPStaticTarget{Host: host, Port: 80}
	for _, f := range change {
		f(s)
	}
	return v1alpha1.MCPTarget{Name: "t", Static: s}
}

func selecting(service, namespace *metav1.LabelSelector) v1alpha1.MCPTarget {
	return v1alpha1.MCPTarget{Name: "t", Selector: &v1alpha1.MCPTargetSelector{Service: service, Namespace: namespace}}
}

func labelled(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func TestBackend(t *testing.T) {
	sse := selecting(labelled("app", "x"), nil)
	sse.Selector.Protocol = v1alpha1.MCPProtocolSSE
	for name, test := range map[string]struct {
		backend *v1alpha1.Backend
		options Options
		want    []string
	}{
		"accepts no Backend":              {},
		"accepts a Backend without mcp":   {backend: &v1alpha1.Backend{}},
		"accepts a target without either": {backend: backendOf(v1alpha1.MCPTarget{})},
		"accepts empty members": {backend: backendOf(v1alpha1.MCPTarget{
			Selector: &v1alpha1.MCPTargetSelector{}, Static: &v1alpha1.MCPStaticTarget{},
		})},
		"accepts a selector":       {backend: backendOf(selecting(labelled("app", "x"), &metav1.LabelSelector{}))},
		"accepts a static target":  {backend: backendOf(static("mcp.example.com"))},
		"accepts a static SSE one": {backend: backendOf(static("mcp.example.com", speakingSSE))},
		"refuses SSE in a selector": {
			backend: backendOf(sse),
			want: []string{`spec.mcp.targets[0].selector.protocol: Unsupported value: "SSE": ` +
				"label selectors support only StreamableHTTP; use a static target for an SSE server"},
		},
		"refuses loopback": {
			backend: backendOf(static("127.0.0.1")),
			want: []string{`spec.mcp.targets[0].static.host: Invalid value: "127.0.0.1": must not be a loopback address, ` +
				"where the proxy would reach only itself: write an address that other machines know the MCP server by " +
				"(loopback needs proxies on this machine: --proxy-runtime=subprocess)"},
		},
		"allows loopback on the user's machine": {backend: backendOf(static("127.0.0.1")), options: Options{AllowLoopback: true}},
		"returns every error in the order of the spec": {
			backend: backendOf(
				selecting(expressions(requirement("a", "In")), expressions(requirement("b", "Exists", "x"))),
				static("http://x:80", func(s *v1alpha1.MCPStaticTarget) { s.Path = "mcp" }),
				static("0.0.0.0"),
			),
			want: []string{
				"spec.mcp.targets[0].selector.service.matchExpressions[0].values: Required value: " +
					"operator In needs at least one value; without values use operator Exists",
				"spec.mcp.targets[0].selector.namespace.matchExpressions[0].values: Forbidden: " +
					"operator Exists takes no values: remove them, or use operator In",
				`spec.mcp.targets[1].static.host: Invalid value: "http://x:80": ` +
					"must be a host only, not a URL: write host: x, port: 80",
				`spec.mcp.targets[1].static.path: Invalid value: "mcp": must start with '/': write "/mcp"`,
				`spec.mcp.targets[2].static.host: Invalid value: "0.0.0.0": must not be the unspecified address, ` +
					"which servers listen on but clients can't mean: write the address of the MCP server",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range Backend(test.backend, test.options) {
				got = append(got, err.Error())
			}
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

func speakingSSE(s *v1alpha1.MCPStaticTarget) { s.Protocol = v1alpha1.MCPProtocolSSE }

func TestBackendWarnings(t *testing.T) {
	const service = "spec.mcp.targets[0].static.host: this is a Service of the cluster; a selector for its labels instead " +
		"of static follows its endpoints and shows its readiness in status"
	const twice = "spec.mcp.targets[1].selector: selects the same Services as spec.mcp.targets[0].selector, which gets them " +
		"all: remove one of the two, or make them differ"
	for name, test := range map[string]struct {
		backend *v1alpha1.Backend
		options Options
		want    []string
	}{
		"no Backend":                     {},
		"no mcp":                         {backend: &v1alpha1.Backend{}},
		"empty members":                  {backend: backendOf(selecting(nil, nil), selecting(nil, nil), static(""))},
		"a Service by its short name":    {backend: backendOf(static("x.default.svc")), want: []string{service}},
		"a Service by its full name":     {backend: backendOf(static("x.default.svc.cluster.local")), want: []string{service}},
		"another domain":                 {backend: backendOf(static("x.default.svc.example.com"))},
		"a Service that speaks SSE":      {backend: backendOf(static("x.default.svc", speakingSSE))},
		"a configured domain":            {backend: backendOf(static("x.a.svc.example.com")), options: Options{ClusterDomain: "Example.com."}, want: []string{service}},
		"not the default domain as well": {backend: backendOf(static("x.a.svc.cluster.local")), options: Options{ClusterDomain: "example.com"}},
		"the same selector twice":        {backend: backendOf(selecting(labelled("a", "b"), nil), selecting(labelled("a", "b"), nil)), want: []string{twice}},
		"the same selector in another form": {
			backend: backendOf(
				selecting(expressions(requirement("a", "In", "b"), requirement("c", "NotIn", "d", "e")), labelled("n", "m")),
				selecting(&metav1.LabelSelector{
					MatchLabels:      map[string]string{"a": "b"},
					MatchExpressions: []metav1.LabelSelectorRequirement{requirement("c", "NotIn", "e", "d", "e")},
				}, labelled("n", "m")),
			),
			want: []string{twice},
		},
		"other values":     {backend: backendOf(selecting(labelled("a", "b"), nil), selecting(labelled("a", "c"), nil))},
		"other namespaces": {backend: backendOf(selecting(labelled("a", "b"), nil), selecting(labelled("a", "b"), &metav1.LabelSelector{}))},
	} {
		t.Run(name, func(t *testing.T) {
			got := BackendWarnings(test.backend, test.options)
			g := NewWithT(t)
			g.Expect(got).To(Equal(test.want))
			for _, warning := range got {
				// The API server cuts longer ones.
				g.Expect(len(warning)).To(BeNumerically("<=", 256))
			}
		})
	}
}
