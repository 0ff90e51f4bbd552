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
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

func (b *backend) failClosed() bool { return b.FailureMode == config.FailClosed }

// initialize begins a client's session. The client's message goes to the target as it is; where there is none, or it
// does not answer, a dynamic Backend answers by itself: servers may come later.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#initialization
func (x *exchange) initialize() {
	params, e := clientParams(x.body, x.message.Params)
	if e != nil {
		writeHTTPError(x.w, x.id(), &httpError{http.StatusBadRequest, e.Code, e.Message})
		return
	}
	opened := &session.Session{
		SID:        session.NewSID(),
		Expires:    time.Now().Add(x.limits.SessionLifetime),
		Backend:    x.backend.ID,
		Initialize: params.late(),
	}
	t := x.backend.first()
	var answer []byte
	var err error
	if t != nil {
		answer, err = x.initializeTarget(t, opened)
	}
	switch {
	case t != nil && err == nil && answer != nil:
		// The target refused: its reasons are the client's.
		if opened.ProtocolVersion == "" {
			writeJSON(x.w, http.StatusOK, answer)
			return
		}
	case err != nil && (x.backend.failClosed() || !x.backend.Dynamic):
		x.log.Warn("Target did not answer initialize", "backend", x.backend.Key, "target", t.Name, "error", err)
		writeError(x.w, x.id(), asUnavailable(t, err))
		return
	default:
		if err != nil {
			x.log.Warn("Target did not answer initialize; it will be asked again when it is needed",
				"backend", x.backend.Key, "target", t.Name, "error", err)
		}
		opened.ProtocolVersion = negotiate(params.version)
		answer = x.ownAnswer(opened.ProtocolVersion)
	}
	token, err := x.keys.Load().SealSession(opened)
	if err != nil {
		x.log.Error("Session can't be sealed", "backend", x.backend.Key, "error", err)
		writeError(x.w, x.id(), &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "the session can't be sealed: " + err.Error()})
		return
	}
	x.w.Header()[headerSessionID] = []string{string(token)}
	writeJSON(x.w, http.StatusOK, answer)
}

// initializeTarget sends the client's initialize to a target and returns the answer for the client. If the target
// accepted, opened has the target's side of the session and the version that was negotiated.
func (x *exchange) initializeTarget(t *target, opened *session.Session) ([]byte, error) {
	if !t.usable() {
		return nil, unavailable(t.Name, t.unready)
	}
	ctx, cancel := context.WithTimeoutCause(x.r.Context(), x.limits.InitializeTimeout,
		fmt.Errorf("it did not answer initialize within %s", x.limits.InitializeTimeout))
	defer cancel()
	header := x.upstreamHeader(x.r.Header, upstreamSession{})
	us, answer, err := x.openUpstream(ctx, t, header, x.body)
	if err != nil {
		return nil, err
	}
	if us.version == "" {
		return answer, nil
	}
	opened.ProtocolVersion = us.version
	opened.Targets = []session.TargetSession{{
		Service: t.hash, ProtocolVersion: us.version, ID: us.id, Endpoint: us.endpoint,
	}}
	return x.present(answer)
}

// openUpstream sends an initialize to a target and returns its session and its answer. The session's version is empty
// if the server refused.
func (s *Server) openUpstream(ctx context.Context, t *target, header http.Header, body []byte) (upstreamSession, []byte, error) {
	response, endpoint, err := s.upstream.Do(ctx, t.requests, &upstream.Request{Method: http.MethodPost, Header: header, Body: body})
	if err != nil {
		return upstreamSession{}, nil, err
	}
	defer closeBody(response.Body)
	answer, err := s.readAnswer(response)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return upstreamSession{}, nil, &upstream.Error{Target: t.Name, Reason: err.Error(), Err: err}
	}
	us := upstreamSession{id: session.UpstreamSessionID(response.Header.Get(headerSessionID))}
	if us.id != "" {
		us.endpoint = endpoint
	}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(answer, &m); err != nil || m.Kind != jsonrpc.Response {
		return upstreamSession{}, nil, &upstream.Error{Target: t.Name, Reason: "its answer to initialize is no JSON-RPC response", Err: err}
	}
	if m.Result.Empty() {
		return upstreamSession{}, answer, nil
	}
	var fields [1]jsonrpc.Span
	if err := jsonrpc.Lookup(answer, m.Result, []string{"protocolVersion"}, fields[:]); err == nil && !fields[0].Empty() {
		us.version, _ = jsonrpc.Text(answer, fields[0])
	}
	if us.version == "" {
		return upstreamSession{}, nil, &upstream.Error{Target: t.Name, Reason: "its answer to initialize has no protocolVersion"}
	}
	return us, answer, nil
}

