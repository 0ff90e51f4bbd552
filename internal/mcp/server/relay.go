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
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// wholeAnswer is up to which size an answer in JSON is read before it is handed on, so that one that breaks off can
// still be told to the client as an error.
const wholeAnswer = 64 << 10

// relay hands a target's answer to the client.
func (x *exchange) relay(ctx context.Context, t *target, us upstreamSession, response *http.Response, watch *watchdog) {
	switch {
	case response.StatusCode == http.StatusOK && isEventStream(response.Header):
		x.relayStream(ctx, t, us, response, watch)
	case response.StatusCode == http.StatusOK && !strings.HasPrefix(mediaType(response.Header), "text/"):
		x.relayBody(ctx, t, response)
	default:
		x.relayError(ctx, t, response)
	}
}

// relayBody hands on an answer that is one message, byte for byte.
func (x *exchange) relayBody(ctx context.Context, t *target, response *http.Response) {
	limit := x.limits.MaxMessage
	if response.ContentLength > limit {
		x.failBroken(ctx, t, x.tooLarge())
		return
	}
	if x.reads() || x.mayLink() || x.backend.isShared() {
		x.relayRead(ctx, t, response)
		return
	}
	x.w.Header()["Content-Type"] = response.Header["Content-Type"]
	n := response.ContentLength
	if n >= 0 && n <= wholeAnswer {
		buffer := buffers.Get().(*[wholeAnswer]byte)
		defer buffers.Put(buffer)
		if _, err := io.ReadFull(response.Body, buffer[:n]); err != nil {
			x.failBrokenOff(ctx, t)
			return
		}
		x.w.Header()["Content-Length"] = []string{strconv.FormatInt(n, 10)}
		x.w.WriteHeader(http.StatusOK)
		_, _ = x.w.Write(buffer[:n])
		return
	}
	if n >= 0 {
		x.w.Header()["Content-Length"] = []string{strconv.FormatInt(n, 10)}
	}
	x.w.WriteHeader(http.StatusOK)
	buffer := buffers.Get().(*[wholeAnswer]byte)
	defer buffers.Put(buffer)
	copied, err := x.copyTo(x.w, io.LimitReader(response.Body, limit+1), buffer[:])
	if err != nil || copied > limit {
		x.observed.Result(telemetry.Unavailable)
		x.countBroken(ctx, t)
		// The client has part of an answer; a broken connection tells it so.
		panic(http.ErrAbortHandler)
	}
}

// reads returns whether the gateway has to read the answer's result: to rewrite it, or to know who has which name.
func (x *exchange) reads() bool {
	_, isList := federation.KindOfList(x.message.Method)
	return isList || x.rewrite != nil
}

// relayRead hands on an answer once all of it is there, and, if it is of one of several targets, once it is known to be the request's.
// What the gateway need not change it hands on byte for byte.
func (x *exchange) relayRead(ctx context.Context, t *target, response *http.Response) {
	var buffer []byte
	if !x.reads() { // What is read may be kept.
		pooled := buffers.Get().(*[wholeAnswer]byte)
		defer buffers.Put(pooled)
		buffer = pooled[:]
	}
	body, err := readWhole(response.Body, buffer, x.limits.MaxMessage)
	switch {
	case err != nil:
		x.failBrokenOff(ctx, t)
		return
	case int64(len(body)) > x.limits.MaxMessage:
		x.failBroken(ctx, t, x.tooLarge())
		return
	}
	var m jsonrpc.Message
	err = jsonrpc.Scan(body, &m)
	if x.backend.isShared() {
		if wrong := x.wrongAnswer(body, &m, err); wrong != "" {
			x.failBroken(ctx, t, wrong)
			return
		}
	}
	if err == nil {
		body = x.readResult(t, body, m.Result)
	}
	writeBody(x.w, http.StatusOK, response.Header["Content-Type"], body)
}

// readResult reads the result in an answer, and returns the answer as the client gets it.
func (x *exchange) readResult(t *target, answer []byte, result jsonrpc.Span) []byte {
	if result.Empty() {
		return answer
	}
	if x.rewrite != nil {
		return jsonrpc.Splice(nil, answer, jsonrpc.Edit{Span: result, New: x.rewrite(result.Of(answer))})
	}
	if x.hasLinks(answer) {
		return x.renameLinks(t, answer, result)
	}
	x.noteListed(t, result.Of(answer))
	return answer
}

