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

package telemetry

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// entries returns the lines of an access log.
func entries(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log.String()) {
		var entry map[string]any
		NewWithT(t).Expect(json.Unmarshal([]byte(line), &entry)).To(Succeed(), line)
		all = append(all, entry)
	}
	return all
}

var fields = []string{"time", "backend", "method", "target", "tool", "era", "status", "result", "durationMs", "bytes"}

func TestAccessLogHasOneLineForEachRequest(t *testing.T) {
	g := NewWithT(t)
	var log bytes.Buffer
	telemetry, _ := newTelemetry(t, Options{AccessLog: NewAccessLog(&log)})
	before := time.Now()
	serveCall(t, telemetry, post())

	e := telemetry.Begin(post()) // One that is refused before it is read.
	e.Writer(httptest.NewRecorder()).WriteHeader(http.StatusForbidden)
	e.End()

	lines := entries(t, &log)
	g.Expect(lines).To(HaveLen(2))
	for _, line := range lines {
		g.Expect(slices.Collect(maps.Keys(line))).To(ConsistOf(fields))
		at, err := time.Parse(time.RFC3339Nano, line["time"].(string))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(at).To(BeTemporally(">=", before.Add(-time.Millisecond)))
		g.Expect(line["durationMs"]).To(BeNumerically(">=", 0))
		delete(line, "time")
		delete(line, "durationMs")
	}
	g.Expect(lines).To(Equal([]map[string]any{
		{
			"backend": backend, "method": "tools/call", "target": "weather", "tool": "forecast", "era": "legacy",
			"status": 200.0, "result": "ok", "bytes": 2.0,
		},
		{"backend": "", "method": "other", "target": "", "tool": "", "era": "", "status": 403.0, "result": "rejected", "bytes": 0.0},
	}))
}

func TestAccessLogHasAddressesOnlyIfAsked(t *testing.T) {
	g := NewWithT(t)
	var log bytes.Buffer
	telemetry, _ := newTelemetry(t, Options{AccessLog: NewAccessLog(&log), ClientAddresses: true})
	for _, remote := range []string{"192.0.2.7:4711", "[2001:db8::1]:4711", "@"} {
		r := post()
		r.RemoteAddr = remote
		serveCall(t, telemetry, r)
	}
	for i, want := range []string{"192.0.2.7", "2001:db8::1", "@"} {
		line := entries(t, &log)[i]
		g.Expect(line["client"]).To(Equal(want))
		g.Expect(slices.Collect(maps.Keys(line))).To(ConsistOf(append([]string{"client"}, fields...)))
	}
}

func TestAccessLogBoundsAndEscapesNames(t *testing.T) {
	g := NewWithT(t)
	var log bytes.Buffer
	telemetry, _ := newTelemetry(t, Options{AccessLog: NewAccessLog(&log)})
	for _, name := range []string{"a\\nb\\u001b[31m\\\"", strings.Repeat("x", 1000), "\\ud800"} {
		e := telemetry.Begin(post())
		message(t, e, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+name+`"}}`)
		e.End()
	}
	g.Expect(strings.Count(log.String(), "\n")).To(Equal(3))
	g.Expect(log.String()).NotTo(ContainSubstring("\x1b"))
	lines := entries(t, &log)
	g.Expect(lines[0]["tool"]).To(Equal("a\nb\x1b[31m\""))
	g.Expect(lines[1]["tool"]).To(Equal(strings.Repeat("x", 128)))
	g.Expect(lines[2]["tool"]).To(Equal("\ufffd"))
}

func TestAccessLogThatTakesNothingGetsNothing(t *testing.T) {
	var log bytes.Buffer
	quiet := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	telemetry, _ := newTelemetry(t, Options{AccessLog: quiet})
	serveCall(t, telemetry, post())
	NewWithT(t).Expect(log.String()).To(BeEmpty())
}

// failing is a destination that is gone.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAccessLogThatFailsCostsOnlyItself(t *testing.T) {
	telemetry, registry := newTelemetry(t, Options{AccessLog: NewAccessLog(failing{})})
	serveCall(t, telemetry, post())
	NewWithT(t).Expect(measured(t, registry)).To(HaveKeyWithValue("tools/call weather", uint64(1)))
}
