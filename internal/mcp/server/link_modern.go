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
	"slices"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// doModern asks a server of the modern era what a legacy client's message asks for, and answers as a legacy server without
// session ids would.
func (s *Server) doModern(ctx context.Context, c *upstreamCall) (*http.Response, string, error) {
	switch c.method {
	case http.MethodPost:
	case http.MethodGet:
		return s.doModernGet(ctx, c)
	default:
		return newAnswer(http.StatusMethodNotAllowed, nil, nil), "", nil // There is no session to end.
	}
	b := &modernCall{Server: s, c: c}
	if err := jsonrpc.Scan(c.body, &b.message); err != nil {
		return nil, "", b.failure(ctx, fmt.Errorf("the message for it can't be read: %w", err))
	}
	switch {
	case b.message.Kind == jsonrpc.Response:
		return b.takeInput(), "", nil
	case b.message.Kind == jsonrpc.Notification:
		// None of them has a meaning for a server without sessions. The end of its request tells it of a cancellation.
		return newAnswer(http.StatusAccepted, nil, nil), "", nil
	case b.message.Method == "initialize":
		return b.discover(ctx)
	}
	if answer := b.answeredHere(ctx); answer != nil {
		return newAnswer(http.StatusOK, contentTypeJSON, answer), "", nil
	}
	return b.forward(ctx)
}

// modernCall is a message of a legacy client for a server of the modern era.
type modernCall struct {
	*Server
	c       *upstreamCall
	message jsonrpc.Message // Of c.body.
}

// newAnswer returns an answer that no server gave.
func newAnswer(status int, contentType []string, body []byte) *http.Response {
	header := http.Header{}
	if contentType != nil {
		header["Content-Type"] = contentType
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
}

func (b *modernCall) id() []byte { return b.message.ID.Of(b.c.body) }

// failure is that the server gave no answer, as do tells it.
func (b *modernCall) failure(ctx context.Context, err error) error {
	var e *upstream.Error
	if errors.As(err, &e) || errors.Is(err, errEraChanged) {
		return err
	}
	reason := err.Error()
	if cause := context.Cause(ctx); cause != nil {
		reason = cause.Error()
	}
	return &upstream.Error{Target: b.c.target.Name, Reason: reason, Err: err}
}

// answeredHere answers what servers of the modern era are not asked for; nil if it is none of that.
func (b *modernCall) answeredHere(ctx context.Context) []byte {
	var refused *jsonrpc.Error
	switch b.message.Method {
	case "ping":
	case "logging/setLevel":
		refused = b.checkLevel()
	case "resources/subscribe", "resources/unsubscribe":
		refused = b.subscription(ctx)
	default:
		if mirror.Encode(b.message.Method) == b.message.Method {
			return nil
		}
		// The name can't be sent as a header, so no server can have it.
		refused = &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "Method not found"}
	}
	if refused != nil {
		return jsonrpc.AppendError(nil, b.id(), refused)
	}
	return jsonrpc.AppendResult(nil, b.id(), []byte("{}"))
}

// logLevels are those that exist.
// https://modelcontextprotocol.io/specification/2026-07-28/schema#logginglevel
var logLevels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// checkLevel refuses what is no level. The session remembers the level, for the requests to come.
func (b *modernCall) checkLevel() *jsonrpc.Error {
	if levelOf(b.message.Params.Of(b.c.body)) == "" {
		return &jsonrpc.Error{
			Code: jsonrpc.CodeInvalidParams, Message: "Invalid params: level must be one of " + strings.Join(logLevels, ", "),
		}
	}
	return nil
}

// levelOf returns the level in the params of logging/setLevel, or "".
func levelOf(params []byte) string {
	var field [1]jsonrpc.Span
	if jsonrpc.Lookup(params, jsonrpc.Span{End: len(params)}, []string{"level"}, field[:]) != nil {
		return ""
	}
	level, _ := jsonrpc.Text(params, field[0])
	if !slices.Contains(logLevels, level) {
		return ""
	}
	return level
}

// subscription answers resources/subscribe and unsubscribe. The session has noted it; what listens to the server for the
// client begins to listen for that too.
func (b *modernCall) subscription(ctx context.Context) *jsonrpc.Error {
	if !b.c.upstream.capabilities.Has(session.CapabilitySubscribe) {
		return &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "Method not found: the server has no subscriptions"}
	}
	var field [1]jsonrpc.Span
	err := jsonrpc.Lookup(b.c.body, b.message.Params, []string{"uri"}, field[:])
	uri, ok := jsonrpc.Text(b.c.body, field[0])
	if err != nil || !ok {
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "Invalid params: uri must be a string"}
	}
	if b.message.Method == "resources/subscribe" && !b.c.session.isSubscribed(b.c.target, uri) {
		return &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: fmt.Sprintf(
			"the session has %d subscriptions, and can't have more; unsubscribe from some", maxSubscriptions)}
	}
	b.c.session.listenAnew(ctx, b.c.target, b.limits.ListTimeout)
	return nil
}

