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
	"fmt"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// Bounds of what one replica remembers. What falls out is found again: a session is in its token, and an upstream
// session that was made late is made anew.
const (
	maxSessions   = 1 << 14
	maxWeight     = 256 << 20 // Bytes of lists that are kept with sessions, all together.
	maxTombstones = 1 << 16
)

// upstreamSession is a target's side of a client's session.
type upstreamSession struct {
	id           session.UpstreamSessionID // Empty if the server keeps no sessions.
	version      string                    // Negotiated with the server.
	capabilities session.Capabilities
	endpoint     string // The one that holds the session; empty for any.
}

// clientSession is what a replica knows of a client's session besides its token: upstream sessions that were made
// after the token, because the target came later or lost its session, and requests in flight.
type clientSession struct {
	*session.Session

	// ended ends when the client ends the session at this replica.
	ended context.Context
	end   context.CancelFunc

	mu       sync.Mutex
	late     map[session.ServiceHash]*lateSession
	inFlight map[string]*inFlight // by the request's raw id
	listings map[sessionListing]*listing
	merged   [federation.Kinds]merged
	// refreshed is when targets were last asked for a list because of a name that nobody had.
	refreshed [federation.Kinds]time.Time
	// weight is how many bytes of lists it holds; it belongs to sessions, and its mutex.
	weight int
	// logLevel is the params of the client's last logging/setLevel, for servers that come later.
	logLevel []byte
	// subscribed are the resources that the client has subscribed to at this replica, and what it calls them.
	subscribed map[subscription]string
	// listeners are what listens to servers of the modern era for the client at this replica.
	listeners map[*upstreamListener]struct{}
	// listenFilter, if not nil, is what these listen for in place of what is made of the servers' capabilities: a notifications
	// object as of subscriptions/listen, of which each server gets its own of the resources that are in subscribed. It never
	// changes.
	listenFilter []byte
	// made is closed, and replaced, when a target's side of the session has been made.
	made chan struct{}
}

// inFlight is a request that a target is answering.
type inFlight struct {
	target session.ServiceHash // Zero while it is not known which.
	cancel context.CancelCauseFunc
}

// lateSession is an upstream session in the making; its fields may be read once done is closed.
type lateSession struct {
	done    chan struct{}
	target  *target
	session upstreamSession
	// instructions are what the server said how to use it.
	instructions string
	err          error
}

// sessions is a replica's memory of sessions.
type sessions struct {
	mu         sync.Mutex
	known      *lru.Cache[session.SID, *clientSession]
	tombstones *lru.Cache[session.SID, struct{}]
	weight     int // Bytes of lists in all known sessions.
}

func newSessions() *sessions {
	s := &sessions{}
	// New fails only for sizes that are not positive.
	s.known, _ = lru.NewWithEvict(maxSessions, func(_ session.SID, gone *clientSession) { s.weight -= gone.weight })
	s.tombstones, _ = lru.New[session.SID, struct{}](maxTombstones)
	return s
}

// weigh notes by how much a session has grown. If all together have grown too much, those that were not used for longest
// are forgotten: their lists are asked for again.
func (s *sessions) weigh(cs *clientSession, grown int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known.Peek(cs.SID); !ok || known != cs {
		return // Forgotten already.
	}
	cs.weight += grown
	s.weight += grown
	for s.weight > maxWeight && s.known.Len() > 1 {
		s.known.RemoveOldest()
	}
}

// count returns how many are remembered.
func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.Len()
}

// find returns what is known of an opened token's session; nil if the client has ended it.
func (s *sessions) find(opened *session.Session) *clientSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tombstones.Contains(opened.SID) {
		return nil
	}
	if known, ok := s.known.Get(opened.SID); ok {
		return known
	}
	fresh := newClientSession(opened)
	s.known.Add(opened.SID, fresh)
	return fresh
}

func newClientSession(opened *session.Session) *clientSession {
	cs := &clientSession{Session: opened, made: make(chan struct{})}
	cs.ended, cs.end = context.WithCancel(context.Background())
	return cs
}