// readAnswer returns the one response in an answer, be it JSON or a stream.
func (s *Server) readAnswer(response *http.Response) ([]byte, error) {
	switch {
	case isEventStream(response.Header) && response.StatusCode == http.StatusOK:
		events := sse.NewReader(response.Body, int(s.limits.MaxMessage))
		defer events.Close()
		var event sse.Event
		for {
			if err := events.Next(&event); err != nil {
				return nil, errors.New("its stream ended without an answer")
			}
			var m jsonrpc.Message
			if jsonrpc.Scan(event.Data, &m) == nil && m.Kind == jsonrpc.Response {
				return bytes.Clone(event.Data), nil
			}
		}
	case isJSON(response.Header):
		body, err := io.ReadAll(io.LimitReader(response.Body, s.limits.MaxMessage+1))
		switch {
		case err != nil:
			return nil, errors.New("its answer broke off")
		case int64(len(body)) > s.limits.MaxMessage:
			return nil, fmt.Errorf("its answer is larger than %d bytes", s.limits.MaxMessage)
		}
		if response.StatusCode == http.StatusOK {
			return body, nil
		}
		var m jsonrpc.Message
		if jsonrpc.Scan(body, &m) == nil && m.Kind == jsonrpc.Response && !bytes.Equal(m.ID.Of(body), []byte("null")) && !m.ID.Empty() {
			return body, nil
		}
	}
	return nil, statusError(response)
}

// statusError says what an HTTP answer that is no answer in MCP was.
func statusError(response *http.Response) error {
	switch {
	case response.StatusCode == http.StatusNotFound:
		return errors.New("it answered HTTP status 404; is the path of its MCP endpoint right?")
	case response.StatusCode == http.StatusOK:
		return errors.New("its answer is neither JSON nor an event stream")
	default:
		return fmt.Errorf("it answered HTTP status %d", response.StatusCode)
	}
}

// initializeLate makes a target's side of a session from what the session's token has of the client's initialize.
func (s *Server) initializeLate(ctx context.Context, cs *clientSession, t *target) (upstreamSession, error) {
	body := append([]byte(nil), `{"jsonrpc":"2.0","id":"initialize","method":"initialize","params":{"protocolVersion":`...)
	body = jsonrpc.AppendString(body, cs.ProtocolVersion)
	body = append(body, ',')
	body = append(body, cs.Initialize...)
	body = append(body, "}}"...)
	header := http.Header{}
	s.setOwnHeaders(header, upstreamSession{})
	us, answer, err := s.openUpstream(ctx, t, header, body)
	switch {
	case err != nil:
		return upstreamSession{}, err
	case us.version == "":
		var m jsonrpc.Message
		message := ""
		if jsonrpc.Scan(answer, &m) == nil {
			message = errorMessage(answer, m.Error)
		}
		return upstreamSession{}, &upstream.Error{Target: t.Name, Reason: "it refused initialize: " + message}
	}
	header = http.Header{}
	s.setOwnHeaders(header, us)
	// The server lists its tools in full only once it has taken this.
	response, _, err := s.upstream.Do(ctx, t.requests, &upstream.Request{
		Method: http.MethodPost, Header: header, Endpoint: us.endpoint,
		Body: []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`),
	})
	if err != nil {
		return upstreamSession{}, err
	}
	closeBody(response.Body)
	return us, nil
}

func errorMessage(body []byte, e jsonrpc.Span) string {
	var fields [1]jsonrpc.Span
	if jsonrpc.Lookup(body, e, []string{"message"}, fields[:]) != nil || fields[0].Empty() {
		return ""
	}
	message, _ := jsonrpc.Text(body, fields[0])
	return message
}

// negotiate returns the revision that the gateway answers by itself to a client that asks for one.
func negotiate(asked string) string {
	if slices.Contains(supportedVersions, asked) {
		return asked
	}
	return latestVersion
}

// ownAnswer is the answer to initialize of a Backend of which no target has answered yet.
func (x *exchange) ownAnswer(version string) []byte {
	var result strings.Builder
	result.WriteString(`{"protocolVersion":`)
	result.Write(jsonrpc.AppendString(nil, version))
	result.WriteString(`,"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}}`)
	result.WriteString(`,"serverInfo":{"name":`)
	result.Write(jsonrpc.AppendString(nil, x.backend.ServerName))
	result.WriteString(`,"version":`)
	result.Write(jsonrpc.AppendString(nil, x.version))
	result.WriteString("}}")
	return jsonrpc.AppendResult(nil, x.id(), []byte(result.String()))
}
