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

// Span is a half-open range of bytes of the message that was scanned. The zero value means that there is no such value:
// no JSON value begins at 0 and ends at 0.
type Span struct{ Start, End int }

// Empty says whether the span holds no byte, which for a value means that it is absent.
func (s Span) Empty() bool { return s.Start >= s.End }

// Of returns the bytes of the span in b, the message that it was found in. The result has no spare capacity, so that an
// append to it can't overwrite what follows in b.
func (s Span) Of(b []byte) []byte { return b[s.Start:s.End:s.End] }

// Kind is what a message is.
type Kind uint8

const (
	// Invalid is the kind of what is no message. Scan returned an error.
	Invalid Kind = iota
	// Request has a method and an id.
	Request
	// Notification has a method and no id.
	Notification
	// Response has a result or an error.
	Response
)

// String returns the kind's name, for logs and test failures.
func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Response:
		return "response"
	default:
		return "invalid"
	}
}

// Message says where the parts of a message are. It holds no reference to the message's bytes.
// https://modelcontextprotocol.io/specification/2025-11-25/basic#messages
type Message struct {
	Kind Kind
	// ID is the raw id: a JSON string or an integer. Absent on a notification. On a response with an error it may be
	// absent or the literal null, when the peer could not read the id of what it answers.
	ID Span
	// Method is decoded. For the methods of the MCP specification it is a constant, so that nothing is allocated.
	// Empty on a response.
	Method string
	// Params is an object, or absent. Always absent on a response.
	Params Span
	// Result is any JSON value; it is absent unless this is a response without an error.
	Result Span
	// Error is an object; it is absent unless this is a response with an error.
	Error Span
}
