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
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// troubleshooting is the page that has every condition and reason.
const troubleshooting = "docs/troubleshooting.md"

// deciding are the packages that decide about conditions and events.
var deciding = []string{"controller", "evaluate", "parameters", "provision", "resolve", "status", "translate"}

func TestTroubleshootingNamesEveryConditionAndReason(t *testing.T) {
	g := NewWithT(t)
	used := conditionsAndReasons(t)
	g.Expect(len(used)).To(BeNumerically(">", 40))
	page := read(t, troubleshooting)
	for _, value := range slices.Sorted(maps.Keys(used)) {
		if !strings.Contains(page, "`"+value+"`") {
			t.Errorf("%s does not name `%s` (%s)", troubleshooting, value, used[value])
		}
	}
	// These are defaults of the Gateway API's CRDs.
	used["Pending"] = "default"
	for _, heading := range []string{"condition", "of"} {
		for _, row := range allRows(t, troubleshooting, heading) {
			for _, name := range names(strings.Join(row[:2], " ")) {
				g.Expect(used).To(HaveKey(name), "no code has the condition or reason %s", name)
			}
		}
	}
}

// conditionsAndReasons returns the conditions and reasons that the packages use, and the constants that they are.
func conditionsAndReasons(t *testing.T) map[string]string {
	t.Helper()
	own := constants(t, "api/v1alpha1/conditions.go")
	gatewayAPI, err := build.Import("sigs.k8s.io/gateway-api/apis/v1", ".", build.FindOnly)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	theirs := constantsIn(t, gatewayAPI.Dir)
	used := map[string]string{}
	for name, value := range own {
		used[value] = "v1alpha1." + name
	}
	for _, name := range deciding {
		folder := filepath.Join(root, "internal", name)
		for name, value := range constantsIn(t, folder) {
			if strings.Contains(strings.ToLower(name), "reason") {
				used[value] = name
			}
		}
		eachFile(t, folder, func(file *ast.File) {
			ast.Inspect(file, func(node ast.Node) bool {
				selector, ok := node.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				from, ok := selector.X.(*ast.Ident)
				name := selector.Sel.Name
				if ok && from.Name == "gatewayv1" && (strings.Contains(name, "Reason") || strings.Contains(name, "Condition")) {
					if value, found := theirs[name]; found {
						used[value] = "gatewayv1." + name
					}
				}
				return true
			})
		})
	}
	return used
}

// eachFile parses the Go files of a folder, but for tests.
func eachFile(t *testing.T, folder string, visit func(*ast.File)) {
	t.Helper()
	g := NewWithT(t)
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).NotTo(BeEmpty(), folder)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		g.Expect(err).NotTo(HaveOccurred())
		visit(file)
	}
}

// constantsIn returns the string constants of a folder's Go files.
func constantsIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	values := map[string]string{}
	eachFile(t, folder, func(file *ast.File) {
		ast.Inspect(file, func(node ast.Node) bool {
			if spec, ok := node.(*ast.ValueSpec); ok {
				for i, value := range spec.Values {
					if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
						values[spec.Names[i].Name], _ = strconv.Unquote(literal.Value)
					}
				}
			}
			return true
		})
	})
	return values
}

// allRows returns the rows of all tables whose first column has that heading.
func allRows(t *testing.T, page, heading string) [][]string {
	t.Helper()
	var all [][]string
	within := false
	for line := range strings.Lines(read(t, page)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "| "+heading+" |"):
			within = true
		case !strings.HasPrefix(line, "|"):
			within = false
		case within && !strings.HasPrefix(line, "|---"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	NewWithT(t).Expect(all).NotTo(BeEmpty(), "%s has no table of %s", page, heading)
	return all
}

func TestTroubleshootingHasMessagesThatThereAre(t *testing.T) {
	texts := textsOfCode(t)
	// Of each table, the column with the messages.
	for heading, column := range map[string]int{"message of `Programmed`": 0, "answer": 0, "message": 0, "reason": 0, "status": 1, "code": 1} {
		for _, row := range allRows(t, troubleshooting, heading) {
			for _, message := range names(row[column]) {
				for fragment := range strings.SplitSeq(message, "…") {
					fragment = strings.TrimSpace(fragment)
					if len(fragment) < 4 {
						continue
					}
					if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, fragment) }) {
						t.Errorf("%s: no code says %q of `%s`", troubleshooting, fragment, message)
					}
				}
			}
		}
	}
}

func TestTroubleshootingNamesWebhooksThatThereAre(t *testing.T) {
	g := NewWithT(t)
	webhooks := read(t, "config/webhook/manifests.yaml")
	found := regexp.MustCompile(`webhook "([^"]+)"`).FindAllStringSubmatch(read(t, troubleshooting), -1)
	g.Expect(found).NotTo(BeEmpty())
	for _, match := range found {
		g.Expect(webhooks).To(ContainSubstring("\n  name: " + match[1] + "\n"))
	}
}

var verb = regexp.MustCompile(`%[-+# 0]*[\d.]*[a-zA-Z]`)

// textsOfCode returns the texts in the Go files of cmd and internal, joined where they are joined by +, with … for values.
func textsOfCode(t *testing.T) []string {
	t.Helper()
	var texts []string
	var folders []string
	for _, pattern := range []string{"cmd", "internal/*", "internal/mcp/*"} {
		folders = append(folders, glob(t, pattern)...)
	}
	for _, folder := range folders {
		if files, _ := filepath.Glob(filepath.Join(folder, "*.go")); len(files) == 0 {
			continue
		}
		eachFile(t, folder, func(file *ast.File) {
			ast.Inspect(file, func(node ast.Node) bool {
				expression, ok := node.(ast.Expr)
				if !ok {
					return true
				}
				text, whole := folded(expression)
				if text != "" {
					texts = append(texts, verb.ReplaceAllString(text, "…"))
				}
				return !whole
			})
		})
	}
	NewWithT(t).Expect(len(texts)).To(BeNumerically(">", 1000))
	return texts
}

// folded returns the text of a string expression; whole is whether there is nothing else in it.
func folded(expression ast.Expr) (text string, whole bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ = strconv.Unquote(e.Value)
			return text, true
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			left, wholeLeft := folded(e.X)
			right, wholeRight := folded(e.Y)
			return fmt.Sprint(left, right), wholeLeft && wholeRight
		}
	}
	return "", false
}
