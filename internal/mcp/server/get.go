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
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// Bounds of the pause before a target is asked for a stream again.
const (
	minStreamPause = time.Second
	maxStreamPause = 30 * time.Second
)

// get opens a stream on which servers speak to the client by themselves. The client's stream stays open for as long
// as its session is valid, whatever becomes of the streams behind it.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#listening-for-messages-from-the-server
func (s *Server) get(w http.ResponseWriter, r *http.Request, b *backend, snapshot *Snapshot, observed *telemetry.Exchange) {
	e := checkAccept(r.Header, "text/event-stream")
	if e == nil {
		e = checkVersion(r.Header)
	}
	var cs *clientSession
	if e == nil {
		// A stream that another replica serves is one that the client only listens on as well.
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.draining, cancel)()
		cs, e = (&exchange{Server: s, w: w, r: r.WithContext(ctx), backend: b}).openAtHome()
	}
	switch {
	case e != nil:
		writeHTTPError(w, nil, e)
		return
	case cs == nil:
		return
	}
	observed.Era(telemetry.EraLegacy)
	observed.Stream(telemetry.StreamGet)
	hold(w, r, observed, func(w http.ResponseWriter, r *http.Request) {
		l := &listening{Server: s, r: r, session: cs, key: b.Key, stream: s.newEventStream(w), observed: observed}
		defer l.stream.stop()
		l.listenFrom(r.Header.Get(headerLastEventID), b, snapshot)
	})
}

// listenFrom continues the stream in which the client had the event of that id last; without one, or one of the standing stream,
// it listens to all targets.
func (l *listening) listenFrom(last string, b *backend, snapshot *Snapshot) {
	if last != "" {
		// An id that can't be opened has nothing to replay. Servers listen on as if there were none.
		event, err := l.keys.Load().OpenEvent(l.session.SID, last)
		switch {
		case err == nil && event.Stream == standingStream:
			l.last = event
		case err == nil:
			l.stream.start()
			l.begun = make(chan struct{})
			close(l.begun)
			l.resume(b, event)
			return
		}
	}
	l.listen(snapshot)
}

// standingStream is the stream on which servers speak by themselves; that of a request has no name.
const standingStream = "get"

// listening is a client's stream and the targets' streams behind it.
type listening struct {
	*Server
	r        *http.Request
	session  *clientSession
	key      string // Of the Backend.
	stream   *eventStream
	observed *telemetry.Exchange
	// last is the event that the client had last of a standing stream that broke off; zero if there was none.
	last session.EventID
	// modern is nil for the GET stream of a legacy client.
	modern *modernListener
	// settled gets a value for each target whose stream is open or could not be opened, of those there were at the begin.
	settled chan struct{}
	// begun is closed once the client knows that its stream is open.
	begun chan struct{}
}

// resume continues the stream of a request that broke off, where the event id says: the target that sent the event
// replays what came after it. The stream ends as the target's does.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery
func (l *listening) resume(b *backend, event session.EventID) {
	ctx, cancel := l.until(l.session.Expires)
	defer cancel()
	t := b.target(event.Service)
	if t == nil {
		return
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() { detached.Wait(ctx, l.stream.w) })
	for pause := minStreamPause; ctx.Err() == nil; pause = min(2*pause, maxStreamPause) {
		us, ok := l.session.existing(t)
		if !ok || !t.usable() {
			return // What there was to replay is gone.
		}
		err := l.relayFrom(ctx, &targetNow{b, t}, us, "", &event.ID, func(string) {})
		if !errors.Is(err, errBusy) {
			return
		}
		wait(ctx, pause, nil)
	}
}

// wait waits for about as long as it is told, so that many streams that lost one server don't come back all at once; or
// until woken.
func wait(ctx context.Context, pause time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // spreading load needs no secrecy
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-woken:
	}
}

