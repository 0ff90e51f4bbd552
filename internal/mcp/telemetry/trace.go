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
	"net"
	"net/http"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Attributes of spans. There is none for session ids, ids of messages, arguments or URIs of resources, which the conventions
// have as well: they may be secrets.
// https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/
const (
	attributeMethod          = attribute.Key("mcp.method.name")
	attributeProtocolVersion = attribute.Key("mcp.protocol.version")
	attributeOperation       = attribute.Key("gen_ai.operation.name")
	attributeTool            = attribute.Key("gen_ai.tool.name")
	attributePrompt          = attribute.Key("gen_ai.prompt.name")
	attributeHTTPMethod      = attribute.Key("http.request.method")
	attributeHTTPStatus      = attribute.Key("http.response.status_code")
	attributeErrorType       = attribute.Key("error.type")
	attributeServerAddress   = attribute.Key("server.address")
	attributeServerPort      = attribute.Key("server.port")
	attributeBackend         = attribute.Key("dynamic_mcp.backend")
	attributeTarget          = attribute.Key("dynamic_mcp.target")
	attributeEra             = attribute.Key("dynamic_mcp.era")
	attributeResult          = attribute.Key("dynamic_mcp.result")
)

// w3c reads and writes traceparent and tracestate.
// https://www.w3.org/TR/trace-context/
var w3c propagation.TraceContext

// tracing is the trace of an exchange.
type tracing struct {
	// inHeader is whether the HTTP header says to which trace the request belongs.
	inHeader bool
	// started guards what follows: attempts may be made by several goroutines.
	started sync.Once
	// ctx has the client's span until the exchange's own is started.
	ctx  context.Context
	span trace.Span
}

func newTracing(h http.Header) *tracing {
	return &tracing{
		inHeader: len(h["Traceparent"]) > 0,
		ctx:      w3c.Extract(context.Background(), propagation.HeaderCarrier(h)),
	}
}

// maxTraceState bounds what is taken of a tracestate in a message. Those who pass it on should take 512 characters.
const maxTraceState = 1024

// join takes the trace from a message's params, unless the HTTP header has said it.
// https://modelcontextprotocol.io/specification/2026-07-28/basic#meta
func (t *tracing) join(body []byte, params jsonrpc.Span) {
	if t.inHeader {
		return
	}
	var meta [1]jsonrpc.Span
	var fields [2]jsonrpc.Span
	if jsonrpc.Lookup(body, params, []string{"_meta"}, meta[:]) != nil ||
		jsonrpc.Lookup(body, meta[0], []string{"traceparent", "tracestate"}, fields[:]) != nil || fields[0].Empty() {
		return
	}
	carrier := propagation.MapCarrier{}
	carrier["traceparent"], _ = jsonrpc.Text(body, fields[0])
	if fields[1].End-fields[1].Start <= maxTraceState {
		carrier["tracestate"], _ = jsonrpc.Text(body, fields[1])
	}
	t.ctx = w3c.Extract(context.Background(), carrier)
}

// start starts the span of an exchange, if it is not started, as of when the exchange began. Samplers decide by what is known
// now.
func (t *tracing) start(e *Exchange) {
	t.started.Do(func() {
		t.ctx, t.span = e.telemetry.tracer.Start(t.ctx, e.spanName(e.method),
			trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(e.begun), trace.WithAttributes(e.calls(e.method)...))
	})
}

// spanName returns the name of a span for a method: with what is called, if the exchange is about that.
func (e *Exchange) spanName(m method) string {
	switch {
	case m == methodOther || m == methodResponse:
		return knownVerb(e.request.Method)
	case m == e.method && e.tool != "":
		return m.String() + " " + e.tool
	default:
		return m.String()
	}
}

// calls returns the attributes that say what is called.
func (e *Exchange) calls(m method) []attribute.KeyValue {
	if !m.isMCP() {
		return nil
	}
	attributes := make([]attribute.KeyValue, 1, 3)
	attributes[0] = attributeMethod.String(m.String())
	if m != e.method || e.tool == "" {
		return attributes
	}
	if m == methodToolsCall {
		return append(attributes, attributeOperation.String("execute_tool"), attributeTool.String(e.tool))
	}
	return append(attributes, attributePrompt.String(e.tool))
}

