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
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

func parametersOf(t *testing.T, spec string) *v1alpha1.GatewayParameters {
	t.Helper()
	p := &v1alpha1.GatewayParameters{}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGatewayParameters has what the manifests of test/crd don't show. Those have each rule, with the whole message.
func TestGatewayParameters(t *testing.T) {
	const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct {
		spec string
		want []string
	}{
		"nothing":                        {`{}`, nil},
		"empty structs":                  {`{image: {}, resources: {}, scheduling: {}, pod: {}, service: {}, log: {}, overlays: {}, env: []}`, nil},
		"a registry without dots":        {`{image: {repository: "localhost/dynamic-mcp"}}`, nil},
		"a registry with a port alone":   {`{image: {repository: "registry:5000/dynamic-mcp"}}`, nil},
		"a registry of one word":         {`{image: {repository: "Registry/dynamic-mcp"}}`, nil},
		"a host alone":                   {`{image: {repository: "registry.example.com/"}}`, []string{`spec.image.repository: Invalid value: "registry.example.com/": "" must consist of lowercase letters and digits`}},
		"a registry's port, and no more": {`{image: {repository: "registry:5000"}}`, []string{`spec.image.repository: Invalid value: "registry:5000": must not have a tag: write "registry" here, and "5000" in the field tag`}},
		"too large a port":               {`{image: {repository: "registry:500000/a"}}`, []string{`spec.image.repository: Invalid value: "registry:500000/a": the registry "registry:500000" must be a host`}},
		"a line break":                   {`{image: {repository: "a\n"}}`, []string{`spec.image.repository: Invalid value: "a\n": "a\n" must consist of lowercase letters`}},
		"a digest in uppercase":          {`{image: {digest: "sha256:` + strings.ToUpper(digest) + `"}}`, []string{"spec.image.digest: "}},
		"a long digest":                  {`{image: {digest: "sha512:` + digest + digest + `"}}`, nil},
		"hugepages":                      {`{resources: {limits: {hugepages-1Gi: 1Gi}}}`, nil},
		"equal request and limit":        {`{resources: {requests: {cpu: 1000m}, limits: {cpu: 1}}}`, nil},
		"a request without a limit":      {`{resources: {requests: {cpu: 4}, limits: {memory: 1Gi}}}`, nil},
		"several resources": {`{resources: {requests: {mem: 1, cpu: -1}, limits: {gpu: 1}}}`, []string{
			"spec.resources.requests[cpu]: ", "spec.resources.requests[mem]: ", "spec.resources.limits[gpu]: "}},
		"several tolerations": {`{scheduling: {tolerations: [{key: a}, {key: "a b"}, {operator: Equal}]}}`, []string{
			"spec.scheduling.tolerations[1].key: ", "spec.scheduling.tolerations[2].key: "}},
		"operators of later versions": {`{scheduling: {tolerations: [{key: a, operator: Gt, value: "1"}]}}`, nil},
		"labels in order":             {`{pod: {labels: {"b b": b, "a a": a}}}`, []string{`spec.pod.labels: Invalid value: "a a": `, `spec.pod.labels: Invalid value: "b b": `}},
		"a reserved label, once":      {`{pod: {labels: {dynamic-mcp.dev/x: "not valid"}}}`, []string{"spec.pod.labels[dynamic-mcp.dev/x]: Forbidden: "}},
		"the pod's own variables":     {`{env: [{name: POD_IP}, {name: POD_NAME}, {name: GOMEMLIMIT}]}`, []string{"spec.env[0].name: Forbidden: "}},
		"a field as a source":         {`{env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}`, nil},
		"every overlay": {`{overlays: {deployment: {x: 1}, service: {x: 1}, serviceAccount: {x: 1}, podDisruptionBudget: {x: 1}, horizontalPodAutoscaler: {x: 1}}}`, []string{
			"spec.overlays.deployment.x: ", "spec.overlays.service.x: ", "spec.overlays.serviceAccount.x: ",
			"spec.overlays.podDisruptionBudget.x: ", "spec.overlays.horizontalPodAutoscaler.x: "}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := parametersOf(t, test.spec)
			before := p.DeepCopy()
			errs := GatewayParameters(p)
			g.Expect(p).To(Equal(before), "the object was changed")
			got := make([]string, 0, len(errs))
			for _, err := range errs {
				got = append(got, err.Error())
			}
			g.Expect(got).To(HaveLen(len(test.want)), "%q", got)
			for i, want := range test.want {
				g.Expect(got[i]).To(HavePrefix(want))
			}
		})
	}
}

func TestNoGatewayParametersAreValid(t *testing.T) {
	g := NewWithT(t)
	g.Expect(GatewayParameters(nil)).To(BeEmpty())
	g.Expect(GatewayParametersWarnings(nil)).To(BeEmpty())
}

func TestOverlaysAsOtherProgramsWriteThem(t *testing.T) {
	g := NewWithT(t)
	for raw, valid := range map[string]bool{"": true, `{}`: true, `null`: false, `{"spec":`: false, `3`: false} {
		p := &v1alpha1.GatewayParameters{}
		p.Spec.Overlays = &v1alpha1.ProxyOverlays{Service: &runtime.RawExtension{Raw: []byte(raw)}}
		g.Expect(GatewayParameters(p)).To(HaveLen(map[bool]int{true: 0, false: 1}[valid]), raw)
	}
}

func TestGatewayParametersWarnings(t *testing.T) {
	for spec, warned := range map[string]bool{
		`{podDisruptionBudget: {minAvailable: 1}}`:                                false, // The class may say how many there are.
		`{podDisruptionBudget: {minAvailable: 0}, replicas: 0}`:                   false,
		`{podDisruptionBudget: {minAvailable: 1}, replicas: 1}`:                   true,
		`{podDisruptionBudget: {minAvailable: 1}, replicas: 2}`:                   false,
		`{podDisruptionBudget: {minAvailable: 3}, replicas: 2}`:                   true,
		`{podDisruptionBudget: {minAvailable: 2}, autoscaling: {minReplicas: 2}}`: true,
		`{podDisruptionBudget: {minAvailable: 2}, autoscaling: {minReplicas: 3}}`: false,
		`{podDisruptionBudget: {minAvailable: 99%}, replicas: 2}`:                 false,
		`{podDisruptionBudget: {minAvailable: 100%}}`:                             true,
		`{podDisruptionBudget: {maxUnavailable: 0%}}`:                             true,
		`{podDisruptionBudget: {maxUnavailable: 100%}, replicas: 1}`:              false,
		`{replicas: 1}`: false,
	} {
		warnings := GatewayParametersWarnings(parametersOf(t, spec))
		NewWithT(t).Expect(warnings).To(HaveLen(map[bool]int{true: 1, false: 0}[warned]), spec)
	}
}
