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
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"
)

const positions = `metadata:
  labels:
    app.kubernetes.io/name: a
    app: b
  annotations: {kgateway.dev/mcp-path: /mcp}
spec:
  list:
  - name: one
    value: 1
  - {name: two, value: 2}
  shared: &shared
    deep: {er: 1}
  alias: *shared
  merged:
    <<: *shared
    own: 1
`

func TestLocate(t *testing.T) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(positions), &document); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                     "1:1",
		"metadata":             "1:1",
		"metadata.name":        "1:1",
		"metadata.labels[app]": "4:5",
		"metadata.labels.app":  "4:5",
		"metadata.labels[app.kubernetes.io/name]":     "3:5",
		"metadata.labels.app.kubernetes.io/name":      "3:5",
		"metadata.labels[other]":                      "2:3",
		"metadata.annotations[kgateway.dev/mcp-path]": "5:17",
		"spec.list[0]":       "8:5",
		"spec.list[0].value": "9:5",
		"spec.list[1].value": "10:17",
		"spec.list[1].other": "10:5",
		"spec.list[2].name":  "7:3",
		"spec.list[x]":       "7:3",
		"spec.list.name":     "7:3",
		"spec.alias.deep.er": "12:12",
		"spec.merged.deep":   "12:5",
		"spec.merged.own":    "16:5",
		"specification":      "1:1",
		"elsewhere[0].x":     "1:1",
	} {
		node := locate(document.Content[0], path)
		NewWithT(t).Expect(fmt.Sprintf("%d:%d", node.Line, node.Column)).To(Equal(want), path)
	}
}

func TestSplit(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"one document":          {"a: 1\n", []string{"1|a: 1\n"}},
		"markers":               {"a: 1\n---\nb: 1\n--- # c\nc: 1\n", []string{"1|a: 1\n", "2|---\nb: 1\n", "4|--- # c\nc: 1\n"}},
		"a marker at the start": {"# x\n\n---\na: 1\n", []string{"1|# x\n\n---\na: 1\n"}},
		"directives":            {"%YAML 1.1\n---\na: 1\n", []string{"1|%YAML 1.1\n---\na: 1\n"}},
		"Windows":               {"a: 1\r\n---\r\nb: 1\r\n", []string{"1|a: 1\r\n", "2|---\r\nb: 1\r\n"}},
		"no marker":             {"a: |\n  ---\n----\n---x\n", []string{"1|a: |\n  ---\n----\n---x\n"}},
		"a byte order mark":     {"\ufeffa: 1", []string{"1|a: 1"}},
		"empty documents":       {"---\n---\na: 1", []string{"1|---\n", "2|---\na: 1"}},
		"nothing":               {"", []string{"1|"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range split([]byte(test.text)) {
				got = append(got, fmt.Sprintf("%d|%s", c.line, c.text))
			}
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

func TestGitHubAnnotationsCantBeForged(t *testing.T) {
	g := NewWithT(t)
	var out strings.Builder
	g.Expect(WriteGitHub(&out, []Finding{
		{Place: Place{"a,b:c.yaml", 3, 7}, Severity: Error, Kind: "Backend", Namespace: "n", Name: "x:y", Message: "100%\n::error ::forged"},
		{Place: Place{File: "d.yaml"}, Severity: Warning, Message: "w"},
		{Place: Place{"d.yaml", 1, 1}, Severity: Note, Message: "n"},
	})).To(Succeed())
	g.Expect(out.String()).To(Equal("::error file=a%2Cb%3Ac.yaml,line=3,col=7,title=Backend n/x%3Ay::100%25%0A::error ::forged\n" +
		"::warning file=d.yaml::w\n::notice file=d.yaml,line=1,col=1::n\n"))
}

func TestJSON(t *testing.T) {
	g := NewWithT(t)
	var out strings.Builder
	g.Expect(WriteJSON(&out, []Finding{{
		Place: Place{"a.yaml", 3, 7}, Severity: Error, Layer: LayerSchema, APIVersion: "v1", Kind: "Service", Namespace: "n", Name: "x",
		Field: "spec.ports", Message: "<bad>",
	}}, 2)).To(Succeed())
	g.Expect(out.String()).To(And(MatchJSON(`{"findings":[{"severity":"error","file":"a.yaml","line":3,"column":7,"apiVersion":"v1",
		"kind":"Service","namespace":"n","name":"x","field":"spec.ports","layer":"schema","message":"<bad>"}],
		"summary":{"objects":2,"errors":1,"warnings":0,"notes":0}}`), ContainSubstring("<bad>")))

	out.Reset()
	g.Expect(WriteJSON(&out, nil, 0)).To(Succeed())
	g.Expect(out.String()).To(MatchJSON(`{"findings":[],"summary":{"objects":0,"errors":0,"warnings":0,"notes":0}}`))
}
