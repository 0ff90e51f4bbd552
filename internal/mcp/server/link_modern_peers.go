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
	"slices"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
)

// What a server of the modern era does for a legacy client may be spread over replicas: each request is one by itself, and
// ends with its connection; each stream listens for itself. What the client says of them is told to all replicas. (A legacy
// server keeps that by itself, with its session.)

// tellReplicas hands the client's message to all other replicas, unless it comes from one.
func (x *exchange) tellReplicas(ctx context.Context) {
	if x.peers != nil && !x.fromReplica() {
		x.peers.Tell(ctx, x.r, x.body, x.backend.Key)
	}
}

// fromReplica returns whether another replica has sent the message, which it has from the client, and sees to the rest. What
// comes to a session's home is the client's.
func (x *exchange) fromReplica() bool { return peer.FromPeer(x.r.Context()) && !x.isHome(x.session) }

// tellKept tells all replicas of a message that changes what a session has, if one of these targets leaves it to the gateway
// to keep that.
func (x *exchange) tellKept(targets ...*target) {
	if slices.ContainsFunc(targets, func(t *target) bool {
		us, ok := x.session.existing(t)
		return ok && us.era() == eraModern || !ok && t.era.current() == eraModern
	}) {
		x.tellReplicas(x.r.Context())
	}
}

// home is the address of this replica in what it alone can answer: a server's question to the client, if the server itself
// does not wait for the answer, or waits for it on a connection that this replica holds.
func (o *streamOwner) home() string {
	if o.upstream.era() == eraModern || o.target.Protocol == config.SSE {
		return o.self()
	}
	return ""
}
