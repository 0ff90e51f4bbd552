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

package jsonrpc

import "strconv"

// Code is a JSON-RPC error code. How MCP divides the range -32000 to -32099:
// https://modelcontextprotocol.io/specification/2026-07-28/basic#error-codes
type Code int

// Codes that JSON-RPC defines and every revision of MCP uses.
// https://www.jsonrpc.org/specification#error_object
const (
	// CodeParse is for what is not JSON.
	CodeParse Code = -32700
	// CodeInvalidRequest is for JSON that is no valid message.
	CodeInvalidRequest Code = -32600
	// CodeMethodNotFound is for a method that the receiver does not have.
	CodeMethodNotFound Code = -32601
	// CodeInvalidParams is for parameters that don't fit the method. In MCP that includes unknown tools and bad cursors,
	// and, from revision 2026-07-28 on, unknown resources.
	// https://modelcontextprotocol.io/specification/2026-07-28/server/tools#error-handling
	CodeInvalidParams Code = -32602
	// CodeInternal is for failures of the receiver, or, from the gateway, of the server behind it.
	CodeInternal Code = -32603
)

// Codes of the legacy range, -32000 to -32019: implementations gave them their meaning, so a receiver must not rely on
// it. The names are those of the uses that servers and clients of the legacy revisions really have.
const (
	// CodeTransport is what the TypeScript SDK's servers answer to HTTP requests that they refuse (wrong method, Accept
	// or content type; no or an unknown session id, so that with a session id it can mean a lost session).
	CodeTransport Code = -32000
	// CodeSessionNotFound is what the TypeScript SDK's servers answer, with HTTP status 404, to a session id that they
	// don't know. Within that SDK the same number is a request's timeout, which never leaves the process.
	// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
	CodeSessionNotFound Code = -32001
	// CodeResourceNotFound is for an unknown resource up to revision 2025-11-25; CodeInvalidParams replaced it.
	// https://modelcontextprotocol.io/specification/2025-11-25/server/resources#error-handling
	CodeResourceNotFound Code = -32002
)

// Codes that MCP defines itself, in the range -32020 to -32099.
const (
	// CodeHeaderMismatch is for HTTP headers that are missing, malformed or not what the body says; revision 2026-07-28.
	// https://modelcontextprotocol.io/specification/2026-07-28/schema#headermismatcherror
	CodeHeaderMismatch Code = -32020
	// CodeMissingClientCapability is for a request that needs a capability that the client has not; revision 2026-07-28.
	// https://modelcontextprotocol.io/specification/2026-07-28/schema#missingrequiredclientcapabilityerror
	CodeMissingClientCapability Code = -32021
	// CodeUnsupportedVersion is for a protocol version that the receiver does not speak; revision 2026-07-28.
	// https://modelcontextprotocol.io/specification/2026-07-28/schema#unsupportedprotocolversionerror
	CodeUnsupportedVersion Code = -32022
	// CodeURLElicitationRequired is for a request that first needs the user to visit a URL; revision 2025-11-25 only.
	// https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error
	CodeURLElicitationRequired Code = -32042
)

// Error is a JSON-RPC error: what a message's error member says, or what is wrong with a message.
type Error struct {
	Code Code
	// Message is one sentence for people. Unless Remote is set, it never holds bytes of a message, so that it can be logged.
	Message string
	// Data is raw JSON, or nil.
	Data []byte
	// Remote is whether Message and Data are another's words: they are for whoever made the request, and for no log.
	Remote bool
}

// Error implements error. It is for logs as well.
func (e *Error) Error() string {
	if e.Remote {
		return "JSON-RPC error " + strconv.Itoa(int(e.Code))
	}
	return e.Message + " (JSON-RPC error " + strconv.Itoa(int(e.Code)) + ")"
}
