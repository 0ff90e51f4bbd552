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
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// exchange is one message of a client on its way through the gateway.
type exchange struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	backend *backend
	session *clientSession // nil for initialize
	body    []byte
	message jsonrpc.Message
}

// id returns the message's raw id; nil if it has none.
func (x *exchange) id() []byte {
	if x.message.ID.Empty() {
		return nil
	}
	return x.message.ID.Of(x.body)
}

// post takes one message of a client.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server
func (s *Server) post(w http.ResponseWriter, r *http.Request, b *backend) {
	x := &exchange{Server: s, w: w, r: r, backend: b}
	if e := x.read(); e != nil {
		writeHTTPError(w, x.id(), e)
		return
	}
	if x.message.Kind == jsonrpc.Request && x.message.Method == "initialize" {
		x.initialize()
		return
	}
	var e *httpError
	if x.session, e = s.openSession(r.Header, b); e != nil {
		writeHTTPError(w, x.id(), e)
		return
	}
	switch x.message.Kind {
	case jsonrpc.Notification:
		x.notification()
	case jsonrpc.Response:
		x.response()
	default:
		x.request()
	}
}

// read checks the request's header, reads its body and scans the message.
func (x *exchange) read() *httpError {
	if e := checkAccept(x.r.Header, "application/json", "text/event-stream"); e != nil {
		return e
	}
	if e := checkContentType(x.r.Header); e != nil {
		return e
	}
	if e := checkVersion(x.r.Header); e != nil {
		return e
	}
	if e := x.readBody(); e != nil {
		return e
	}
	if jsonrpc.IsBatch(x.body) {
		return &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest,
			"Invalid Request: batches are not supported; send one message for each POST"}
	}
	if err := jsonrpc.Scan(x.body, &x.message); err != nil {
		code := jsonrpc.CodeParse
		var e *jsonrpc.Error
		if errors.As(err, &e) {
			code = e.Code
		}
		return &httpError{http.StatusBadRequest, code, err.Error()}
	}
	return nil
}

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 30 * time.Second

func (x *exchange) readBody() *httpError {
	limit := x.limits.MaxRequestBody
	tooLarge := &httpError{http.StatusRequestEntityTooLarge, jsonrpc.CodeTransport,
		fmt.Sprintf("Payload too large: a request may have %d bytes at most", limit)}
	if x.r.ContentLength > limit {
		x.w.Header().Set("Connection", "close") // The rest of the body is not read.
		return tooLarge
	}
	// A connection that has no deadlines (in a test) is no reason to refuse the request.
	deadlines := http.NewResponseController(x.w)
	_ = deadlines.SetReadDeadline(time.Now().Add(bodyTimeout))
	var err error
	if n := x.r.ContentLength; n >= 0 {
		x.body = make([]byte, n)
		_, err = io.ReadFull(x.r.Body, x.body)
	} else {
		x.body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, limit))
	}
	// While the request is answered, the server watches the connection for the client's going away.
	_ = deadlines.SetReadDeadline(time.Time{})
	var maxBytes *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &maxBytes):
		return tooLarge
	default:
		return &httpError{http.StatusBadRequest, jsonrpc.CodeTransport, "Bad Request: the body could not be read to its end"}
	}
}

// request answers a request, or has a target answer it.
func (x *exchange) request() {
	if x.message.Method == "ping" {
		// The client asks whether the other end of its session lives, and that is the gateway.
		writeJSON(x.w, http.StatusOK, jsonrpc.AppendResult(nil, x.id(), []byte("{}")))
		return
	}
	t := x.backend.first()
	empty, isList := emptyLists[x.message.Method]
	if isList && (t == nil || (!t.usable() && !x.backend.failClosed())) {
		writeJSON(x.w, http.StatusOK, jsonrpc.AppendResult(nil, x.id(), []byte(empty)))
		return
	}
	if t == nil {
		writeError(x.w, x.id(), &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: fmt.Sprintf(
			"Backend %s has no MCP server at the moment", x.backend.Key)})
		return
	}
	if !t.usable() {
		writeError(x.w, x.id(), unavailable(t.Name, t.unready))
		return
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	defer x.session.cancelOnRequest(string(x.id()), cancel)()
	limit := x.limits.CallTimeout
	if isList {
		limit = x.limits.ListTimeout
	}
	watch := newWatchdog(cancel, limit)
	defer watch.stop()
	response, us, err := x.roundTrip(ctx, t)
	if err != nil {
		x.requestFailed(t, err, isList, empty)
		return
	}
	defer closeBody(response.Body)
	response.Body = watch.body(response.Body)
	x.relay(ctx, t, us, response)
}

