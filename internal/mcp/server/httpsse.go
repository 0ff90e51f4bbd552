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
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// HTTP+SSE is the transport of revision 2024-11-05: the client opens a stream, is told where to post its messages, and gets
// all answers on the stream. Behind it, each message is answered as streamable HTTP has it.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse

const (
	// sseSuffix is how the path ends at which clients open such streams.
	sseSuffix = "/sse"
	// sseParameter is the query parameter by which a posted message names its stream.
	sseParameter = "sessionId"
	// maxConnections bounds the streams of one replica, maxPosted the messages of one that are worked on at once.
	maxConnections = 1 << 14
	maxPosted      = 64
)

// connections are the clients over HTTP+SSE that are connected to this replica.
type connections struct {
	mu   sync.Mutex
	byID map[string]*connection
}

// connection is one client over HTTP+SSE.
type connection struct {
	*Server
	key    string // Of the Backend.
	stream *eventStream
	// opened is the request that opened the stream, and ctx ends with it.
	opened *http.Request
	ctx    context.Context
	posted chan struct{} // Has a value for each message that is worked on.

	// initializing is held while the client's session is begun: a connection has one.
	initializing sync.Mutex

	mu      sync.Mutex
	session string // The client's session token, once it has initialized.
	working sync.WaitGroup
}

// opensSSE returns whether a GET asks for a stream of HTTP+SSE.
func opensSSE(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, sseSuffix) && r.Header[headerSessionID] == nil
}

// postsSSE returns whether a POST is a message of a client over HTTP+SSE.
func postsSSE(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, sseSuffix) && r.URL.Query().Has(sseParameter)
}

// connect opens a stream, which lasts as long as the client's session.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, b *backend, observed *telemetry.Exchange) {
	if e := checkAccept(r.Header, "text/event-stream"); e != nil {
		writeHTTPError(w, nil, e)
		return
	}
	id := rand.Text()
	token, err := s.keys.Load().SealConnection(session.ConnectionID{Home: s.self(), ID: id})
	if err != nil {
		s.log.Error("Connection can't be sealed", "backend", b.Key, "error", err)
		writeHTTPError(w, nil, &httpError{http.StatusInternalServerError, jsonrpc.CodeInternal, "the connection can't be opened"})
		return
	}
	observed.Era(telemetry.EraSSE)
	observed.Stream(telemetry.StreamSSE)
	hold(w, r, observed, func(w http.ResponseWriter, r *http.Request) {
		c := &connection{Server: s, key: b.Key, stream: s.newEventStream(w), opened: r, posted: make(chan struct{}, maxPosted)}
		c.serve(w, id, token)
	})
}

// serve writes the stream, until the client goes.
func (c *connection) serve(w http.ResponseWriter, id, token string) {
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(c.opened.Context(), c.limits.SessionLifetime)
	defer cancel()
	if !c.connections.add(id, c) {
		w.Header().Set("Retry-After", "5")
		writeHTTPError(w, nil, &httpError{http.StatusServiceUnavailable, jsonrpc.CodeTransport, "too many clients are connected"})
		return
	}
	defer c.connections.remove(id)
	c.stream.start()
	defer c.stream.stop()
	defer context.AfterFunc(c.stream.failed, cancel)()
	if c.stream.send(&sse.Event{Name: "endpoint", Retry: -1, Data: endpointFor(c.opened.URL, token), HasData: true}) == nil {
		open, end := context.WithCancel(c.ctx)
		stop := context.AfterFunc(c.draining, end)
		detached.Wait(open, w)
		stop()
		end()
	}
	c.connections.remove(id) // No message is taken any more.
	c.untilIdle()
	cancel()
	c.working.Wait()
	c.endSession()
}

// untilIdle waits for the answers to what has been taken.
func (c *connection) untilIdle() {
	idle := make(chan struct{})
	c.background.Go(func() {
		c.working.Wait()
		close(idle)
	})
	select {
	case <-idle:
	case <-c.ctx.Done():
	}
}

// endpointFor returns where the client is to post its messages: the URL that it opened the stream at, by which these are routed as that
// was, with the connection's id.
func endpointFor(opened *url.URL, token string) []byte {
	query := opened.Query()
	query.Set(sseParameter, token)
	// Two slashes at the begin would make a host of what follows.
	path := "/" + strings.TrimLeft(opened.EscapedPath(), "/")
	return []byte(path + "?" + query.Encode())
}

func (c *connections) add(id string, added *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byID) >= maxConnections {
		return false
	}
	if c.byID == nil {
		c.byID = map[string]*connection{}
	}
	c.byID[id] = added
	return true
}

func (c *connections) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

// begin returns the connection of that id and reserves a place for a message to be worked on; nil if there is no such
// connection, and false if it has no place.
func (c *connections) begin(id string) (*connection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.byID[id]
	if found == nil {
		return nil, false
	}
	select {
	case found.posted <- struct{}{}:
		found.working.Add(1)
		return found, true
	default:
		return found, false
	}
}

