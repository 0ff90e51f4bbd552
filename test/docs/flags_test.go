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
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

var (
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	codeBlock  = regexp.MustCompile("(?s)```[a-z]*\n(.*?)```")
	flagName   = regexp.MustCompile(`(?:^|[\s(])--([a-z][a-z0-9-]+)`)
	flagVar    = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*VarP?$`)
)

func TestPagesNameOnlyFlagsThatThereAre(t *testing.T) {
	known := flags(t)
	NewWithT(t).Expect(len(known)).To(BeNumerically(">", 40))
	for _, page := range pages(t) {
		for _, code := range codeOfOurs(read(t, page)) {
			for _, match := range flagName.FindAllStringSubmatch(code, -1) {
				if !known[match[1]] {
					t.Errorf("%s: dynamic-mcp has no flag --%s: %s", page, match[1], code)
				}
			}
		}
	}
}

// codeOfOurs returns the code of a page in which flags are those of dynamic-mcp: commands, and flags by themselves.
func codeOfOurs(page string) []string {
	var ours []string
	for _, match := range codeBlock.FindAllStringSubmatch(page, -1) {
		block := strings.ReplaceAll(match[1], "\\\n", " ")
		for line := range strings.Lines(block) {
			if line = strings.TrimSpace(strings.TrimPrefix(line, "$ ")); strings.HasPrefix(line, "dynamic-mcp ") {
				ours = append(ours, line)
			}
		}
	}
	for _, match := range inlineCode.FindAllStringSubmatch(codeBlock.ReplaceAllString(page, ""), -1) {
		if strings.HasPrefix(match[1], "--") || strings.HasPrefix(match[1], "dynamic-mcp ") {
			ours = append(ours, match[1])
		}
	}
	return ours
}

// flags returns the flags of all commands.
func flags(t *testing.T) map[string]bool {
	t.Helper()
	folder := filepath.Join(root, "cmd")
	values := constantsIn(t, folder)
	found := map[string]bool{"help": true, "version": true} // cobra's
	for _, folder := range []string{folder, filepath.Join(root, "internal", "manifests")} {
		eachFile(t, folder, func(file *ast.File) {
			ast.Inspect(file, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok || len(call.Args) < 4 {
					return true
				}
				if selector, ok := call.Fun.(*ast.SelectorExpr); !ok || !flagVar.MatchString(selector.Sel.Name) {
					return true
				}
				name, _ := folded(call.Args[1])
				if constant, ok := call.Args[1].(*ast.Ident); ok {
					name = values[constant.Name]
				}
				found[name] = true
				return true
			})
		})
	}
	return found
}
