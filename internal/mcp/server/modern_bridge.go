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
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// bridge has a legacy target answer a modern client's request, in a session that nobody else uses. An error means that
// nothing was answered yet.
func (x *exchange) bridge(t *target, body []byte) error {
	if _, isList := federation.KindOfList(x.message.Method); isList {
		return x.bridgeList(t)
	}
	if level := x.modern.logLevel; level != "" && !slices.Contains(logLevels, level) {
		x.fail(&jsonrpc.Error{Code: jsonrpc.CodeInvalidParams,
			Message: "Invalid params: " + metaLogLevel + " must be one of " + strings.Join(logLevels, ", ")})
		return nil
	}
	if x.message.Method == "tools/call" {
		if e := x.checkParams(t); e != nil {
			x.fail(e)
			return nil
		}
	}
	body, err := legacyBody(body)
	if err != nil {
		x.invalidParams(err)
		return nil
	}
	state, err := x.requestState()
	switch {
	case err != nil:
		x.invalidParams(err)
		return nil
	case !state.Empty():
		return x.resume(t, state, body)
	default:
		return x.bridgeAnew(t, body)
	}
}

// legacyBody leaves out of a request's params what only the modern era has: servers that know both would take the request for one
// of it.
func legacyBody(body []byte) ([]byte, error) {
	var m jsonrpc.Message
	if err := jsonrpc.Scan(body, &m); err != nil {
		return nil, err
	}
	edits, err := jsonrpc.SetMeta(body, &m, jsonrpc.Member{Key: metaProtocolVersion}, jsonrpc.Member{Key: metaClientInfo},
		jsonrpc.Member{Key: metaClientCapabilities}, jsonrpc.Member{Key: metaLogLevel})
	if err != nil {
		return nil, err
	}
	input, err := jsonrpc.SetMembers(body, m.Params, jsonrpc.Member{Key: "inputResponses"}, jsonrpc.Member{Key: "requestState"})
	if err != nil {
		return nil, err
	}
	edits = append(edits, input...)
	sortEdits(edits)
	return jsonrpc.Splice(nil, body, edits...), nil
}

func (x *exchange) bridgeAnew(t *target, body []byte) error {
	c, err := x.beginBridged(t, body)
	if err != nil {
		return err
	}
	return c.serve(x)
}

// bridgeList answers a list of a legacy target in the session that only lists.
func (x *exchange) bridgeList(t *target) error {
	ctx, cancel := context.WithTimeoutCause(x.r.Context(), x.limits.ListTimeout,
		fmt.Errorf("it did not answer within %s", x.limits.ListTimeout))
	defer cancel()
	body, err := legacyBody(x.body)
	if err != nil {
		x.invalidParams(err)
		return nil
	}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(body, &m); err != nil {
		return err
	}
	result, _, err := x.ask(ctx, t, x.message.Method, m.Params.Of(body))
	if refused := (*jsonrpc.Error)(nil); errors.As(err, &refused) {
		x.fail(refused)
		return nil
	}
	if err != nil {
		return err
	}
	x.noteListed(t, result)
	x.finish(result)
	return nil
}

// bridgedCall is a modern client's request that a legacy server works on.
type bridgedCall struct {
	*Server
	target  *target
	session *clientSession // For this call alone, or the audience's if the server keeps no sessions.
	shared  bool           // The latter.
	us      upstreamSession
	// id and token are the id and the progress token by which the server knows the request, raw; token is nil if it has none.
	id, token []byte
	digest    [16]byte

	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *watchdog
	// incoming is what the server sends, until ctx ends.
	incoming chan incoming
	// asked are the server's requests to the client that have no answer yet.
	asked []question
	count int // Of all that it has asked.
	// answering has a value for each answer that is on its way to the server.
	answering chan struct{}
}

// errClientGone is why a call ends whose client has closed the connection. The target is not to blame: see upstream.Client.
var errClientGone = fmt.Errorf("the client has gone: %w", context.Canceled)

