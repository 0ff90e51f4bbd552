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
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	. "github.com/onsi/gomega"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
	traceparent = "00-" + traceID + "-" + clientSpan + "-01"
)

// newTraced returns a Telemetry whose spans are kept.
func newTraced(t testing.TB, o Options) (*Telemetry, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	o.Tracer = provider
	telemetry, _ := newTelemetry(t, o)
	return telemetry, spans
}

// span returns the span of that kind.
func span(t *testing.T, spans *tracetest.InMemoryExporter, kind trace.SpanKind) tracetest.SpanStub {
	t.Helper()
	all := spans.GetSpans()
	i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.SpanKind == kind })
	if i < 0 {
		t.Fatalf("no span of kind %s among %d", kind, len(all))
	}
	return all[i]
}

// attributes returns a span's attributes by their keys.
func attributes(s tracetest.SpanStub) map[string]any {
	values := map[string]any{}
	for _, a := range s.Attributes {
		values[string(a.Key)] = a.Value.AsInterface()
	}
	return values
}

func TestCallIsASpanAndItsAttemptAnotherOne(t *testing.T) {
	g := NewWithT(t)
	telemetry, spans := newTraced(t, Options{})
	serveCall(t, telemetry, post("Traceparent", traceparent, "Mcp-Protocol-Version", "2025-11-25"))
	g.Expect(spans.GetSpans()).To(HaveLen(2))

	server := span(t, spans, trace.SpanKindServer)
	g.Expect(server.Name).To(Equal("tools/call forecast"))
	g.Expect(server.SpanContext.TraceID().String()).To(Equal(traceID))
	g.Expect(server.Parent.SpanID().String()).To(Equal(clientSpan))
	g.Expect(server.Status.Code).To(Equal(codes.Unset))
	g.Expect(attributes(server)).To(Equal(map[string]any{
		"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "forecast",
		"mcp.protocol.version": "2025-11-25", "http.request.method": "POST", "http.response.status_code": int64(200),
		"dynamic_mcp.backend": backend, "dynamic_mcp.target": "weather", "dynamic_mcp.era": "legacy", "dynamic_mcp.result": "ok",
	}))

	client := span(t, spans, trace.SpanKindClient)
	g.Expect(client.Name).To(Equal("tools/call forecast"))
	g.Expect(client.Parent.SpanID()).To(Equal(server.SpanContext.SpanID()))
	g.Expect(attributes(client)).To(Equal(map[string]any{
		"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "forecast",
		"http.response.status_code": int64(200), "dynamic_mcp.backend": backend, "dynamic_mcp.target": "weather",
		"server.address": "10.0.0.1", "server.port": int64(8080),
	}))
	// It began when the request came, and not when its message was read.
	g.Expect(server.StartTime).To(BeTemporally("<=", client.StartTime))
}

func TestTraceIsThatOfTheHeaderOrElseOfTheMessage(t *testing.T) {
	const (
		otherID = "4bf92f3577b34da6a3ce929d0e0e4736"
		inMeta  = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forecast","_meta":{"traceparent":"00-` + otherID +
			`-00f067aa0ba902b7-01","tracestate":"rojo=1"}}}`
	)
	tests := map[string]struct {
		header    []string
		body      string
		wantTrace string // Empty for a new one.
		wantState string
	}{
		"the header":                  {[]string{"Traceparent", traceparent, "Tracestate", "congo=2"}, call, traceID, "congo=2"},
		"the header before the body":  {[]string{"Traceparent", traceparent}, inMeta, traceID, ""},
		"the body":                    {nil, inMeta, otherID, "rojo=1"},
		"the body, with escapes":      {nil, strings.Replace(inMeta, `"traceparent"`, `"trace\u0070arent"`, 1), otherID, "rojo=1"},
		"a state that is too long":    {nil, strings.Replace(inMeta, "rojo=1", "rojo="+strings.Repeat("1", 1024), 1), otherID, ""},
		"neither":                     {nil, call, "", ""},
		"a state alone":               {[]string{"Tracestate", "congo=2"}, call, "", ""},
		"what is no context":          {[]string{"Traceparent", "00-0-0-01", "Tracestate", "congo=2"}, inMeta, "", ""},
		"what is no context, in body": {nil, strings.Replace(inMeta, otherID, "0", 1), "", ""},
		"twice in the body":           {nil, strings.Replace(inMeta, `"tracestate"`, `"traceparent"`, 1), "", ""},
		"no text in the body":         {nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"traceparent":1}}}`, "", ""},
		"no object in the body":       {nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":[]}}`, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			telemetry, spans := newTraced(t, Options{})
			e := telemetry.Begin(post(test.header...))
			e.Backend(backend)
			message(t, e, test.body)
			attempt := e.Attempt("tools/call", "weather")
			sent := http.Header{"Traceparent": test.header, "Tracestate": {"congo=2"}, "Baggage": {"user=1"}}
			attempt.Inject(sent)
			attempt.Done(context.Background(), nil, "", io.EOF)
			e.End()

			client := span(t, spans, trace.SpanKindClient).SpanContext
			if test.wantTrace != "" {
				g.Expect(client.TraceID().String()).To(Equal(test.wantTrace))
			} else {
				g.Expect(client.TraceID().String()).NotTo(BeElementOf(traceID, otherID))
			}
			g.Expect(sent.Get("Traceparent")).To(Equal("00-" + client.TraceID().String() + "-" + client.SpanID().String() + "-01"))
			g.Expect(sent.Get("Tracestate")).To(Equal(test.wantState))
			g.Expect(sent.Get("Baggage")).To(Equal("user=1"), "it is not ours")
		})
	}
}

