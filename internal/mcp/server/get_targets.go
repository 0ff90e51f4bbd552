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
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// targetStream is one target's stream behind a client's.
type targetStream struct {
	*listening
	ctx    context.Context
	cancel context.CancelFunc
	// now is of the newest snapshot.
	now atomic.Pointer[targetNow]
	// announce is whether the client is to be told of the target once it is there.
	announce bool
	// settle says, once, that the stream is open or can't be opened.
	settle func()
	// upstream is the target's side of the session as it was last known, nil if it was not; endpoint is the one that the stream is
	// open to.
	upstream atomic.Pointer[upstreamSession]
	endpoint atomic.Value
}

// targetNow is a target in its snapshot.
type targetNow struct {
	backend *backend
	target  *target
}

func newTargetStream(ctx context.Context, l *listening, b *backend, t *target, announce bool) *targetStream {
	ts := &targetStream{listening: l, announce: announce, settle: func() {}}
	if !announce {
		ts.settle = sync.OnceFunc(func() { l.settled <- struct{}{} })
	}
	ts.now.Store(&targetNow{b, t})
	ts.ctx, ts.cancel = context.WithCancel(ctx)
	return ts
}

func (ts *targetStream) capabilities() session.Capabilities {
	if us := ts.upstream.Load(); us != nil {
		return us.capabilities
	}
	return 0
}

// goesOnWith returns whether the stream that is open is also what the newer configuration of its target asks for, and what the
// calls of its session go to.
func (ts *targetStream) goesOnWith(t *target) bool {
	if us := ts.upstream.Load(); us != nil && !us.heldBy(t) {
		return false
	}
	if endpoint, open := ts.endpoint.Load().(string); open && endpoint != "" && !t.requests.Has(endpoint) {
		return false
	}
	older, newer := *ts.now.Load().target.Target, *t.Target
	older.Name, newer.Name = "", ""
	older.Endpoints, newer.Endpoints = nil, nil
	return reflect.DeepEqual(older, newer)
}

// errNoStream is the answer of a target that has no stream of its own.
var errNoStream = errors.New("the target offers no stream")

// errBusy is the answer of a target that has a stream for this session already, of an earlier request of the client.
var errBusy = errors.New("the target has another stream open")

// errSessionLost is the answer of a target that does not know the session any more.
var errSessionLost = errors.New("the target lost the session")

// keepOpen relays the target's stream, and opens it again when it ends.
func (ts *targetStream) keepOpen() {
	var lastEvent string
	var last upstreamSession
	had := false // Whether the server had a stream.
	if t := ts.now.Load().target; ts.last.Service == t.hash {
		if us, ok := ts.session.existing(t); ok {
			lastEvent, last.id = ts.last.ID, us.id
		}
	}
	for pause := minStreamPause; ts.ctx.Err() == nil; pause = min(2*pause, maxStreamPause) {
		now := ts.now.Load()
		made := ts.session.untilMade()
		us, err := ts.upstreamSession(ts.ctx, ts.session, now.target)
		if err == nil {
			another := last.id != us.id || last.era() != us.era()
			if another {
				lastEvent = "" // Of a session that is no more.
			}
			ts.upstream.Store(&us)
			// A target that came later, or lost its session, may have other tools than the client knows.
			if ts.announce || (last.version != "" && another) {
				ts.sayAllChanged(now, us)
			}
			ts.announce, last = false, us
			begun := time.Now()
			err = ts.relayFrom(ts.ctx, now, us, standingStream, &lastEvent, func(endpoint string) {
				ts.endpoint.Store(endpoint)
				if had && us.era() == eraModern {
					ts.sayAllChanged(now, us) // Nobody heard what the server said meanwhile.
				}
				had = true
				ts.settle()
			})
			ts.endpoint.Store("")
			if time.Since(begun) > maxStreamPause {
				pause = minStreamPause
			}
		} else {
			ts.announce = true
		}
		ts.settle()
		if errors.Is(err, errNoStream) {
			if (had && ts.replaced(now.target, us)) || ts.madeAnew(us, made) {
				had = false
				continue
			}
			return
		}
		if errors.Is(err, errSessionLost) {
			continue // It is there, and only has to be initialized anew.
		}
		// A server that was away and is back asks the client for things only by this stream.
		wait(ts.ctx, pause, made)
	}
}

// sayAllChanged tells the client that none of the target's lists need be what it was.
func (ts *targetStream) sayAllChanged(now *targetNow, us upstreamSession) {
	ts.session.changed(now.backend, now.target,
		federation.Tools, federation.Prompts, federation.Resources, federation.Templates)
	ts.sayChanged(us.capabilities)
}

// replaced returns whether a server of the modern era has taken the place of one that had a stream, and then forgets the
// session with that one.
func (ts *targetStream) replaced(t *target, us upstreamSession) bool {
	if us.era() == eraModern {
		return false
	}
	if !ts.isReplaced(ts.ctx, t, us.endpoint, eraLegacy) || us.heldBy(t) {
		return false
	}
	ts.session.lose(t, us)
	return true
}

