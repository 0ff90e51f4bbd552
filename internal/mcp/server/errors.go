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
	"net/http"
	"strconv"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// httpError is an answer other than 2xx: the HTTP status and the JSON-RPC error in the body.
type httpError struct {
	status  int
	code    jsonrpc.Code
	message string
}

func (e *httpError) Error() string { return e.message }

// writeHTTPError answers with a status and a JSON-RPC error. The id is raw JSON; nil stands for null.
func writeHTTPError(w http.ResponseWriter, id []byte, e *httpError) {
	writeJSON(w, e.status, jsonrpc.AppendError(nil, id, &jsonrpc.Error{Code: e.code, Message: e.message}))
}

// writeError answers a request with a JSON-RPC error and status 200: SDKs hand such an error to whoever made the
// request, while another status makes them doubt the transport.
func writeError(w http.ResponseWriter, id []byte, e *jsonrpc.Error) {
	writeJSON(w, http.StatusOK, jsonrpc.AppendError(nil, id, e))
}

// writeTimeout is how long a client may take to accept a whole answer that the gateway made itself.
const writeTimeout = 2 * time.Minute

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	writeBody(w, status, contentTypeJSON, body)
}

// writeBody answers with a whole body.
func writeBody(w http.ResponseWriter, status int, contentType []string, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if len(body) > wholeAnswer { // What is smaller fits into the buffers of the connection.
		deadlines := http.NewResponseController(w)
		_ = deadlines.SetWriteDeadline(time.Now().Add(writeTimeout))
		// The connection may serve another request, which has deadlines of its own.
		defer func() { _ = deadlines.SetWriteDeadline(time.Time{}) }()
	}
	w.WriteHeader(status)
	// A client that has gone is no one to tell of the failure.
	_, _ = w.Write(body)
}

// unavailable is the error that a client gets for a target that can't answer: it says which and why.
func unavailable(name config.TargetName, reason string) *jsonrpc.Error {
	data := append([]byte(nil), `{"target":`...)
	data = jsonrpc.AppendString(data, string(name))
	data = append(data, `,"reason":`...)
	data = jsonrpc.AppendString(data, reason)
	data = append(data, '}')
	return &jsonrpc.Error{
		Code:    jsonrpc.CodeInternal,
		Message: "target \"" + string(name) + "\" is unavailable: " + reason,
		Data:    data,
	}
}

// asUnavailable turns any error of talking to a target into the client's error.
func asUnavailable(t *target, err error) *jsonrpc.Error {
	var e *upstream.Error
	if errors.As(err, &e) {
		if e.Said != "" {
			return unavailable(t.Name, e.Reason+": "+e.Said)
		}
		return unavailable(t.Name, e.Reason)
	}
	var rpc *jsonrpc.Error
	if errors.As(err, &rpc) {
		return rpc
	}
	return unavailable(t.Name, err.Error())
}
