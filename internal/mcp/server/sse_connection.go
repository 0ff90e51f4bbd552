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
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

const (
	// maxSSEConnections bounds the connections of one replica to servers of HTTP+SSE.
	maxSSEConnections = 4096
	// sseIdleLimit is how long a connection is kept that nobody uses: a client that went away without a word costs its server
	// no longer.
	sseIdleLimit = 30 * time.Minute
	// maxSSERequests bounds the requests that a server works on at once for one connection.
	maxSSERequests = 256
	// maxSSEAnswers bounds the answers that the gateway gives by itself and that are on their way.
	maxSSEAnswers = 8
)

// Why a connection ended.
var (
	errSessionEnded   = errors.New("its session was ended")
	errConnectionLost = errors.New("it no longer knows the connection")
	errUnused         = errors.New("its connection was closed because it was not used")
	errStreamEnded    = errors.New("its event stream broke off")
)

// sseConnection is a connection to a server of HTTP+SSE.
type sseConnection struct {
	*Server
	id     string
	target *target // Of the snapshot in which it was opened.
	// endpoint is the one that was dialled, path where there the server wants messages.
	endpoint, path string

	// ctx ends with the connection.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	lastID    uint64
	inFlight  []*sseRequest // Oldest first.
	forgotten []cancellable // Oldest first.
	listening bool
	warned    bool // That messages were dropped since somebody listened.
	closed    error
	used      time.Time
	idle      *time.Timer
	// standing has what the server says by itself, for whoever listens or will.
	standing mailbox
	// answering has a value for each answer of the gateway's own that is on its way.
	answering chan struct{}
}

// sseConnections are a replica's connections to servers of HTTP+SSE.
type sseConnections struct {
	// most and idle are maxSSEConnections and sseIdleLimit.
	most int
	idle time.Duration

	mu   sync.Mutex
	byID map[string]*sseConnection
}

func newSSEConnections() *sseConnections {
	return &sseConnections{most: maxSSEConnections, idle: sseIdleLimit, byID: map[string]*sseConnection{}}
}

func (s *sseConnections) find(id string) *sseConnection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// add adds a connection. Where there are too many, the one that nobody has used for longest is closed: its client's session is
// initialized anew when it comes back. It returns false if all are in use.
func (s *sseConnections) add(c *sseConnection) bool {
	s.mu.Lock()
	var oldest *sseConnection
	full := len(s.byID) >= s.most
	if full {
		var since time.Time
		for _, known := range s.byID {
			if used, busy := known.lastUse(); !busy && (oldest == nil || used.Before(since)) {
				oldest, since = known, used
			}
		}
	}
	if oldest != nil {
		delete(s.byID, oldest.id)
	}
	if !full || oldest != nil {
		s.byID[c.id] = c
	}
	s.mu.Unlock()
	if oldest != nil {
		oldest.close(errUnused)
	}
	return !full || oldest != nil
}

func (s *sseConnections) remove(c *sseConnection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, c.id)
}

// connectSSE opens a server's event stream and waits for its endpoint. The connection outlives the context.
func (s *Server) connectSSE(ctx context.Context, c *upstreamCall) (*sseConnection, error) {
	conn := &sseConnection{
		Server: s, id: newSSEConnectionID(), target: c.target, used: time.Now(), answering: make(chan struct{}, maxSSEAnswers),
	}
	conn.ctx, conn.cancel = context.WithCancelCause(s.running)
	errTooLate := fmt.Errorf("it did not send its endpoint within %s", s.limits.InitializeTimeout)
	late := time.AfterFunc(s.limits.InitializeTimeout, func() { conn.cancel(errTooLate) })
	gone := context.AfterFunc(ctx, func() { conn.cancel(context.Cause(ctx)) })
	events, body, err := conn.open(c)
	if !gone() {
		conn.cancel(context.Cause(ctx))
	}
	if !late.Stop() {
		conn.cancel(errTooLate)
	}
	if cause := context.Cause(conn.ctx); cause != nil {
		err = cause
	}
	conn.idle = time.AfterFunc(s.sseConnections.idle, conn.expire)
	if err == nil && !s.sseConnections.add(conn) {
		err = errors.New("too many connections to servers of HTTP+SSE are in use")
	}
	if err != nil {
		conn.close(err)
		if body != nil {
			_ = body.Close()
		}
		return nil, conn.asError(err)
	}
	s.background.Go(func() { conn.read(events, body) })
	return conn, nil
}

