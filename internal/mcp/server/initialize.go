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
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// initialize begins a client's session. The client's message goes to the targets as it is; where there is none, or none
// answers, a dynamic Backend answers by itself: servers may come later.
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
		Home:       x.homeOf(x.backend),
		Initialize: params.late(),
	}
	x.session = newClientSession(opened)
	begun, failed := x.initializeTargets()
	given := false // Whether the client has been given the session.
	defer func() {
		if given {
			return
		}
		for _, i := range begun {
			x.abandon(i.target, i.session)
		}
	}()
	if x.r.Context().Err() != nil {
		return
	}
	for _, f := range failed {
		x.log.Warn("Target did not answer initialize", "backend", x.backend.Key, "target", f.target.Name, "error", f.err)
	}
	refusal, refused := begun.refusal()
	switch {
	case refused && len(x.backend.targets) == 1:
		writeJSON(x.w, http.StatusOK, refusal) // Its reasons are the client's.
		return
	case len(failed) > 0 && (x.backend.failClosed() || (!x.backend.Dynamic && len(begun) == 0)):
		writeError(x.w, x.id(), asUnavailable(failed[0].target, failed[0].err))
		return
	}
	answer, err := x.answer(begun, params, opened)
	if err != nil {
		writeError(x.w, x.id(), &jsonrpc.Error{
			Code: jsonrpc.CodeInternal, Message: "the answer to initialize can't be read: " + err.Error(),
		})
		return
	}
	token, err := x.keys.Load().SealSession(opened)
	if err != nil {
		x.log.Error("Session can't be sealed", "backend", x.backend.Key, "error", err)
		writeError(x.w, x.id(), &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "the session can't be sealed: " + err.Error()})
		return
	}
	given = true
	x.w.Header()[headerSessionID] = []string{string(token)}
	writeJSON(x.w, http.StatusOK, answer)
}

// initialized is a target that has answered initialize.
type initialized struct {
	target  *target
	session upstreamSession // Without a version if the target refused.
	answer  []byte
}

// initializedTargets are in the order of the Backend's targets.
type initializedTargets []initialized

// refusal returns the answer of the first target that refused.
func (all initializedTargets) refusal() ([]byte, bool) {
	for _, i := range all {
		if i.session.version == "" {
			return i.answer, true
		}
	}
	return nil, false
}

// initializeTargets sends the client's initialize to all targets.
func (x *exchange) initializeTargets() (initializedTargets, []targetError) {
	answers := make([]initialized, len(x.backend.targets))
	limit := x.limits.InitializeTimeout
	failed := x.eachTarget(x.r.Context(), x.backend.targets, limit, func(ctx context.Context, i int, t *target) error {
		us, answer, err := x.openUpstream(ctx, &upstreamCall{
			target: t, session: x.session, method: http.MethodPost, header: x.upstreamHeader(x.r.Header, upstreamSession{}), body: x.body,
			observed: x.observed, name: x.message.Method,
		})
		answers[i] = initialized{t, us, answer}
		return err
	})
	var begun initializedTargets
	for _, a := range answers {
		if a.answer != nil {
			begun = append(begun, a)
		}
	}
	return begun, failed
}

// answer returns the answer to the client, and notes in the session what was agreed on with the targets.
func (x *exchange) answer(begun initializedTargets, params *clientInitialize, opened *session.Session) ([]byte, error) {
	for _, i := range begun {
		if i.session.version != "" {
			opened.Targets = append(opened.Targets, session.TargetSession{
				Service: i.target.hash, ProtocolVersion: i.session.version, Capabilities: i.session.capabilities,
				ID: i.session.id, Endpoint: i.session.endpoint,
			})
		}
	}
	if x.backend.only() != nil && len(opened.Targets) == 1 {
		opened.ProtocolVersion = versionOf(begun[0].answer)
		return x.present(begun[0].answer)
	}
	opened.ProtocolVersion = negotiate(params.version)
	return x.composed(begun, opened.ProtocolVersion), nil
}

// openUpstream sends an initialize to a target and returns its session and its answer. The session's version is empty
// if the server refused. A server that turns out to be of another era than was known is asked again.
func (s *Server) openUpstream(ctx context.Context, c *upstreamCall) (upstreamSession, []byte, error) {
	for attempt := 1; ; attempt++ {
		us, answer, err := s.openUpstreamOnce(ctx, c)
		switch {
		case !errors.Is(err, errEraChanged):
			return us, answer, err
		case attempt == maxRoundTrips:
			return us, nil, &upstream.Error{Target: c.target.Name, Reason: err.Error(), Err: err}
		}
	}
}

