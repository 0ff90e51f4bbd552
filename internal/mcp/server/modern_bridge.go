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
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// bridge has a legacy target answer a modern client's request, in a session that nobody else uses. An error means that
// nothing was answered yet.
func (x *exchange) bridge(t *target, body []byte) error {
	if _, isList := federation.KindOfList(x.message.Method); isList {
		return x.bridgeList(t)
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
	if token := x.requestState(); token != "" {
		return x.resume(t, token, body)
	}
	return x.bridgeAnew(t, body)
}

// legacyBody leaves out of a request's params._meta what only the modern era has: servers that know both would take the
// request for one of it.
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
	// id and token are the id and the progress token by which the server knows the request, raw.
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
}

// incoming is one message of a server, or that its answer is over.
type incoming struct {
	data    []byte
	message jsonrpc.Message
	err     error
}

// errClientGone is why a call ends whose client has closed the connection. The target is not to blame: see upstream.Client.
var errClientGone = fmt.Errorf("the client has gone: %w", context.Canceled)

// beginBridged sends a request to a legacy target.
func (x *exchange) beginBridged(t *target, body []byte) (*bridgedCall, error) {
	c := &bridgedCall{
		Server: x.Server, target: t, id: bytes.Clone(x.id()), token: bytes.Clone(progressToken(x.body, x.message.Params).Of(x.body)),
		digest: x.digest(), incoming: make(chan incoming),
	}
	c.ctx, c.cancel = context.WithCancelCause(x.running)
	stop := context.AfterFunc(x.r.Context(), func() { c.cancel(errClientGone) })
	defer stop()
	if err := c.open(x); err != nil {
		c.cancel(err)
		return nil, err
	}
	c.watch = newWatchdog(c.cancel, x.limits.CallTimeout)
	if x.mayBeAsked() && c.us.id != "" {
		c.listenFirst()
	}
	response, _, err := c.do(c.ctx, &upstreamCall{
		target: t, session: c.session, upstream: c.us, method: http.MethodPost, header: x.upstreamHeader(bridgedHeader(x.r.Header), c.us), body: body,
		observed: x.observed, name: x.message.Method,
	})
	switch {
	case err != nil:
		c.end(context.Cause(c.ctx) != nil)
		return nil, err
	case c.shared && (response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusBadRequest && isLost(response)):
		// It keeps sessions by now.
		closeBody(response)
		c.session.lose(t, c.us)
		c.end(false)
		return nil, errEraChanged
	case refusesEra(response):
		closeBody(response)
		t.era.forget(eraLegacy)
		c.end(false)
		return nil, errEraChanged
	}
	response.Body = c.watch.body(response.Body)
	c.background.Go(func() { c.read(response) })
	return c, nil
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

// open makes the session that the call is made in.
func (c *bridgedCall) open(x *exchange) error {
	if us, ok := x.session.existing(c.target); ok && us.id == "" && us.era() == eraLegacy && c.target.Protocol == config.StreamableHTTP {
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
	ctx, cancel := context.WithTimeoutCause(c.ctx, x.limits.InitializeTimeout,
		fmt.Errorf("it did not answer initialize within %s", x.limits.InitializeTimeout))
	defer cancel()
	var err error
	c.us, _, err = x.initializeLate(ctx, c.session, c.target)
	return err
}

// mayBeAsked returns whether the client has declared anything that a server may ask of it.
func (x *exchange) mayBeAsked() bool {
	var fields [3]jsonrpc.Span
	capabilities := x.modern.capabilities
	if jsonrpc.Lookup(capabilities, jsonrpc.Span{End: len(capabilities)}, []string{"elicitation", "sampling", "roots"}, fields[:]) != nil {
		return false
	}
	return !fields[0].Empty() || !fields[1].Empty() || !fields[2].Empty()
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
			c.tell(ctx, append(body, "}}"...))
		}
		if !c.shared && c.us.id != "" {
			c.endUpstream(ctx, c.target, c.us)
		}
	})
}

// tell sends a message that has no answer.
func (c *bridgedCall) tell(ctx context.Context, body []byte) {
	header := http.Header{}
	c.setOwnHeaders(header, c.us)
	response, _, err := c.do(ctx, &upstreamCall{
		target: c.target, session: c.session, upstream: c.us, method: http.MethodPost, header: header, body: body,
	})
	if err != nil {
		c.log.Debug("Message not delivered", "backend", c.target.backend.Key, "target", c.target.Name, "error", err)
		return
	}
	closeBody(response)
}

