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

package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

func TestRequestsAreShown(t *testing.T) {
	server := newFakeServer(t)
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		result := `{"content":[]}`
		if m.Method == "tools/list" {
			result = `{"tools":[{"name":"echo"}]}`
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
	}
	down := server.target()
	down.Name, down.Service, down.Endpoints = "down", "svc-2:80", []string{"127.0.0.1:1"}
	registry, accessLog := prometheus.NewRegistry(), &lockedBuffer{}
	observed, err := telemetry.New(telemetry.Options{Registerer: registry, AccessLog: telemetry.NewAccessLog(accessLog)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observed.Close)
	g := newGateway(t, append(server.targets(), down), func(o *Options, b *config.Backend) {
		o.Telemetry = observed
		observed.SetBackends(map[string]*config.Backend{b.Key: b})
	})
	id := g.open()
	for _, c := range []call{
		{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"secret":"hunter2"}}}`},
		{session: id, body: `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"nobody"}}`},
		{session: id, body: `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"down_echo"}}`},
		{session: "forged", body: `{"jsonrpc":"2.0","id":4,"method":"tools/list"}`},
	} {
		g.do(c)
	}

	type shown struct{ method, target, result string }
	want := map[shown]float64{
		{"initialize", "", "ok"}:              1,
		{"tools/call", "everything", "ok"}:    1,
		{"tools/call", "", "rpc_error"}:       1,
		{"tools/call", "down", "unavailable"}: 1,
		{"tools/list", "", "rejected"}:        1,
	}
	got := map[shown]float64{}
	eventually(t, "all requests are counted", func() bool {
		clear(got)
		total := 0.0
		for labels, value := range samples(t, registry, "dynamic_mcp_requests_total") {
			got[shown{labels["method"], labels["target"], labels["result"]}] += value
			total += value
		}
		return total == 5
	})
	for s, count := range want {
		if got[s] != count {
			t.Errorf("%v: got %v, want %v; all: %v", s, got[s], count, got)
		}
	}
	failed := 0.0
	for labels, value := range samples(t, registry, "dynamic_mcp_upstream_errors_total") {
		if labels["target"] == "down" && labels["kind"] == "connect" {
			failed += value
		}
	}
	if failed == 0 {
		t.Error("no error of the target that is down is counted")
	}

	var calls int
	for line := range bytes.Lines([]byte(accessLog.String())) {
		var entry map[string]any
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if entry["method"] == "tools/call" && entry["tool"] == "echo" && entry["target"] == "everything" && entry["status"] == 200.0 {
			calls++
		}
	}
	if calls != 1 {
		t.Errorf("the access log has %d calls of echo:\n%s", calls, accessLog)
	}
	for _, secret := range []string{"hunter2", id, "forged", "upstream-session"} {
		if strings.Contains(accessLog.String(), secret) {
			t.Errorf("the access log has %q", secret)
		}
	}
}

func TestAnswersThatBreakOffAreCounted(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, m *message)
		body   string
		kind   string
	}{
		"half of an answer": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.Header().Set("Content-Length", "100")
			_, _ = contentJSON(w).Write([]byte(`{"jsonrpc"`))
		}, callBody, "broken"},
		"half of a list": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.Header().Set("Content-Length", "100")
			_, _ = contentJSON(w).Write([]byte(`{"jsonrpc"`))
		}, listBody, "broken"},
		"an answer that is too large": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.Header().Set("Content-Length", "2000001")
			_, _ = contentJSON(w).Write([]byte(`{"jsonrpc"`))
		}, callBody, "broken"},
		"a large answer that breaks off": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			_, _ = contentJSON(w).Write(bytes.Repeat([]byte(" "), 3*wholeAnswer))
			panic(http.ErrAbortHandler)
		}, callBody, "broken"},
		"a stream that breaks off": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			events(w)(": hello\n\n")
			panic(http.ErrAbortHandler)
		}, callBody, "broken"},
		"a stream that falls silent": {func(w http.ResponseWriter, r *http.Request, _ *message) {
			events(w)(": hello\n\n")
			<-r.Context().Done()
		}, callBody, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			server, registry := newFakeServer(t), prometheus.NewRegistry()
			observed, err := telemetry.New(telemetry.Options{Registerer: registry})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(observed.Close)
			g := newGateway(t, server.targets(), func(o *Options, b *config.Backend) {
				o.Telemetry = observed
				observed.SetBackends(map[string]*config.Backend{b.Key: b})
				o.Limits.MaxMessage = 2000000
				if test.kind == "timeout" {
					o.Limits.CallTimeout = 300 * time.Millisecond
				}
			})
			id := g.open()
			server.set(func() { server.answer = test.answer })
			if response, err := http.DefaultTransport.RoundTrip(g.request(call{body: test.body, session: id})); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			eventually(t, "the error is counted", func() bool {
				for labels, value := range samples(t, registry, "dynamic_mcp_upstream_errors_total") {
					if labels["target"] == "everything" && labels["kind"] == test.kind && value == 1 {
						return true
					}
				}
				return false
			})
		})
	}
}

// samples yields the values of a metric with their labels.
func samples(t *testing.T, registry *prometheus.Registry, name string) iter.Seq2[map[string]string, float64] {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(map[string]string, float64) bool) {
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() != name {
					continue
				}
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if !yield(labels, m.GetCounter().GetValue()+m.GetGauge().GetValue()) {
					return
				}
			}
		}
	}
}