func (s *Server) openUpstreamOnce(ctx context.Context, c *upstreamCall) (upstreamSession, []byte, error) {
	t := c.target
	c.upstream.version = ""
	if t.Protocol == config.StreamableHTTP {
		speaks, err := s.eraOf(ctx, t)
		if err != nil {
			c.observed.Attempt(methodDiscover, t.Name).Done(ctx, nil, "", err)
			return upstreamSession{}, nil, err
		}
		if speaks == eraModern {
			c.upstream.version = modernVersion
		}
	}
	response, endpoint, err := s.do(ctx, c)
	if err != nil {
		return upstreamSession{}, nil, err
	}
	defer closeBody(response)
	us := upstreamSession{id: session.UpstreamSessionID(response.Header.Get(headerSessionID))}
	if us.id != "" {
		us.endpoint = endpoint
	}
	defer func() {
		if us.version == "" {
			s.abandon(t, us)
		}
	}()
	answer, err := s.readAnswer(response)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return upstreamSession{}, nil, &upstream.Error{Target: t.Name, Reason: err.Error(), Err: err}
	}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(answer, &m); err != nil || m.Kind != jsonrpc.Response {
		return upstreamSession{}, nil, &upstream.Error{Target: t.Name, Reason: "its answer to initialize is no JSON-RPC response", Err: err}
	}
	if m.Result.Empty() {
		// Every server of the legacy era knows initialize.
		if errorCode(answer) == jsonrpc.CodeMethodNotFound && c.upstream.version == "" && s.isReplaced(ctx, t, endpoint, eraLegacy) {
			return upstreamSession{}, nil, errEraChanged
		}
		return upstreamSession{}, answer, nil
	}
	var fields [2]jsonrpc.Span
	if err := jsonrpc.Lookup(answer, m.Result, []string{"protocolVersion", "capabilities"}, fields[:]); err == nil && !fields[0].Empty() {
		us.version, _ = jsonrpc.Text(answer, fields[0])
		us.capabilities = capabilitiesOf(answer, fields[1])
	}
	switch {
	case us.version == "":
		return upstreamSession{}, nil, &upstream.Error{Target: t.Name, Reason: "its answer to initialize has no protocolVersion"}
	case c.upstream.version == modernVersion:
		us.version = modernVersion // What a legacy client was told is the bridge's.
	case us.version == modernVersion:
		us.version = ""
		return upstreamSession{}, nil, &upstream.Error{Target: t.Name, Reason: "it answered initialize with a revision that has none"}
	}
	return us, answer, nil
}

// versionOf returns the revision that an answer to initialize agrees on.
func versionOf(answer []byte) string {
	var m jsonrpc.Message
	var field [1]jsonrpc.Span
	if jsonrpc.Scan(answer, &m) != nil || jsonrpc.Lookup(answer, m.Result, []string{"protocolVersion"}, field[:]) != nil {
		return ""
	}
	version, _ := jsonrpc.Text(answer, field[0])
	return version
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
	switch response.StatusCode {
	case http.StatusNotFound:
		return errors.New("it answered HTTP status 404; is the path of its MCP endpoint right?")
	case http.StatusOK:
		return errors.New("its answer is neither JSON nor an event stream")
	default:
		return fmt.Errorf("it answered HTTP status %d", response.StatusCode)
	}
}

// initializeLate makes a target's side of a session, and returns it with the server's instructions, from what the session's token
// has of the client's initialize.
func (s *Server) initializeLate(ctx context.Context, cs *clientSession, t *target) (upstreamSession, string, error) {
	body := append([]byte(nil), `{"jsonrpc":"2.0","id":"initialize","method":"initialize","params":{"protocolVersion":`...)
	body = jsonrpc.AppendString(body, negotiate(cs.ProtocolVersion))
	body = append(body, ',')
	body = append(body, cs.Initialize...)
	body = append(body, "}}"...)
	header := http.Header{}
	s.setOwnHeaders(header, upstreamSession{})
	us, answer, err := s.openUpstream(ctx, &upstreamCall{target: t, session: cs, method: http.MethodPost, header: header, body: body})
	switch {
	case err != nil:
		return upstreamSession{}, "", err
	case us.version == "":
		var m jsonrpc.Message
		_ = jsonrpc.Scan(answer, &m) // openUpstream has.
		refusal := bounded(remoteError(answer, m.Error).Message)
		return upstreamSession{}, "", &upstream.Error{Target: t.Name, Reason: "it refused initialize", Said: refusal}
	}
	// The server lists its tools in full only once it has taken this.
	messages := [][]byte{[]byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)}
	if level := cs.level(); level != nil && us.capabilities.Has(session.CapabilityLogging) {
		message := append([]byte(`{"jsonrpc":"2.0","id":`), s.ownID()...)
		message = append(append(message, `,"method":"logging/setLevel","params":`...), level...)
		messages = append(messages, append(message, '}'))
	}
	if us.capabilities.Has(session.CapabilitySubscribe) {
		messages = append(messages, s.subscriptions(cs, t)...)
	}
	for _, message := range messages {
		header = http.Header{}
		s.setOwnHeaders(header, us)
		response, _, err := s.do(ctx, &upstreamCall{
			target: t, session: cs, upstream: us, method: http.MethodPost, header: header, body: message,
		})
		if err != nil {
			s.abandon(t, us)
			return upstreamSession{}, "", err
		}
		closeBody(response)
	}
	return us, instructionsOf(answer), nil
}

// level returns the params of the client's last logging/setLevel, or nil.
func (cs *clientSession) level() []byte {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.logLevel
}

// negotiate returns the revision that the gateway answers by itself to a client that asks for one.
func negotiate(asked string) string {
	if isLegacyVersion(asked) {
		return asked
	}
	return latestVersion
}

// bounded cuts a server's text to what may stand in an error or in a log.
func bounded(text string) string {
	const maxText = 256
	if len(text) > maxText {
		return text[:maxText] + "…"
	}
	return text
}
