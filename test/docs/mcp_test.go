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

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMCPMatrixHasReasonsAndTests: no cell of docs/mcp.md is empty or says no without a reason, and the tests that it names
// exist. What the first table says is held to what happens by test/dataplane.
func TestMCPMatrixHasReasonsAndTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/mcp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, evidence, found := strings.Cut(string(page), "<!-- evidence:")
	evidence, _, closed := strings.Cut(evidence, "<!-- end of the evidence -->")
	if !found || !closed {
		t.Fatal("the page has no evidence")
	}
	exist := testNames(t, "../../internal/mcp", "../dataplane")
	rows := 0
	for line := range strings.Lines(evidence) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 7 {
			t.Errorf("%d cells: %s", len(cells), line)
			continue
		}
		feature, tests := strings.TrimSpace(cells[0]), strings.Fields(cells[6])
		for _, cell := range cells[1:6] {
			verdict, reason, _ := strings.Cut(strings.TrimSpace(cell), ":")
			switch {
			case verdict == "yes", verdict == "–":
			case verdict == "no" && strings.TrimSpace(reason) != "":
			default:
				t.Errorf("%s: %q is neither yes, –, nor no with a reason", feature, cell)
			}
		}
		if len(tests) == 0 {
			t.Errorf("%s: no test", feature)
		}
		for _, name := range tests {
			if !exist[name] {
				t.Errorf("%s: there is no %s", feature, name)
			}
		}
	}
	if rows < 10 {
		t.Errorf("%d rows", rows)
	}
}

// testNames returns the names of the tests below some folders.
func testNames(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, declaration := range file.Decls {
				if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
					names[f.Name.Name] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}