// end remembers that the client has ended a session, for as long as its token would be taken.
func (s *sessions) end(sid session.SID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tombstones.Add(sid, struct{}{})
	if known, ok := s.known.Peek(sid); ok {
		known.end()
		s.known.Remove(sid)
	}
}

// openSession returns the session that a request belongs to.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
func (s *Server) openSession(h http.Header, b *backend) (*clientSession, *httpError) {
	tokens := h[headerSessionID]
	if len(tokens) != 1 || tokens[0] == "" {
		return nil, &httpError{http.StatusBadRequest, jsonrpc.CodeTransport,
			"Bad Request: exactly one Mcp-Session-Id header is required; send initialize first"}
	}
	notFound := &httpError{http.StatusNotFound, jsonrpc.CodeSessionNotFound, "Session not found: send initialize again"}
	opened, err := s.keys.Load().OpenSession(session.SealedSessionID(tokens[0]), time.Now())
	if err != nil || opened.Backend != b.ID {
		return nil, notFound
	}
	known := s.sessions.find(opened)
	if known == nil {
		return nil, notFound
	}
	return known, nil
}

// upstreamSession returns the target's side of a session, and initializes it if there is none: the target came later,
// lost its session, or the endpoint that held it is gone.
func (s *Server) upstreamSession(ctx context.Context, cs *clientSession, t *target) (upstreamSession, error) {
	us, _, err := s.described(ctx, cs, t)
	return us, err
}

// described returns the target's side of a session, as upstreamSession does, and the server's instructions if the session's
// token does not have it already.
func (s *Server) described(ctx context.Context, cs *clientSession, t *target) (upstreamSession, string, error) {
	cs.mu.Lock()
	late := cs.late[t.hash]
	if late == nil {
		if us, ok := cs.sealed(t); ok && us.heldBy(t) {
			cs.mu.Unlock()
			return us, "", nil
		}
		late = s.startLate(cs, t)
	}
	cs.mu.Unlock()
	select {
	case <-late.done:
	case <-ctx.Done():
		return upstreamSession{}, "", context.Cause(ctx)
	}
	if late.err == nil && !late.session.heldBy(t) {
		cs.lose(t, late.session)
		return s.described(ctx, cs, t)
	}
	return late.session, late.instructions, late.err
}

// sealed returns the target's side as the token has it.
func (cs *clientSession) sealed(t *target) (upstreamSession, bool) {
	for i := range cs.Targets {
		if ts := &cs.Targets[i]; ts.Service == t.hash {
			return upstreamSession{ts.ID, ts.ProtocolVersion, ts.Capabilities, ts.Endpoint}, true
		}
	}
	return upstreamSession{}, false
}

// existing returns the target's side of a session if there is one.
func (cs *clientSession) existing(t *target) (upstreamSession, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	late := cs.late[t.hash]
	if late == nil {
		us, ok := cs.sealed(t)
		return us, ok && us.heldBy(t)
	}
	select {
	case <-late.done:
		return late.session, late.err == nil && late.session.heldBy(t)
	default:
		return upstreamSession{}, false
	}
}

// hash tells the sessions of one server apart.
func (us upstreamSession) hash() uint64 {
	return uint64(session.HashService(config.ServiceID(us.id)))
}

// heldBy returns whether the target still speaks as was agreed on, and has the endpoint that holds the session. The pin comes
// from the client's token, so nothing is ever dialled that the current snapshot does not list.
func (us upstreamSession) heldBy(t *target) bool {
	speaks := t.era.current()
	if us.id != "" {
		if t.requests == nil || !t.requests.Has(us.endpoint) {
			return false
		}
		speaks = t.era.at(us.endpoint) // Others may be of another era.
	}
	return speaks == eraUnknown || speaks == us.era() // Else another server is there now.
}

// era returns the era that was agreed on with the server.
func (us upstreamSession) era() era {
	if us.version == modernVersion {
		return eraModern
	}
	return eraLegacy
}

