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

// Package docs holds the documentation to what the program does.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// guide is the page that has every field and every message.
const guide = "docs/author-a-backend.md"

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(content)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).NotTo(BeEmpty(), pattern)
	return files
}

func TestGuideNamesEveryReasonConditionAndWellKnownName(t *testing.T) {
	text, sessions, parameters := read(t, guide), read(t, "docs/sessions.md"), read(t, parametersGuide)
	proxies := read(t, "docs/proxies.md")
	for _, file := range []string{"api/v1alpha1/conditions.go", "api/v1alpha1/well_known.go"} {
		for name, value := range constants(t, file) {
			// These are names of the Gateway API's objects, and no matter of Backends.
			if name == "ControllerName" || name == "GatewayClassName" {
				continue
			}
			text, guide := text, guide
			switch {
			case name == "GatewayReasonObjectConflict":
				text, guide = proxies, "docs/proxies.md"
			case strings.HasPrefix(name, "Gateway"):
				text, guide = sessions, "docs/sessions.md"
			case strings.HasPrefix(name, "Proxy"):
				text, guide = parameters, parametersGuide
			}
			if !regexp.MustCompile("`[^`]*" + regexp.QuoteMeta(value) + "[^`]*`").MatchString(text) {
				t.Errorf("%s does not mention `%s` (%s of %s)", guide, value, name, file)
			}
		}
	}
}

// constants returns the string constants of a Go file.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	g := NewWithT(t)
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
	g.Expect(err).NotTo(HaveOccurred())
	values := map[string]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				values[name.Name], err = strconv.Unquote(literal.Value)
				g.Expect(err).NotTo(HaveOccurred())
			}
		}
		return true
	})
	g.Expect(values).NotTo(BeEmpty())
	return values
}

func TestGuideNamesEveryFieldAndValueOfTheSpec(t *testing.T) {
	g := NewWithT(t)
	names := map[string]bool{}
	fieldsAndValues(specSchema(t, "config/crd/bases/gateway.kgateway.dev_backends.yaml"), names)
	g.Expect(len(names)).To(BeNumerically(">", 15))
	text := read(t, guide)
	for name := range names {
		if !regexp.MustCompile("`(spec\\.|[a-z]+\\.)*" + name + "`").MatchString(text) {
			t.Errorf("%s does not mention `%s`", guide, name)
		}
	}
}

// specSchema returns the schema of a CRD's spec.
func specSchema(t *testing.T, file string) map[string]any {
	t.Helper()
	var crd map[string]any
	NewWithT(t).Expect(yaml.Unmarshal([]byte(read(t, file)), &crd)).To(Succeed())
	version := crd["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	properties := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)["properties"].(map[string]any)
	return properties["spec"].(map[string]any)
}

// fieldsAndValues collects the names of a schema's fields and the values of its enumerations. Label selectors are
// Kubernetes' own: their fields are not ours to explain.
func fieldsAndValues(schema map[string]any, names map[string]bool) {
	for _, value := range asSlice(schema["enum"]) {
		names[value.(string)] = true
	}
	if items, ok := schema["items"].(map[string]any); ok {
		fieldsAndValues(items, names)
	}
	properties, _ := schema["properties"].(map[string]any)
	if properties["matchLabels"] != nil {
		return
	}
	for name, property := range properties {
		names[name] = true
		fieldsAndValues(property.(map[string]any), names)
	}
}

func asSlice(v any) []any {
	slice, _ := v.([]any)
	return slice
}

func TestGuideHasEveryMessageAndNoOther(t *testing.T) {
	// Where there is room for values, the guide has an ellipsis.
	patterns := map[string]*regexp.Regexp{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(messageTables(read(t, guide)), -1) {
		quoted := strings.ReplaceAll(regexp.QuoteMeta(row[1]), "…", ".+")
		// A value may be the empty string.
		patterns[row[1]] = regexp.MustCompile("^" + strings.ReplaceAll(quoted, `".+"`, `".*"`))
	}
	NewWithT(t).Expect(len(patterns)).To(BeNumerically(">", 80))

	used := map[string]bool{}
	check := func(where, message string, whole bool) {
		var matching []string
		for row, pattern := range patterns {
			if found := pattern.FindString(message); found != "" && (!whole || found == message) {
				matching = append(matching, row)
			}
		}
		if len(matching) == 0 {
			t.Errorf("%s has no row for a message of %s: %s", guide, where, message)
		}
		for _, row := range matching {
			used[row] = true
		}
	}
	for where, messages := range answers(t) {
		for _, message := range messages {
			check(where, message, true)
		}
	}
	for where, messages := range statusMessages(t) {
		for _, message := range messages {
			check(where, message, false)
		}
	}
	for _, row := range slices.Sorted(maps.Keys(patterns)) {
		if !used[row] {
			t.Errorf("%s has a row for a message that no test of test/crd and no golden file of internal/resolve has: %s", guide, row)
		}
	}
}

// messageTables returns only those tables of a page that are about messages.
func messageTables(page string) string {
	var kept strings.Builder
	within := false
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "| Message"):
			within = true
		case !strings.HasPrefix(line, "|"):
			within = false
		case within:
			kept.WriteString(line)
		}
	}
	return kept.String()
}

var fieldPath = regexp.MustCompile(`^spec[^ ]*: `)

// answers returns the errors and warnings of the API server, without the fields that they are about.
func answers(t *testing.T) map[string][]string {
	t.Helper()
	messages := map[string][]string{}
	comment := regexp.MustCompile(`(?m)^# (?:want|warning): (.*)$`)
	for _, file := range glob(t, "test/crd/testdata/backend/*.yaml") {
		content, err := os.ReadFile(file)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		for _, match := range comment.FindAllStringSubmatch(string(content), -1) {
			if match[1] != "admitted" {
				messages[filepath.Base(file)] = append(messages[filepath.Base(file)], fieldPath.ReplaceAllString(match[1], ""))
			}
		}
	}
	return messages
}

var (
	unusablePolicy = regexp.MustCompile(`^BackendTLSPolicy \S+ can't be used: `)
	// specProblem is of a condition that repeats the errors of the spec, in the words of internal/resolve.
	specProblem = regexp.MustCompile(`^spec\.(type|mcp\S*): `)
)

// statusMessages returns the messages of status.
func statusMessages(t *testing.T) map[string][]string {
	t.Helper()
	g := NewWithT(t)
	messages := map[string][]string{}
	for _, file := range glob(t, "internal/resolve/testdata/*.out.yaml") {
		content, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			var status struct {
				Conditions, Targets, Skipped []struct{ Message string }
			}
			g.Expect(yaml.Unmarshal([]byte(document), &status)).To(Succeed(), file)
			for _, entry := range slices.Concat(status.Conditions, status.Targets, status.Skipped) {
				if entry.Message != "" && !specProblem.MatchString(entry.Message) {
					messages[filepath.Base(file)] = append(messages[filepath.Base(file)], unusablePolicy.ReplaceAllString(entry.Message, ""))
				}
			}
		}
	}
	return messages
}
