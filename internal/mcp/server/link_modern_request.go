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
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// modernMeta is what each request of a legacy client's session says of the client in params._meta.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta
func (cs *clientSession) modernMeta() []jsonrpc.Member {
	capabilities, info := cs.client()
	members := []jsonrpc.Member{
		{Key: metaProtocolVersion, Value: []byte(`"` + modernVersion + `"`)},
		{Key: metaClientCapabilities, Value: capabilities},
	}
	if info != nil {
		members = append(members, jsonrpc.Member{Key: metaClientInfo, Value: info})
	}
	if level := levelOf(cs.level()); level != "" {
		members = append(members, jsonrpc.Member{Key: metaLogLevel, Value: jsonrpc.AppendString(nil, level)})
	}
	return members
}

// client returns what the client said of itself: its capabilities, and its clientInfo or nil. Both are raw JSON.
func (cs *clientSession) client() (capabilities, info []byte) {
	said := append(append([]byte{'{'}, cs.Initialize...), '}')
	var fields [2]jsonrpc.Span
	if jsonrpc.Lookup(said, jsonrpc.Span{End: len(said)}, []string{"capabilities", "clientInfo"}, fields[:]) != nil || fields[0].Empty() {
		return []byte("{}"), nil
	}
	if !fields[1].Empty() {
		info = fields[1].Of(said)
	}
	return withoutTasks(fields[0].Of(said)), info
}

// body returns the request as the server gets it: with _meta, with these members in its params, and with that id, or with
// the client's if it is nil.
func (b *modernCall) body(id []byte, members []jsonrpc.Member) ([]byte, error) {
	body, m := b.c.body, b.message
	var edits []jsonrpc.Edit
	if len(members) > 0 {
		var err error
		if edits, err = jsonrpc.SetMembers(body, m.Params, members...); err != nil {
			return nil, err
		}
	}
	if id != nil {
		edits = append(edits, jsonrpc.Edit{Span: m.ID, New: id})
		sortEdits(edits)
	}
	if len(edits) > 0 {
		body = jsonrpc.Splice(nil, body, edits...)
		if err := jsonrpc.Scan(body, &m); err != nil {
			return nil, err
		}
	}
	edits, err := jsonrpc.SetMeta(body, &m, b.c.session.modernMeta()...)
	if err != nil {
		return nil, err
	}
	return jsonrpc.Splice(nil, body, edits...), nil
}

// header returns the header of a request of that method.
func (b *modernCall) header(method string) http.Header {
	h := make(http.Header, len(b.c.header)+2)
	for name, values := range b.c.header {
		// A legacy revision has no headers that mirror the body, and the modern one no events to resume after.
		if name != headerMethod && name != headerName && name != headerLastEventID && !strings.HasPrefix(name, mirror.HeaderParamPrefix) {
			h[name] = values
		}
	}
	b.setOwnHeaders(h, upstreamSession{version: modernVersion})
	h[headerMethod] = []string{method}
	return h
}

// ask sends the request to the server, with that id (nil: the client's) and these members in its params. A server that
// misses headers, because the tool is not what it was when it was listed, is asked once more.
func (b *modernCall) ask(ctx context.Context, id []byte, members ...jsonrpc.Member) (*http.Response, string, error) {
	body, err := b.body(id, members)
	if err != nil {
		return nil, "", err
	}
	if id == nil {
		id = b.id()
	}
	for attempt := 1; ; attempt++ {
		header := b.header(b.message.Method)
		if err := b.mirror(ctx, header, attempt > 1); err != nil {
			return nil, "", err
		}
		response, endpoint, err := b.send(ctx, header, body, id)
		if err == nil && attempt == 1 && b.message.Method == "tools/call" && response.StatusCode != http.StatusOK {
			if refusal, err := peek(response); err == nil && errorCode(refusal) == jsonrpc.CodeHeaderMismatch {
				continue
			}
		}
		return response, endpoint, err
	}
}