// emptyLists are the answers to lists that nobody serves.
var emptyLists = map[string]string{
	"tools/list":               `{"tools":[]}`,
	"prompts/list":             `{"prompts":[]}`,
	"resources/list":           `{"resources":[]}`,
	"resources/templates/list": `{"resourceTemplates":[]}`,
}

// requestFailed answers a request that a target did not answer. A list goes on without it, unless the Backend says
// otherwise.
func (x *exchange) requestFailed(t *target, err error, isList bool, empty string) {
	if x.r.Context().Err() != nil {
		return // The client has gone.
	}
	x.log.Warn("Target did not answer", "backend", x.backend.Key, "target", t.Name, "error", err)
	if isList && !x.backend.failClosed() {
		writeJSON(x.w, http.StatusOK, jsonrpc.AppendResult(nil, x.id(), []byte(empty)))
		return
	}
	writeError(x.w, x.id(), asUnavailable(t, err))
}

// notification hands a notification on. The answer says that the gateway has taken it, not what becomes of it.
func (x *exchange) notification() {
	t := x.backend.first()
	if t != nil && t.usable() {
		ctx, cancel := context.WithTimeoutCause(x.r.Context(), x.limits.ListTimeout, errors.New("it did not take a notification in time"))
		defer cancel()
		if response, _, err := x.roundTrip(ctx, t); err == nil {
			closeBody(response.Body)
		} else {
			x.log.Warn("Notification not delivered", "backend", x.backend.Key, "target", t.Name, "error", err)
		}
	}
	if x.message.Method == "notifications/cancelled" {
		x.session.cancelled(x.body, x.message.Params)
	}
	x.w.WriteHeader(http.StatusAccepted)
}

// response hands a client's answer to the server that had asked.
func (x *exchange) response() {
	unknown := &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "Invalid Request: no request of that id awaits an answer"}
	sealed, ok := jsonrpc.Text(x.body, x.message.ID)
	if !ok {
		writeHTTPError(x.w, nil, unknown)
		return
	}
	asked, err := x.keys.Load().OpenServerRequest(x.session.SID, sealed)
	if err != nil {
		writeHTTPError(x.w, nil, unknown)
		return
	}
	t := x.backend.target(asked.Service)
	if t == nil || !t.usable() {
		writeHTTPError(x.w, nil, unknown)
		return
	}
	ctx, cancel := context.WithTimeoutCause(x.r.Context(), x.limits.ListTimeout, errors.New("it did not take the answer in time"))
	defer cancel()
	us, ok := x.session.existing(t)
	if !ok || us.hash() != asked.Upstream {
		// The server that asked has forgotten the session. Another session of it has its own request of that id.
		writeHTTPError(x.w, nil, unknown)
		return
	}
	x.body = jsonrpc.Splice(nil, x.body, jsonrpc.Edit{Span: x.message.ID, New: asked.ID})
	response, err := x.send(ctx, t, us, http.MethodPost, x.body)
	if err != nil {
		x.log.Warn("Answer not delivered", "backend", x.backend.Key, "target", t.Name, "error", err)
		writeHTTPError(x.w, nil, &httpError{http.StatusBadGateway, jsonrpc.CodeInternal, asUnavailable(t, err).Message})
		return
	}
	closeBody(response.Body)
	x.w.WriteHeader(http.StatusAccepted)
}