// read takes the server's answer to the call.
func (c *bridgedCall) read(response *http.Response) {
	defer closeBody(response)
	switch {
	case response.StatusCode == http.StatusOK && isEventStream(response.Header):
		var last lastEvent
		err := c.readStream(response, &last)
		for err == nil {
			err = c.resume(&last)
		}
		c.pass(incoming{err: err})
	case isJSON(response.Header):
		data, err := io.ReadAll(io.LimitReader(response.Body, c.limits.MaxMessage+1))
		in := incoming{data: data}
		switch {
		case err != nil:
			in.err = errors.New(brokenOff(c.ctx))
		case int64(len(data)) > c.limits.MaxMessage:
			in.err = fmt.Errorf("its answer is larger than %d bytes", c.limits.MaxMessage)
		case jsonrpc.Scan(data, &in.message) != nil || in.message.Kind != jsonrpc.Response ||
			response.StatusCode != http.StatusOK && !passesOn(response.StatusCode):
			in.err = statusError(response)
		case in.message.ID.Empty() || string(in.message.ID.Of(data)) == "null":
			// Servers refuse so what they can't read; there is only one request that it can be about.
			in.data = jsonrpc.AppendError(nil, c.id, remoteError(data, in.message.Error))
			_ = jsonrpc.Scan(in.data, &in.message) // It is the gateway's own.
		}
		c.pass(in)
	case response.StatusCode == http.StatusBadRequest, response.StatusCode == http.StatusNotFound:
		c.pass(incoming{err: &refusedError{statusError(response)}})
	default:
		c.pass(incoming{err: statusError(response)})
	}
}

// lastEvent is where a stream is to be resumed.
type lastEvent struct {
	id    string
	pause time.Duration // That the server asks for; 0 if it does not say.
}

// readStream passes on the messages of a stream until it ends, and returns why that is no answer; nil if the server has
// closed the stream for whoever reads it to come back.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery
func (c *bridgedCall) readStream(response *http.Response, last *lastEvent) error {
	events := newMessageReader(response.Body, c.limits.MaxMessage)
	defer events.Close()
	var event sse.Event
	for {
		err := events.Next(&event)
		switch {
		case errors.Is(err, io.EOF) && last.id != "" && c.ctx.Err() == nil:
			return nil
		case err != nil:
			return errors.New(brokenOff(c.ctx))
		}
		if event.HasID {
			last.id = event.ID
		}
		if event.Retry >= 0 {
			last.pause = time.Duration(event.Retry) * time.Millisecond
		}
		in := incoming{data: bytes.Clone(event.Data)}
		if len(in.data) == 0 || !event.IsMessage() || jsonrpc.Scan(in.data, &in.message) != nil {
			continue
		}
		if !c.pass(in) {
			return errClientGone
		}
	}
}

