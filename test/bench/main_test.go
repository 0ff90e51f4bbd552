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

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/compare"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// The comparison starts this program as stub and as reverse proxy.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"stub", "rproxy"}, os.Args[1]) {
		main()
		return
	}
	runtime.GOMAXPROCS(wire.MinProcs)
	goleak.VerifyTestMain(m)
}

// suite writes a suite with targets that are all this program: good ones, one that lies, one that is legacy only, and one that
// is not installed.
func suite(t *testing.T) string {
	t.Helper()
	p := servertest.FreePorts(7)
	url := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d/mcp", port) }
	own := func(command string, port int, more ...string) []string {
		return append([]string{"${BENCH}", command, "-address", fmt.Sprintf("127.0.0.1:%d", port)}, more...)
	}
	b, err := json.Marshal(map[string]any{
		"baseline": "rproxy",
		"stub":     []string{fmt.Sprintf("127.0.0.1:%d", p[0]), fmt.Sprintf("127.0.0.1:%d", p[1])},
		"targets": []map[string]any{
			{"name": "direct", "url": url(p[0]), "skipCells": []string{"idle"}},
			{"name": "rproxy", "url": url(p[2]), "goStats": fmt.Sprintf("http://127.0.0.1:%d/debug/vars", p[3]),
				"command": own("rproxy", p[2], "-upstream", fmt.Sprintf("http://127.0.0.1:%d", p[1]), "-stats", fmt.Sprintf("127.0.0.1:%d", p[3]))},
			{"name": "pooled", "url": url(p[4]), "skipCells": []string{"idle"},
				"command": own("rproxy", p[4], "-pool", "-upstream", fmt.Sprintf("http://127.0.0.1:%d", p[1]))},
			{"name": "liar", "url": url(p[5]), "command": own("stub", p[5], "-fault", "text", "-faultevery", "2"), "skipCells": []string{"idle"}},
			{"name": "absent", "url": url(p[6]), "command": []string{"a-program-that-nobody-has"}, "install": "buy it"},
		},
		"cells": []map[string]any{
			{"name": "call", "clients": 2, "payload": 64, "each": 20},
			{"name": "modern", "clients": 2, "each": 20, "era": "modern", "restart": true, "stub": map[string]string{"mode": "dual", "reply": "sse"}},
			{"name": "idle", "workload": "idle", "clients": 3, "hold": "streams", "window": "1ms", "rounds": 1},
		},
		"goals": []map[string]any{
			{"cell": "call", "target": "pooled", "over": "rproxy", "atMost": 0},
			{"cell": "idle", "target": "rproxy", "atMost": 1e9},
			{"cell": "call", "target": "liar", "over": "rproxy", "atMost": 1},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "suite.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCompare(t *testing.T) {
	folder := t.TempDir()
	f, err := parseCompare([]string{"-suite", suite(t), "-rounds", "2", "-patience", "0s", "-rest", "0s",
		"-markdown", filepath.Join(folder, "out.md"), "-json", filepath.Join(folder, "out.json"), "-run", folder})
	if err != nil {
		t.Fatal(err)
	}
	s, err := compare.ReadSuite(f.files...)
	if err != nil {
		t.Fatal(err)
	}
	report, err := compare.Run(t.Context(), s, f.options)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.print(report); err != nil {
		t.Fatal(err)
	}

	got := map[string]string{}
	for _, o := range report.Outcomes {
		text := fmt.Sprintf("%d windows, %d idle", len(o.Windows), len(o.Idle))
		switch {
		case o.Failure != "":
			text = "failed"
		case o.LeftOut != "":
			text = "left out"
		}
		for _, w := range o.Windows {
			if w.Errors > 0 || o.Target == "rproxy" && w.AllocBytes <= 0 {
				text = fmt.Sprintf("%+v", w)
			}
		}
		got[o.Cell+" "+o.Target] = text
	}
	want := map[string]string{
		"call direct": "2 windows, 0 idle", "call rproxy": "2 windows, 0 idle", "call pooled": "2 windows, 0 idle", "call liar": "failed",
		"modern direct": "2 windows, 0 idle", "modern rproxy": "2 windows, 0 idle", "modern pooled": "2 windows, 0 idle", "modern liar": "left out",
		"idle rproxy": "0 windows, 1 idle",
	}
	for key := range got {
		if want[key] == "" {
			t.Errorf("%s: unexpected", key)
		}
	}
	for key, w := range want {
		if got[key] != w {
			t.Errorf("%s: got %s, want %s; failures: %q", key, got[key], w, report.Failures())
		}
	}
	if left := strings.Join(report.LeftOut, ";"); left != "absent: a-program-that-nobody-has is not installed; buy it" {
		t.Errorf("left out: %s", left)
	}
	if failures := report.Failures(); len(failures) != 1 || !strings.HasPrefix(failures[0], "call, liar: ") {
		t.Errorf("got %q", failures)
	}
	if err := f.verdict(report); err == nil || !strings.Contains(err.Error(), "call, liar: ") || strings.Contains(err.Error(), "goal") {
		t.Errorf("got %v", err)
	}
	again, err := compare.ReadReport(f.json)
	if err != nil || len(again.Outcomes) != len(report.Outcomes) || len(again.Verdicts()) != len(report.Verdicts()) {
		t.Errorf("got %+v, %v", again, err)
	}
	if b, err := os.ReadFile(f.markdown); err != nil || !strings.Contains(string(b), "| idle: KB for each of 3 streams, rproxy |") {
		t.Errorf("got %s, %v", b, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestGoalsFailOnlyIfThatIsAskedFor(t *testing.T) {
	missed := &compare.Report{
		Cells:    []compare.Cell{{Name: "i", Workload: "idle"}},
		Goals:    []compare.Goal{{Cell: "i", Target: "x", AtMost: 1}},
		Outcomes: []*compare.Outcome{{Cell: "i", Target: "x"}},
	}
	if err := json.Unmarshal([]byte(`[{"held":1,"rssPerUnit":2048}]`), &missed.Outcomes[0].Idle); err != nil {
		t.Fatal(err)
	}
	if err := (&compareFlags{}).verdict(missed); err != nil {
		t.Errorf("got %v", err)
	}
	if err := (&compareFlags{strict: true}).verdict(missed); err == nil || !strings.Contains(err.Error(), "goal missed") {
		t.Errorf("got %v", err)
	}
}

func TestCommandsThatCantWork(t *testing.T) {
	for _, arguments := range [][]string{
		{}, {"x"}, {"stub", "-mode", "x"}, {"stub", "-address", "192.0.2.1:1"}, {"rproxy", "-address", "192.0.2.1:1"}, {"rproxy", "-upstream", ":"},
		{"load", "-window", "1h"}, {"load", "-header", "x"}, {"load", "-pid", "x"}, {"load", "-url", "http://127.0.0.1:1/mcp"},
		{"compare", "-rounds", "0"}, {"compare", "-suite", "/nowhere"}, {"table"}, {"table", "/nowhere"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := run(ctx, arguments); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q: got %v", arguments, err)
		}
		cancel()
	}
}
