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

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
)

// endTimeout is how long targets may take to end their side of a session.
const endTimeout = 5 * time.Second

var errNotEnded = errors.New("it did not end the session in time")

// delete ends a client's session: here at once, and with the targets as well as they can.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
func (s *Server) delete(w http.ResponseWriter, r *http.Request, b *backend) {
	if e := checkVersion(r.Header); e != nil {
		writeHTTPError(w, nil, e)
		return
	}
	cs, e := (&exchange{Server: s, w: w, r: r, backend: b}).openAtHome()
	switch {
	case e != nil:
		writeHTTPError(w, nil, e)
		return
	case cs == nil:
		return
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(r.Context()), endTimeout, errNotEnded)
	defer cancel()
	if peer.FromPeer(r.Context()) && !s.isHome(cs) {
		// The replica that the client asked, or that is its home, ends it with the targets.
		s.sessions.end(cs.SID)
		s.endConnections(cs, b)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if s.peers != nil {
		s.background.Go(func() { s.peers.Tell(s.running, r.Clone(s.running), nil, b.Key) })
	}
	s.end(ctx, cs, b)
	w.WriteHeader(http.StatusNoContent)
}

// end ends a session here at once, and with the targets as well as they can.
func (s *Server) end(ctx context.Context, cs *clientSession, b *backend) {
	s.sessions.end(cs.SID)
	var ending sync.WaitGroup
	for _, t := range b.targets {
		if us, ok := cs.existing(t); ok && us.id != "" && t.usable() {
			ending.Go(func() { s.endUpstream(ctx, t, us) })
		}
	}
	ending.Wait()
}

// abandon ends, in the background, a target's side of a session that nobody will use.
func (s *Server) abandon(t *target, us upstreamSession) {
	if us.id == "" {
		return
	}
	s.background.Go(func() {
		ctx, cancel := context.WithTimeoutCause(s.running, endTimeout, errNotEnded)
		defer cancel()
		s.endUpstream(ctx, t, us)
	})
}

func (s *Server) endUpstream(ctx context.Context, t *target, us upstreamSession) {
	header := http.Header{}
	s.setOwnHeaders(header, us)
	delete(header, "Content-Type")
	response, _, err := s.do(ctx, &upstreamCall{target: t, upstream: us, method: http.MethodDelete, header: header})
	if err != nil {
		s.log.Warn("Session not ended at target", "backend", t.backend.Key, "target", t.Name, "error", err)
		return
	}
	closeBody(response)
}