func TestHeaderOfTheClientIsNotChanged(t *testing.T) {
	g := NewWithT(t)
	telemetry, _ := newTraced(t, Options{})
	r := post("Traceparent", traceparent, "Tracestate", "congo=2")
	e := telemetry.Begin(r)
	e.Backend(backend)
	message(t, e, call)
	sent := http.Header{"Traceparent": r.Header["Traceparent"], "Tracestate": r.Header["Tracestate"]}
	attempt := e.Attempt("tools/call", "weather")
	attempt.Inject(sent)
	g.Expect(sent.Get("Traceparent")).NotTo(Equal(traceparent))
	g.Expect(r.Header).To(Equal(http.Header{"Traceparent": {traceparent}, "Tracestate": {"congo=2"}}))
}

func TestWithoutTracesTheClientsHeaderStays(t *testing.T) {
	telemetry, _ := newTelemetry(t, Options{})
	e := telemetry.Begin(post("Traceparent", traceparent))
	e.Backend(backend)
	message(t, e, call)
	sent := http.Header{"Traceparent": {traceparent}, "Tracestate": {"congo=2"}}
	e.Attempt("tools/call", "weather").Inject(sent)
	NewWithT(t).Expect(sent).To(Equal(http.Header{"Traceparent": {traceparent}, "Tracestate": {"congo=2"}}))
}

