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
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const backend = "default/tools"

// newTelemetry returns a Telemetry with the targets "weather" and "mail" of one Backend, and where its metrics are.
func newTelemetry(t testing.TB, o Options) (*Telemetry, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	o.Registerer = registry
	telemetry, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	telemetry.SetBackends(backends("weather", "mail"))
	return telemetry, registry
}

// backends is a configuration of one Backend with those targets.
func backends(targets ...config.TargetName) map[string]*config.Backend {
	b := &config.Backend{ID: "uid-1", Key: backend}
	for _, name := range targets {
		b.Targets = append(b.Targets, config.Target{Name: name, Service: config.ServiceID(name)})
	}
	return map[string]*config.Backend{backend: b}
}

// same fails the test unless the metrics of those names are as that text has them.
func same(t *testing.T, registry *prometheus.Registry, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func post(header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// message tells the exchange of a client's message.
func message(t testing.TB, e *Exchange, body string) {
	t.Helper()
	var m jsonrpc.Message
	if err := jsonrpc.Scan([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	e.Message([]byte(body), &m)
}

const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forecast","arguments":{"city":"Bern"}}}`

// serveCall is the exchange of a call that "weather" answers.
func serveCall(t testing.TB, telemetry *Telemetry, r *http.Request) {
	e := telemetry.Begin(r)
	defer e.End()
	w := e.Writer(httptest.NewRecorder())
	e.Backend(backend)
	message(t, e, call)
	e.Era(EraLegacy)
	e.Target("weather")
	attempt := e.Attempt("tools/call", "weather")
	attempt.Inject(http.Header{})
	response := &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}
	attempt.Done(context.Background(), response, "10.0.0.1:8080", nil)
	_ = response.Body.Close()
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, "{}")
}
