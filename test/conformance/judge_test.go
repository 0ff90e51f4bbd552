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

package conformance

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func made(id, status string) check {
	return check{ID: id, Description: "describes " + id, Status: status}
}

func TestJudge(t *testing.T) {
	results := []scenario{
		{name: "a", checks: []check{made("one", "SUCCESS"), made("two", "FAILURE"), made("three", "INFO")}},
		{name: "b", checks: []check{made("one", "WARNING"), made("two", "SKIPPED")}},
		{name: "c", checks: []check{made("one", "SUCCESS"), {ID: "one", Status: "FAILURE", ErrorMessage: "again"}}},
	}
	two, warning, again := "a:two: FAILURE: describes two", "b:one: WARNING: describes one", "c:one: FAILURE: again"
	for name, test := range map[string]struct {
		expected, unexpected, stale []string
	}{
		"warnings are failures":                      {nil, []string{two, warning, again}, nil},
		"a scenario as a whole":                      {[]string{"a", "b"}, []string{again}, nil},
		"one check of a scenario":                    {[]string{"a:two", "c:one"}, []string{warning}, nil},
		"the check of another scenario":              {[]string{"b:two", "a:two", "b", "c"}, nil, []string{"b:two"}},
		"an entry that passes, or was not made":      {[]string{"a:one", "a:three", "a", "b", "c"}, nil, []string{"a:one", "a:three"}},
		"an entry of a scenario that was not run":    {[]string{"d", "a", "b", "c"}, nil, []string{"d"}},
		"a check that was made twice and fails once": {[]string{"c:one", "a", "b"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v := judge(results, test.expected)
			g.Expect(v.unexpected).To(Equal(test.unexpected))
			g.Expect(v.stale).To(Equal(test.stale))
			g.Expect(v.passed).To(Equal(2))
			g.Expect(v.expected + len(v.unexpected)).To(Equal(3))
		})
	}
}

func TestReadResults(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	for name, checks := range map[string]string{
		"server-tools-list-2026-11-22T21-15-26-074Z": `[{"id":"tools-list","status":"SUCCESS","details":{"any":1}}]`,
		"tools_call-2026-11-22T21-15-26-074Z":        `[]`,
		"server-sse-polling-2026-11-22T21-15-26-1Z":  "",
	} {
		g.Expect(os.Mkdir(filepath.Join(folder, name), 0o755)).To(Succeed())
		if checks != "" {
			g.Expect(os.WriteFile(filepath.Join(folder, name, "checks.json"), []byte(checks), 0o600)).To(Succeed())
		}
	}
	const summary = "=== SUMMARY ===\n✓ tools-list: 1 passed, 0 failed\n✗ sse-polling: 0 passed, 1 failed\n"
	printed := "Failed to run scenario sse-polling: it hangs\n\n" + summary
	results, err := readResults(folder, printed)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(results).To(ConsistOf(
		scenario{name: "tools-list", checks: []check{{ID: "tools-list", Status: "SUCCESS"}}},
		scenario{name: "tools_call", checks: []check{}},
		scenario{name: "sse-polling", checks: []check{{
			ID: "not-run-to-its-end", Status: "FAILURE", ErrorMessage: "scenario sse-polling: it hangs\n\n" + summary,
		}}},
	))

	g.Expect(os.Mkdir(filepath.Join(folder, "else"), 0o755)).To(Succeed())
	_, err = readResults(folder, printed)
	g.Expect(err).To(MatchError(ContainSubstring(`"else"`)))
}
