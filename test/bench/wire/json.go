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

import "bytes"

// The scanner below finds values in a JSON text without decoding them, so that the stub can return an argument byte for
// byte and stay far cheaper than any gateway under test. It accepts every valid JSON text; on invalid input it may
// accept or refuse, but it never reads out of bounds.

// Members walks the members of one JSON object.
type Members struct {
	b []byte
	i int
	// Key is without quotes and still escaped; Value is raw.
	Key, Value []byte
}

// MembersOf starts a walk over the object that b has. A b that has no object gives a walk without members.
func MembersOf(b []byte) Members {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return Members{b: b, i: len(b)}
	}
	return Members{b: b, i: i + 1}
}

// Next moves to the next member and returns whether there is one.
func (m *Members) Next() bool {
	b := m.b
	i := skipSpace(b, m.i)
	if i < len(b) && b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	m.i = len(b)
	if i >= len(b) || b[i] != '"' {
		return false
	}
	end := skipString(b, i)
	if end < 0 {
		return false
	}
	key := b[i+1 : end-1]
	i = skipSpace(b, end)
	if i >= len(b) || b[i] != ':' {
		return false
	}
	i = skipSpace(b, i+1)
	if end = skipValue(b, i); end < 0 {
		return false
	}
	m.Key, m.Value, m.i = key, b[i:end], end
	return true
}

// Member returns the raw value of a key in the object b, or nil.
func Member(b []byte, key string) []byte {
	for m := MembersOf(b); m.Next(); {
		if string(m.Key) == key {
			return m.Value
		}
	}
	return nil
}

// Unquote strips the quotes of a raw JSON string; it does not resolve escapes.
func Unquote(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	return raw[1 : len(raw)-1]
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index behind the string that starts at b[i], or -1.
func skipString(b []byte, i int) int {
	for j := i + 1; j < len(b); {
		k := bytes.IndexByte(b[j:], '"')
		if k < 0 {
			return -1
		}
		j += k
		backslashes := 0
		for p := j - 1; p > i && b[p] == '\\'; p-- {
			backslashes++
		}
		j++
		if backslashes%2 == 0 {
			return j
		}
	}
	return -1
}

// skipValue returns the index behind the value that starts at b[i], or -1.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	start := i
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// skipNested returns the index behind the object or array that starts at b[i], or -1.
func skipNested(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipString(b, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}
