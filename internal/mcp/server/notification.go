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
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// errNotTaken is why a notification or an answer was not delivered.
var errNotTaken = errors.New("it did not take a message in time")

// notification hands a notification on to the targets that it concerns. The answer says that the gateway has taken it,
// not what becomes of it: of several targets, those that are slow take it when they can.
func (x *exchange) notification() {
	targets, body := x.concerned()
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(x.r.Context()), x.limits.ListTimeout, errNotTaken)
	stop := context.AfterFunc(x.running, cancel)
	var delivered sync.WaitGroup
	taken := make(chan struct{}, len(targets))
	if x.message.Method == "notifications/cancelled" {
		if request, ok := x.session.cancelled(x.body, x.message.Params); ok {
			request.cancel(errCancelledByClient) // Servers need not end a cancelled request's stream.
		} else {
			delivered.Go(func() { x.tellReplicas(ctx) })
		}
	}
	for _, t := range targets {
		delivered.Go(func() {
			response, _, err := x.roundTrip(ctx, t, body)
			if err != nil {
				x.log.Warn("Notification not delivered", "backend", x.backend.Key, "target", t.Name, "error", err)
				return
			}
			closeBody(response)
			taken <- struct{}{}
		})
	}
	all := make(chan struct{})
	x.background.Go(func() {
		defer close(all)
		defer cancel()
		defer stop()
		delivered.Wait()
	})
	x.waitFor(all, taken)
	x.w.WriteHeader(http.StatusAccepted)
}

// waitFor waits for all targets, but once one has taken a notification only a little longer for the others, and not for a client
// that has gone.
func (x *exchange) waitFor(all, taken <-chan struct{}) {
	var enough <-chan time.Time
	for {
		select {
		case <-all:
			return
		case <-x.r.Context().Done():
			return
		case <-enough:
			return
		case <-taken:
			if enough == nil {
				timer := time.NewTimer(x.limits.StragglerTimeout)
				defer timer.Stop()
				enough = timer.C
			}
		}
	}
}

// concerned returns the targets that a notification is for, and what to send them.
func (x *exchange) concerned() ([]*target, []byte) {
	switch x.message.Method {
	case "notifications/cancelled":
		if request, ok := x.session.cancelled(x.body, x.message.Params); ok {
			if t := x.backend.target(request.target); t != nil && t.usable() {
				return []*target{t}, x.body
			}
			return nil, nil // Its target is gone, or has not got it yet.
		}
		if x.fromReplica() {
			return nil, nil // Which has told the targets.
		}
	case "notifications/progress":
		if t, body := x.progressed(); t != nil {
			return []*target{t}, body
		}
	}
	var all []*target
	for _, t := range x.backend.targets {
		// One that is initialized later begins with what the client is then.
		if _, ok := x.session.existing(t); ok && t.usable() {
			all = append(all, t)
		}
	}
	return all, x.body
}

// progressed returns the target whose request a progress notification of the client is about, with the target's own
// token in the notification; nil if the token is not one that the gateway gave.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/progress
func (x *exchange) progressed() (*target, []byte) {
	var token [1]jsonrpc.Span
	if jsonrpc.Lookup(x.body, x.message.Params, []string{"progressToken"}, token[:]) != nil {
		return nil, nil
	}
	sealed, ok := jsonrpc.Text(x.body, token[0])
	if token[0].Empty() || !ok {
		return nil, nil
	}
	asked, err := x.keys.Load().OpenServerRequest(x.session.SID, sealed)
	if err != nil {
		return nil, nil
	}
	t := x.backend.target(asked.Service)
	if t == nil || !t.usable() {
		return nil, nil
	}
	return t, jsonrpc.Splice(nil, x.body, jsonrpc.Edit{Span: token[0], New: asked.ID})
}

// response hands a client's answer to the server that had asked.
func (x *exchange) response() {
	unknown := &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "Invalid Request: no request of that id awaits an answer"}
	sealed, ok := jsonrpc.Text(x.body, x.message.ID)
	if !ok {
		writeHTTPError(x.w, nil, unknown)
		return
	}
	asked, err := x.keys.Load().OpenServerRequest(x.session.SID, sealed)
	if err != nil {
		writeHTTPError(x.w, nil, unknown)
		return
	}
	if asked.Home != "" && asked.Home != x.self() {
		if x.fromReplica() || !x.forwardHome(asked.Home) {
			writeHTTPError(x.w, nil, unknown)
		}
		return
	}
	t := x.backend.target(asked.Service)
	if t == nil || !t.usable() {
		writeHTTPError(x.w, nil, unknown)
		return
	}
	us, ok := x.session.existing(t)
	if !ok || us.hash() != asked.Upstream {
		// The server that asked has forgotten the session. Another session of it has its own request of that id.
		writeHTTPError(x.w, nil, unknown)
		return
	}
	ctx, cancel := context.WithTimeoutCause(x.r.Context(), x.limits.ListTimeout, errNotTaken)
	defer cancel()
	body := jsonrpc.Splice(nil, x.body, jsonrpc.Edit{Span: x.message.ID, New: asked.ID})
	response, err := x.send(ctx, t, us, http.MethodPost, body)
	if err != nil {
		x.log.Warn("Answer not delivered", "backend", x.backend.Key, "target", t.Name, "error", err)
		writeHTTPError(x.w, nil, &httpError{http.StatusBadGateway, jsonrpc.CodeInternal, asUnavailable(t, err).Message})
		return
	}
	closeBody(response)
	x.w.WriteHeader(http.StatusAccepted)
}