// mirror sets the headers that mirror the request's params.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#client-behavior
func (b *modernCall) mirror(ctx context.Context, header http.Header, refresh bool) error {
	key := mirror.NameKey(b.message.Method)
	if key == "" {
		return nil
	}
	var fields [2]jsonrpc.Span
	if err := jsonrpc.Lookup(b.c.body, b.message.Params, []string{key, "arguments"}, fields[:]); err != nil {
		return err
	}
	name, ok := jsonrpc.Text(b.c.body, fields[0])
	if !ok {
		return nil // Which is for the server to judge.
	}
	header[headerName] = []string{mirror.Encode(name)}
	if b.message.Method != "tools/call" {
		return nil
	}
	params, err := mirror.Header(b.mirroredParams(ctx, name, refresh), fields[1].Of(b.c.body))
	if err != nil {
		return err
	}
	for name, values := range params {
		header[name] = values
	}
	return nil
}

// send sends a request with that id. errEraChanged means that the target is of another era now, and did nothing.
func (b *modernCall) send(ctx context.Context, header http.Header, body, id []byte) (*http.Response, string, error) {
	return b.sendAs(ctx, b.c.target, eraModern, id, &upstream.Request{
		Method: http.MethodPost, Header: header, Endpoint: b.c.upstream.endpoint, Body: body, Stream: b.message.Method == methodListen,
	})
}

// forward has the server answer the request, in as many rounds as it takes.
func (b *modernCall) forward(ctx context.Context) (*http.Response, string, error) {
	running, cancel := context.WithCancel(ctx)
	response, endpoint, err := b.ask(running, nil)
	if err != nil {
		cancel()
		return b.refused(ctx, err)
	}
	if isEventStream(response.Header) && response.StatusCode == http.StatusOK {
		return b.converse(running, cancel, response, nil), endpoint, nil
	}
	data, err := b.whole(response)
	closeBody(response)
	if err != nil {
		cancel()
		return nil, "", b.failure(ctx, err)
	}
	answer, input := b.judge(data, b.id())
	if input != nil {
		return b.converse(running, cancel, nil, input), endpoint, nil
	}
	cancel()
	contentType := contentTypeJSON
	if response.StatusCode == http.StatusOK {
		contentType = response.Header["Content-Type"]
	}
	return newAnswer(http.StatusOK, contentType, answer), endpoint, nil
}

// refused tells why the request was not sent: an error of JSON-RPC is the client's answer.
func (b *modernCall) refused(ctx context.Context, err error) (*http.Response, string, error) {
	var e *jsonrpc.Error
	if errors.As(err, &e) {
		return newAnswer(http.StatusOK, contentTypeJSON, jsonrpc.AppendError(nil, b.id(), e)), "", nil
	}
	return nil, "", b.failure(ctx, err)
}

// whole reads an answer that is one message. With another status than 200 it is one if it is an error of JSON-RPC that is
// the client's business.
func (b *modernCall) whole(response *http.Response) ([]byte, error) {
	if !isJSON(response.Header) {
		return nil, statusError(response)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, b.limits.MaxMessage+1))
	switch {
	case err != nil:
		return nil, errors.New("its answer broke off")
	case int64(len(body)) > b.limits.MaxMessage:
		return nil, fmt.Errorf("its answer is larger than %d bytes", b.limits.MaxMessage)
	case response.StatusCode == http.StatusOK, errorCode(body) != 0 && passesOn(response.StatusCode):
		return body, nil
	default:
		return nil, statusError(response)
	}
}

