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

package manifests

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const objects = `
apiVersion: v1
kind: Service
metadata: {name: b, labels: {app: x}, uid: ignored, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: tools}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: tools, labels: {team: a, kubernetes.io/metadata.name: forged}}
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: be, namespace: other}
spec: {type: MCP, mcp: {targets: [{name: t, static: {host: mcp.example.com, port: 80}}]}}
status: {summary: 1/1, targets: [{name: forged}]}
`

func parse(t *testing.T, text string) *Set {
	t.Helper()
	set, findings := newParser(t).Parse([]File{{Name: "f.yaml", Data: []byte(text)}})
	if Count(findings, Error) > 0 {
		t.Fatal(findings)
	}
	return set
}

func TestObjectsGetWhatAnAPIServerGives(t *testing.T) {
	g := NewWithT(t)
	set := parse(t, objects)
	g.Expect(set.Services).To(HaveLen(2))
	b, a := set.Services[0], set.Services[1]
	g.Expect(b.Namespace).To(Equal("default"))
	g.Expect(a.Namespace).To(Equal("tools"))
	g.Expect(b.CreationTimestamp.Before(&a.CreationTimestamp)).To(BeTrue(), "the order of documents is the order of creation")
	g.Expect(string(b.UID)).To(MatchRegexp(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`))
	g.Expect(b.UID).NotTo(Equal(a.UID))
	g.Expect(set.Backends[0].Status.Summary).To(BeEmpty())
	g.Expect(set.Backends[0].Spec.MCP.PrefixMode).NotTo(BeEmpty(), "defaults are filled in")

	labels := map[string]map[string]string{}
	for _, namespace := range set.Namespaces {
		labels[namespace.Name] = namespace.Labels
	}
	g.Expect(labels).To(Equal(map[string]map[string]string{
		"default": {corev1.LabelMetadataName: "default"},
		"tools":   {corev1.LabelMetadataName: "tools", "team": "a"},
		"other":   {corev1.LabelMetadataName: "other"},
	}))
}

func TestUIDsDependOnNamesAlone(t *testing.T) {
	g := NewWithT(t)
	documents := strings.Split(objects, "---")
	first := parse(t, objects)
	again := parse(t, documents[1]+"---"+strings.Replace(documents[0], "app: x", "app: z", 1))
	g.Expect(again.Services[1].UID).To(Equal(first.Services[0].UID))
	g.Expect(again.Services[0].UID).To(Equal(first.Services[1].UID))
	elsewhere := parse(t, strings.Replace(documents[0], "name: b", "name: b, namespace: x", 1))
	g.Expect(elsewhere.Services[0].UID).NotTo(Equal(first.Services[0].UID))
}

func TestDocumentsAreFound(t *testing.T) {
	g := NewWithT(t)
	set := parse(t, objects)
	d := set.Find("", "Service", "tools", "a")
	g.Expect(d).NotTo(BeNil())
	g.Expect(d.Place("spec.ports[0].port").String()).To(Equal("f.yaml:10:17"))
	g.Expect(set.Find("", "Service", "default", "a")).To(BeNil())
	g.Expect(set.AnyInvalid("", "Service")).To(BeFalse())
}

// FuzzParse looks for files that break the parser, and for findings that point outside of the file.
func FuzzParse(f *testing.F) {
	f.Add(objects)
	f.Add(positions)
	f.Add("%YAML 1.1\n---\na: &a [*a]\n---\n{\"kind\": \"List\", \"items\": [1, {}]}\n...\n")
	f.Add("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, label: {}}\nspec: {rules: [{matches: [{path: {}}]}], x: y}\n")
	f.Add("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: []\nendpoints: [{addresses: [1, {}]}]\nports: {a: 1}\n")
	f.Add("<<: &a {apiVersion: v1, kind: Secret}\nmetadata: {<<: [*a], name: 1}\n? [complex]\n: x\n")
	parser := newParser(f)
	for _, kind := range parser.schemas.Kinds("gateway.networking.k8s.io") {
		// Compiling schemas takes its time.
		if _, err := parser.schemas.Lookup(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: kind}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		begun := time.Now()
		_, findings := parser.Parse([]File{{Name: "f", Data: []byte(text)}})
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") +
			strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 1
		for i := range findings {
			if findings[i].Line < 1 || findings[i].Line > lines || findings[i].Column < 1 || findings[i].Message == "" {
				t.Errorf("%d lines, but %v", lines, &findings[i])
			}
		}
	})
}
