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

// Package config is the contract between the control plane and the data plane: plain structs, no behaviour, no
// Kubernetes. internal/translate fills them; internal/mcp/server serves them. A value is never changed once it has
// been handed over.
package config

import "time"

// TargetName is how clients see a target: prefix of conflicting tool names, label of metrics and logs.
// Grammar: [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 characters.
type TargetName string

// BackendID identifies a Backend for as long as it lives. Session tokens are bound to it. In a cluster it is the
// object's UID.
type BackendID string

// ServiceID identifies the MCP server behind a target for as long as it lives: in a cluster the Service's UID and
// port number, for a static target its address. Upstream sessions are bound to it.
type ServiceID string

// Protocol is the transport that an MCP server speaks.
type Protocol string

const (
	// StreamableHTTP is the streamable HTTP transport.
	// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
	StreamableHTTP Protocol = "StreamableHTTP"
	// SSE is the HTTP+SSE transport of MCP revision 2024-11-05.
	SSE Protocol = "SSE"
)

// PrefixMode says when names of tools and prompts carry their target's name. The values are those of the API.
type PrefixMode string

const (
	// PrefixOnConflict keeps names; where two targets have the same, the younger's is qualified.
	PrefixOnConflict PrefixMode = "OnConflict"
	// PrefixAlways qualifies every name.
	PrefixAlways PrefixMode = "Always"
	// PrefixNever hides the younger target's duplicate.
	PrefixNever PrefixMode = "Never"
)

// FailureMode says what happens to the whole when one target can't be reached. The values are those of the API.
type FailureMode string

const (
	// FailOpen leaves the target out of lists.
	FailOpen FailureMode = "FailOpen"
	// FailClosed fails initialize and lists, naming the target.
	FailClosed FailureMode = "FailClosed"
)

// Backend is a set of MCP servers that clients see as one.
type Backend struct {
	// ID is never empty.
	ID BackendID
	// Key is "namespace/name", for logs, metrics and messages.
	Key string
	// ServerName is shown to clients as serverInfo.name; never empty.
	ServerName string
	// Dynamic is whether targets can come and go while clients are connected: the Backend has a selector. Clients
	// of a dynamic Backend are always offered tools, prompts and resources, with listChanged.
	Dynamic     bool
	PrefixMode  PrefixMode
	FailureMode FailureMode
	// Targets, eldest first. Names are unique. Includes targets that are not ready.
	Targets []Target
}

// Target is one MCP server.
type Target struct {
	Name TargetName
	// Service identifies the server; never empty.
	Service  ServiceID
	Protocol Protocol
	// Host is the HTTP Host header (without port) and, unless TLS says otherwise, the TLS server name.
	Host string
	// Port is the port of the Host header, 1 to 65535.
	Port int32
	// Path of the MCP endpoint; starts with '/'.
	Path string
	// Endpoints are the addresses to dial, "host:port"; the host is an IP address or a DNS name. Empty if none is
	// ready.
	Endpoints []string
	// TLS is nil for plain text.
	TLS *TLS
	// Unready is empty for a target that can be used; otherwise it says why not, for the client's error message.
	Unready string
}

// TLS says how to connect to a target.
type TLS struct {
	// ServerName for SNI and, without SubjectAltNames, for the check of the certificate; never empty.
	ServerName string
	// CABundle is the PEM of the certificates to trust. Empty: the system's.
	CABundle string
	// SubjectAltNames, if any, are the names one of which the certificate must have: "DNS:<name>" or "URI:<uri>".
	SubjectAltNames []string
}

// Limits bound what comes from outside. DefaultLimits has the defaults; no field may be zero.
type Limits struct {
	// MaxRequestBody and MaxMessage bound, in bytes, a client's request body and one message of an upstream (a JSON
	// answer or one SSE event).
	MaxRequestBody int64
	MaxMessage     int64
	// ConnectTimeout bounds dialling an upstream, TLS handshake included.
	ConnectTimeout time.Duration
	// InitializeTimeout bounds a target's answer to initialize.
	InitializeTimeout time.Duration
	// ListTimeout bounds a target's answer to a list.
	ListTimeout time.Duration
	// StragglerTimeout is how much longer than the first of several targets that are asked together another one may
	// take: a target that is slow costs only its own part.
	StragglerTimeout time.Duration
	// CallTimeout bounds the silence of a target during any other request: until its answer begins, and between
	// two events of a stream.
	CallTimeout time.Duration
	// WriteTimeout bounds how long a client may take to accept one write.
	WriteTimeout time.Duration
	// KeepAlive is the time between two keep-alive comments on an idle stream.
	KeepAlive time.Duration
	// SessionLifetime is how long a session token is valid.
	SessionLifetime time.Duration
}

// DefaultLimits returns the limits that hold unless configured otherwise.
func DefaultLimits() Limits {
	return Limits{
		MaxRequestBody:    4 << 20,
		MaxMessage:        16 << 20,
		ConnectTimeout:    5 * time.Second,
		InitializeTimeout: 15 * time.Second,
		ListTimeout:       15 * time.Second,
		StragglerTimeout:  3 * time.Second,
		CallTimeout:       5 * time.Minute,
		WriteTimeout:      30 * time.Second,
		KeepAlive:         15 * time.Second,
		SessionLifetime:   24 * time.Hour,
	}
}
