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
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// exchange is one message of a client on its way through the gateway.
type exchange struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	backend *backend
	// snapshot is the one that the backend is of.
	snapshot *Snapshot
	session  *clientSession
	modern   *modernRequest // nil for a message of the legacy era
	body     []byte
	message  jsonrpc.Message
	// observed shows what becomes of it; nil for one that nobody looks at.
	observed *telemetry.Exchange
	// own is the target's name for what the client calls otherwise; empty if it is the same.
	own string
	// rewrite, if not nil, changes the result of the answer.
	rewrite func(result []byte) []byte
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
func (s *Server) post(w http.ResponseWriter, r *http.Request, b *backend, snapshot *Snapshot, observed *telemetry.Exchange) {
	x := &exchange{Server: s, w: w, r: r, backend: b, snapshot: snapshot, observed: observed}
	if e := x.read(); e != nil {
		writeHTTPError(w, x.id(), e)
		return
	}
	if jsonrpc.IsBatch(x.body) {
		x.batch()
		return
	}
	if e := x.readEra(); e != nil {
		writeJSON(w, modernStatus(e.Code), jsonrpc.AppendError(nil, x.id(), e))
		return
	}
	if x.modern != nil {
		x.observed.Era(telemetry.EraModern)
		x.serveModern()
		return
	}
	x.observed.Era(telemetry.EraLegacy)
	e := checkVersion(r.Header)
	if e == nil && x.message.Kind == jsonrpc.Request && x.message.Method == "initialize" {
		x.initialize()
		return
	}
	if e != nil {
		writeHTTPError(w, x.id(), e)
		return
	}
	x.session, e = x.openAtHome()
	switch {
	case e != nil:
		writeHTTPError(w, x.id(), e)
	case x.session != nil:
		x.dispatch()
	}
}

// read checks the request's header, reads its body and, unless it is a batch, the message in it.
func (x *exchange) read() *httpError {
	if e := checkAccept(x.r.Header, "application/json", "text/event-stream"); e != nil {
		return e
	}
	if e := checkContentType(x.r.Header); e != nil {
		return e
	}
	if e := x.readBody(); e != nil {
		return e
	}
	if jsonrpc.IsBatch(x.body) {
		return nil
	}
	return x.scan()
}

// scan reads the message.
func (x *exchange) scan() *httpError {
	if err := jsonrpc.Scan(x.body, &x.message); err != nil {
		code := jsonrpc.CodeParse
		var e *jsonrpc.Error
		if errors.As(err, &e) {
			code = e.Code
		}
		return &httpError{http.StatusBadRequest, code, err.Error()}
	}
	x.observed.Message(x.body, &x.message)
	return x.checkNames()
}

// namesRead are the parameters that say where a request goes, by its method.
var namesRead = map[string][]string{
	"tools/call":            {"name"},
	"prompts/get":           {"name"},
	"resources/read":        {"uri"},
	"resources/subscribe":   {"uri"},
	"resources/unsubscribe": {"uri"},
	"completion/complete":   {"ref"},
}

// checkNames refuses a request that names twice what it is for: gateway and server might each take another one.
func (x *exchange) checkNames() *httpError {
	keys := namesRead[x.message.Method]
	if keys == nil {
		return nil
	}
	var spans [1]jsonrpc.Span
	err := jsonrpc.Lookup(x.body, x.message.Params, keys, spans[:])
	if err == nil && keys[0] == "ref" {
		var ref [3]jsonrpc.Span
		err = jsonrpc.Lookup(x.body, spans[0], []string{"type", "name", "uri"}, ref[:])
	}
	var e *jsonrpc.Error
	if errors.As(err, &e) && e.Code == jsonrpc.CodeInvalidRequest {
		return &httpError{http.StatusBadRequest, e.Code, e.Message}
	}
	return nil
}

// readBody reads the request's body. How long the client may take is the http.Server's to say (ReadTimeout), which holds for
// bodies that nobody reads as well.
func (x *exchange) readBody() *httpError {
	limit := x.limits.MaxRequestBody
	tooLarge := &httpError{http.StatusRequestEntityTooLarge, jsonrpc.CodeTransport,
		fmt.Sprintf("Payload too large: a request may have %d bytes at most", limit)}
	if x.r.ContentLength > limit {
		x.w.Header().Set("Connection", "close") // The rest of the body is not read.
		return tooLarge
	}
	var err error
	const trusted = 64 << 10 // What is larger takes memory only as it comes.
	if n := x.r.ContentLength; n >= 0 && n <= trusted {
		x.body = make([]byte, n)
		_, err = io.ReadFull(x.r.Body, x.body)
	} else {
		x.body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, limit))
	}
	var maxBytes *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &maxBytes):
		x.w.Header().Set("Connection", "close")
		return tooLarge
	default:
		return &httpError{http.StatusBadRequest, jsonrpc.CodeTransport, "Bad Request: the body could not be read to its end"}
	}
}