// beginBridged has a request sent to a legacy target.
func (x *exchange) beginBridged(t *target, body []byte) (*bridgedCall, error) {
	c := &bridgedCall{
		Server: x.Server, target: t, digest: x.digest(), incoming: make(chan incoming), answering: make(chan struct{}, maxAnswering),
	}
	c.ctx, c.cancel = context.WithCancelCause(x.running)
	if err := c.open(x); err != nil {
		c.cancel(err)
		return nil, err
	}
	if x.r.Context().Err() != nil {
		c.end(false)
		return nil, errClientGone
	}
	body, err := c.rename(body)
	if err != nil {
		c.end(false)
		return nil, err
	}
	c.watch = newWatchdog(c.cancel, x.limits.CallTimeout)
	call := &upstreamCall{
		target: t, session: c.session, upstream: c.us, method: http.MethodPost,
		header: x.upstreamHeader(bridgedHeader(x.r.Header), c.us), body: body,
		observed: x.observed, name: x.message.Method,
	}
	// A server of HTTP+SSE has one stream for all, in its order: while nobody listens to it apart, all of it comes with the answer.
	listens := x.mayBeAsked() && c.us.id != "" && t.Protocol != config.SSE
	c.background.Go(func() {
		if listens {
			c.listenFirst()
		}
		c.send(call)
	})
	return c, nil
}

// send sends the request, and takes the answer.
func (c *bridgedCall) send(call *upstreamCall) {
	response, _, err := c.do(c.ctx, call)
	switch {
	case err != nil:
		c.pass(incoming{err: err})
	case c.shared && isLost(response) && c.keepsSessions():
		closeBody(response)
		c.pass(incoming{err: errEraChanged})
	default:
		response.Body = c.watch.body(response.Body)
		c.read(response)
	}
}

// bridgedHeader leaves out what only the modern era has.
func bridgedHeader(client http.Header) http.Header {
	h := make(http.Header, len(forwardedHeaders))
	for _, name := range forwardedHeaders {
		if values := client[name]; values != nil {
			h[name] = values
		}
	}
	return h
}

// rename gives the request an id of the gateway's own, which also is its progress token if it has one: calls of several clients
// may share a session, and not every server can hold any integer.
func (c *bridgedCall) rename(body []byte) ([]byte, error) {
	var m jsonrpc.Message
	if err := jsonrpc.Scan(body, &m); err != nil {
		return nil, err
	}
	c.id = c.ownID()
	edits := []jsonrpc.Edit{{Span: m.ID, New: c.id}}
	if token := progressToken(body, m.Params); !token.Empty() {
		c.token = c.id
		edits = append(edits, jsonrpc.Edit{Span: token, New: c.id})
	}
	sortEdits(edits)
	return jsonrpc.Splice(nil, body, edits...), nil
}

// open makes the session that the call is made in: one that nobody else uses, unless the server keeps none. It does not end with
// the client, because a session that is half made can't be ended.
func (c *bridgedCall) open(x *exchange) error {
	ctx, cancel := context.WithTimeoutCause(c.ctx, x.limits.InitializeTimeout,
		fmt.Errorf("it did not answer initialize within %s", x.limits.InitializeTimeout))
	defer cancel()
	us, err := x.upstreamSession(ctx, x.session, c.target)
	switch {
	case err != nil:
		return err
	case us.era() != eraLegacy:
		return errEraChanged
	case us.id == "":
		c.session, c.us, c.shared = x.session, us, true
		return nil
	}
	c.session = newClientSession(&session.Session{
		SID: session.NewSID(), Backend: x.session.Backend, ProtocolVersion: modernVersion,
		Initialize: x.session.Initialize, Expires: x.session.Expires,
	})
	if x.modern.logLevel != "" {
		c.session.logLevel = append(jsonrpc.AppendString([]byte(`{"level":`), x.modern.logLevel), '}')
	}
	if c.us, _, err = x.initializeLate(ctx, c.session, c.target); err == nil && c.us.era() != eraLegacy {
		return errEraChanged
	}
	return err
}

// keepsSessions asks a server that kept no sessions, and has refused a request as if it missed one, whether it does by now.
func (c *bridgedCall) keepsSessions() bool {
	c.session.lose(c.target, c.us)
	us, err := c.upstreamSession(c.ctx, c.session, c.target)
	return err == nil && us.id != ""
}

