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

// Package jsonrpc finds the parts of JSON-RPC messages without decoding them, so that a message can be routed, and its id
// or a name in it replaced, while all its other bytes stay what the sender wrote: unknown members, big integers, order.
//
// What is accepted is exactly JSON as RFC 8259 defines it, with two limits: nesting (MaxDepth), and no byte order mark. A
// message whose members the gateway reads must have each of them once, because JSON leaves it open which of two equal
// keys counts, and gateway and server must never read different things. Keys are compared after unescaping and
// case-sensitively. Invalid UTF-8 within strings is passed on as it is.
package jsonrpc

import "bytes"

// The members of a message that are read.
const (
	memberJSONRPC = iota
	memberID
	memberMethod
	memberParams
	memberResult
	memberError
	memberCount
	memberOther = -1
)

// envelope is where a message's members are.
type envelope [memberCount]Span

func (e *envelope) has(member int) bool { return !e[member].Empty() }

// Scan finds the parts of the message b, which must be one JSON object and nothing else. Errors are of type *Error: what
// to answer. Then all of m is zero but its ID, which is set if the answer can carry one: the message is JSON, its id is
// unique and valid, and it is not somebody's response.
func Scan(b []byte, m *Message) error {
	*m = Message{}
	s := scanner{b: b}
	var parts envelope
	wrong := s.envelope(&parts)
	if s.err != nil {
		return s.err
	}
	if wrong == "" {
		if wrong = m.fill(b, &parts); wrong == "" {
			return nil
		}
	}
	*m = Message{}
	answerable := parts.has(memberMethod) || !parts.has(memberResult) && !parts.has(memberError)
	if answerable && wrongID(parts[memberID].Of(b)) == "" {
		m.ID = parts[memberID]
	}
	return &Error{Code: CodeInvalidRequest, Message: "Invalid request: " + wrong}
}

// IsBatch says whether b is a JSON array: a batch, which only revision 2025-03-26 has.
// https://modelcontextprotocol.io/specification/2025-03-26/basic/transports#sending-messages-to-the-server
func IsBatch(b []byte) bool {
	i := space(b, 0)
	return i < len(b) && b[i] == '['
}

// envelope finds the members of the one object that is all of s.b. It returns what is wrong with the message as a
// message; that it is not JSON, which counts for more, is in s.err.
func (s *scanner) envelope(parts *envelope) (wrong string) {
	if bytes.HasPrefix(s.b, []byte("\xef\xbb\xbf")) {
		s.fail(0, "the text must not begin with a byte order mark")
		return ""
	}
	i := space(s.b, 0)
	if i == len(s.b) {
		s.fail(i, "the text is empty")
		return ""
	}
	if s.b[i] != '{' {
		wrong = "a message must be a JSON object"
		if s.b[i] == '[' {
			wrong = "a message must be a JSON object, not an array (batches are not supported)"
		}
		i = s.value(i, 0)
	} else {
		i, wrong = s.members(i+1, parts)
	}
	if i < 0 {
		return ""
	}
	if i = space(s.b, i); i != len(s.b) {
		s.fail(i, "only white space may follow the message")
	}
	return wrong
}

// members notes where the members of the object are whose first byte after '{' is at i.
func (s *scanner) members(i int, parts *envelope) (end int, wrong string) {
	var duplicate, duplicateID bool
	for first := true; ; first = false {
		key, value, next, more := s.member(i, first)
		if !more {
			i = next
			break
		}
		i = next
		member := memberNamed(s.b[key.Start+1 : key.End-1])
		if member == memberOther {
			continue
		}
		if parts.has(member) {
			duplicate = true
			duplicateID = duplicateID || member == memberID
		}
		parts[member] = value
	}
	if !duplicate {
		return i, ""
	}
	if duplicateID {
		// Which of the two is meant can't be known, so none is answered.
		parts[memberID] = Span{}
	}
	return i, "a member that must be unique (jsonrpc, id, method, params, result or error) occurs twice"
}