// open opens the stream and reads it up to the endpoint.
func (c *sseConnection) open(call *upstreamCall) (*messageReader, io.Closer, error) {
	header := bridgedHeader(call.header)
	c.setOwnHeaders(header, upstreamSession{})
	header["Accept"] = contentTypeEventStream
	delete(header, "Content-Type")
	response, endpoint, err := c.upstream.Do(c.ctx, c.target.requests, &upstream.Request{
		Method: http.MethodGet, Header: header, Stream: true,
	})
	if err != nil {
		return nil, nil, err
	}
	c.endpoint = endpoint
	switch {
	case response.StatusCode != http.StatusOK:
		err = fmt.Errorf("it answered HTTP status %d; does it speak HTTP+SSE at this path?", response.StatusCode)
	case !isEventStream(response.Header):
		err = errors.New("its answer is no event stream; does it speak HTTP+SSE at this path?")
	}
	if err != nil {
		closeBody(response)
		return nil, nil, err
	}
	events := newMessageReader(response.Body, c.limits.MaxMessage)
	if c.path, err = c.readEndpoint(events); err != nil {
		_ = events.Close()
		_ = response.Body.Close()
		return nil, nil, err
	}
	return events, response.Body, nil
}

// readEndpoint reads the stream up to the endpoint, which servers send first.
func (c *sseConnection) readEndpoint(events *messageReader) (string, error) {
	for {
		var event sse.Event
		switch err := events.Next(&event); {
		case errors.Is(err, sse.ErrTooLarge):
			return "", c.tooLarge()
		case err != nil:
			return "", errors.New("its event stream ended before it sent its endpoint")
		case event.Name == "endpoint":
			return ssePath(c.target.requests.URL(), string(event.Data))
		}
	}
}

func (c *sseConnection) tooLarge() error {
	return fmt.Errorf("a message of it is larger than %d bytes", c.limits.MaxMessage)
}

// read takes what the server sends until the stream ends, and with it the connection.
func (c *sseConnection) read(events *messageReader, body io.Closer) {
	defer func() { _ = body.Close() }()
	defer events.Close()
	var event sse.Event
	for {
		err := events.Next(&event)
		if err == nil {
			c.take(&event)
			continue
		}
		why := errStreamEnded
		if errors.Is(err, sse.ErrTooLarge) {
			why = c.tooLarge()
		}
		if c.close(why) && c.running.Err() == nil {
			c.log.Info("Connection to a server of HTTP+SSE ended",
				"backend", c.target.backend.Key, "target", c.target.Name, "reason", why, "error", err)
		}
		return
	}
}

// close ends the connection, for that reason, and returns whether it had not ended already.
func (c *sseConnection) close(why error) bool {
	c.mu.Lock()
	if c.closed != nil {
		c.mu.Unlock()
		return false
	}
	c.closed = why
	requests := c.inFlight
	c.inFlight, c.forgotten = nil, nil
	c.mu.Unlock()
	c.sseConnections.remove(c)
	c.idle.Stop()
	for _, r := range requests {
		r.box.end(why)
	}
	c.standing.end(why)
	c.cancel(nil)
	return true
}

// touch notes that the connection is used.
func (c *sseConnection) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = time.Now()
	if c.closed == nil {
		c.idle.Reset(c.sseConnections.idle)
	}
}

// lastUse returns when the connection was used last, and whether it still is.
func (c *sseConnection) lastUse() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used, c.listening || len(c.inFlight) > 0
}

// expire closes the connection if nobody uses it.
func (c *sseConnection) expire() {
	if _, busy := c.lastUse(); busy {
		c.touch()
		return
	}
	c.close(errUnused)
}

// listen returns the stream on which the server speaks by itself. There is one at a time, so that no message is split from
// those that belong to it.
func (c *sseConnection) listen(ctx context.Context) *http.Response {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed != nil:
		return emptyResponse(http.StatusNotFound)
	case c.listening:
		return emptyResponse(http.StatusConflict)
	}
	c.listening, c.warned = true, false
	return streamResponse(&mailBody{ctx: ctx, box: &c.standing, release: sync.OnceFunc(func() {
		c.mu.Lock()
		c.listening = false
		c.mu.Unlock()
		c.touch()
	})})
}

// asError returns why the server gave no answer, as the client is told.
func (c *sseConnection) asError(err error) error {
	var known *upstream.Error
	if errors.As(err, &known) {
		return known
	}
	e := &upstream.Error{Target: c.target.Name, Reason: err.Error(), Err: err}
	if errors.Is(err, context.Canceled) {
		e.Kind, e.Reason = upstream.KindCancelled, "the request was cancelled"
	}
	return e
}