// end ends the call here and, if it has no answer yet, with the server; and then its session.
func (c *bridgedCall) end(unanswered bool) {
	c.cancel(nil)
	if c.watch != nil {
		c.watch.stop()
	}
	if c.us.version == "" {
		return
	}
	c.background.Go(func() {
		ctx, cancel := context.WithTimeoutCause(c.running, endTimeout, errNotEnded)
		defer cancel()
		if unanswered {
			body := append([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`), c.id...)
			_ = c.tell(ctx, append(body, "}}"...)) // Its session ends in any case.
		}
		if !c.shared && c.us.id != "" {
			c.endUpstream(ctx, c.target, c.us)
		}
	})
}

// tell sends a message that has no answer. What the server makes of it is not looked at.
func (c *bridgedCall) tell(ctx context.Context, body []byte) error {
	header := http.Header{}
	c.setOwnHeaders(header, c.us)
	response, _, err := c.do(ctx, &upstreamCall{
		target: c.target, session: c.session, upstream: c.us, method: http.MethodPost, header: header, body: body,
	})
	if err != nil {
		c.log.Debug("Message not delivered", "backend", c.target.backend.Key, "target", c.target.Name, "error", err)
		return err
	}
	closeBody(response)
	return nil
}

// gatherTime is how long further requests of a server are waited for, so that the client is asked all of them together.
const gatherTime = 25 * time.Millisecond

// serve answers one of the client's requests: by the server's answer, or by what the server wants to know first.
func (c *bridgedCall) serve(x *exchange) error {
	stop := context.AfterFunc(x.r.Context(), func() { c.cancel(errClientGone) })
	defer stop()
	answer := &bridgedAnswer{exchange: x}
	defer answer.stop()
	keepAlive := time.NewTimer(x.limits.KeepAlive)
	defer keepAlive.Stop()
	var gathered <-chan time.Time
	for {
		select {
		case in := <-c.incoming:
			switch {
			case errors.Is(in.err, errEraChanged) && answer.stream == nil:
				c.end(false)
				return in.err
			case in.err != nil && len(c.asked) > 0:
				// The stream is over, but not what the server wants to know; its answer can't come any more.
				c.end(false)
				answer.fail(unavailable(c.target.Name, in.err.Error()))
				return nil
			case in.err != nil:
				x.log.Warn("Target did not answer", "backend", x.backend.Key, "target", c.target.Name, "error", in.err)
				c.end(false)
				answer.fail(x.unanswered(c.target, in.err))
				return nil
			case in.message.Kind == jsonrpc.Response && sameID(in.data, in.message.ID, c.id):
				c.end(false)
				c.finish(answer, &in)
				return nil
			case in.message.Kind == jsonrpc.Request:
				c.take(x, &in)
				if len(c.asked) > 0 && gathered == nil {
					gathered = time.After(gatherTime)
				}
			case in.message.Kind == jsonrpc.Notification:
				c.notified(x, answer, &in)
			}
		case <-gathered:
			gathered = nil
			if len(c.asked) > 0 { // The server may have taken it back.
				stop()
				c.park(answer)
				return nil
			}
		case <-keepAlive.C:
			answer.begin() // From now on comments keep the connection alive.
		case <-c.ctx.Done():
			c.end(true)
			if x.r.Context().Err() == nil {
				answer.fail(unavailable(c.target.Name, brokenOff(c.ctx)))
			}
			return nil
		}
	}
}

// unanswered is the error for a request to which a server has no answer in MCP. Some servers refuse a method that they don't
// know so.
func (x *exchange) unanswered(t *target, err error) *jsonrpc.Error {
	if refused := (*refusedError)(nil); errors.As(err, &refused) && !isLegacyMethod(x.message.Method) {
		return &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "Method not found: " + bounded(x.message.Method)}
	}
	return asUnavailable(t, err)
}

// refusedError is for an HTTP status that refuses a request, without a JSON-RPC error.
type refusedError struct{ error }

// isLegacyMethod returns whether servers of the legacy era may know a method of requests.
func isLegacyMethod(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read", "completion/complete":
		return true
	default:
		_, isList := federation.KindOfList(method)
		return isList
	}
}
