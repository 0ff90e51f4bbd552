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
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// maxRoundTrips is how often a message is sent at most: a server that is just going may give a session, and lose it at once.
const maxRoundTrips = 3

// roundTrip sends a message to a target, on the target's side of the client's session. A session that the target has lost
// is initialized anew, and the message sent once more.
func (x *exchange) roundTrip(ctx context.Context, t *target, body []byte) (*http.Response, upstreamSession, error) {
	for attempt := 1; ; attempt++ {
		us, err := x.upstreamSession(ctx, x.session, t)
		if attempt < maxRoundTrips && errors.Is(err, errEraChanged) {
			continue
		}
		if err != nil {
			return nil, us, err
		}
		response, err := x.send(ctx, t, us, http.MethodPost, body)
		switch {
		case attempt < maxRoundTrips && errors.Is(err, errEraChanged):
		case attempt < maxRoundTrips && us.id != "" && t.requests.Endpoints() > 1 && neverSent(err):
			// The endpoint that holds the session is gone before the configuration says so. Others can begin anew.
		case err != nil:
			return nil, us, err
		case attempt < maxRoundTrips && us.id != "" && isLost(response):
			closeBody(response)
		default:
			return response, us, nil
		}
		x.session.lose(t, us)
	}
}

// neverSent returns whether a request failed before any of it was sent.
func neverSent(err error) bool {
	var e *upstream.Error
	return errors.As(err, &e) && (e.Kind == upstream.KindConnect || e.Kind == upstream.KindCircuitOpen)
}

func (x *exchange) send(ctx context.Context, t *target, us upstreamSession, method string, body []byte) (*http.Response, error) {
	client := x.r.Header
	if x.modern != nil {
		client = bridgedHeader(client) // Its other headers mirror the client's message, and this is one of the gateway's own.
	}
	response, _, err := x.do(ctx, &upstreamCall{
		target: t, session: x.session, upstream: us, method: method, header: x.upstreamHeader(client, us), body: body,
		observed: x.observed, name: x.message.Method,
	})
	return response, err
}

// maxErrorBody bounds what is read of an error's body.
const maxErrorBody = 64 << 10

// isLost returns whether a server no longer knows the session that a request named: 404 says so, unless it is the method that is
// not found, and so does JSON-RPC's −32000 without an id in a 400, which servers on the TypeScript SDK answer. An error that has the
// request's id comes from whoever took the request, and a request is never sent twice to such. The body can still be read afterwards.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
func isLost(response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusNotFound:
		body, err := peek(response)
		return err != nil || errorCode(body) != jsonrpc.CodeMethodNotFound
	case http.StatusBadRequest:
	default:
		return false
	}
	body, err := peek(response)
	var m jsonrpc.Message
	if err != nil || errorCode(body) != jsonrpc.CodeTransport {
		return false
	}
	return jsonrpc.Scan(body, &m) != nil || m.ID.Empty() || string(m.ID.Of(body)) == "null"
}

// refusesEra returns whether a server refused a legacy request because it speaks the modern revision only: another server
// has taken the place of the one that was probed. The body can still be read afterwards.
func refusesEra(response *http.Response) bool {
	if response.StatusCode != http.StatusBadRequest {
		return false
	}
	body, err := peek(response)
	return err == nil && isModernError(body)
}

// peek reads the body of an error, which can still be read afterwards.
func peek(response *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	closeBody(response)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// errorCode returns the code of a JSON-RPC error message, which need not have an id; 0 if it is none.
func errorCode(body []byte) jsonrpc.Code {
	var outer, inner [1]jsonrpc.Span
	whole := jsonrpc.Span{End: len(body)}
	if jsonrpc.Lookup(body, whole, []string{"error"}, outer[:]) != nil || outer[0].Empty() ||
		jsonrpc.Lookup(body, outer[0], []string{"code"}, inner[:]) != nil {
		return 0
	}
	var code jsonrpc.Code
	if _, err := fmt.Sscanf(string(inner[0].Of(body)), "%d", &code); err != nil {
		return 0
	}
	return code
}

// closeBody closes a response's body. Of one that ends by itself it reads a little of what is left, so that the connection
// can be used again; a stream may never end.
func closeBody(response *http.Response) {
	if !isEventStream(response.Header) {
		_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
	}
	_ = response.Body.Close()
}

// watchdog cancels a request when its target has been silent for too long.
type watchdog struct {
	limit atomic.Int64
	timer *time.Timer
}

func newWatchdog(cancel context.CancelCauseFunc, limit time.Duration) *watchdog {
	d := &watchdog{timer: time.AfterFunc(limit, func() { cancel(fmt.Errorf("it was silent for %s", limit)) })}
	d.limit.Store(int64(limit))
	return d
}

func (d *watchdog) stop() { d.timer.Stop() }

// allow changes how long the target may be silent from now on.
func (d *watchdog) allow(limit time.Duration) {
	d.limit.Store(int64(limit))
	d.timer.Reset(limit)
}

// afterAnswer is how long a stream may go on after its answer: servers should end it then.
const afterAnswer = time.Second

// answered gives the target only a moment more.
func (d *watchdog) answered() {
	d.allow(afterAnswer)
}

// body returns a body of which every read that brings something tells the watchdog that the target lives.
func (d *watchdog) body(b io.ReadCloser) io.ReadCloser { return &watchedBody{b, d} }

type watchedBody struct {
	io.ReadCloser
	watchdog *watchdog
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.watchdog.timer.Reset(time.Duration(b.watchdog.limit.Load()))
	}
	return n, err
}
