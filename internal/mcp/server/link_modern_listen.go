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
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// overlap is how long a stream goes on that another one replaces: what the server had written to it before it began with
// the other must still come through.
const overlap = 250 * time.Millisecond

// upstreamListener listens to a server of the modern era for a client, and makes one stream out of all that it takes.
type upstreamListener struct {
	*Server
	c *upstreamCall
	// changed says that the client has other subscriptions than the server was asked for.
	changed chan struct{}
	// waiting are closed once the server has been asked for what the client has subscribed to by now. They belong to the
	// session's mutex.
	waiting []chan struct{}
}

// isSubscribed returns whether a subscription has been noted.
func (cs *clientSession) isSubscribed(t *target, own string) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	_, ok := cs.subscribed[subscription{t.hash, own}]
	return ok
}

// listenAnew makes what listens to a target for the client ask for what the client has subscribed to by now. It returns
// when the server has been asked, so that the client misses nothing from then on, or after the limit.
func (cs *clientSession) listenAnew(ctx context.Context, t *target, limit time.Duration) {
	var asked []chan struct{}
	cs.mu.Lock()
	for l := range cs.listeners {
		if l.c.target.hash != t.hash {
			continue
		}
		done := make(chan struct{})
		l.waiting, asked = append(l.waiting, done), append(asked, done)
		select {
		case l.changed <- struct{}{}:
		default: // It knows.
		}
	}
	cs.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, done := range asked {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}

// begin makes the listener known to its session.
func (l *upstreamListener) begin() {
	cs := l.c.session
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.listeners == nil {
		cs.listeners = map[*upstreamListener]struct{}{}
	}
	cs.listeners[l] = struct{}{}
}

// end takes that back.
func (l *upstreamListener) end() {
	cs := l.c.session
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.listeners, l)
	tellAll(l.waiting)
	l.waiting = nil
}

func tellAll(waiting []chan struct{}) {
	for _, done := range waiting {
		close(done)
	}
}

// filter returns what the server is to be asked for, nil if there is nothing, and who waits for that.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#notification-filter
func (l *upstreamListener) filter() ([]byte, []chan struct{}, error) {
	cs, has := l.c.session, l.c.upstream.capabilities
	cs.mu.Lock()
	defer cs.mu.Unlock()
	waiting := l.waiting
	l.waiting = nil
	members := []jsonrpc.Member{{Key: "resourceSubscriptions", Value: cs.subscribedURIs(l.c.target)}}
	wanted := cs.listenFilter
	if wanted == nil {
		wanted = []byte("{}")
		for _, list := range []struct {
			capability session.Capabilities
			key        string
		}{
			{session.CapabilityTools, "toolsListChanged"},
			{session.CapabilityPrompts, "promptsListChanged"},
			{session.CapabilityResources, "resourcesListChanged"},
		} {
			if has.Has(list.capability) {
				members = append(members, jsonrpc.Member{Key: list.key, Value: []byte("true")})
			}
		}
	}
	edits, err := jsonrpc.SetMembers(wanted, jsonrpc.Span{End: len(wanted)}, members...)
	if err != nil {
		return nil, waiting, fmt.Errorf("what the client listens for can't be read: %w", err)
	}
	if wanted = jsonrpc.Splice(nil, wanted, edits...); isEmptyObject(wanted, jsonrpc.Span{End: len(wanted)}) {
		return nil, waiting, nil
	}
	return wanted, waiting, nil
}

// subscribedURIs returns the target's resources that the client has subscribed to, as a JSON array; nil if there are none.
// The caller holds cs.mu.
func (cs *clientSession) subscribedURIs(t *target) []byte {
	var uris []string
	for to := range cs.subscribed {
		if to.service == t.hash {
			uris = append(uris, to.uri)
		}
	}
	if uris == nil {
		return nil
	}
	slices.Sort(uris)
	array := []byte{'['}
	for i, uri := range uris {
		if i > 0 {
			array = append(array, ',')
		}
		array = jsonrpc.AppendString(array, uri)
	}
	return append(array, ']')
}

// isEmptyObject returns whether an object has no member.
func isEmptyObject(data []byte, object jsonrpc.Span) bool {
	empty := true
	err := jsonrpc.Members(data, object, func(_, _ jsonrpc.Span) bool {
		empty = false
		return false
	})
	return err == nil && empty
}

// errNoListen is the answer of a server that nobody can listen to.
var errNoListen = errors.New("the server has no subscriptions")