// postSSE takes a message of a client over HTTP+SSE. Its answer goes to the client's stream.
func (s *Server) postSSE(w http.ResponseWriter, r *http.Request, b *backend, snapshot *Snapshot, observed *telemetry.Exchange) {
	observed.Era(telemetry.EraSSE)
	x := &exchange{Server: s, w: w, r: r, backend: b, snapshot: snapshot, observed: observed}
	e := checkContentType(r.Header)
	if e == nil {
		e = x.readBody()
	}
	if e != nil {
		writeHTTPError(w, nil, e)
		return
	}
	notFound := &httpError{http.StatusNotFound, jsonrpc.CodeSessionNotFound, "Session not found: open the stream again"}
	id, err := s.keys.Load().OpenConnection(r.URL.Query().Get(sseParameter))
	if err != nil {
		writeHTTPError(w, nil, notFound)
		return
	}
	if id.Home != s.self() {
		if !x.forwardHome(id.Home) {
			writeHTTPError(w, nil, notFound)
		}
		return
	}
	c, ok := s.connections.begin(id.ID)
	switch {
	case c == nil || c.key != b.Key:
		if ok {
			c.done()
		}
		writeHTTPError(w, nil, notFound)
		return
	case !ok:
		writeHTTPError(w, nil, &httpError{http.StatusTooManyRequests, jsonrpc.CodeTransport, "too many messages wait for their answers"})
		return
	}
	batch := jsonrpc.IsBatch(x.body)
	if !batch {
		if e := x.scan(); e != nil {
			c.done()
			writeHTTPError(w, x.id(), e)
			return
		}
	}
	if !batch && x.message.Kind != jsonrpc.Request {
		defer c.done()
		x.observed.Message(x.body, &x.message)
		c.take(x)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	x.observed = nil // What becomes of it is shown by itself.
	c.background.Go(func() {
		defer c.done()
		c.work(x)
	})
}

func (c *connection) done() {
	<-c.posted
	c.working.Done()
}

// take hands on a message that has no answer. The client is told when that is done: what it sends then is not to overtake it.
func (c *connection) take(x *exchange) {
	x.r = c.request(http.MethodPost)
	var e *httpError
	if x.session, e = x.openSession(x.r.Header, x.backend); e != nil {
		writeHTTPError(x.w, nil, e)
		return
	}
	x.dispatch()
}

// work answers a request, or a batch.
func (c *connection) work(x *exchange) {
	x.observed = c.telemetry.Begin(c.opened)
	defer x.observed.End()
	x.observed.Backend(c.key)
	x.observed.Era(telemetry.EraSSE)
	if !jsonrpc.IsBatch(x.body) {
		x.observed.Message(x.body, &x.message)
	}
	if x.message.Kind == jsonrpc.Request && x.message.Method == "initialize" {
		c.initialize(x)
		return
	}
	out := newSink(c.deliver)
	x.w, x.r = out, c.request(http.MethodPost)
	out.handled(x.id(), func(http.ResponseWriter) {
		if jsonrpc.IsBatch(x.body) {
			x.batch()
			return
		}
		var e *httpError
		if x.session, e = x.openSession(x.r.Header, x.backend); e != nil {
			writeHTTPError(x.w, x.id(), e)
			return
		}
		x.dispatch()
	})
}

// initialize begins the client's session. It is noted before the client has the answer, after which it sends more.
func (c *connection) initialize(x *exchange) {
	c.initializing.Lock()
	defer c.initializing.Unlock()
	var out *sink
	begun := false
	out = newSink(func(event *sse.Event) error {
		begun = c.begin(out.header.Get(headerSessionID)) || begun
		return c.deliver(event)
	})
	x.w, x.r = out, c.request(http.MethodPost)
	out.handled(x.id(), func(http.ResponseWriter) {
		if x.r.Header[headerSessionID] != nil {
			writeHTTPError(x.w, x.id(), &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest,
				"Invalid Request: this connection is initialized already; open another one"})
			return
		}
		x.initialize()
	})
	if begun {
		c.listen()
	}
}

// request is what a client of streamable HTTP would have sent in place of what this client has.
func (c *connection) request(method string) *http.Request {
	r := c.opened.Clone(c.ctx)
	r.Method = method
	r.Header = http.Header{"Accept": acceptBoth, "Content-Type": contentTypeJSON}
	for _, name := range forwardedHeaders {
		if values := c.opened.Header[name]; values != nil {
			r.Header[name] = values
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != "" {
		r.Header[headerSessionID] = []string{c.session}
	}
	return r
}

// deliver sends a message on the client's stream, which has no ids: it can't be resumed.
func (c *connection) deliver(event *sse.Event) error {
	if len(event.Data) == 0 || !event.IsMessage() {
		return nil
	}
	return c.stream.send(messageEvent(event.Data))
}

// begin notes the client's session; false if it has not begun.
func (c *connection) begin(token string) bool {
	if token == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = token
	return true
}

// listen opens the stream on which servers speak by themselves.
func (c *connection) listen() {
	r := c.request(http.MethodGet)
	c.working.Add(1)
	c.background.Go(func() {
		defer c.working.Done()
		snapshot := c.current.Load()
		if b := snapshot.backends[c.key]; b != nil {
			newSink(c.deliver).handled(nil, func(w http.ResponseWriter) { c.get(w, r, b, snapshot, nil) })
		}
	})
}

// endSession ends the client's session, which was its connection.
func (c *connection) endSession() {
	b := c.current.Load().backends[c.key]
	r := c.request(http.MethodDelete)
	if b == nil || r.Header[headerSessionID] == nil {
		return
	}
	cs, e := c.openSession(r.Header, b)
	if e != nil {
		return
	}
	c.background.Go(func() {
		ctx, cancel := context.WithTimeoutCause(c.running, endTimeout, errNotEnded)
		defer cancel()
		c.end(ctx, cs, b)
	})
}