// resume reads on where a stream has ended.
func (c *bridgedCall) resume(last *lastEvent) error {
	pause := minStreamPause
	if last.pause > 0 {
		pause = min(last.pause, maxStreamPause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		return errors.New(brokenOff(c.ctx))
	}
	header := http.Header{}
	c.setOwnHeaders(header, c.us)
	header["Accept"] = contentTypeEventStream
	header[headerLastEventID] = []string{last.id}
	delete(header, "Content-Type")
	response, _, err := c.do(c.ctx, &upstreamCall{target: c.target, session: c.session, upstream: c.us, method: http.MethodGet, header: header})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || !isEventStream(response.Header) {
		return errors.New("it closed its stream, and does not resume it")
	}
	response.Body = c.watch.body(response.Body)
	return c.readStream(response, last)
}

// listenPause is how long a server's own stream is waited for before the client's call, or the client's own next message, may
// reach the server: what it asks there while nobody listens is lost.
const listenPause = time.Second

// listenFirst begins to listen to the server's own stream.
func (c *bridgedCall) listenFirst() {
	opened := make(chan struct{})
	c.background.Go(func() { c.listen(opened) })
	timer := time.NewTimer(listenPause)
	defer timer.Stop()
	select {
	case <-opened:
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// listen takes what the server sends on a stream of its own: some ask the client there.
func (c *bridgedCall) listen(opened chan<- struct{}) {
	header := http.Header{}
	c.setOwnHeaders(header, c.us)
	header["Accept"] = contentTypeEventStream
	delete(header, "Content-Type")
	response, _, err := c.do(c.ctx, &upstreamCall{target: c.target, session: c.session, upstream: c.us, method: http.MethodGet, header: header})
	close(opened)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK && isEventStream(response.Header) {
		_ = c.readStream(response, &lastEvent{}) // The call's own answer says whether anything is wrong.
	}
}

// pass hands a message to whoever serves the client; false if the call is over.
func (c *bridgedCall) pass(in incoming) bool {
	select {
	case c.incoming <- in:
		return true
	case <-c.ctx.Done():
		return false
	}
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
				c.take(&in)
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
	return unavailable(t.Name, err.Error())
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

// notified handles a notification of the server.
func (c *bridgedCall) notified(x *exchange, answer *bridgedAnswer, in *incoming) {
	var field [1]jsonrpc.Span
	switch in.message.Method {
	case "notifications/message":
		if x.modern.logLevel != "" {
			answer.notify(in.data)
		}
	case "notifications/progress":
		token := progressToken(x.body, x.message.Params).Of(x.body)
		if jsonrpc.Lookup(in.data, in.message.Params, []string{"progressToken"}, field[:]) != nil ||
			!sameID(in.data, field[0], c.token) || len(token) == 0 {
			return
		}
		answer.notify(jsonrpc.Splice(nil, in.data, jsonrpc.Edit{Span: field[0], New: token}))
	case "notifications/cancelled":
		if jsonrpc.Lookup(in.data, in.message.Params, []string{"requestId"}, field[:]) == nil {
			c.takeBack(field[0].Of(in.data))
		}
	case "notifications/resources/updated", "notifications/elicitation/complete":
		// Told on listen streams, or not at all in the modern era.
	default:
		if kinds := changedKinds[in.message.Method]; kinds != nil {
			x.session.changed(x.backend, c.target, kinds...)
			return
		}
		answer.notify(in.data)
	}
}

// finish hands the server's answer to the client.
func (c *bridgedCall) finish(answer *bridgedAnswer, in *incoming) {
	x := answer.exchange
	if in.message.Result.Empty() {
		e := remoteError(in.data, in.message.Error)
		if e.Code == jsonrpc.CodeURLElicitationRequired {
			if result := c.urlRequired(x, in.data, in.message.Error); result != nil {
				answer.result(result)
				return
			}
		}
		answer.error(in.data, &in.message, e)
		return
	}
	result := in.message.Result.Of(in.data)
	if x.rewrite != nil {
		result = x.rewrite(result)
	}
	answer.result(x.modernResult(result, cacheHints{}))
}

// bridgedAnswer is the answer to a modern client: JSON, or a stream once there is anything to tell before the result.
type bridgedAnswer struct {
	*exchange
	stream *eventStream
}

func (a *bridgedAnswer) begin() {
	if a.stream == nil {
		a.observed.Stream(telemetry.StreamCall)
		a.stream = a.newEventStream(a.w)
		a.stream.start()
	}
}

func (a *bridgedAnswer) stop() {
	if a.stream != nil {
		a.stream.stop()
	}
}

// notify sends a notification. That the client has gone ends the request by itself.
func (a *bridgedAnswer) notify(data []byte) {
	a.begin()
	_ = a.stream.send(messageEvent(data))
}

func (a *bridgedAnswer) result(result []byte) {
	a.send(http.StatusOK, jsonrpc.AppendResult(nil, a.id(), result))
}

func (a *bridgedAnswer) fail(e *jsonrpc.Error) {
	a.observed.Result(resultOf(e))
	a.send(modernStatus(e.Code), jsonrpc.AppendError(nil, a.id(), e))
}

// error hands on a server's error, as the modern era has it.
func (a *bridgedAnswer) error(data []byte, m *jsonrpc.Message, e *jsonrpc.Error) {
	edits := []jsonrpc.Edit{{Span: m.ID, New: a.id()}}
	if e.Code == jsonrpc.CodeResourceNotFound {
		var code [1]jsonrpc.Span
		if jsonrpc.Lookup(data, m.Error, []string{"code"}, code[:]) == nil && !code[0].Empty() {
			e.Code = jsonrpc.CodeInvalidParams
			edits = append(edits, jsonrpc.Edit{Span: code[0], New: fmt.Append(nil, int(e.Code))})
		}
	}
	sortEdits(edits)
	a.observed.Result(telemetry.RPCError)
	a.send(modernStatus(e.Code), jsonrpc.Splice(nil, data, edits...))
}

func (a *bridgedAnswer) send(status int, data []byte) {
	if a.stream == nil {
		writeJSON(a.w, status, data)
		return
	}
	_ = a.stream.send(messageEvent(data))
}