// doModernGet answers a GET with a stream of what the server tells those that listen to it.
func (s *Server) doModernGet(ctx context.Context, c *upstreamCall) (*http.Response, string, error) {
	l := &upstreamListener{Server: s, c: c, changed: make(chan struct{}, 1)}
	b := &modernCall{Server: s, c: c}
	l.begin()
	wanted, waiting, err := l.filter()
	tellAll(waiting)
	if err == nil && wanted == nil && !c.upstream.capabilities.Has(session.CapabilitySubscribe) {
		err = errNoListen
	}
	running, cancel := context.WithCancel(ctx)
	var first *listenStream
	if err == nil && wanted != nil {
		first, err = l.open(running, wanted)
	}
	if err != nil {
		cancel()
		l.end()
		if errors.Is(err, errNoListen) {
			return newAnswer(http.StatusMethodNotAllowed, nil, nil), "", nil
		}
		return nil, "", b.failure(ctx, err)
	}
	endpoint := ""
	if first != nil {
		endpoint = first.endpoint
	}
	return newStream(cancel, func(w *eventWriter) error {
		defer l.end()
		defer cancel()
		return l.relay(running, w, first, wanted)
	}), endpoint, nil
}

// listenStream is the answer to one subscriptions/listen.
type listenStream struct {
	response *http.Response
	endpoint string
	events   *sse.Reader
	cancel   context.CancelFunc
	// early is a notification that came before the acknowledgement; nil if there was none.
	early []byte
	// nothing means that the server agreed to none of what it was asked for.
	nothing bool
}

func (s *listenStream) close() {
	s.cancel()
	_ = s.events.Close()
	_ = s.response.Body.Close()
}

