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

// Package sse reads and writes server-sent events, the text/event-stream format of the WHATWG HTML standard, which MCP
// servers use for answers and for streams of messages.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
package sse

import "errors"

// ErrTooLarge is what Next returns when an event exceeds the reader's limit.
var ErrTooLarge = errors.New("server-sent event is too large")

// Event is one event as it stands in the stream. Nothing is carried over from earlier events: it is for the caller to
// remember the last id, because only the caller knows when a stream is resumed.
type Event struct {
	// Name is the type of the event; "" and "message" mean the same, see IsMessage. It is kept as the sender wrote it.
	Name string
	// ID is the event's id, valid if HasID. An id that is present and empty takes back the last one.
	ID    string
	HasID bool
	// Retry is the reconnection time in milliseconds, or -1 if the event does not say one. Mind that the zero value of
	// an Event says zero.
	Retry int
	// Data is what the event carries, its lines joined by \n; nil if HasData is false.
	Data    []byte
	HasData bool
}

// IsMessage says whether the event is of the default type, in which MCP sends its messages.
func (e *Event) IsMessage() bool { return e.Name == "" || e.Name == "message" }
