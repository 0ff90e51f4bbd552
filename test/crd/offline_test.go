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

package crd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

// TestOfflineAgreesWithTheAPIServer holds `dynamic-mcp validate` to the answers that the cases expect, which the suite in
// this package holds the API server to. They differ in two things, both on purpose: offline, what later layers have to
// say is told at once, about other fields than those that are refused already; and an unknown field comes with the one
// that was probably meant.
func TestOfflineAgreesWithTheAPIServer(t *testing.T) {
	parser, err := manifests.NewParser(manifests.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{v1alpha1.KindBackend, v1alpha1.KindGatewayParameters} {
		cases, err := loadCases(strings.ToLower(kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range cases {
			t.Run(kind+"/"+test.name, func(t *testing.T) { checkOffline(t, parser, kind, test) })
		}
	}
}

func checkOffline(t *testing.T, parser *manifests.Parser, kind string, test testCase) {
	g := NewWithT(t)
	path := filepath.Join("testdata", strings.ToLower(kind), test.name+".yaml")
	content, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	set, findings := parser.Parse([]manifests.File{{Name: path, Data: content}})

	errs, warnings := map[manifests.Layer][]string{}, []string{}
	for i := range findings {
		f := &findings[i]
		g.Expect(f.Line).To(BeNumerically("<=", strings.Count(string(content), "\n")), "%v", f)
		g.Expect(f.Line).To(BeNumerically(">=", slices.Index(strings.Split(string(content), "\n"), "kind: "+kind)), "%v", f)
		switch f.Severity {
		case manifests.Error:
			errs[f.Layer] = append(errs[f.Layer], f.Message)
		case manifests.Warning:
			warnings = append(warnings, f.Message)
		}
	}
	g.Expect(warnings).To(ConsistOf(test.warnings))
	switch test.by {
	case "":
		g.Expect(errs).To(BeEmpty())
	case byDecoding:
		g.Expect(strictDecodingError(kind, errs[manifests.LayerDecoding])).To(Equal(test.errors))
	case bySchema:
		g.Expect(errs).NotTo(HaveKey(manifests.LayerDecoding))
		g.Expect(errs[manifests.LayerSchema]).To(ConsistOf(test.errors))
	case byWebhook:
		g.Expect(errs).To(HaveLen(1))
		g.Expect(errs[manifests.LayerWebhook]).To(ConsistOf(test.errors))
	}
	if test.stored != nil {
		spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&set.Backends[0].Spec)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(spec).To(Equal(test.stored.Object["spec"]))
	}
}

// strictDecodingError returns what the API server says of unknown fields, which is the same without the hints.
func strictDecodingError(kind string, messages []string) []string {
	fields := make([]string, 0, len(messages))
	for _, message := range messages {
		field, _, _ := strings.Cut(message, `": `)
		fields = append(fields, strings.TrimSuffix(field, `"`)+`"`)
	}
	return []string{fmt.Sprintf(`%s in version "v1alpha1" cannot be handled as a %[1]s: strict decoding error: %s`,
		kind, strings.Join(fields, ", "))}
}
