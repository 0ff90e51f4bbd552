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
	"net/http"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// forwardModern sends a modern client's request to a target, whatever that speaks, and relays the answer.
func (x *exchange) forwardModern(t *target, body []byte, failed func(error)) {
	x.observed.Target(t.Name)
	for attempt := 1; ; attempt++ {
		speaks := eraLegacy
		if t.Protocol == config.StreamableHTTP {
			var err error
			if speaks, err = x.eraOf(x.r.Context(), t); err != nil {
				x.notForwarded(t, err, failed)
				return
			}
		}
		var err error
		if speaks == eraModern {
			err = x.passOn(t, body)
		} else {
			err = x.bridge(t, body)
		}
		if attempt < maxRoundTrips && errors.Is(err, errEraChanged) {
			continue
		}
		if err != nil {
			x.notForwarded(t, err, failed)
		}
		return
	}
}

// notForwarded answers for a target that does not.
func (x *exchange) notForwarded(t *target, err error, failed func(error)) {
	if x.r.Context().Err() == nil {
		x.log.Warn("Target did not answer", "backend", x.backend.Key, "target", t.Name, "error", err)
		failed(err)
		x.observed.Result(telemetry.Unavailable)
	}
}

// passOn sends a request to a modern target as it is, but for the name, and relays the answer. An error means that nothing
// was answered yet.
func (x *exchange) passOn(t *target, body []byte) error {
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	limit := x.limits.CallTimeout
	if _, isList := federation.KindOfList(x.message.Method); isList || x.message.Method == methodDiscover {
		limit = x.limits.ListTimeout
	}
	watch := newWatchdog(cancel, limit)
	defer watch.stop()
	header := x.upstreamHeader(x.r.Header, upstreamSession{version: modernVersion})
	if x.own != "" && mirror.NameKey(x.message.Method) != "" {
		header[headerName] = []string{mirror.Encode(x.own)}
	}
	response, _, err := x.do(ctx, &upstreamCall{
		target: t, upstream: upstreamSession{version: modernVersion}, asIs: x.id(), method: http.MethodPost, header: header, body: body,
		observed: x.observed, name: x.message.Method,
	})
	if err != nil {
		return err
	}
	defer closeBody(response)
	response.Body = watch.body(response.Body)
	switch {
	case response.StatusCode == http.StatusOK && isEventStream(response.Header):
		x.relayModernStream(ctx, t, response, watch)
	case response.StatusCode == http.StatusOK && !strings.HasPrefix(mediaType(response.Header), "text/"):
		x.relayBody(ctx, t, response)
	default:
		x.relayError(ctx, t, response)
	}
	return nil
}

// refusesModern returns whether a server refused a modern request with that id because it speaks the legacy revisions only:
// another server has taken the place of the one that was probed. An error that has the request's id comes from whoever took
// the request, unless its code is one that servers of the modern era don't use. The body can still be read afterwards.
func refusesModern(response *http.Response, id []byte) bool {
	switch response.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
	default:
		return false
	}
	body, err := peek(response)
	if err != nil || isModernError(body) {
		return false
	}
	switch errorCode(body) {
	case jsonrpc.CodeTransport, jsonrpc.CodeSessionNotFound, jsonrpc.CodeUnsupportedVersion:
		return true
	}
	var m jsonrpc.Message
	return jsonrpc.Scan(body, &m) != nil || m.Kind != jsonrpc.Response || m.ID.Empty() || !sameID(body, m.ID, id)
}

// relayModernStream hands on a modern target's answer that is a stream.
func (x *exchange) relayModernStream(ctx context.Context, t *target, response *http.Response, watch *watchdog) {
	x.observed.Stream(telemetry.StreamCall)
	stream := x.newEventStream(x.w)
	defer stream.stop()
	stream.start()
	events := sse.NewReader(response.Body, int(x.limits.MaxMessage))
	defer events.Close()
	var event sse.Event
	for answered := false; ; {
		err := events.Next(&event)
		if err != nil {
			if !answered && x.r.Context().Err() == nil {
				x.log.Warn("Target's stream broke off", "backend", x.backend.Key, "target", t.Name, "error", err)
				x.countBroken(ctx, t)
				x.observed.Result(telemetry.Unavailable)
				_ = stream.send(messageEvent(jsonrpc.AppendError(nil, x.id(), unavailable(t.Name, brokenOff(ctx)))))
			}
			return
		}
		var m jsonrpc.Message
		if len(event.Data) > 0 && event.IsMessage() {
			_ = jsonrpc.Scan(event.Data, &m) // What can't be read has no kind.
		}
		switch {
		case x.isForeign(&event, &m):
			continue
		case m.Kind == jsonrpc.Request:
			continue // The modern era has none; the client could not answer.
		case m.Kind == jsonrpc.Response && sameID(event.Data, m.ID, x.id()):
			answered = true
			watch.answered()
			if x.reads() || x.hasLinks(event.Data) {
				event.Data = x.readResult(t, event.Data, m.Result)
			}
		}
		if stream.send(&event) != nil {
			return
		}
	}
}

// messageEvent is an event that has a message of the gateway's own.
func messageEvent(data []byte) *sse.Event {
	return &sse.Event{Name: "message", Retry: -1, Data: data, HasData: true}
}
