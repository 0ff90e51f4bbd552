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

package standalone

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
)

var update = flag.Bool("update", false, "write what is printed to the golden files")

// TestTables holds what is printed of testdata/<case>.yaml to testdata/<case>.txt: the findings, and then the tables. A
// new case is a new file.
func TestTables(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".yaml"), func(t *testing.T) {
			golden(t, strings.TrimSuffix(input, ".yaml")+".txt", printed(t, input))
		})
	}
}

// TestSamples loads the samples that people begin with, unchanged.
func TestSamples(t *testing.T) {
	for _, name := range []string{"walkthrough", "local"} {
		t.Run(name, func(t *testing.T) {
			directory := filepath.Join("..", "..", "config", "samples")
			paths := []string{filepath.Join(directory, "walkthrough")}
			if name == "local" {
				// In place of the walkthrough's Service, whose pods there are not.
				paths = []string{
					filepath.Join(directory, "walkthrough", "gateway.yaml"), filepath.Join(directory, "walkthrough", "httproute.yaml"),
					filepath.Join(directory, "walkthrough", "backend.yaml"), filepath.Join(directory, "local"),
				}
			}
			golden(t, filepath.Join("testdata", "sample-"+name+".txt"), printed(t, paths...))
		})
	}
}

func printed(t *testing.T, paths ...string) string {
	t.Helper()
	l, err := newLoader(manifests.Source{Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	c := l.read()
	if c.err != nil {
		t.Fatal(c.err)
	}
	var text strings.Builder
	if err := manifests.WriteText(&text, c.findings); err != nil {
		t.Fatal(err)
	}
	if text.Len() > 0 {
		text.WriteString("\n")
	}
	if c.state != nil {
		text.WriteString(Table(c.state, "127.0.0.1"))
	}
	return filepath.ToSlash(text.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got (run with -update to accept):\n%s", diff)
	}
}

func TestConnectAddress(t *testing.T) {
	for bind, want := range map[string]string{
		"": "127.0.0.1", "127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "::1": "::1", "192.0.2.1": "192.0.2.1",
	} {
		if got := connectAddress(bind); got != want {
			t.Errorf("%q: got %s, want %s", bind, got, want)
		}
	}
}

func TestReadingTheSameAgainChangesNothing(t *testing.T) {
	s := &scene{t, t.TempDir()}
	s.put("a.yaml", toolsBackend)
	l, err := newLoader(manifests.Source{Paths: []string{s.directory}})
	s.must(err)
	for i, test := range []struct {
		change    func()
		unchanged bool
		failed    bool
	}{
		{func() {}, false, false},
		{func() {}, true, false},
		{func() { s.put("a.yaml", toolsBackend+"\n") }, false, false},
		{func() { s.remove("a.yaml") }, false, true},
		{func() {}, true, false},
		{func() { s.put("a.yaml", toolsBackend+"\n") }, false, false},
	} {
		test.change()
		c := l.read()
		if c.unchanged != test.unchanged || (c.err != nil) != test.failed {
			t.Errorf("step %d: got unchanged %v and error %v", i, c.unchanged, c.err)
		}
	}
}
