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

package telemetry

// Result is what became of an exchange, as far as the gateway knows without decoding what servers answer.
type Result uint8

const (
	unset Result = iota
	// OK is for what was answered. A tool's own error (isError) is inside a result, which the gateway does not read, and OK.
	OK
	// RPCError is for an answer that is a JSON-RPC error: of the gateway (no such tool, invalid params), or of the server
	// where the gateway reads the message.
	RPCError
	// Unavailable is for a target that gave no answer, or none that is complete: it is not ready, refused, was silent for
	// too long, or broke off.
	Unavailable
	// Rejected is for what the gateway refused with an HTTP error, before any target was asked: the origin, the session, the
	// size, or what is no message.
	Rejected
	// Cancelled is for what the client cancelled, or went away from, before it was answered.
	Cancelled
	resultCount
)

var resultNames = [resultCount]string{
	OK: "ok", RPCError: "rpc_error", Unavailable: "unavailable", Rejected: "rejected", Cancelled: "cancelled",
}

// String returns the value of the label result.
func (r Result) String() string { return resultNames[r] }

// Stream is a kind of stream to a client.
type Stream uint8

const (
	noStream Stream = iota
	// StreamGet is a GET stream of streamable HTTP.
	StreamGet
	// StreamCall is the answer to a request, as a stream.
	StreamCall
	// StreamListen is the answer to subscriptions/listen.
	StreamListen
	// StreamSSE is a stream of the HTTP+SSE transport.
	StreamSSE
	streamCount
)

var streamNames = [streamCount]string{StreamGet: "get", StreamCall: "call", StreamListen: "listen", StreamSSE: "sse"}

// Era is which protocol a client speaks.
type Era string

const (
	// EraLegacy is MCP 2025-03-26 to 2025-11-25.
	EraLegacy Era = "legacy"
	// EraModern is MCP 2026-07-28 and later.
	EraModern Era = "modern"
	// EraSSE is the HTTP+SSE transport of MCP 2024-11-05.
	EraSSE Era = "sse"
)

// ErrorKind is what went wrong with a request to a target.
type ErrorKind uint8

const (
	// NoError is for nothing that a target can be blamed for.
	NoError ErrorKind = iota
	// ErrorConnect is for a connection that could not be made: the name, the address, the port.
	ErrorConnect
	// ErrorTLS is for a server that does not speak TLS or has the wrong certificate.
	ErrorTLS
	// ErrorTimeout is for a server that was silent for too long.
	ErrorTimeout
	// ErrorClosed is for a connection that the server closed without an answer.
	ErrorClosed
	// ErrorStatus is for an HTTP status that says that the server, or what is in front of it, does not take the request: 401,
	// 403, 407, 429 and 5xx.
	ErrorStatus
	// ErrorBroken is for an answer that broke off, is too large or can't be read.
	ErrorBroken
	// ErrorOther is for everything else.
	ErrorOther
	errorCount
)

var errorNames = [errorCount]string{
	ErrorConnect: "connect", ErrorTLS: "tls", ErrorTimeout: "timeout", ErrorClosed: "closed", ErrorStatus: "status",
	ErrorBroken: "broken", ErrorOther: "other",
}

// String returns the value of the label kind.
func (k ErrorKind) String() string { return errorNames[k] }