func TestSpansAreNamedAfterWhatIsCalled(t *testing.T) {
	tests := map[string]struct {
		request *http.Request
		body    string
		want    string
	}{
		"a prompt":           {post(), `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"greet"}}`, "prompts/get greet"},
		"a resource":         {post(), `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x://secret","name":"y"}}`, "resources/read"},
		"a list":             {post(), `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"y"}}`, "tools/list"},
		"a notification":     {post(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "notifications/initialized"},
		"an answer":          {post(), `{"jsonrpc":"2.0","id":1,"result":{}}`, "POST"},
		"an unknown method":  {post(), `{"jsonrpc":"2.0","id":1,"method":"my/own","params":{"name":"y"}}`, "POST"},
		"what is no message": {post(), "", "POST"},
		"a call of nothing":  {post(), `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, "tools/call"},
		"a stream":           {httptest.NewRequest(http.MethodGet, "/mcp", nil), "", "GET"},
		"the end":            {httptest.NewRequest(http.MethodDelete, "/mcp", nil), "", "DELETE"},
		"some verb":          {httptest.NewRequest("STEAL", "/mcp", nil), "", "_OTHER"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			telemetry, spans := newTraced(t, Options{})
			e := telemetry.Begin(test.request)
			e.Backend(backend)
			if test.body != "" {
				message(t, e, test.body)
			}
			e.End()
			NewWithT(t).Expect(span(t, spans, trace.SpanKindServer).Name).To(Equal(test.want))
		})
	}
}

func TestNamesInSpansAreBoundedAndText(t *testing.T) {
	telemetry, spans := newTraced(t, Options{})
	e := telemetry.Begin(post())
	e.Method("tools/call")
	e.Tool("\xff" + strings.Repeat("ä", 200))
	e.End()
	want := "\ufffd" + strings.Repeat("ä", 127)
	NewWithT(t).Expect(span(t, spans, trace.SpanKindServer).Name).To(Equal("tools/call " + want))
}

func TestVersionsThatAreNoneAreNotShown(t *testing.T) {
	for text, want := range map[string]bool{
		"2025-11-25": true, "2026-07-28": true, "": false, "2025-11-2": false, "2025/11/25": false, "20251-1-25": false, "secret-abc": false,
	} {
		NewWithT(t).Expect(isVersion(text)).To(Equal(want), text)
	}
}

func TestFailuresAreErrorsOfSpans(t *testing.T) {
	for result, failed := range map[Result]bool{OK: false, Cancelled: false, Rejected: true, RPCError: true, Unavailable: true} {
		g := NewWithT(t)
		telemetry, spans := newTraced(t, Options{})
		e := telemetry.Begin(post())
		e.Backend(backend)
		e.Result(result)
		e.End()
		server := span(t, spans, trace.SpanKindServer)
		if failed {
			g.Expect(server.Status.Code).To(Equal(codes.Error), result.String())
			g.Expect(server.Attributes).To(ContainElement(attribute.String("error.type", result.String())))
		} else {
			g.Expect(server.Status.Code).To(Equal(codes.Unset), result.String())
			g.Expect(attributes(server)).NotTo(HaveKey("error.type"))
		}
	}
}

func TestAttemptsThatFailAreErrors(t *testing.T) {
	ctx := context.Background()
	body := func(r io.Reader) *http.Response {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(r)}
	}
	tests := map[string]struct {
		response *http.Response
		err      error
		want     string // Empty for none.
	}{
		"no answer":            {nil, io.EOF, "closed"},
		"the client went away": {nil, context.Canceled, ""},
		"a status":             {&http.Response{StatusCode: http.StatusBadGateway, Body: http.NoBody}, nil, "status"},
		"a whole answer":       {body(strings.NewReader("{}")), nil, ""},
		"it broke off":         {body(iotest.ErrReader(errors.New("connection reset"))), nil, "broken"},
		"the client left":      {body(iotest.ErrReader(context.Canceled)), nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			telemetry, spans := newTraced(t, Options{})
			e := telemetry.Begin(post())
			e.Backend(backend)
			message(t, e, call)
			attempt := e.Attempt("initialize", "weather")
			attempt.Done(ctx, test.response, "no endpoint", test.err)
			if test.response != nil {
				g.Expect(spans.GetSpans()).To(BeEmpty(), "it lasts as long as the answer")
				_, _ = io.Copy(io.Discard, test.response.Body)
				g.Expect(test.response.Body.Close()).To(Succeed())
			}
			client := span(t, spans, trace.SpanKindClient)
			g.Expect(client.Name).To(Equal("initialize"), "it is not the client's call")
			if test.want == "" {
				g.Expect(client.Status.Code).To(Equal(codes.Unset))
				g.Expect(attributes(client)).NotTo(HaveKey("error.type"))
			} else {
				g.Expect(client.Status.Code).To(Equal(codes.Error))
				g.Expect(attributes(client)).To(HaveKeyWithValue("error.type", test.want))
			}
			e.End()
		})
	}
}

func TestAttemptsOfManyGoroutinesHaveOneParent(t *testing.T) {
	g := NewWithT(t)
	telemetry, spans := newTraced(t, Options{})
	e := telemetry.Begin(httptest.NewRequest(http.MethodGet, "/mcp", nil))
	e.Backend(backend)
	var asked sync.WaitGroup
	for range 4 {
		asked.Go(func() {
			attempt := e.Attempt("GET", "mail")
			attempt.Inject(http.Header{})
			attempt.Done(context.Background(), nil, "", io.EOF)
			e.UpstreamError("mail", ErrorBroken)
		})
	}
	asked.Wait()
	e.End()
	// What goes on after the answer still belongs to it.
	e.Attempt("initialize", "mail").Done(context.Background(), nil, "", io.EOF)
	server := span(t, spans, trace.SpanKindServer)
	g.Expect(spans.GetSpans()).To(HaveLen(6))
	for _, s := range spans.GetSpans() {
		if s.SpanKind == trace.SpanKindClient {
			g.Expect(s.Parent.SpanID()).To(Equal(server.SpanContext.SpanID()))
		}
	}
}

func TestTracesThatAreNotSampledArePassedOn(t *testing.T) {
	g := NewWithT(t)
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	telemetry, _ := newTelemetry(t, Options{Tracer: provider})
	e := telemetry.Begin(post("Traceparent", strings.TrimSuffix(traceparent, "01")+"00"))
	e.Backend(backend)
	message(t, e, call)
	sent := http.Header{}
	attempt := e.Attempt("tools/call", "weather")
	attempt.Inject(sent)
	attempt.Done(context.Background(), nil, "", io.EOF)
	e.End()
	g.Expect(sent.Get("Traceparent")).To(MatchRegexp("^00-" + traceID + "-[0-9a-f]{16}-00$"))
	g.Expect(spans.GetSpans()).To(BeEmpty())
}
