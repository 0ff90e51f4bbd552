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

// Package peer is how the replicas of one proxy reach each other: a request that only one of them can serve is handed to
// that one, and what all must know is told to all. It knows nothing of Kubernetes.
package peer

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const (
	// connectTimeout bounds what comes before a request is sent: asking for the replicas' addresses, and connecting.
	connectTimeout = 2 * time.Second
	// tellTimeout bounds what a replica is told.
	tellTimeout = 2 * time.Second
	// idleTimeout is how long an unused connection is kept: far less than the peer port keeps it.
	idleTimeout = 30 * time.Second
	// lifetime of what authenticates a request. Replicas' clocks may differ by as much.
	lifetime = 30 * time.Second
	// grace is how much longer than a target a replica may be silent.
	grace = 30 * time.Second
)

// Options configure how replicas reach each other.
type Options struct {
	// Self is the own address, "host:port", as Resolve has it. Empty, or not what Canonical takes for an address: there are
	// no peers, and everything is served here.
	Self string
	// Keys returns the key ring, which all replicas share; nil if there is none yet.
	Keys func() *session.KeyRing
	// Resolve returns the addresses, "host:port", of all replicas. Self may be among them.
	Resolve func(ctx context.Context) ([]string, error)
	// Log takes what an operator should know; never tokens, session ids or bodies.
	Log *slog.Logger
	// Limits bound what comes from outside; see config.DefaultLimits.
	Limits config.Limits
}

// Peers are the other replicas of the proxy. A nil *Peers stands for none. It is safe for concurrent use.
type Peers struct {
	self      string
	keys      func() *session.KeyRing
	log       *slog.Logger
	limits    config.Limits
	addresses *addressBook
	transport *http.Transport
}

// New returns the Peers of a replica.
func New(o Options) *Peers {
	self, _ := Canonical(o.Self)
	dialer := &net.Dialer{
		Timeout: connectTimeout,
		// A replica whose machine is gone is noticed within half a minute, also in a stream that has nothing to say.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return &Peers{
		self: self, keys: o.Keys, log: o.Log, limits: o.Limits,
		addresses: &addressBook{resolve: o.Resolve},
		transport: &http.Transport{
			DialContext:            dialer.DialContext,
			MaxIdleConns:           1024,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        idleTimeout,
			DisableCompression:     true, // The client gets the answer as it is.
			MaxResponseHeaderBytes: 128 << 10,
		},
	}
}

// Self returns the own address as tokens have it; empty if there are no peers.
func (p *Peers) Self() string {
	if p == nil {
		return ""
	}
	return p.self
}

// Close closes all idle connections.
func (p *Peers) Close() {
	if p != nil {
		p.transport.CloseIdleConnections()
	}
}
