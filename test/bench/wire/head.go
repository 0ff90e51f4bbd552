//go:build linux

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

package wire

import (
	"bytes"
	"errors"
)

// Head has the parts of an HTTP/1.1 message's head that MCP needs. Its slices point into the parsed buffer.
type Head struct {
	// First is the request line or the status line.
	First []byte
	// ContentLength is -1 where there is none.
	ContentLength int
	Chunked       bool
	Close         bool
	Expect        bool
	ContentType   []byte
	Session       []byte
	Version       []byte
	Method        []byte
	Name          []byte
}

// ErrMalformed says that a message is not HTTP/1.1.
var ErrMalformed = errors.New("malformed HTTP message")

// maxHead is how long a head may be.
const maxHead = 64 << 10

// ParseHead parses the head at the start of b and returns its length with the blank line, or 0 while it is incomplete.
func ParseHead(b []byte, h *Head) (int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHead {
			return 0, ErrMalformed
		}
		return 0, nil
	}
	*h = Head{ContentLength: -1}
	lines := b[:end+2]
	n := bytes.IndexByte(lines, '\n')
	if n == 0 {
		return 0, ErrMalformed
	}
	h.First = lines[:n-1]
	for lines = lines[n+1:]; len(lines) > 0; {
		n = bytes.IndexByte(lines, '\n')
		line := bytes.TrimSuffix(lines[:n], []byte("\r"))
		lines = lines[n+1:]
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return 0, ErrMalformed
		}
		if !h.field(line[:colon], bytes.TrimSpace(line[colon+1:])) {
			return 0, ErrMalformed
		}
	}
	return end + 4, nil
}

// field notes one header. The length of the key decides first, because most headers are of no interest.
func (h *Head) field(key, value []byte) bool {
	switch len(key) {
	case 6:
		h.Expect = h.Expect || foldEqual(key, "expect")
	case 8:
		if foldEqual(key, "mcp-name") {
			h.Name = value
		}
	case 10:
		switch {
		case foldEqual(key, "connection"):
			h.Close = h.Close || FoldContains(value, "close")
		case foldEqual(key, "mcp-method"):
			h.Method = value
		}
	case 12:
		if foldEqual(key, "content-type") {
			h.ContentType = value
		}
	case 14:
		switch {
		case foldEqual(key, "content-length"):
			length, ok := Atoi(value)
			if !ok {
				return false
			}
			h.ContentLength = length
		case foldEqual(key, "mcp-session-id"):
			h.Session = value
		}
	case 17:
		if foldEqual(key, "transfer-encoding") {
			h.Chunked = FoldContains(value, "chunked")
		}
	case 20:
		if foldEqual(key, "mcp-protocol-version") {
			h.Version = value
		}
	}
	return true
}

// IsEventStream returns whether a Content-Type is that of server-sent events.
func IsEventStream(contentType []byte) bool { return FoldContains(contentType, "text/event-stream") }

func foldEqual(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// FoldContains returns whether b contains a text of lower-case letters, whatever the case.
func FoldContains(b []byte, lower string) bool {
	for i := 0; i+len(lower) <= len(b); i++ {
		if foldEqual(b[i:i+len(lower)], lower) {
			return true
		}
	}
	return false
}

// Atoi parses a decimal number of at most 15 digits.
func Atoi(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
