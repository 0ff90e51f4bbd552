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
	"context"
	"io"
	"net/http"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// nowhere takes an answer.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// exchange is what a server does for a call.
func exchange(telemetry *Telemetry, client http.ResponseWriter, r *http.Request, body []byte, m *jsonrpc.Message, answer *http.Response) {
	e := telemetry.Begin(r)
	defer e.End()
	w := e.Writer(client)
	e.Backend(backend)
	e.Message(body, m)
	e.Era(EraLegacy)
	e.Target("weather")
	attempt := e.Attempt("tools/call", "weather")
	attempt.Inject(client.Header())
	attempt.Done(context.Background(), answer, "10.0.0.1:8080", nil)
	_ = answer.Body.Close()
	answer.Body = http.NoBody
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
}

func run(b testing.TB, telemetry *Telemetry) func() {
	body, r, client := []byte(call), post("Traceparent", traceparent), &nowhere{http.Header{}}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(body, &m); err != nil {
		b.Fatal(err)
	}
	answer := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	return func() { exchange(telemetry, client, r, body, &m, answer) }
}

func BenchmarkExchange(b *testing.B) {
	provider := sdktrace.NewTracerProvider() // Of spans that go nowhere.
	defer func() { _ = provider.Shutdown(context.Background()) }()
	for name, o := range map[string]Options{
		"metrics":            {},
		"metrics+log":        {AccessLog: NewAccessLog(io.Discard)},
		"metrics+traces":     {Tracer: provider},
		"metrics+log+traces": {AccessLog: NewAccessLog(io.Discard), Tracer: provider},
	} {
		b.Run(name, func(b *testing.B) {
			telemetry, _ := newTelemetry(b, o)
			once := run(b, telemetry)
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
	b.Run("nothing", func(b *testing.B) {
		once := run(b, nil)
		b.ReportAllocs()
		for b.Loop() {
			once()
		}
	})
}

func TestExchangeCostsOneAllocation(t *testing.T) {
	telemetry, _ := newTelemetry(t, Options{})
	if n := testing.AllocsPerRun(100, run(t, telemetry)); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, run(t, nil)); n > 0 {
		t.Errorf("%v allocations without telemetry", n)
	}
}