// judge reads a server's answer to the request that was sent with that id. It returns the answer as the client gets it, or,
// if there is none yet, what the server wants to know first.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/index#resulttype
func (b *modernCall) judge(data, sent []byte) ([]byte, *wantedInput) {
	var m jsonrpc.Message
	if jsonrpc.Scan(data, &m) != nil || m.Kind != jsonrpc.Response {
		return b.unusable("its answer is no JSON-RPC response"), nil
	}
	if m.Result.Empty() {
		return b.asLegacyError(data, &m), nil
	}
	if !sameID(data, m.ID, sent) {
		return b.unusable("its answer has another id than the request"), nil
	}
	var field [1]jsonrpc.Span
	if data[m.Result.Start] != '{' {
		return b.withID(data, m.ID), nil
	}
	if jsonrpc.Lookup(data, m.Result, []string{"resultType"}, field[:]) != nil {
		return b.unusable("its answer has more than one resultType"), nil
	}
	resultType, isText := jsonrpc.Text(data, field[0])
	switch {
	case field[0].Empty() || resultType == "complete":
		if b.message.Method == "tools/list" {
			data, m = b.withoutInvalidTools(data, m)
		}
		return b.withID(data, m.ID), nil
	case resultType == "input_required" && mirror.NameKey(b.message.Method) != "":
		input, err := parseWantedInput(data, m.Result)
		if err != nil {
			return b.unusable("what it asks the client for can't be read: " + err.Error()), nil
		}
		return nil, input
	case isText:
		return b.unusable(fmt.Sprintf(
			"it answered %s with resultType %q, which has no meaning there", b.message.Method, bounded(resultType))), nil
	default:
		return b.unusable("the resultType of its answer is no string"), nil
	}
}

// unusable is the answer to the client if the server's has no meaning.
func (b *modernCall) unusable(reason string) []byte {
	return jsonrpc.AppendError(nil, b.id(), unavailable(b.c.target.Name, reason))
}

// withID gives an answer the id that the client's request has.
func (b *modernCall) withID(data []byte, at jsonrpc.Span) []byte {
	if bytes.Equal(at.Of(data), b.id()) {
		return data
	}
	return jsonrpc.Splice(nil, data, jsonrpc.Edit{Span: at, New: b.id()})
}

// asLegacyError returns an error as the client gets it. A resource that is not found has another code in its revisions.
// https://modelcontextprotocol.io/specification/2026-07-28/server/resources#error-handling
func (b *modernCall) asLegacyError(data []byte, m *jsonrpc.Message) []byte {
	if m.ID.Empty() {
		// Of whoever could not, or would not, read the request.
		answer := append([]byte(`{"jsonrpc":"2.0","id":`), b.id()...)
		answer = append(append(answer, `,"error":`...), m.Error.Of(data)...)
		answer = append(answer, '}')
		data = answer
		if jsonrpc.Scan(data, m) != nil {
			return b.unusable("its answer is no JSON-RPC response")
		}
	}
	edits := []jsonrpc.Edit{{Span: m.ID, New: b.id()}}
	if code := b.codeOfNotFound(data, m.Error); !code.Empty() {
		edits = append(edits, jsonrpc.Edit{Span: code, New: fmt.Appendf(nil, "%d", jsonrpc.CodeResourceNotFound)})
		sortEdits(edits)
	}
	return jsonrpc.Splice(nil, data, edits...)
}

// codeOfNotFound returns where the code of an error is that says for sure that the resource was not found: it is about the
// URI that was asked for.
func (b *modernCall) codeOfNotFound(data []byte, failure jsonrpc.Span) (none jsonrpc.Span) {
	var fields [2]jsonrpc.Span
	var uri, asked [1]jsonrpc.Span
	if b.message.Method != "resources/read" ||
		jsonrpc.Lookup(data, failure, []string{"code", "data"}, fields[:]) != nil ||
		string(fields[0].Of(data)) != fmt.Sprint(int(jsonrpc.CodeInvalidParams)) ||
		jsonrpc.Lookup(data, fields[1], []string{"uri"}, uri[:]) != nil ||
		jsonrpc.Lookup(b.c.body, b.message.Params, []string{"uri"}, asked[:]) != nil {
		return none
	}
	about, ok := jsonrpc.Text(data, uri[0])
	if name, _ := jsonrpc.Text(b.c.body, asked[0]); !ok || about != name {
		return none
	}
	return fields[0]
}
