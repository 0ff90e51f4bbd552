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
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Exchange is one HTTP request of a client and its answer. Its methods are for the goroutine that serves the request, but
// for Attempt and UpstreamError, which any may call, also after the end. A nil *Exchange does nothing.
type Exchange struct {
	telemetry *Telemetry
	request   *http.Request
	begun     time.Time
	backend   *backendSeries
	target    *series
	tracing   *tracing // nil for no traces.
	// tool is what is called, if that is shown anywhere.
	tool   string
	era    Era
	writer recorder
	method method
	stream Stream
	result Result
	// held is whether the exchange goes on after the goroutine that serves the request.
	held bool
}

// Writer returns what to answer to instead of w, so that the exchange knows what was answered. It must be called before
// anything is written; called again, w takes the place of the one before.
func (e *Exchange) Writer(w http.ResponseWriter) http.ResponseWriter {
	if e == nil {
		return w
	}
	e.writer.ResponseWriter = w
	return &e.writer
}

// Backend says which Backend the request is for, by its key.
func (e *Exchange) Backend(key string) {
	if e == nil {
		return
	}
	if known := (*e.telemetry.backends.Load())[key]; known != nil {
		e.backend, e.target = known, known.whole
	}
}

// Target says which target answers. Without one it is the gateway that answers, or several targets.
func (e *Exchange) Target(name config.TargetName) {
	if e != nil {
		e.target = e.backend.target(name)
	}
}

// Era says which protocol the client speaks.
func (e *Exchange) Era(era Era) {
	if e != nil {
		e.era = era
	}
}

// Result says what became of the request; the last one counts. Without one, an HTTP error is Rejected, or RPCError if it is of a
// target, and everything else OK, unless the client went away before anything was answered.
func (e *Exchange) Result(result Result) {
	if e != nil {
		e.result = result
	}
}

// Stream says that the answer is a stream.
func (e *Exchange) Stream(kind Stream) {
	if e != nil && e.stream == noStream {
		e.stream = kind
		e.telemetry.metrics.active[kind].Inc()
	}
}

// Message takes from a client's message what is shown of it: its method; of what is called by a name, the name, if it is
// shown anywhere; and the trace that it belongs to, if the HTTP header does not say. It keeps nothing of the body.
func (e *Exchange) Message(body []byte, m *jsonrpc.Message) {
	if e == nil {
		return
	}
	if m.Kind == jsonrpc.Response {
		e.method = methodResponse
	} else {
		e.Method(m.Method)
	}
	if e.detailed() && (e.method == methodToolsCall || e.method == methodPromptsGet) {
		var name [1]jsonrpc.Span
		if jsonrpc.Lookup(body, m.Params, []string{"name"}, name[:]) == nil {
			text, _ := jsonrpc.Text(body, name[0])
			e.Tool(text)
		}
	}
	if e.tracing != nil {
		e.tracing.join(body, m.Params)
		e.tracing.start(e)
	}
}

// Method says which method of JSON-RPC the client calls. What is no method of MCP is shown as "other".
func (e *Exchange) Method(name string) {
	if e != nil {
		e.method = methodOf(name)
	}
}

// detailed returns whether names are shown anywhere.
func (e *Exchange) detailed() bool { return e.tracing != nil || e.telemetry.log != nil }

// maxName is how much is shown of a tool's name, in characters.
const maxName = 128

// Tool says which tool or prompt the client calls, by the name that the client has for it.
func (e *Exchange) Tool(name string) {
	if e == nil || !e.detailed() {
		return
	}
	if !utf8.ValidString(name) {
		name = strings.ToValidUTF8(name, "\ufffd") // Exporters of traces take nothing else.
	}
	if len(name) > maxName {
		count := 0
		for i := range name {
			if count++; count > maxName {
				name = strings.Clone(name[:i])
				break
			}
		}
	}
	e.tool = name
}

// UpstreamError counts a request to a target that failed after it had begun to be answered; see Attempt.Done for those that
// failed before.
func (e *Exchange) UpstreamError(target config.TargetName, kind ErrorKind) {
	if e != nil && kind != NoError {
		e.backend.target(target).failed(kind)
	}
}

// Hold has the exchange go on after the goroutine that serves the request: End does nothing any more, end does it. From now on the
// methods are for the goroutine that calls end.
func (e *Exchange) Hold() (end func()) {
	if e == nil {
		return func() {}
	}
	e.held = true
	return e.end
}

// End ends the exchange: it is counted, its span ends, and it is written to the access log.
func (e *Exchange) End() {
	if e != nil && !e.held {
		e.end()
	}
}

func (e *Exchange) end() {
	duration := time.Since(e.begun)
	e.settle()
	if counted := e.target.of(e.method); counted != nil {
		counted.results[e.result].Inc()
		if counted.duration != nil {
			counted.duration.Observe(duration.Seconds())
		}
	}
	if e.stream != noStream {
		e.telemetry.metrics.active[e.stream].Dec()
	}
	if e.tracing != nil {
		e.tracing.end(e)
	}
	if e.telemetry.log != nil {
		e.telemetry.log.write(e, duration)
	}
}

// statusClientClosed is shown where the client went away before there was a status. It is what other proxies show.
const statusClientClosed = 499

// settle decides what nobody has said.
func (e *Exchange) settle() {
	w := &e.writer
	if w.status == 0 {
		w.status = http.StatusOK // As net/http answers.
		if e.request.Context().Err() != nil {
			w.status = statusClientClosed
			if e.result == unset {
				e.result = Cancelled
			}
		}
	}
	switch {
	case e.result != unset:
	case w.status >= http.StatusBadRequest && e.target != e.backend.whole:
		e.result = RPCError
	case w.status >= http.StatusBadRequest:
		e.result = Rejected
	default:
		e.result = OK
	}
}

// recorder notes what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap gives http.ResponseController what it needs to flush and to set deadlines.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // What is below announces another one.
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}