// until returns a context that ends with the client's connection, with the session, or when the server drains.
func (l *listening) until(expires time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(l.r.Context(), expires)
	stops := []func() bool{
		context.AfterFunc(l.draining, cancel),
		context.AfterFunc(l.session.ended, cancel),
		context.AfterFunc(l.stream.failed, cancel),
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// listen keeps one stream to each of the Backend's targets until the client goes. Targets come and go with the
// snapshots; the streams of those that stay are left alone.
func (l *listening) listen(snapshot *Snapshot) {
	ctx, cancel := l.until(l.session.Expires)
	defer cancel()
	f := &following{listening: l, ctx: ctx, end: cancel, running: map[session.ServiceHash]*targetStream{}}
	defer f.stop()
	f.follow(snapshot)
	detached.Wait(ctx, l.stream.w)
}

// following are the streams behind a client's, which follow the snapshots.
type following struct {
	*listening
	ctx context.Context
	end context.CancelFunc // Of all of it.

	mu      sync.Mutex
	running map[session.ServiceHash]*targetStream
	streams sync.WaitGroup
	forget  func() bool // No longer waits for the next snapshot; nil before the first one.
	stopped bool
}

// follow has the targets' streams be those of a snapshot, and of the ones that follow it.
func (f *following) follow(snapshot *Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	b := snapshot.backends[f.key]
	if b == nil || b.ID != f.session.Backend {
		f.end() // The Backend is gone, or another one has its name.
		return
	}
	first := f.forget == nil
	changed := f.endGone(f.running, b)
	if first {
		f.settled, f.begun = make(chan struct{}, len(b.targets)), make(chan struct{})
	}
	for _, t := range b.targets {
		if !t.usable() {
			continue
		}
		if known := f.running[t.hash]; known != nil {
			if known.now.Load().target.Name != t.Name {
				changed |= known.capabilities()
			}
			known.now.Store(&targetNow{b, t})
			continue
		}
		ts := newTargetStream(f.ctx, f.listening, b, t, !first)
		f.running[t.hash] = ts
		f.streams.Go(ts.keepOpen)
	}
	if first {
		for range len(b.targets) - len(f.running) {
			f.settled <- struct{}{} // They can't be asked at all.
		}
		f.streams.Go(func() { f.begin(f.ctx, b) })
	}
	f.sayChanged(changed)
	f.forget = context.AfterFunc(snapshot.superseded, func() { f.follow(f.current.Load()) })
}

// stop ends all of it, and waits for that.
func (f *following) stop() {
	f.end()
	f.mu.Lock()
	f.stopped = true
	if f.forget != nil {
		f.forget()
	}
	f.mu.Unlock()
	f.streams.Wait()
}

// begin tells the client that its stream is open, once those of the targets are: from then on it misses nothing, and what it
// asks a target to do finds the target's stream open. One target that is slow is not waited for long.
func (l *listening) begin(ctx context.Context, b *backend) {
	defer close(l.begun)
	limit := time.NewTimer(listenPause)
	defer limit.Stop()
	waiting := true
	for i := 0; waiting && i < cap(l.settled); i++ {
		select {
		case <-l.settled:
		case <-limit.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	if l.modern != nil {
		l.acknowledge(b)
	} else {
		l.stream.start()
	}
}

// endGone ends the streams of targets that a Backend no longer has, or reaches in another way now. It returns what those
// had that are no longer there.
func (l *listening) endGone(running map[session.ServiceHash]*targetStream, b *backend) (changed session.Capabilities) {
	for hash, ts := range running {
		t := b.target(hash)
		switch {
		case t == nil || !t.usable():
			changed |= ts.capabilities()
		case ts.goesOnWith(t):
			continue
		}
		ts.cancel()
		delete(running, hash)
	}
	return changed
}

// sayChanged tells the client which lists are no longer what they were.
// https://modelcontextprotocol.io/specification/2025-11-25/server/tools#list-changed-notification
func (l *listening) sayChanged(changed session.Capabilities) {
	for _, list := range []struct {
		capability session.Capabilities
		name       string
	}{
		{session.CapabilityTools, "tools"},
		{session.CapabilityPrompts, "prompts"},
		{session.CapabilityResources, "resources"},
	} {
		if changed.Has(list.capability) {
			data := []byte(`{"jsonrpc":"2.0","method":"notifications/` + list.name + `/list_changed"}`)
			// A failure ends the stream, and with it all that waits for it.
			_ = l.deliver(messageEvent(data))
		}
	}
}

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
	// has is what the target was last known to have; endpoint is the one that the stream is open to.
	has      atomic.Uint32
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
	return session.Capabilities(ts.has.Load())
}

// goesOnWith returns whether the stream that is open is also what the newer configuration of its target asks for.
func (ts *targetStream) goesOnWith(t *target) bool {
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
			// A target that came later, or lost its session, may have other tools than the client knows.
			if ts.announce || (last.version != "" && another) {
				ts.sayAllChanged(now, us)
			}
			ts.announce, last = false, us
			ts.has.Store(uint32(us.capabilities))
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
		target: t, session: l.session, upstream: us, method: http.MethodGet, header: header, observed: l.observed,
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
	case us.id != "" && isLost(response):
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
	response, _, err := l.do(ctx, &upstreamCall{
		target: t, session: l.session, upstream: us, method: http.MethodPost, header: header,
		body: []byte(`{"jsonrpc":"2.0","id":"ping","method":"ping"}`),
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
			(m.Kind == jsonrpc.Invalid || m.Kind == jsonrpc.Response && name == standingStream) {
			// Servers that replay more than a stream had send what is no message, and answers that were given already.
			continue
		}
		if err := l.deliver(&event); err != nil {
			return err
		}
	}
}