// madeAnew waits until the target's side of the session is another one, which may have a stream. It returns false if the
// stream ends before.
func (ts *targetStream) madeAnew(before upstreamSession, made <-chan struct{}) bool {
	for {
		select {
		case <-ts.ctx.Done():
			return false
		case <-made:
		}
		made = ts.session.untilMade()
		if us, ok := ts.session.existing(ts.now.Load().target); ok && us != before {
			return true
		}
	}
}

// relayFrom relays a target's stream of that name until it ends. The target is asked to continue after lastEvent, which is kept up
// to date; opened is called with the endpoint once the stream is open.
func (l *listening) relayFrom(
	ctx context.Context, now *targetNow, us upstreamSession, name string, lastEvent *string, opened func(endpoint string),
) error {
	t := now.target
	header := http.Header{}
	l.setOwnHeaders(header, us)
	header["Accept"] = contentTypeEventStream
	delete(header, "Content-Type")
	if *lastEvent != "" {
		header[headerLastEventID] = []string{*lastEvent}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Only the answer's begin has a deadline: a stream may be silent for as long as it likes.
	watch := newWatchdog(cancel, l.limits.ListTimeout)
	defer watch.stop()
	response, endpoint, err := l.do(ctx, &upstreamCall{
		target: t, session: l.session, upstream: us, method: http.MethodGet, header: header, lasts: true, observed: l.observed,
	})
	if errors.Is(err, errEraChanged) {
		l.session.lose(t, us)
	}
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode == http.StatusOK && isEventStream(response.Header):
	case response.StatusCode == http.StatusMethodNotAllowed:
		return errNoStream
	case us.id != "" && (response.StatusCode == http.StatusNotFound || isLost(response)):
		watch.stop()
		// Servers that have no streams answer so as well.
		lost, err := l.sessionLost(ctx, t, us)
		if err != nil {
			return err
		}
		if !lost {
			return errNoStream
		}
		l.session.lose(t, us)
		*lastEvent = ""
		return errSessionLost
	case response.StatusCode == http.StatusConflict:
		return errBusy
	default:
		return statusError(response)
	}
	watch.stop()
	opened(endpoint)
	return l.relayEvents(now, us, name, response.Body, lastEvent)
}

// sessionLost asks the target, by a request that every server answers, whether it still knows a session.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/ping
func (l *listening) sessionLost(ctx context.Context, t *target, us upstreamSession) (bool, error) {
	header := http.Header{}
	l.setOwnHeaders(header, us)
	ctx, cancel := context.WithTimeoutCause(ctx, l.limits.ListTimeout, errors.New("it did not answer ping in time"))
	defer cancel()
	body := append(append([]byte(`{"jsonrpc":"2.0","id":`), l.ownID()...), `,"method":"ping"}`...)
	response, _, err := l.do(ctx, &upstreamCall{
		target: t, session: l.session, upstream: us, method: http.MethodPost, header: header, body: body,
	})
	if err != nil {
		return false, err
	}
	defer closeBody(response)
	return isLost(response), nil
}

func (l *listening) relayEvents(now *targetNow, us upstreamSession, name string, body io.Reader, lastEvent *string) error {
	events := newMessageReader(body, l.limits.MaxMessage)
	defer events.Close()
	owner := &streamOwner{
		Server: l.Server, r: l.r, backend: now.backend, session: l.session, target: now.target, upstream: us, stream: name,
	}
	if l.modern != nil {
		owner.audience = l.modern.audience
	}
	replayed := *lastEvent != ""
	// Only a client that itself comes back may have missed an answer: another connection may have broken off as well.
	mayMiss := name != standingStream || l.last == session.EventID{Service: now.target.hash, Stream: name, ID: *lastEvent}
	var event sse.Event
	for {
		if err := events.Next(&event); err != nil {
			return err
		}
		if event.HasID {
			*lastEvent = event.ID
		}
		m, err := owner.own(&event)
		if err != nil {
			continue
		}
		if replayed && event.IsMessage() && len(event.Data) > 0 &&
			(m.Kind == jsonrpc.Invalid || m.Kind == jsonrpc.Response && (!mayMiss || isOwnID(event.Data, m.ID))) {
			// Servers that replay more than a stream had send what is no message, and answers that were given already.
			continue
		}
		if now.backend.isShared() && event.IsMessage() && len(event.Data) > 0 &&
			(m.Kind == jsonrpc.Invalid || m.Kind == jsonrpc.Response && !replayed) {
			continue // No server answers on a stream that continues nothing; see isShared.
		}
		if m.Kind == jsonrpc.Response {
			event.Data = owner.renameResumed(event.Data, m.Result)
		}
		if err := l.deliver(&event); err != nil {
			return err
		}
	}
}