// noteListed remembers who has the names in the result of a list that the client gets as it is.
func (x *exchange) noteListed(t *target, result []byte) {
	if kind, isList := federation.KindOfList(x.message.Method); isList {
		if items, _, err := federation.ParsePage(kind, result); err == nil {
			x.backend.memory.owners.note(ownerGroup{x.session.group(), kind}, t.Name, items)
		}
	}
}

var buffers = sync.Pool{New: func() any { return new([wholeAnswer]byte) }}

// copyTo copies to a client, which has a deadline for each part that it is to take.
func (s *Server) copyTo(w http.ResponseWriter, from io.Reader, buffer []byte) (int64, error) {
	client := &deadlineWriter{ResponseWriter: w, response: http.NewResponseController(w), limit: s.limits.WriteTimeout}
	// The connection may serve another request, which has deadlines of its own.
	defer func() { _ = client.response.SetWriteDeadline(time.Time{}) }()
	// The wrapper hides ReaderFrom, which would not use the buffer.
	return io.CopyBuffer(struct{ io.Writer }{client}, from, buffer)
}

// deadlineWriter gives a client a new deadline for each write.
type deadlineWriter struct {
	http.ResponseWriter
	response *http.ResponseController
	limit    time.Duration
}

func (d *deadlineWriter) Write(p []byte) (int, error) {
	_ = d.response.SetWriteDeadline(time.Now().Add(d.limit))
	return d.ResponseWriter.Write(p)
}

// brokenOff says why an answer broke off.
func brokenOff(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause.Error()
	}
	return "its answer broke off"
}

// failBrokenOff tells the client that a target's answer broke off of which it has nothing yet.
func (x *exchange) failBrokenOff(ctx context.Context, t *target) {
	if isCancelled(ctx) {
		x.endUnanswered()
		return
	}
	x.failBroken(ctx, t, brokenOff(ctx))
}

// failBroken tells the client why a target's answer is none.
func (x *exchange) failBroken(ctx context.Context, t *target, why string) {
	x.countBroken(ctx, t)
	x.fail(unavailable(t.Name, why))
}

// countBroken counts an answer of a target that had begun, and is none.
func (x *exchange) countBroken(ctx context.Context, t *target) {
	kind := telemetry.ErrorBroken
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			return // Nobody waits for it any more.
		}
		kind = telemetry.ErrorTimeout
	}
	x.observed.UpstreamError(t.Name, kind)
}

// isCancelled returns whether a request has ended because the client cancelled it.
func isCancelled(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), errCancelledByClient)
}

// endUnanswered ends what the client has cancelled before there was anything of an answer. There is to be none any more, so what
// is left for a POST to be answered with is a stream that has no message.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation#behavior-requirements
func (x *exchange) endUnanswered() {
	x.observed.Result(telemetry.Cancelled)
	stream := x.newEventStream(x.w)
	stream.start()
	stream.stop()
}

// relayError hands on an answer whose status is no success. JSON-RPC errors are the client's; what else there is says
// something about the target.
func (x *exchange) relayError(ctx context.Context, t *target, response *http.Response) {
	if isCancelled(ctx) {
		x.endUnanswered()
		return
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	if err == nil && isJSON(response.Header) && errorCode(body) != 0 && passesOn(response.StatusCode) && x.isOwnError(body) {
		status := response.StatusCode
		if status == http.StatusNotFound && x.modern == nil {
			status = http.StatusOK // To a client, 404 would mean that its session is gone.
		}
		x.w.Header()["Content-Type"] = response.Header["Content-Type"]
		x.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
		x.w.WriteHeader(status)
		_, _ = x.w.Write(body)
		return
	}
	x.log.Warn("Target refused a request", "backend", x.backend.Key, "target", t.Name, "status", response.StatusCode)
	x.fail(unavailable(t.Name, statusError(response).Error()))
}

// passesOn returns whether a status of a target is the client's business. A refused credential is not: the client
// has none for the target.
func passesOn(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return false
	default:
		return status >= 400 && status < 500
	}
}

