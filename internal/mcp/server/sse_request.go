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
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// errGivenUp is why a request's messages are no longer taken: whoever waited for them has gone.
var errGivenUp = errors.New("the request was given up")

// maxForgotten bounds how many requests are remembered that were given up and may still be cancelled.
const maxForgotten = 256

// sseRequest is a request that a server of HTTP+SSE works on.
type sseRequest struct {
	*sseConnection
	cancellable
	// token is the client's progress token, raw; nil if it gave none. The server knows the request's own id in its place.
	token []byte
	// relays is whether its answer is handed to the client with all that comes before the response.
	relays bool
	// taken is called when the server has taken it.
	taken func()
	box   mailbox
}

// cancellable is what is to be known of a request to cancel it.
type cancellable struct {
	// number is the id by which the server knows the request. The client's own would not do: it may be that of one of the
	// gateway's requests as well.
	number uint64
	// original is the id by which everybody else knows it, raw.
	original []byte
}

// relaysAll returns whether the answer to a request is handed on with all that comes before the response. What the gateway
// asks by itself, above all lists, is read for the response alone.
func relaysAll(method string) bool {
	switch method {
	case "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		return false
	default:
		_, isList := federation.KindOfList(method)
		return !isList
	}
}

// begin sends a request to the server, and calls taken when the server has taken it. What comes of it comes into its mailbox.
func (c *sseConnection) begin(ctx context.Context, call *upstreamCall, m *jsonrpc.Message, taken func()) (*sseRequest, error) {
	token := progressToken(call.body, m.Params)
	r := &sseRequest{sseConnection: c, relays: relaysAll(m.Method), taken: taken}
	r.original = bytes.Clone(m.ID.Of(call.body))
	if !token.Empty() {
		r.token = bytes.Clone(token.Of(call.body))
	}
	c.touch()
	c.mu.Lock()
	err := c.closed
	if err == nil && len(c.inFlight) >= maxSSERequests {
		err = errors.New("too many requests wait for its answers")
	}
	if err == nil {
		c.lastID++
		r.number = c.lastID
		c.inFlight = append(c.inFlight, r)
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	number := strconv.AppendUint(nil, r.number, 10)
	edits := []jsonrpc.Edit{{Span: m.ID, New: number}}
	if !token.Empty() {
		edits = append(edits, jsonrpc.Edit{Span: token, New: number})
	}
	sortEdits(edits)
	header, body := postHeader(call.header), jsonrpc.Splice(nil, call.body, edits...)
	c.background.Go(func() { r.send(ctx, call.target.requests, header, body) })
	return r, nil
}

// send posts the request. Servers may answer the POST long after the request itself.
func (r *sseRequest) send(ctx context.Context, to *upstream.Target, header http.Header, body []byte) {
	posting, abort := context.WithCancelCause(r.ctx)
	defer abort(nil)
	defer context.AfterFunc(ctx, func() {
		if !r.box.complete() {
			abort(context.Cause(ctx))
			return
		}
		// The server is to have some time to end what it has answered.
		time.AfterFunc(r.limits.ListTimeout, func() { abort(nil) })
	})()
	response, err := r.post(posting, to, header, body)
	if err != nil {
		if ctx.Err() == nil { // Else whoever waits for the answer forgets the request.
			r.fail(err)
		}
		return
	}
	defer closeBody(response)
	if isSuccess(response) {
		r.taken()
		return
	}
	refused := readRefused(response)
	refused.body = r.restored(refused.body)
	r.fail(refused)
	r.closeIfLost(refused)
}

// fail ends a request of which nothing more will come.
func (r *sseRequest) fail(why error) {
	r.mu.Lock()
	r.inFlight = without(r.inFlight, r)
	r.mu.Unlock()
	r.box.end(why)
}

// restored puts the client's id in the place of the gateway's in an answer that did not come by the stream.
func (r *sseRequest) restored(body []byte) []byte {
	var m jsonrpc.Message
	if jsonrpc.Scan(body, &m) != nil || m.ID.Empty() || string(m.ID.Of(body)) != strconv.FormatUint(r.number, 10) {
		return body
	}
	return jsonrpc.Splice(nil, body, jsonrpc.Edit{Span: m.ID, New: r.original})
}

// forget ends a request for whose answer nobody waits any more. What came with it and is for the client goes another way.
func (r *sseRequest) forget() {
	r.mu.Lock()
	if slices.Contains(r.inFlight, r) {
		r.inFlight = without(r.inFlight, r)
		// The client's cancellation may be on its way.
		r.forgotten = append(r.forgotten, r.cancellable)
		r.forgotten = r.forgotten[max(0, len(r.forgotten)-maxForgotten):]
	}
	r.mu.Unlock()
	r.touch()
	rest := slices.DeleteFunc(r.box.leave(errGivenUp), func(m mail) bool { return m.own })
	if len(rest) == 0 {
		return
	}
	r.background.Go(func() {
		for i := range rest {
			r.toClient(&rest[i])
		}
	})
}

// without returns the requests without one.
func without(requests []*sseRequest, r *sseRequest) []*sseRequest {
	return slices.DeleteFunc(requests, func(other *sseRequest) bool { return other == r })
}

// cancellation returns a cancellation with the id by which the server knows the request; nil if there is none of that id.
func (c *sseConnection) cancellation(body []byte, m *jsonrpc.Message) []byte {
	var id [1]jsonrpc.Span
	if jsonrpc.Lookup(body, m.Params, []string{"requestId"}, id[:]) != nil || id[0].Empty() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := slices.Clone(c.forgotten)
	for _, r := range c.inFlight {
		known = append(known, r.cancellable)
	}
	// A client that has used its id twice means the last one.
	for _, r := range slices.Backward(known) {
		if sameID(body, id[0], r.original) {
			c.forgotten = slices.DeleteFunc(c.forgotten, func(other cancellable) bool { return other.number == r.number })
			return jsonrpc.Splice(nil, body, jsonrpc.Edit{Span: id[0], New: strconv.AppendUint(nil, r.number, 10)})
		}
	}
	return nil
}

// numbered returns the request in flight of which that is the id or the progress token, as the server wrote it.
func (c *sseConnection) numbered(raw []byte) *sseRequest {
	number, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.inFlight {
		if r.number == number {
			return r
		}
	}
	return nil
}

// deliver adds a message to those of the request, and returns whether it could. A request whose messages are not read in time
// is given up: the server's other messages can't wait behind them for ever.
func (r *sseRequest) deliver(m *mail) bool {
	err := r.box.put(r.ctx, m, r.limits.WriteTimeout)
	switch {
	case err == nil && m.response:
		r.box.end(io.EOF)
	case err == nil:
	default:
		if errors.Is(err, errNotRead) {
			r.log.Warn("Answer of a target is given up: it is not read in time", "backend", r.target.backend.Key, "target", r.target.Name)
		}
		r.fail(err)
	}
	return err == nil
}
