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
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// scenario is what the suite found out in one of its scenarios.
type scenario struct {
	name   string
	checks []check
}

// check is one of the suite's checks, as it writes them. A check can have been made several times.
type check struct {
	ID           string `json:"id"`
	Description  string `json:"description"`
	Status       string `json:"status"`
	ErrorMessage string `json:"errorMessage"`
}

// fails says whether a check counts as failed. The suite's exit status lets warnings pass; they are about what
// specifications say SHOULD be, so here they count.
func (c check) fails() bool { return c.Status == "FAILURE" || c.Status == "WARNING" }

func (c check) passes() bool { return c.Status == "SUCCESS" }

func (s scenario) fails() bool { return slices.ContainsFunc(s.checks, check.fails) }

// resultFolder is the name of the folder of a scenario: its name and the time.
var resultFolder = regexp.MustCompile(`^(?:server-)?(.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d+Z$`)

// summaryLine is a line of what the suite prints at the end.
var summaryLine = regexp.MustCompile(`(?m)^[✓✗] (\S+): \d+ passed, \d+ failed`)

// readResults reads what a run of the suite wrote to a folder and printed. A scenario that the suite could not run to its
// end is only printed.
func readResults(folder, printed string) ([]scenario, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var results []scenario
	for _, entry := range entries {
		match := resultFolder.FindStringSubmatch(entry.Name())
		if match == nil {
			return nil, fmt.Errorf("the suite wrote %q, which is not the folder of a scenario", entry.Name())
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name(), "checks.json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		result := scenario{name: match[1]}
		if err := json.Unmarshal(content, &result.checks); err != nil {
			return nil, fmt.Errorf("checks of %s: %w", result.name, err)
		}
		results = append(results, result)
	}
	for _, match := range summaryLine.FindAllStringSubmatch(printed, -1) {
		if !slices.ContainsFunc(results, func(s scenario) bool { return s.name == match[1] }) {
			results = append(results, scenario{name: match[1], checks: []check{{
				ID: "not-run-to-its-end", Status: "FAILURE", ErrorMessage: excerpt(after(printed, "scenario "+match[1]+":")),
			}}})
		}
	}
	return results, nil
}

// after returns the text from the last mark on, nothing if there is none.
func after(text, mark string) string {
	i := strings.LastIndex(text, mark)
	if i < 0 {
		return ""
	}
	return text[i:]
}

// excerpt shortens a message: some have whole bodies.
func excerpt(text string) string {
	const limit = 800
	if len(text) <= limit {
		return text
	}
	return text[:limit] + " …"
}

// baseline has what can't pass, in the suite's own format: entries are "scenario" or "scenario:check-id".
type baseline struct {
	Server []string `json:"server,omitempty"`
	Client []string `json:"client,omitempty"`
}

// readBaseline reads a file of testdata. One that is not there has no entries.
func readBaseline(name string) (baseline, error) {
	content, err := os.ReadFile(baselinePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return baseline{}, nil
	}
	if err != nil {
		return baseline{}, err
	}
	var b baseline
	if err := yaml.UnmarshalStrict(content, &b); err != nil {
		return baseline{}, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func baselinePath(name string) string { return filepath.Join("testdata", name+".yaml") }

// verdict is a judgement of results.
type verdict struct {
	passed, expected int
	// unexpected are the checks that fail, and stale the entries that nothing fails for any more.
	unexpected, stale []string
}

// judge holds results against what can't pass. It judges as the suite does, but all scenarios: for the suite itself, those
// that a revision does not require may fail. And an entry whose check was never made is stale here.
func judge(results []scenario, expected []string) verdict {
	var v verdict
	used := map[string]bool{}
	for _, s := range results {
		for _, c := range s.checks {
			whole, one := s.name, s.name+":"+c.ID
			switch {
			case c.passes():
				v.passed++
			case !c.fails():
			case slices.Contains(expected, whole):
				v.expected++
				used[whole] = true
			case slices.Contains(expected, one):
				v.expected++
				used[one] = true
			default:
				v.unexpected = append(v.unexpected, fmt.Sprintf("%s: %s: %s", one, c.Status, excerpt(c.message())))
			}
		}
	}
	for _, entry := range expected {
		if !used[entry] {
			v.stale = append(v.stale, entry)
		}
	}
	return v
}

func (c check) message() string {
	if c.ErrorMessage == "" {
		return c.Description
	}
	return c.ErrorMessage
}

// tell lists results for people.
func tell(results []scenario, v verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d scenarios: %d checks passed, %d failed, %d failed as expected\n",
		len(results), v.passed, len(v.unexpected), v.expected)
	for _, s := range results {
		mark, passed, failed := "✓", 0, 0
		if s.fails() {
			mark = "✗"
		}
		for _, c := range s.checks {
			switch {
			case c.passes():
				passed++
			case c.fails():
				failed++
			}
		}
		fmt.Fprintf(&b, "%s %s: %d passed, %d failed\n", mark, s.name, passed, failed)
	}
	return b.String()
}