// memberNamed returns the member with that quoted key.
func memberNamed(quoted []byte) int {
	if member := memberCalled(quoted); member != memberOther || isPlain(quoted) {
		return member
	}
	if len(quoted) > len(`\u006a`)*len("jsonrpc") {
		return memberOther
	}
	var buf [64]byte
	return memberCalled(appendUnquoted(buf[:0], quoted))
}

// memberCalled returns the member of that name.
func memberCalled(name []byte) int {
	switch string(name) {
	case "jsonrpc":
		return memberJSONRPC
	case "id":
		return memberID
	case "method":
		return memberMethod
	case "params":
		return memberParams
	case "result":
		return memberResult
	case "error":
		return memberError
	default:
		return memberOther
	}
}

// fill sets m from the members and returns what is wrong with them, or "".
// https://modelcontextprotocol.io/specification/2025-11-25/basic#messages
func (m *Message) fill(b []byte, parts *envelope) (wrong string) {
	if version := parts[memberJSONRPC]; string(version.Of(b)) != `"2.0"` {
		if text, ok := Text(b, version); !ok || text != "2.0" {
			return `jsonrpc must be "2.0"`
		}
	}
	m.ID = parts[memberID]
	answer := parts.has(memberResult) || parts.has(memberError)
	switch {
	case parts.has(memberMethod) && answer:
		return "a message has either a method, or a result or error, not both"
	case parts.has(memberMethod):
		return m.fillCall(b, parts)
	case answer:
		return m.fillAnswer(b, parts)
	default:
		return "a message needs a method, a result or an error"
	}
}

// fillCall does fill's work for requests and notifications.
func (m *Message) fillCall(b []byte, parts *envelope) (wrong string) {
	m.Kind = Notification
	if !m.ID.Empty() {
		m.Kind = Request
		if wrong := wrongID(m.ID.Of(b)); wrong != "" {
			return wrong
		}
	}
	quoted := parts[memberMethod].Of(b)
	if quoted[0] != '"' {
		return "method must be a string"
	}
	quoted = quoted[1 : len(quoted)-1]
	if m.Method = wellKnown(quoted); m.Method == "" {
		m.Method = otherMethod(quoted)
	}
	if m.Params = parts[memberParams]; !m.Params.Empty() && b[m.Params.Start] != '{' {
		return "params must be an object, or absent"
	}
	return ""
}

// otherMethod returns the name of a method that was written with escapes (some encoders escape every slash) or that is
// not one of the specification.
func otherMethod(quoted []byte) string {
	if isPlain(quoted) {
		return string(quoted)
	}
	var buf [128]byte
	name := appendUnquoted(buf[:0], quoted)
	if known := wellKnown(name); known != "" {
		return known
	}
	return string(name)
}

// fillAnswer does fill's work for responses.
func (m *Message) fillAnswer(b []byte, parts *envelope) (wrong string) {
	m.Kind, m.Result, m.Error = Response, parts[memberResult], parts[memberError]
	if !m.Error.Empty() {
		switch {
		case !m.Result.Empty():
			return "a response has either a result or an error, not both"
		case b[m.Error.Start] != '{':
			return "error must be an object"
		case m.ID.Empty() || b[m.ID.Start] == 'n':
			return ""
		}
	}
	return wrongID(m.ID.Of(b))
}

// wrongID says what is wrong with the raw id of a request, or of what answers one: it must be a string or an integer.
// https://modelcontextprotocol.io/specification/2025-11-25/basic#requests
func wrongID(id []byte) string {
	switch {
	case len(id) == 0:
		return "id is missing"
	case id[0] == '"':
		return ""
	case id[0] == 'n':
		return "id must be a string or an integer, not null"
	case id[0] != '-' && (id[0] < '0' || id[0] > '9'):
		return "id must be a string or an integer"
	}
	for _, c := range id[1:] {
		if c == '.' || c == 'e' || c == 'E' {
			return "id must be a string or an integer, without fraction or exponent"
		}
	}
	return ""
}
