//go:build linux

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

package compare

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const projectsSuite = "../targets/suite.json"

func TestSuiteOfTheProject(t *testing.T) {
	t.Setenv("DYNAMIC_MCP", "/bin/dynamic-mcp")
	s, err := ReadSuite(projectsSuite)
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	for _, target := range s.Targets {
		if err := target.complete(run); err != nil {
			t.Errorf("%s: %v", target.Name, err)
		}
	}
	for _, file := range []string{"nginx.conf", "haproxy.cfg", "ours.yaml", "ours3.yaml"} {
		if _, err := os.Stat(filepath.Join(run, file)); err != nil {
			t.Error(err)
		}
	}
	// Every cell can be a load, and every goal is of a cell that its targets take part in.
	for _, c := range s.Cells {
		if _, err := load.New(s.Targets[0].load(&c)); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

func TestManifestsOfTheProject(t *testing.T) {
	for file, want := range map[string]string{"ours.yaml": "first", "ours3.yaml": "first second third"} {
		parser, err := manifests.NewParser(manifests.Options{AllowLoopback: true})
		if err != nil {
			t.Fatal(err)
		}
		files, err := manifests.Source{Paths: []string{"../targets/" + file}}.Read()
		if err != nil {
			t.Fatal(err)
		}
		set, findings := parser.Parse(files)
		state := evaluate.Evaluate(set, evaluate.Options{Resolve: resolve.Options{AllowLoopback: true, AllowExternalName: true}})
		if findings = append(findings, state.Findings()...); len(findings) > 0 {
			t.Errorf("%s: %+v", file, findings)
		}
		for _, status := range state.Statuses() {
			var names []string
			for _, target := range status.Targets {
				names = append(names, target.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%s: got targets %q, want %q", file, got, want)
			}
		}
	}
}

func TestSuiteThatIsWrong(t *testing.T) {
	const targets = `"baseline":"a","stub":["127.0.0.1:1"],"targets":[{"name":"a"}]`
	for text, want := range map[string]string{
		`{`:                           "unexpected EOF",
		`{"baseline":"a","stubs":[]}`: `unknown field "stubs"`,
		`{"baseline":"a","targets":[{"name":"a"}]}`:                                 "the stub needs an address",
		`{"baseline":"b","stub":["127.0.0.1:1"],"targets":[{"name":"a"}]}`:          `the baseline "b" is no target`,
		`{"baseline":"a","targets":[{"name":"a"},{"name":"a"}]}`:                    "targets need names that differ",
		`{` + targets + `,"cells":[{"name":"c"},{"name":"c"}]}`:                     "cells need names that differ",
		`{` + targets + `,"cells":[{"name":"c","window":"3"}]}`:                     "missing unit",
		`{` + targets + `,"cells":[{"name":"c"}],"goals":[{"cell":"d"}]}`:           "a goal names what there is not",
		`{` + targets + `,"goals":[{"cell":"c","target":"a","atMost":1}]}`:          "a goal names what there is not",
		`{` + targets + `,"cells":[{"name":"c"}],"goals":[{"cell":"c"}]}`:           "a goal names what there is not",
		`{` + targets + `,"cells":[{"name":"c"}],"targets":[{"nome":"something"}]}`: `unknown field "nome"`,
	} {
		file := filepath.Join(t.TempDir(), "suite.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSuite(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestSelect(t *testing.T) {
	read := func() *Suite {
		s, err := ReadSuite(projectsSuite)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := read()
	if err := s.Select("ours|rproxy", "json|sse"); err != nil || len(s.Targets) != 2 || len(s.Cells) != 2 {
		t.Errorf("got %d targets, %d cells, %v", len(s.Targets), len(s.Cells), err)
	}
	for _, pattern := range []string{"our", "("} {
		if err := read().Select(pattern, ".*"); err == nil {
			t.Errorf("targets %q: no error", pattern)
		}
		if err := read().Select(".*", pattern); err == nil {
			t.Errorf("cells %q: no error", pattern)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Setenv("BENCH_TEST_VALUE", "v")
	t.Setenv("BENCH_TEST_EMPTY", "")
	got, err := expand("${RUN}/${BENCH_TEST_VALUE}/$host/${lower}", map[string]string{"RUN": "/r"})
	if got != "/r/v/$host/${lower}" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := expand("${BENCH_TEST_EMPTY} ${BENCH_TEST_NONE} ${BENCH_TEST_NONE}", nil); err == nil ||
		err.Error() != "not set: BENCH_TEST_EMPTY, BENCH_TEST_NONE" {
		t.Errorf("got %v", err)
	}
}

func TestProgramThatIsNotInstalled(t *testing.T) {
	target := Target{Name: "x", Command: []string{"a-program-that-nobody-has"}, Install: "apt-get install x"}
	if err := target.begin(t.TempDir(), ""); err == nil || err.Error() != "a-program-that-nobody-has is not installed; apt-get install x" {
		t.Errorf("got %v", err)
	}
}

// windows are ones that used so much CPU, the noisy ones as negative numbers.
func windows(cpu ...float64) []measure.Window {
	var all []measure.Window
	for _, c := range cpu {
		all = append(all, measure.Window{Calls: 2000, PerSecond: 1e6 / math.Abs(c), GatewayCPU: math.Abs(c), Noisy: c < 0, P50: 1, P99: 2, P999: 3})
	}
	return all
}

func report() *Report {
	r := &Report{
		Date: "2026-01-02 03:04 UTC", Machine: "a machine", Rounds: 3, Window: Duration(time.Second), Baseline: "base",
		Cells: []Cell{{Name: "c", Workload: load.Call, Clients: 16, Payload: 64, Stub: map[string]string{"reply": "sse", "mode": "dual"}},
			{Name: "i", Workload: load.Idle, Clients: 1000}},
		Goals: []Goal{{"c", "ours", "base", 1}, {"c", "three", "base", 1}, {"c", "busy", "base", 1}, {"c", "broken", "base", 1},
			{"c", "absent", "base", 1}, {"i", "ours", "", 50}, {"i", "three", "", 50}},
		LeftOut: []string{"nginx: not installed"},
		Outcomes: []*Outcome{
			{Cell: "c", Target: "base", Windows: windows(110, 100, 120)},
			{Cell: "c", Target: "ours", Windows: windows(99, 90, -50)},
			{Cell: "c", Target: "three", Windows: windows(130, 121, 140)},
			{Cell: "c", Target: "busy", Windows: windows(-90, -120, -130)},
			{Cell: "c", Target: "broken", Failure: "wrong | answer\nof two lines"},
			{Cell: "c", Target: "old", LeftOut: "too old"},
			{Cell: "i", Target: "ours", Idle: []measure.Idle{{Held: 1000, Hold: load.HoldStreams, PerUnit: 49 << 10}}},
			{Cell: "i", Target: "three", Idle: []measure.Idle{{Held: 1000, Hold: load.HoldStreams, PerUnit: 51 << 10, Silent: 2}}},
		},
	}
	return r
}

func TestVerdicts(t *testing.T) {
	var got []string
	for _, v := range report().Verdicts() {
		got = append(got, fmt.Sprintf("%s = %.2f (%s) reached=%t noisy=%t", v.What, v.Value, v.Range, v.Reached, v.Noisy))
	}
	want := []string{
		"c: CPU per call, ours / base = 0.90 (0.90 (0.42–0.90)) reached=true noisy=false",
		"c: CPU per call, three / base = 1.21 (1.18 (1.17–1.21)) reached=false noisy=false",
		"c: CPU per call, busy / base = 0.90 (1.08 (0.82–1.20)) reached=true noisy=true",
		"i: KB for each of 1000 streams, ours = 49.00 (-) reached=true noisy=false",
		"i: KB for each of 1000 streams, three = 51.00 (-) reached=false noisy=false",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := strings.Join(report().Failures(), ";"); got != "c, broken: wrong | answer\nof two lines" {
		t.Errorf("got %q", got)
	}
}

func TestTables(t *testing.T) {
	var b strings.Builder
	report().WriteTables(&b)
	report().WriteGoals(&b)
	for _, want := range []string{
		"2026-01-02 03:04 UTC; a machine; 3 rounds of 1s windows. Baseline: base.\n",
		"Left out: nginx: not installed.\n",
		"\n### c: call, 16 clients, 64 B argument; stub mode=dual reply=sse\n",
		"| 110 (100–120) | 1.00 (1.00) | 10000 |",
		"| broken | **failed**: wrong / answer of two lines | | | | | | | | | | | |\n",
		"| old | left out: too old | | | | | | | | | | | |\n",
		"| three | 1000 | ",
		"| 51.0 | 0.00 | 0.00 | 2 streams without a response head |\n",
		"| c: CPU per call, three / base | 1 | 1.21 | 1.18 (1.17–1.21) | **missed** |\n",
		"| c: CPU per call, busy / base | 1 | 0.90 | 1.08 (0.82–1.20) | reached; the machine was busy: measure again |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	// Every row of a table has as many columns as its head.
	columns := 0
	for line := range strings.Lines(b.String()) {
		switch n := strings.Count(line, "|"); {
		case n == 0:
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			t.Errorf("%d columns, want %d: %s", n-1, columns-1, line)
		}
	}
}
