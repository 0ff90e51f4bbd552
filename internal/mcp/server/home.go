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
	"slices"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
)

// homeOf returns the address of this replica if it alone can serve a session of the Backend's: it is the one that connects to
// servers of HTTP+SSE, whose connections are their sessions.
func (s *Server) homeOf(b *backend) string {
	if slices.ContainsFunc(b.targets, func(t *target) bool { return t.Protocol == config.SSE }) {
		return s.self()
	}
	return ""
}

// isHome returns whether this replica is the one that holds something of the session.
func (s *Server) isHome(cs *clientSession) bool { return cs.Home != "" && cs.Home == s.self() }

// openAtHome opens the session that the request belongs to, or has the replica answer that alone holds something of it: then
// there is neither a session nor an error. Where that replica can't be reached, the session goes on here, and what can be made
// anew is.
func (x *exchange) openAtHome() (*clientSession, *httpError) {
	cs, e := x.openSession(x.r.Header, x.backend)
	if e != nil {
		return nil, e
	}
	if !x.isHome(cs) && !peer.FromPeer(x.r.Context()) && x.forwardHome(cs.Home) {
		return nil, nil
	}
	return cs, nil
}

// endConnections ends the session's connections to servers of HTTP+SSE that this replica holds.
func (s *Server) endConnections(cs *clientSession, b *backend) {
	for _, t := range b.targets {
		if t.Protocol != config.SSE {
			continue
		}
		if us, ok := cs.existing(t); ok {
			if conn := s.sseConnections.find(string(us.id)); conn != nil {
				conn.close(errSessionEnded)
			}
		}
	}
}
