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
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

var update = flag.Bool("update", false, "write what is found to the golden files")

// TestFindings holds what would not work of testdata/<case>.yaml in a cluster to testdata/<case>.txt. A new case is a
// new file.
func TestFindings(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".yaml"), func(t *testing.T) {
			set, files := load(t, input)
			findings := Evaluate(set, Options{AssumeEndpoints: true}).Findings()
			manifests.SortFindings(findings, files)
			var got bytes.Buffer
			if err := manifests.WriteText(&got, findings); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(input, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("-want +got (run with -update to accept):\n%s", diff)
			}
		})
	}
}

func load(t *testing.T, path string) (*manifests.Set, []manifests.File) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := manifests.NewParser(manifests.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := []manifests.File{{Name: filepath.Base(path), Data: content}}
	set, findings := parser.Parse(files)
	if errs := manifests.Count(findings, manifests.Error); errs > 0 != strings.HasPrefix(files[0].Name, "errors") {
		t.Fatalf("errors in the case: %v", findings)
	}
	return set, files
}

func TestIncumbentsKeepTheirNames(t *testing.T) {
	const service = `---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: default, labels: {mcp: enabled}, annotations: {kgateway.dev/mcp-target-name: tools}}
spec: {ports: [{port: 80, appProtocol: kgateway.dev/mcp}]}
`
	const backend = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: b}
spec: {type: MCP, mcp: {targets: [{name: t, selector: {service: {matchLabels: {mcp: enabled}}}}]}}
`
	parser, err := manifests.NewParser(manifests.Options{})
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func(previous *State, names ...string) *State {
		text := backend
		for _, name := range names {
			text += strings.Replace(service, "NAME", name, 1)
		}
		set, _ := parser.Parse([]manifests.File{{Name: "f", Data: []byte(text)}})
		o := Options{}
		if previous != nil {
			o.Previous = previous.Statuses()
		}
		return Evaluate(set, o)
	}
	owner := func(s *State) string { return s.Backends[0].Status.Targets[0].Service.Name }

	first := evaluate(nil, "b")
	second := evaluate(first, "a", "b")
	if owner(second) != "b" {
		t.Errorf("the newcomer %s took the name of the incumbent", owner(second))
	}
	if fresh := evaluate(nil, "a", "b"); owner(fresh) != "a" {
		t.Errorf("%s came first, not the first document", owner(fresh))
	}
}
