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
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
)

// What a server of the modern era does for a legacy client may be spread over replicas: each request is one by itself, and
// ends with its connection; each stream listens for itself. What the client says of them is told to all replicas. (A legacy
// server keeps that, with its session.)

// keepsFor returns whether the session keeps here, in place of the target, what the client subscribes to and which log
// messages it wants.
func (x *exchange) keepsFor(t *target) bool {
	if us, ok := x.session.existing(t); ok {
		return us.era() == eraModern
	}
	return t.era.current() == eraModern
}

// tellPeers has the other replicas take the client's message too, unless it comes from one. With wait, they have taken it when
// the client is answered.
func (x *exchange) tellPeers(wait bool) {
	switch {
	case x.peers == nil || peer.FromPeer(x.r.Context()):
	case wait:
		x.peers.Tell(x.r.Context(), x.r, x.body, x.backend.Key)
	default:
		r, body := x.r.Clone(x.running), x.body
		x.background.Go(func() { x.peers.Tell(x.running, r, body, x.backend.Key) })
	}
}

// home is the address of this replica in what it alone can answer: a server's question to the client, if the server itself
// does not wait for the answer.
func (o *streamOwner) home() string {
	if o.upstream.era() == eraModern {
		return o.self()
	}
	return ""
}
