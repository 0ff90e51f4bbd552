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
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// A server of revision 2024-11-05 speaks HTTP+SSE: the client opens a stream, which is the session, is told on it where to
// post its messages, and gets everything on it that the server has to say. Here such a server looks like one of streamable
// HTTP with session ids: an id stands for a connection, which this replica holds.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse

// doSSE has a server of HTTP+SSE answer a request as one of streamable HTTP does.
func (s *Server) doSSE(ctx context.Context, c *upstreamCall) (*http.Response, string, error) {
	var m jsonrpc.Message
	if c.method == http.MethodPost {
		if err := jsonrpc.Scan(c.body, &m); err != nil {
			return emptyResponse(http.StatusBadRequest), "", nil //nolint:nilerr // The answer says it.
		}
		if c.upstream.id == "" && m.Method == "initialize" {
			return s.initializeSSE(ctx, c, &m)
		}
	}
	conn := s.sseConnections.find(string(c.upstream.id))
	if conn == nil || !conn.serves(c) {
		return emptyResponse(http.StatusNotFound), "", nil
	}
	var response *http.Response
	var err error
	switch {
	case c.method == http.MethodGet:
		response = conn.listen(ctx)
	case c.method == http.MethodDelete:
		conn.close(errSessionEnded)
		response = emptyResponse(http.StatusNoContent)
	case m.Kind == jsonrpc.Request:
		response, err = conn.request(ctx, c, &m)
	default:
		response, err = conn.notify(ctx, c, &m)
	}
	return response, conn.endpoint, err
}

// serves returns whether the connection is to the target of a call. When the target is reached in another way by now, another
// server may be there: there is nothing left to do but to end the session.
func (c *sseConnection) serves(call *upstreamCall) bool {
	return c.target.hash == call.target.hash && (c.target.era == call.target.era || call.method == http.MethodDelete)
}

// initializeSSE connects to a server and hands it the client's initialize.
func (s *Server) initializeSSE(ctx context.Context, c *upstreamCall, m *jsonrpc.Message) (*http.Response, string, error) {
	conn, err := s.connectSSE(ctx, c)
	if err != nil {
		return nil, "", err
	}
	r, err := conn.begin(ctx, c, m, func() {})
	if err != nil {
		conn.close(errSessionEnded)
		return nil, "", conn.asError(err)
	}
	defer r.forget()
	for {
		next, err := r.box.next(ctx)
		var refused *refusedMessage
		switch {
		case errors.As(err, &refused):
			conn.close(errSessionEnded)
			return refused.answer(), conn.endpoint, nil
		case err != nil:
			conn.close(errSessionEnded)
			return nil, "", conn.asError(err)
		case !next.response:
			continue // Progress, of which nobody hears.
		}
		response := jsonResponse(http.StatusOK, next.data)
		if versionOf(next.data) == "" {
			conn.close(errSessionEnded) // The server refused: there is no session.
		} else {
			response.Header[headerSessionID] = []string{conn.id}
		}
		return response, conn.endpoint, nil
	}
}

// newSSEConnectionID returns an id in the form that takes the least space in a token.
func newSSEConnectionID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // It never fails, says its contract: the program ends instead.
	return hex.EncodeToString(id[:])
}

const (
	// quickAnswer is how long the first message is waited for once the server has taken a request: after it, the answer is a
	// stream, which whoever waits keeps alive.
	quickAnswer = 100 * time.Millisecond
	// quickPost is the same while the server has not taken the request. Some do so only when they have answered it.
	quickPost = time.Second
)

// errNotQuick is that the first message of an answer does not come at once.
var errNotQuick = errors.New("nothing came at once")

// request sends a request to the server and returns the answer: JSON if the response comes first and soon, otherwise a stream
// of what comes until the response has.
func (c *sseConnection) request(ctx context.Context, call *upstreamCall, m *jsonrpc.Message) (*http.Response, error) {
	waiting, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	quick := time.AfterFunc(quickPost, func() { enough(errNotQuick) })
	defer quick.Stop()
	r, err := c.begin(ctx, call, m, func() { quick.Reset(quickAnswer) })
	if err != nil {
		return nil, c.asError(err)
	}
	first, err := r.box.next(waiting)
	var refused *refusedMessage
	switch {
	case err == nil && first.response:
		return jsonResponse(http.StatusOK, first.data), nil
	case err == nil, errors.Is(err, errNotQuick):
		body := &mailBody{ctx: ctx, box: &r.box, release: r.forget}
		if err == nil {
			body.fill(&first)
		}
		return streamResponse(body), nil
	case errors.As(err, &refused):
		return refused.answer(), nil
	default:
		r.forget()
		return nil, c.asError(err)
	}
}

// notify sends the server a message that has no answer.
func (c *sseConnection) notify(ctx context.Context, call *upstreamCall, m *jsonrpc.Message) (*http.Response, error) {
	body := call.body
	if m.Method == "notifications/cancelled" {
		if body = c.cancellation(body, m); body == nil {
			return emptyResponse(http.StatusAccepted), nil // The server has no such request, or is done with it.
		}
	}
	c.touch()
	response, err := c.post(ctx, call.target.requests, postHeader(call.header), body)
	if err != nil {
		return nil, err
	}
	defer closeBody(response)
	if !isSuccess(response) {
		refused := readRefused(response)
		c.closeIfLost(refused)
		return refused.answer(), nil
	}
	return emptyResponse(http.StatusAccepted), nil
}

// postHeader returns the header of a message to the server, to which the connection's id means nothing.
func postHeader(header http.Header) http.Header {
	h := maps.Clone(header)
	delete(h, headerSessionID)
	return h
}

// post posts a message to where the server wants it.
func (c *sseConnection) post(ctx context.Context, to *upstream.Target, header http.Header, body []byte) (*http.Response, error) {
	response, _, err := c.upstream.Do(ctx, to, &upstream.Request{
		Method: http.MethodPost, Header: header, Body: body, Endpoint: c.endpoint, Path: c.path,
	})
	return response, err
}

func isSuccess(response *http.Response) bool { return response.StatusCode/100 == 2 }

// refusedMessage is a server's answer to a POST by which it does not take the message.
type refusedMessage struct {
	status int
	header http.Header
	body   []byte
}

// readRefused reads such an answer.
func readRefused(response *http.Response) *refusedMessage {
	body, _ := peek(response) // What can't be read is not there.
	r := &refusedMessage{status: response.StatusCode, header: http.Header{}, body: body}
	if values := response.Header["Content-Type"]; values != nil {
		r.header["Content-Type"] = values
	}
	return r
}

// Error implements error.
func (r *refusedMessage) Error() string { return statusError(r.answer()).Error() }

// answer is what a server of streamable HTTP would have answered.
func (r *refusedMessage) answer() *http.Response {
	return &http.Response{
		StatusCode: r.status, Header: r.header.Clone(), ContentLength: int64(len(r.body)), Body: io.NopCloser(bytes.NewReader(r.body)),
	}
}

// closeIfLost ends the connection if the server says that it has none.
func (c *sseConnection) closeIfLost(refused *refusedMessage) {
	if isLost(refused.answer()) {
		c.close(errConnectionLost)
	}
}

func emptyResponse(status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
}

func jsonResponse(status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		Header: http.Header{"Content-Type": contentTypeJSON, "Content-Length": {strconv.Itoa(len(body))}},
	}
}

func streamResponse(body io.ReadCloser) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: -1, Body: body, Header: http.Header{"Content-Type": contentTypeEventStream},
	}
}
