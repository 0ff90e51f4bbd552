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

// Package session turns what a replica must know about a client's session into sealed tokens that the client carries, so
// that any replica can serve any request, and keeps the keys that seal them.
//
// Tokens are packed binary, encrypted and authenticated with AES-256-GCM, in base64url without padding: visible ASCII, as
// MCP demands of session ids.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// MaxTokenLength bounds, in bytes, every token of this package. Tokens travel in HTTP headers, of which clients, servers
// and the proxies between them commonly accept 8 KiB.
const MaxTokenLength = 8 << 10

var (
	// ErrUnknownSession is the one error for a session token that can't be opened: forged, expired, sealed with a key
	// that the ring does not have. It has no detail, so that whoever tries tokens learns nothing. The answer is HTTP
	// status 404, upon which clients initialize again.
	ErrUnknownSession = errors.New("unknown session")
	// ErrUnknownID is the same for every other token.
	ErrUnknownID = errors.New("unknown id")
	// ErrTooLarge is for what does not fit into a token of MaxTokenLength.
	ErrTooLarge = errors.New("too large for a sealed token")
)

// SealedSessionID is a session token as clients see it: the value of Mcp-Session-Id. It is a bearer secret.
type SealedSessionID string

// LogValue keeps the token out of logs.
func (SealedSessionID) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// UpstreamSessionID is the session id that an MCP server gave to the gateway. It is a bearer secret.
type UpstreamSessionID string

// LogValue keeps the id out of logs.
func (UpstreamSessionID) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// maxHome bounds the address of a replica: a DNS name, a colon and a port.
const maxHome = 253 + 6

// SID identifies a session inside the gateway: in caches, and as what ids of server requests and events are bound to. It
// is random, stays the same when a token is sealed again, and is never shown to clients.
type SID [16]byte

// NewSID returns a fresh SID.
func NewSID() SID {
	var sid SID
	_, _ = rand.Read(sid[:]) // It never fails, says its contract: the program ends instead.
	return sid
}

// ServiceHash stands for a config.ServiceID where space is short: 64 bits are enough because it is only ever looked up
// among the targets of one Backend.
type ServiceHash uint64

// HashService returns the hash of a service's id.
func HashService(id config.ServiceID) ServiceHash {
	sum := sha256.Sum256([]byte(id))
	return ServiceHash(binary.BigEndian.Uint64(sum[:8]))
}

// Session is what a session token holds.
type Session struct {
	// SID identifies the session.
	SID SID
	// Expires is when the token ceases to open. Tokens hold it in whole seconds.
	Expires time.Time
	// Backend is the one that the client talks to; a token is worth nothing at another one. The caller compares.
	Backend config.BackendID
	// Principal is who the client is; empty until authentication exists.
	Principal string
	// ProtocolVersion is the one negotiated with the client.
	ProtocolVersion string
	// Home is the address, "host:port", by which peers reach the replica that alone holds something of this session, as
	// a connection to a server of HTTP+SSE; empty if any replica can serve it. At most a DNS name and a port.
	Home string
	// Initialize is what a late initialize needs: raw JSON of the client's capabilities and clientInfo. The caller
	// bounds it; what is too large for a token makes SealSession fail.
	Initialize []byte
	// Targets are the servers that the session has been initialized with.
	Targets []TargetSession
}

// Capabilities is a set of what a server may have. The values are part of the tokens' format.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#capability-negotiation
type Capabilities uint8

// The capabilities that matter to the gateway.
const (
	CapabilityTools Capabilities = 1 << iota
	CapabilityPrompts
	CapabilityResources
	CapabilitySubscribe
	CapabilityLogging
	CapabilityCompletions
)

// Has returns whether all of these are in the set.
func (c Capabilities) Has(all Capabilities) bool { return c&all == all }

// TargetSession is the part of a session that belongs to one target.
type TargetSession struct {
	// Service is the MCP server.
	Service ServiceHash
	// ProtocolVersion is the one negotiated with the server.
	ProtocolVersion string
	// Capabilities is what the server said that it has.
	Capabilities Capabilities
	// ID is the server's session id; empty if it issued none.
	ID UpstreamSessionID
	// Endpoint is the address that the session lives at, "host:port". It is dialled only if the current configuration
	// still lists it for the service.
	Endpoint string
}

// ServerRequestID is the id of a request from a server to the client, with what is needed to send the answer back.
type ServerRequestID struct {
	Service ServiceHash
	// Home is the address of the replica that alone can send the answer; see Session.Home.
	Home string
	// Upstream tells the server's sessions apart: ids start anew in each, and an answer must not reach another one.
	Upstream uint64
	// ID is the raw JSON id that the server chose.
	ID []byte
}

// EventID is the id of an event in a client's stream, with what is needed to resume the stream.
type EventID struct {
	Service ServiceHash
	// Stream says which of the session's streams the event was sent on.
	Stream string
	// ID is the id that the server chose.
	ID string
}
