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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/common/expfmt"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Everything that a client or a server can send and that nobody but the other one may see has this in it.
const secret = "hunter2"

func TestNothingShowsSecrets(t *testing.T) {
	g := NewWithT(t)
	var log bytes.Buffer
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	telemetry, registry := newTelemetry(t, Options{Tracer: provider, AccessLog: NewAccessLog(&log), ClientAddresses: true})

	bodies := []string{
		`{"jsonrpc":"2.0","id":"%[1]s","method":"tools/call","params":{"name":"forecast","arguments":{"password":"%[1]s"},"%[1]s":1,` +
			`"_meta":{"progressToken":"%[1]s","baggage":"user=%[1]s","tracestate":"%[1]s","%[1]s":"%[1]s"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///%[1]s?token=%[1]s","name":"%[1]s"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"argument":{"value":"%[1]s"},"name":"%[1]s"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"greet","arguments":{"password":"%[1]s"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"%[1]s/%[1]s","params":{"name":"%[1]s"}}`,
		`{"jsonrpc":"2.0","id":"%[1]s","result":{"content":"%[1]s"}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"%[1]s","reason":"%[1]s"}}`,
	}
	for i, body := range bodies {
		r := httptest.NewRequest(http.MethodPost, "/mcp/"+secret+"?token="+secret, nil)
		if i == 0 {
			r.Method = secret
		}
		r.Host = secret
		for _, name := range []string{
			"Authorization", "Cookie", "Mcp-Session-Id", "Mcp-Protocol-Version", "Last-Event-Id", "Mcp-Name", "Origin", "User-Agent",
			"Traceparent", "Tracestate", "Baggage", "X-Forwarded-For", "Referer",
		} {
			r.Header.Set(name, secret)
		}
		if i == 0 {
			r.Header.Del("Traceparent") // So that the message is read for it.
		}
		e := telemetry.Begin(r)
		w := e.Writer(httptest.NewRecorder())
		e.Backend(backend)
		message(t, e, fmt.Sprintf(body, secret))
		e.Target("weather")
		attempt := e.Attempt(secret, "weather")
		attempt.Done(r.Context(), nil, "", errors.New(secret))
		attempt = e.Attempt("tools/call", "weather")
		attempt.Inject(http.Header{})
		response := &http.Response{StatusCode: http.StatusOK, Status: secret, Header: r.Header, Body: http.NoBody}
		attempt.Done(r.Context(), response, "10.0.0.1:8080", nil)
		_ = response.Body.Close()
		w.Header().Set("Mcp-Session-Id", secret)
		_, _ = w.Write([]byte(secret))
		e.Result(RPCError)
		e.End()
	}

	var shown strings.Builder
	shown.WriteString(log.String())
	families, err := registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		_, err := expfmt.MetricFamilyToText(&shown, family)
		g.Expect(err).NotTo(HaveOccurred())
	}
	dump, err := json.Marshal(spans.GetSpans())
	g.Expect(err).NotTo(HaveOccurred())
	shown.Write(dump)
	for _, s := range spans.GetSpans() {
		fmt.Fprintf(&shown, "%v %v %v %v", s.Attributes, s.Events, s.Links, s.Status)
	}
	g.Expect(shown.String()).To(And(ContainSubstring("forecast"), ContainSubstring("greet"), ContainSubstring("weather")))
	g.Expect(strings.ToLower(shown.String())).NotTo(ContainSubstring(secret))
	g.Expect(spans.GetSpans()).To(HaveLen(3 * len(bodies)))
}