// relayStream hands on a target's answer that is a stream: ids that the gateway owns are spliced, all else is as the
// server sent it.
func (x *exchange) relayStream(
	ctx context.Context, t *target, us upstreamSession, response *http.Response, watch *watchdog,
) {
	x.observed.Stream(telemetry.StreamCall)
	stream := x.newEventStream(x.w)
	defer stream.stop()
	stream.start()
	events := newMessageReader(response.Body, x.limits.MaxMessage)
	defer events.Close()
	owner := &streamOwner{Server: x.Server, r: x.r, backend: x.backend, session: x.session, target: t, upstream: us}
	var (
		event               sse.Event
		answered, resumable bool
	)
	for {
		err := events.Next(&event)
		switch {
		case err == nil:
			m, err := owner.own(&event)
			if err != nil || x.isForeign(&event, &m) {
				continue
			}
			if m.Kind == jsonrpc.Response && sameID(event.Data, m.ID, x.id()) {
				answered = true
				watch.answered()
				if x.reads() || x.hasLinks(event.Data) {
					event.Data = x.readResult(t, event.Data, m.Result)
				}
			}
			resumable = resumable || event.HasID
			if stream.send(&event) != nil {
				return
			}
		case answered || x.r.Context().Err() != nil:
			return
		case isCancelled(ctx):
			x.observed.Result(telemetry.Cancelled)
			return
		case errors.Is(err, io.EOF) && resumable:
			return // The server closed the stream for the client to come back for the answer.
		default:
			reason := brokenOff(ctx)
			x.countBroken(ctx, t)
			x.log.Warn("Target's stream broke off", "backend", x.backend.Key, "target", t.Name, "error", err)
			x.observed.Result(telemetry.Unavailable)
			failure := jsonrpc.AppendError(nil, x.id(), unavailable(t.Name, reason))
			_ = stream.send(&sse.Event{Name: "message", Retry: -1, Data: failure, HasData: true})
			return
		}
	}
}

// sameID returns whether the id at that span is the same JSON value as another one, however it is escaped.
func sameID(data []byte, id jsonrpc.Span, other []byte) bool {
	if string(id.Of(data)) == string(other) {
		return true
	}
	a, isText := jsonrpc.Text(data, id)
	b, otherIsText := jsonrpc.Text(other, jsonrpc.Span{End: len(other)})
	return isText && otherIsText && a == b
}

// streamOwner makes the ids of a target's stream the gateway's own.
type streamOwner struct {
	*Server
	r        *http.Request // Of the client, on whose behalf targets are asked.
	backend  *backend
	session  *clientSession
	target   *target
	upstream upstreamSession
	// audience, if not nil, is another session that lists what the notifications are about.
	audience *clientSession
	// stream says which stream of the session this is: see session.EventID.
	stream string
}

// own seals the ids in an event: of the event itself, so that it can be resumed, and of requests to the client, so
// that the client's answer finds back, on any replica. It returns the message that the event has, if it has one. An error
// means that the event can't be handed on.
func (o *streamOwner) own(event *sse.Event) (jsonrpc.Message, error) {
	if event.HasID && event.ID != "" {
		event.ID = o.sealEvent(event.ID)
		event.HasID = event.ID != ""
	}
	var m jsonrpc.Message
	if len(event.Data) == 0 || !event.IsMessage() {
		return m, nil
	}
	if jsonrpc.Scan(event.Data, &m) != nil {
		return jsonrpc.Message{}, nil //nolint:nilerr // What is no message has no ids to own, and is the client's to judge.
	}
	var edits []jsonrpc.Edit
	var err error
	switch m.Kind {
	case jsonrpc.Request:
		edits, err = o.ownRequest(event.Data, &m)
	case jsonrpc.Notification:
		edits, err = o.ownNotification(event.Data, &m)
	}
	if err != nil {
		// An id is too long to be sealed. The client's answer could not find back.
		o.log.Error("Message of a target is dropped", "backend", o.backend.Key, "target", o.target.Name, "error", err)
		return m, err
	}
	if len(edits) > 0 {
		event.Data = jsonrpc.Splice(nil, event.Data, edits...)
	}
	return m, nil
}

