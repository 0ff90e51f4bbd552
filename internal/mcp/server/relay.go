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
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// wholeAnswer is up to which size an answer in JSON is read before it is handed on, so that one that breaks off can
// still be told to the client as an error.
const wholeAnswer = 64 << 10

// relay hands a target's answer to the client.
func (x *exchange) relay(ctx context.Context, t *target, us upstreamSession, response *http.Response) {
	switch {
	case response.StatusCode == http.StatusOK && isEventStream(response.Header):
		x.relayStream(ctx, t, us, response)
	case response.StatusCode == http.StatusOK:
		x.relayBody(ctx, t, response, http.StatusOK)
	case response.StatusCode == http.StatusAccepted || response.StatusCode == http.StatusNoContent:
		x.w.WriteHeader(response.StatusCode)
	default:
		x.relayError(t, response)
	}
}

// relayBody hands on an answer that is one message, byte for byte.
func (x *exchange) relayBody(ctx context.Context, t *target, response *http.Response, status int) {
	limit := x.limits.MaxMessage
	if response.ContentLength > limit {
		writeError(x.w, x.id(), unavailable(t.Name, "its answer is larger than "+strconv.FormatInt(limit, 10)+" bytes"))
		return
	}
	x.w.Header()["Content-Type"] = response.Header["Content-Type"]
	if n := response.ContentLength; n >= 0 && n <= wholeAnswer {
		buffer := buffers.Get().(*[wholeAnswer]byte)
		defer buffers.Put(buffer)
		if _, err := io.ReadFull(response.Body, buffer[:n]); err != nil {
			writeError(x.w, x.id(), unavailable(t.Name, brokenOff(ctx)))
			return
		}
		x.w.Header()["Content-Length"] = []string{strconv.FormatInt(n, 10)}
		x.w.WriteHeader(status)
		_, _ = x.w.Write(buffer[:n])
		return
	}
	if response.ContentLength >= 0 {
		x.w.Header()["Content-Length"] = []string{strconv.FormatInt(response.ContentLength, 10)}
	}
	x.w.WriteHeader(status)
	buffer := buffers.Get().(*[wholeAnswer]byte)
	defer buffers.Put(buffer)
	// The wrapper hides ReaderFrom, which would not use the buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{x.w}, io.LimitReader(response.Body, limit+1), buffer[:])
	if err != nil || n > limit {
		// The client has part of an answer; a broken connection tells it so.
		panic(http.ErrAbortHandler)
	}
}

var buffers = sync.Pool{New: func() any { return new([wholeAnswer]byte) }}

// brokenOff says why an answer broke off.
func brokenOff(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause.Error()
	}
	return "its answer broke off"
}

// relayError hands on an answer whose status is no success. JSON-RPC errors are the client's; what else there is says
// something about the target.
func (x *exchange) relayError(t *target, response *http.Response) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	if err == nil && isJSON(response.Header) && errorCode(body) != 0 && passesOn(response.StatusCode) {
		status := response.StatusCode
		if status == http.StatusNotFound {
			status = http.StatusOK // To a client, 404 would mean that its session is gone.
		}
		x.w.Header()["Content-Type"] = response.Header["Content-Type"]
		x.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
		x.w.WriteHeader(status)
		_, _ = x.w.Write(body)
		return
	}
	x.log.Warn("Target refused a request", "backend", x.backend.Key, "target", t.Name, "status", response.StatusCode)
	writeError(x.w, x.id(), unavailable(t.Name, statusError(response).Error()))
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
func (x *exchange) relayStream(ctx context.Context, t *target, us upstreamSession, response *http.Response) {
	stream := x.newEventStream(x.w)
	defer stream.stop()
	stream.start()
	events := sse.NewReader(response.Body, int(x.limits.MaxMessage))
	defer events.Close()
	owner := &streamOwner{Server: x.Server, session: x.session, target: t, upstream: us}
	var (
		event               sse.Event
		answered, resumable bool
	)
	for {
		err := events.Next(&event)
		switch {
		case err == nil:
			kind, err := owner.own(&event)
			if err != nil {
				continue
			}
			answered = answered || kind == jsonrpc.Response
			resumable = resumable || event.HasID
			if stream.send(&event) != nil {
				return
			}
		case answered || context.Cause(ctx) == errCancelledByClient || x.r.Context().Err() != nil:
			return
		case errors.Is(err, io.EOF) && resumable:
			return // The server closed the stream for the client to come back for the answer.
		default:
			reason := brokenOff(ctx)
			x.log.Warn("Target's stream broke off", "backend", x.backend.Key, "target", t.Name, "error", err)
			failure := jsonrpc.AppendError(nil, x.id(), unavailable(t.Name, reason))
			_ = stream.send(&sse.Event{Name: "message", Retry: -1, Data: failure, HasData: true})
			return
		}
	}
}

// streamOwner makes the ids of a target's stream the gateway's own.
type streamOwner struct {
	*Server
	session  *clientSession
	target   *target
	upstream upstreamSession
}

// own seals the ids in an event: of the event itself, so that it can be resumed, and of requests to the client, so
// that the client's answer finds back, on any replica. It returns what kind of message the event has. An error means
// that the event can't be handed on.
func (o *streamOwner) own(event *sse.Event) (jsonrpc.Kind, error) {
	if event.HasID && event.ID != "" {
		event.ID = o.sealEvent(event.ID)
		event.HasID = event.ID != ""
	}
	var m jsonrpc.Message
	if len(event.Data) == 0 || !event.IsMessage() || jsonrpc.Scan(event.Data, &m) != nil {
		return jsonrpc.Invalid, nil
	}
	var err error
	switch {
	case m.Kind == jsonrpc.Request:
		event.Data, err = o.ownID(event.Data, m.ID)
	case m.Kind == jsonrpc.Notification && m.Method == "notifications/cancelled":
		var id [1]jsonrpc.Span
		if jsonrpc.Lookup(event.Data, m.Params, []string{"requestId"}, id[:]) == nil && !id[0].Empty() {
			event.Data, err = o.ownID(event.Data, id[0])
		}
	}
	if err != nil {
		// Its id is too long to be sealed. The client's answer could not find back.
		o.log.Error("Request of a target is dropped", "target", o.target.Name, "error", err)
	}
	return m.Kind, err
}

// ownID puts a sealed id in the place of a server's. The same id is sealed to the same text every time, so that a
// cancellation names the request that it cancels.
func (o *streamOwner) ownID(data []byte, id jsonrpc.Span) ([]byte, error) {
	sealed, err := o.keys.Load().SealServerRequest(o.session.SID, session.ServerRequestID{
		Service: o.target.hash, Upstream: o.upstream.hash(), ID: id.Of(data),
	})
	if err != nil {
		return nil, err
	}
	return jsonrpc.Splice(nil, data, jsonrpc.Edit{Span: id, New: jsonrpc.AppendString(nil, sealed)}), nil
}

func (o *streamOwner) sealEvent(id string) string {
	sealed, err := o.keys.Load().SealEvent(o.session.SID, session.EventID{Service: o.target.hash, ID: id})
	if err != nil {
		o.log.Error("Event id of a target can't be sealed", "target", o.target.Name, "error", err)
		return ""
	}
	return sealed
}