// end ends the span of an exchange that has settled.
func (t *tracing) end(e *Exchange) {
	t.start(e) // Of a request that was refused before it was read.
	if t.span.IsRecording() {
		t.span.SetAttributes(
			attributeHTTPMethod.String(knownVerb(e.request.Method)),
			attributeHTTPStatus.Int(e.writer.status),
			attributeBackend.String(e.backend.key),
			attributeResult.String(e.result.String()),
		)
		if e.target.target != "" {
			t.span.SetAttributes(attributeTarget.String(e.target.target))
		}
		if e.era != "" {
			t.span.SetAttributes(attributeEra.String(string(e.era)))
		}
		if version := e.request.Header.Get("Mcp-Protocol-Version"); isVersion(version) {
			t.span.SetAttributes(attributeProtocolVersion.String(version))
		}
		if e.result != OK && e.result != Cancelled {
			t.span.SetAttributes(attributeErrorType.String(e.result.String()))
			t.span.SetStatus(codes.Error, "")
		}
	}
	t.span.End()
}

// isVersion returns whether a client's text can be a revision of MCP, which is a date.
func isVersion(text string) bool {
	const form = "2006-01-02"
	if len(text) != len(form) {
		return false
	}
	for i, c := range []byte(text) {
		if form[i] == '-' && c != '-' || form[i] != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// knownVerb returns a method of HTTP, or what the conventions have for those that are none.
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/
func knownVerb(name string) string {
	switch name {
	case http.MethodPost, http.MethodGet, http.MethodDelete, http.MethodOptions, http.MethodHead, http.MethodPut, http.MethodPatch:
		return name
	default:
		return "_OTHER"
	}
}

// Attempt is one request to a target on behalf of a client's. The zero value does nothing.
type Attempt struct {
	target *series // nil for nothing.
	span   trace.Span
}

// Attempt begins a request to a target: of a method of MCP, or of HTTP if it carries no message. The caller calls Done.
// Backend and Message must have been called before.
func (e *Exchange) Attempt(name string, target config.TargetName) Attempt {
	if e == nil {
		return Attempt{}
	}
	a := Attempt{target: e.backend.target(target)}
	if e.tracing == nil {
		return a
	}
	e.tracing.start(e)
	m := methodOf(name)
	if m == methodOther {
		m = verbOf(name)
	}
	_, a.span = e.telemetry.tracer.Start(e.tracing.ctx, e.spanName(m),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(e.calls(m)...),
		trace.WithAttributes(attributeBackend.String(e.backend.key), attributeTarget.String(string(target))))
	return a
}

// Inject says in the header of the request to which trace it belongs, in place of what the client said. Without traces it
// leaves the header as it is.
func (a Attempt) Inject(h http.Header) {
	if a.span == nil {
		return
	}
	h.Del("Tracestate") // Not set where there is none.
	w3c.Inject(trace.ContextWithSpan(context.Background(), a.span), propagation.HeaderCarrier(h))
}

// Done takes what came of the request: a response, as soon as its header is there, and the endpoint that gave it; or an
// error. The context is the request's. With traces it changes the response's body, so that the span ends when that is
// closed.
func (a Attempt) Done(ctx context.Context, response *http.Response, endpoint string, err error) {
	if a.target == nil {
		return
	}
	kind := kindOf(ctx, response, err)
	if kind != NoError {
		a.target.failed(kind)
	}
	if a.span == nil {
		return
	}
	if host, port, err := net.SplitHostPort(endpoint); err == nil {
		a.span.SetAttributes(attributeServerAddress.String(host))
		if number, err := strconv.Atoi(port); err == nil {
			a.span.SetAttributes(attributeServerPort.Int(number))
		}
	}
	if kind != NoError {
		a.fail(kind)
	}
	if response == nil {
		a.span.End()
		return
	}
	a.span.SetAttributes(attributeHTTPStatus.Int(response.StatusCode))
	response.Body = &tracedBody{response.Body, a}
}

func (a Attempt) fail(kind ErrorKind) {
	a.span.SetAttributes(attributeErrorType.String(kind.String()))
	a.span.SetStatus(codes.Error, "") // The text of an error may have addresses of others, or what a server said.
}

// tracedBody ends a span when it is closed.
type tracedBody struct {
	io.ReadCloser
	attempt Attempt
}

func (b *tracedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) {
		b.attempt.fail(ErrorBroken)
	}
	return n, err
}

func (b *tracedBody) Close() error {
	err := b.ReadCloser.Close()
	b.attempt.span.End()
	return err
}