// ownRequest seals the id of a server's request and, where there are other servers, its progress token.
func (o *streamOwner) ownRequest(data []byte, m *jsonrpc.Message) ([]jsonrpc.Edit, error) {
	edits, err := o.seal(nil, data, m.ID)
	if err != nil || o.backend.only() != nil {
		return edits, err
	}
	token := progressToken(data, m.Params)
	if token.Empty() {
		return edits, nil
	}
	edits, err = o.seal(edits, data, token)
	sortEdits(edits)
	return edits, err
}

// sortEdits puts edits into the order of the text.
func sortEdits(edits []jsonrpc.Edit) {
	slices.SortFunc(edits, func(a, b jsonrpc.Edit) int { return cmp.Compare(a.Span.Start, b.Span.Start) })
}

// progressToken returns where a request's progress token is.
func progressToken(data []byte, params jsonrpc.Span) jsonrpc.Span {
	var meta, token [1]jsonrpc.Span
	if jsonrpc.Lookup(data, params, []string{"_meta"}, meta[:]) != nil ||
		jsonrpc.Lookup(data, meta[0], []string{"progressToken"}, token[:]) != nil {
		return jsonrpc.Span{}
	}
	return token[0]
}

// changedKinds is what a notification of changed lists is about.
var changedKinds = map[string][]federation.Kind{
	"notifications/tools/list_changed":     {federation.Tools},
	"notifications/prompts/list_changed":   {federation.Prompts},
	"notifications/resources/list_changed": {federation.Resources, federation.Templates},
}

// ownNotification seals the id in a server's cancellation, and gives an updated resource the URI that the client knows.
func (o *streamOwner) ownNotification(data []byte, m *jsonrpc.Message) ([]jsonrpc.Edit, error) {
	var field [1]jsonrpc.Span
	switch m.Method {
	case "notifications/cancelled":
		if jsonrpc.Lookup(data, m.Params, []string{"requestId"}, field[:]) == nil && !field[0].Empty() {
			return o.seal(nil, data, field[0])
		}
	case "notifications/resources/updated":
		if o.backend.only() == nil && jsonrpc.Lookup(data, m.Params, []string{"uri"}, field[:]) == nil && !field[0].Empty() {
			return o.renameURI(data, field[0]), nil
		}
	default:
		o.session.changed(o.backend, o.target, changedKinds[m.Method]...)
		if o.audience != nil {
			o.audience.changed(o.backend, o.target, changedKinds[m.Method]...)
		}
	}
	return nil, nil
}

// renameURI gives a resource the name that the client knows.
func (o *streamOwner) renameURI(data []byte, at jsonrpc.Span) []jsonrpc.Edit {
	uri, ok := jsonrpc.Text(data, at)
	if !ok {
		return nil
	}
	if name := o.resourceName(uri); name != uri {
		return []jsonrpc.Edit{{Span: at, New: jsonrpc.AppendString(nil, name)}}
	}
	return nil
}

// seal puts a sealed id in the place of a server's. The same id is sealed to the same text every time, so that a
// cancellation names the request that it cancels.
func (o *streamOwner) seal(edits []jsonrpc.Edit, data []byte, id jsonrpc.Span) ([]jsonrpc.Edit, error) {
	sealed, err := o.keys.Load().SealServerRequest(o.session.SID, session.ServerRequestID{
		Service: o.target.hash, Home: o.home(), Upstream: o.upstream.hash(), ID: id.Of(data),
	})
	return append(edits, jsonrpc.Edit{Span: id, New: jsonrpc.AppendString(nil, sealed)}), err
}

func (o *streamOwner) sealEvent(id string) string {
	sealed, err := o.keys.Load().SealEvent(o.session.SID, session.EventID{Service: o.target.hash, Stream: o.stream, ID: id})
	if err != nil {
		o.log.Error("Event id of a target can't be sealed", "target", o.target.Name, "error", err)
		return ""
	}
	return sealed
}
