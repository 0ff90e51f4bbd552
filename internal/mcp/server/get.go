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
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
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

// following are the streams behind a client's, which follow the snapshots, and what becomes known of their targets' eras.
type following struct {
	*listening
	ctx context.Context
	end context.CancelFunc // Of all of it.

	mu      sync.Mutex
	running map[session.ServiceHash]*targetStream
	streams sync.WaitGroup
	forget  func() // No longer waits for what is next; nil before the first snapshot.
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
	if !first {
		f.forget()
	}
	again := func() { f.follow(f.current.Load()) }
	superseded, turned := context.AfterFunc(snapshot.superseded, again), context.AfterFunc(b.memory.eras.untilTurned(), again)
	f.forget = func() { superseded(); turned() }
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