// discover answers initialize with what the server says of itself.
// https://modelcontextprotocol.io/specification/2026-07-28/server/discover
func (b *modernCall) discover(ctx context.Context) (*http.Response, string, error) {
	meta, err := jsonrpc.SetMembers([]byte("{}"), jsonrpc.Span{End: 2}, b.c.session.modernMeta()...)
	if err != nil {
		return nil, "", b.failure(ctx, err)
	}
	body := append([]byte(`{"jsonrpc":"2.0","id":`), b.id()...)
	body = append(body, `,"method":"`+methodDiscover+`","params":{"_meta":`...)
	body = jsonrpc.Splice(body, []byte("{}"), meta...)
	body = append(body, "}}"...)
	response, endpoint, err := b.send(ctx, b.header(methodDiscover), body, b.id())
	if err != nil {
		return nil, "", b.failure(ctx, err)
	}
	defer closeBody(response)
	answer, err := b.readAnswer(response)
	if err != nil {
		return nil, "", b.failure(ctx, err)
	}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(answer, &m); err != nil || m.Kind != jsonrpc.Response {
		return nil, "", b.failure(ctx, errors.New("its answer to "+methodDiscover+" is no JSON-RPC response"))
	}
	switch {
	case m.Result.Empty() && isModernError(answer):
		return nil, "", &upstream.Error{
			Target: b.c.target.Name, Reason: "it refused " + methodDiscover, Said: bounded(remoteError(answer, m.Error).Message),
		}
	case m.Result.Empty() || !slices.Contains(stringsOf(answer, m.Result, "supportedVersions"), modernVersion):
		b.isReplaced(ctx, b.c.target, endpoint, eraModern)
		return nil, "", errEraChanged
	}
	result, err := b.initializeResult(answer, m.Result)
	if err != nil {
		return nil, "", b.failure(ctx, fmt.Errorf("its answer to %s can't be read: %w", methodDiscover, err))
	}
	return newAnswer(http.StatusOK, contentTypeJSON, jsonrpc.AppendResult(nil, b.id(), result)), endpoint, nil
}

// initializeResult makes the result of initialize out of that of server/discover.
func (b *modernCall) initializeResult(answer []byte, discovered jsonrpc.Span) ([]byte, error) {
	var asked [1]jsonrpc.Span
	if err := jsonrpc.Lookup(b.c.body, b.message.Params, []string{"protocolVersion"}, asked[:]); err != nil {
		return nil, err
	}
	version, _ := jsonrpc.Text(b.c.body, asked[0])
	var fields [4]jsonrpc.Span
	keys := []string{"capabilities", "serverInfo", "instructions", "_meta"}
	if err := jsonrpc.Lookup(answer, discovered, keys, fields[:]); err != nil {
		return nil, err
	}
	capabilities, info, instructions := []byte("{}"), fields[1], fields[2]
	if !fields[0].Empty() {
		capabilities = withoutTasks(fields[0].Of(answer))
	}
	if info.Empty() { // The revision has it there; drafts of it had it in the result.
		var inMeta [1]jsonrpc.Span
		if err := jsonrpc.Lookup(answer, fields[3], []string{metaServerInfo}, inMeta[:]); err != nil {
			return nil, err
		}
		info = inMeta[0]
	}
	result := jsonrpc.AppendString([]byte(`{"protocolVersion":`), negotiate(version))
	result = append(append(result, `,"capabilities":`...), capabilities...)
	result = append(result, `,"serverInfo":`...)
	if info.Empty() { // The server does not say, but a legacy client must know.
		result = append(jsonrpc.AppendString(append(result, `{"name":`...), string(b.c.target.Name)), `,"version":"unknown"}`...)
	} else {
		result = append(result, info.Of(answer)...)
	}
	if !instructions.Empty() {
		result = append(append(result, `,"instructions":`...), instructions.Of(answer)...)
	}
	return append(result, '}'), nil
}

// tasksExtension is the one extension that has the name of something else in the legacy revisions.
const tasksExtension = "io.modelcontextprotocol/tasks"

// withoutTasks hides tasks from a set of capabilities, a client's or a server's: each era has them in another format.
func withoutTasks(capabilities []byte) []byte {
	whole := jsonrpc.Span{End: len(capabilities)}
	var extensions [1]jsonrpc.Span
	edits, err := jsonrpc.SetMembers(capabilities, whole, jsonrpc.Member{Key: "tasks"})
	if err != nil || jsonrpc.Lookup(capabilities, whole, []string{"extensions"}, extensions[:]) != nil {
		return capabilities
	}
	if !extensions[0].Empty() {
		if more, err := jsonrpc.SetMembers(capabilities, extensions[0], jsonrpc.Member{Key: tasksExtension}); err == nil {
			edits = append(edits, more...)
			sortEdits(edits)
		}
	}
	return jsonrpc.Splice(nil, capabilities, edits...)
}
