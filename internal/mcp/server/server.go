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

// Package server is what MCP clients talk to: it presents a Backend as one MCP server over streamable HTTP. It knows
// nothing of Kubernetes; its configuration comes as snapshots of config.Backends.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

const allowedMethods = "GET, POST, DELETE, OPTIONS"

// Header values that are sent over and over; never changed.
var (
	contentTypeJSON        = []string{"application/json"}
	contentTypeEventStream = []string{"text/event-stream"}
	acceptBoth             = []string{"application/json, text/event-stream"}
	acceptIdentity         = []string{"identity"} // Without it, servers may choose any encoding (RFC 9110, 12.5.3).
)

// Options configure a Server.
type Options struct {
	// Log takes what an operator should know; never tokens, session ids or bodies.
	Log *slog.Logger
	// Limits bound what comes from outside; see config.DefaultLimits.
	Limits config.Limits
	// Upstream sends requests to targets.
	Upstream *upstream.Client
	// Telemetry shows what is done; nil for nothing.
	Telemetry *telemetry.Telemetry
	// Keys seal session tokens. All replicas of a proxy have the same.
	Keys *session.KeyRing
	// Version is shown to clients that a Backend without targets answers by itself.
	Version string
	// AllowedOrigins are origins ("https://example.com") that pages may come from, besides loopback origins and the
	// hostnames of listeners and routes.
	AllowedOrigins []string
	// Peers are the other replicas of the proxy; nil for none.
	Peers *peer.Peers
}

// Server serves MCP clients. It is safe for concurrent use.
type Server struct {
	log            *slog.Logger
	limits         config.Limits
	upstream       *upstream.Client
	version        string
	allowedOrigins []string
	peers          *peer.Peers
	telemetry      *telemetry.Telemetry

	keys     atomic.Pointer[session.KeyRing]
	current  atomic.Pointer[Snapshot]
	updating sync.Mutex
	sessions *sessions
	inputs   inputs
	warned   warnedOf
	// requestIDs makes the ids of the gateway's own requests different from each other, idPrefix from those of other replicas.
	requestIDs atomic.Uint64
	idPrefix   string
	// parked are modern clients' requests whose servers want to know something first.
	parked parked
	// inputTimeout is how long they may wait.
	inputTimeout time.Duration
	// connections are the clients over HTTP+SSE, sseConnections those to servers.
	connections    connections
	sseConnections *sseConnections

	// draining ends when the server is asked to end its streams, running when it is closed.
	draining, running context.Context
	drain, stop       context.CancelFunc
	background        sync.WaitGroup
}

// New returns a Server with an empty snapshot.
func New(o Options) *Server {
	s := &Server{
		log:            o.Log,
		limits:         o.Limits,
		upstream:       o.Upstream,
		version:        o.Version,
		allowedOrigins: o.AllowedOrigins,
		peers:          o.Peers,
		telemetry:      o.Telemetry,
		sessions:       newSessions(),
		inputTimeout:   inputTimeout,
		warned:         newWarnedOf(),
		sseConnections: newSSEConnections(),
		idPrefix:       ownIDPrefix + rand.Text()[:8] + "-",
	}
	s.running, s.stop = context.WithCancel(context.Background())
	s.draining, s.drain = context.WithCancel(s.running)
	s.keys.Store(o.Keys)
	s.telemetry.CountSessions(s.sessions.count)
	s.Update(nil)
	return s
}

// UpdateKeys changes the keys for all requests to come.
func (s *Server) UpdateKeys(keys *session.KeyRing) { s.keys.Store(keys) }

// Keys returns the keys of now; nil if there are none yet.
func (s *Server) Keys() *session.KeyRing { return s.keys.Load() }

// Drain ends all streams that clients only listen on, so that they come back elsewhere. Requests in flight go on.
func (s *Server) Drain() { s.drain() }

// Close ends what goes on in the background, and waits for it. No request may be served any more.
func (s *Server) Close() {
	s.stop()
	s.background.Wait()
}

// Serve answers one HTTP request that was routed to a Backend of the snapshot.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, snapshot *Snapshot, key string, site Site) {
	observed := s.telemetry.Begin(r)
	defer observed.End()
	observed.Backend(key)
	w = observed.Writer(w)
	if e := checkHost(r, site); e != nil {
		writeHTTPError(w, nil, e)
		return
	}
	if e := s.checkOrigin(r, site); e != nil {
		writeHTTPError(w, nil, e)
		return
	}
	s.serve(w, r, snapshot, key, observed)
}

// ServePeer answers one HTTP request that a peer has routed to a Backend, and whose Host and Origin it has checked.
func (s *Server) ServePeer(w http.ResponseWriter, r *http.Request, key string) {
	s.serve(w, r, s.current.Load(), key, nil) // The peer shows it.
}

// hold has answer write a stream on which the client only listens: on the request's goroutine, or, which costs less, detached
// from it.
func hold(
	w http.ResponseWriter, r *http.Request, observed *telemetry.Exchange, answer func(w http.ResponseWriter, r *http.Request),
) {
	stream := detached.Take(w, r)
	if stream == nil {
		answer(w, r)
		return
	}
	end := observed.Hold()
	stream.Go(func(w http.ResponseWriter, r *http.Request) {
		defer end()
		answer(observed.Writer(w), r)
	})
}

// serve answers a request whose Host and Origin have been checked.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, snapshot *Snapshot, key string, observed *telemetry.Exchange) {
	allowOrigin(w, r)
	b := snapshot.backends[key]
	switch {
	case b == nil:
		writeHTTPError(w, nil, &httpError{http.StatusInternalServerError, jsonrpc.CodeInternal, "no such Backend"})
	case strings.HasPrefix(r.URL.Path, "/.well-known/"):
		// Nothing is served there until a policy says who authenticates clients: a document of an upstream would
		// send them to an authorization server whose tokens the gateway does not take.
		http.NotFound(w, r)
	case r.Method == http.MethodPost && postsSSE(r):
		s.postSSE(w, r, b, snapshot, observed)
	case r.Method == http.MethodPost:
		s.post(w, r, b, snapshot, observed)
	case (r.Method == http.MethodGet || r.Method == http.MethodDelete) && r.Header.Get(headerProtocolVersion) == modernVersion:
		notAllowed(w, "POST, OPTIONS") // The revision has neither streams that are asked for so, nor sessions.
	case r.Method == http.MethodGet && opensSSE(r):
		s.connect(w, r, b, observed)
	case r.Method == http.MethodGet:
		s.get(w, r, b, snapshot, observed)
	case r.Method == http.MethodDelete:
		s.delete(w, r, b)
	case r.Method == http.MethodOptions:
		preflight(w, r)
	default:
		notAllowed(w, allowedMethods)
	}
}

func notAllowed(w http.ResponseWriter, allowed string) {
	w.Header().Set("Allow", allowed)
	writeHTTPError(w, nil, &httpError{http.StatusMethodNotAllowed, jsonrpc.CodeTransport, "Method not allowed: use " + allowed})
}