// startLate makes the target's side of the session in the background, so that a client that turns away does not spoil
// it for others that wait. The caller holds cs.mu.
func (s *Server) startLate(cs *clientSession, t *target) *lateSession {
	late := &lateSession{done: make(chan struct{}), target: t}
	if cs.late == nil {
		cs.late = map[session.ServiceHash]*lateSession{}
	}
	cs.late[t.hash] = late
	s.background.Go(func() {
		ctx, cancel := context.WithTimeoutCause(s.running, s.limits.InitializeTimeout,
			fmt.Errorf("it did not answer initialize within %s", s.limits.InitializeTimeout))
		defer cancel()
		late.session, late.instructions, late.err = s.initializeLate(ctx, cs, t)
		if late.err != nil {
			// The next request tries again.
			cs.forget(t.hash, late)
		}
		close(late.done)
		switch {
		case late.err != nil:
		case cs.ended.Err() != nil:
			s.abandon(t, late.session) // Whoever ended the client's session has not seen it.
		default:
			cs.tellMade()
		}
	})
	return late
}

// refreshPause is how long after targets were asked for a list because nobody had a name they are not asked again for that
// reason: a client that goes on calling what does not exist is no load on all the servers.
const refreshPause = time.Second

// mayRefresh returns whether targets may be asked once more for a list, and notes that they are.
func (cs *clientSession) mayRefresh(kind federation.Kind) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := time.Now()
	if now.Sub(cs.refreshed[kind]) < refreshPause {
		return false
	}
	cs.refreshed[kind] = now
	return true
}

// tellMade wakes those that wait for a target to be there.
func (cs *clientSession) tellMade() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	close(cs.made)
	cs.made = make(chan struct{})
}

// untilMade returns what is closed once any target's side of the session has been made.
func (cs *clientSession) untilMade() <-chan struct{} {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.made
}

func (cs *clientSession) forget(hash session.ServiceHash, late *lateSession) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.late[hash] == late {
		delete(cs.late, hash)
	}
}

// lose notes that the target no longer knows an upstream session, unless another request has noted it already.
func (cs *clientSession) lose(t *target, lost upstreamSession) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if late := cs.late[t.hash]; late != nil {
		select {
		case <-late.done:
			if late.session.id == lost.id && late.session.era() == lost.era() {
				delete(cs.late, t.hash)
			}
		default: // Being made anew.
		}
	}
	for i := range cs.Targets {
		ts := &cs.Targets[i]
		if ts.Service == t.hash && ts.ID == lost.id && (ts.ProtocolVersion == modernVersion) == (lost.era() == eraModern) {
			ts.Service = 0 // No server has this hash's target any more: the token's entry is spent.
		}
	}
}

// begin registers a request in flight, so that the client's cancellation finds its target (nil if that is not known yet), and ends it
// here as well.
func (cs *clientSession) begin(id string, t *target, cancel context.CancelCauseFunc) (done func()) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.inFlight == nil {
		cs.inFlight = map[string]*inFlight{}
	}
	request := &inFlight{cancel: cancel}
	if t != nil {
		request.target = t.hash
	}
	cs.inFlight[id] = request
	return func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if cs.inFlight[id] == request { // A client may have used its id twice.
			delete(cs.inFlight, id)
		}
	}
}

// errCancelledByClient is why a request ends that the client cancelled. The target is not to blame: see upstream.Client.
var errCancelledByClient = fmt.Errorf("the client cancelled the request: %w", context.Canceled)

// cancelled returns the request in flight that a notifications/cancelled names.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation
func (cs *clientSession) cancelled(body []byte, params jsonrpc.Span) (*inFlight, bool) {
	var id [1]jsonrpc.Span
	if jsonrpc.Lookup(body, params, []string{"requestId"}, id[:]) != nil || id[0].Empty() {
		return nil, false
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	request, ok := cs.inFlight[string(id[0].Of(body))]
	return request, ok
}