// open asks the server for what the filter says, and returns when the server has agreed.
func (l *upstreamListener) open(ctx context.Context, filter []byte) (*listenStream, error) {
	id := l.ownID()
	body := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	body = append(body, `,"method":"`+methodListen+`","params":{"notifications":`...)
	body = append(append(body, filter...), "}}"...)
	b := &modernCall{Server: l.Server, c: &upstreamCall{
		target: l.c.target, session: l.c.session, upstream: l.c.upstream, method: http.MethodPost, header: l.c.header, body: body,
	}}
	if err := jsonrpc.Scan(body, &b.message); err != nil {
		return nil, err
	}
	ctx, abort := context.WithCancelCause(ctx)
	cancel := func() { abort(nil) }
	// Only the begin has a deadline: a stream may be silent for as long as it likes.
	watch := newWatchdog(abort, l.limits.ListTimeout)
	defer watch.stop()
	response, endpoint, err := b.ask(ctx, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	if !isEventStream(response.Header) || response.StatusCode != http.StatusOK {
		defer cancel()
		defer closeBody(response)
		if refusesModern(response, b.id()) {
			return nil, errNoListen // It is of this era still, and does not know how to say that it has no subscriptions.
		}
		answer, err := b.whole(response)
		if err != nil {
			return nil, err
		}
		return nil, listenRefusal(answer)
	}
	s := &listenStream{
		response: response, endpoint: endpoint, events: sse.NewReader(response.Body, int(l.limits.MaxMessage)), cancel: cancel,
	}
	if err := s.acknowledged(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// listenRefusal returns why a server answered instead of agreeing.
func listenRefusal(answer []byte) error {
	var m jsonrpc.Message
	switch err := jsonrpc.Scan(answer, &m); {
	case err != nil || m.Kind != jsonrpc.Response:
		return errors.New("its answer to " + methodListen + " is no JSON-RPC response")
	case m.Error.Empty() || errorCode(answer) == jsonrpc.CodeMethodNotFound:
		return errNoListen
	default:
		return fmt.Errorf("it refused %s: %w", methodListen, remoteError(answer, m.Error))
	}
}

// acknowledged waits for the server's word that it agrees, and notes to what.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#acknowledgment
func (s *listenStream) acknowledged() error {
	var event sse.Event
	for {
		if s.events.Next(&event) != nil {
			return errors.New("its stream ended before it acknowledged " + methodListen)
		}
		var m jsonrpc.Message
		if !event.IsMessage() || jsonrpc.Scan(event.Data, &m) != nil {
			continue
		}
		switch {
		case m.Kind == jsonrpc.Response:
			return listenRefusal(event.Data)
		case m.Kind != jsonrpc.Notification:
		case m.Method == methodAcknowledged:
			var agreed [1]jsonrpc.Span
			if jsonrpc.Lookup(event.Data, m.Params, []string{"notifications"}, agreed[:]) == nil {
				s.nothing = agreed[0].Empty() || isEmptyObject(event.Data, agreed[0])
			}
			return nil
		default:
			// It should not, but to drop it would help nobody.
			s.early, _ = heard(event.Data)
			return nil
		}
	}
}

const methodAcknowledged = "notifications/subscriptions/acknowledged"

// heard returns a notification as it would be without the modern era's mark of the subscription; false if it is not for
// the client.
func heard(data []byte) ([]byte, bool) {
	var m jsonrpc.Message
	if jsonrpc.Scan(data, &m) != nil || m.Kind != jsonrpc.Notification ||
		m.Method == methodAcknowledged || m.Method == "notifications/cancelled" {
		return nil, false
	}
	edits, err := withoutSubscriptionID(data, &m)
	if err != nil {
		return nil, false
	}
	return jsonrpc.Splice(nil, data, edits...), true
}

// withoutSubscriptionID returns the edits that take the subscription's id out of a notification, and with it what would be
// left empty.
func withoutSubscriptionID(data []byte, m *jsonrpc.Message) ([]jsonrpc.Edit, error) {
	var meta [1]jsonrpc.Span
	if err := jsonrpc.Lookup(data, m.Params, []string{"_meta"}, meta[:]); err != nil || meta[0].Empty() {
		return nil, err
	}
	only := func(object jsonrpc.Span, key string) bool {
		n, found := 0, false
		_ = jsonrpc.Members(data, object, func(k, _ jsonrpc.Span) bool {
			name, _ := jsonrpc.Text(data, k)
			n, found = n+1, found || name == key
			return n < 2
		})
		return n == 1 && found
	}
	switch {
	case !only(meta[0], metaSubscriptionID):
		return jsonrpc.SetMembers(data, meta[0], jsonrpc.Member{Key: metaSubscriptionID})
	case !only(m.Params, "_meta"):
		return jsonrpc.SetMembers(data, m.Params, jsonrpc.Member{Key: "_meta"})
	default:
		return jsonrpc.SetMembers(data, jsonrpc.Span{End: len(data)}, jsonrpc.Member{Key: "params"})
	}
}

// listenMessage is what has come on a stream: a notification, or the stream's end.
type listenMessage struct {
	from *listenStream
	data []byte
	err  error
}

// listenOpened is the outcome of an attempt to listen for what a filter says.
type listenOpened struct {
	stream *listenStream // Nil if there is nothing to listen for.
	filter []byte
	err    error
	// waiting are those that wait for it.
	waiting []chan struct{}
}

// listenRelay is a listener at work.
type listenRelay struct {
	*upstreamListener
	messages chan listenMessage
	opened   chan listenOpened
	current  *listenStream // Nil while there is nothing to listen for.
	replaced *listenStream // Goes on for a moment; nil if there is none.
	readers  sync.WaitGroup
}

// relay hands on what the server tells. When the client subscribes to something else, the server is asked for that too
// before it is no longer asked for what was.
func (l *upstreamListener) relay(ctx context.Context, w *eventWriter, first *listenStream, filter []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &listenRelay{upstreamListener: l, messages: make(chan listenMessage), opened: make(chan listenOpened, 1)}
	defer r.stop(cancel)
	r.listenTo(ctx, first)
	changed := l.changed
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m := <-r.messages:
			switch {
			case m.err == nil:
				if err := w.message(m.data); err != nil {
					return err
				}
			case m.from == r.current && !m.from.nothing:
				return m.err
			}
		case <-changed:
			changed = nil // Until it is known what has come of it.
			r.readers.Go(func() { r.opened <- l.reopen(ctx, filter) })
		case o := <-r.opened:
			tellAll(o.waiting)
			if o.err != nil {
				return o.err
			}
			changed = l.changed
			if !bytes.Equal(o.filter, filter) {
				filter = o.filter
				r.listenTo(ctx, o.stream)
			}
		}
	}
}

// stop ends what goes on.
func (r *listenRelay) stop(cancel context.CancelFunc) {
	cancel()
	r.readers.Wait()
	select {
	case o := <-r.opened:
		tellAll(o.waiting)
		if o.stream != nil {
			o.stream.close()
		}
	default:
	}
}

// reopen asks the server for what the client has subscribed to by now, if that is something else than before.
func (l *upstreamListener) reopen(ctx context.Context, before []byte) listenOpened {
	filter, waiting, err := l.filter()
	o := listenOpened{filter: filter, err: err, waiting: waiting}
	if err == nil && filter != nil && !bytes.Equal(filter, before) {
		o.stream, o.err = l.open(ctx, filter)
	}
	return o
}

// listenTo replaces the current stream.
func (r *listenRelay) listenTo(ctx context.Context, next *listenStream) {
	if r.replaced != nil {
		r.replaced.cancel()
	}
	if r.replaced = r.current; r.replaced != nil {
		time.AfterFunc(overlap, r.replaced.cancel)
	}
	if r.current = next; next != nil {
		r.readers.Go(func() { r.read(ctx, next) })
	}
}

// read reads a stream to its end.
func (r *listenRelay) read(ctx context.Context, s *listenStream) {
	defer s.close()
	tell := func(m listenMessage) bool {
		select {
		case r.messages <- m:
			return true
		case <-ctx.Done():
			return false
		}
	}
	if s.early != nil && !tell(listenMessage{from: s, data: s.early}) {
		return
	}
	var event sse.Event
	for {
		if err := s.events.Next(&event); err != nil {
			tell(listenMessage{from: s, err: err})
			return
		}
		if !event.IsMessage() {
			continue
		}
		if data, ok := heard(event.Data); ok && !tell(listenMessage{from: s, data: data}) {
			return
		}
	}
}
