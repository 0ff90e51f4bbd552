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

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
)

// special returns a word whose lowest set bit is the high bit of the first byte of w that a string's reader must look
// at: a quote, a backslash or a control character. Zero means that there is none. Bits above the lowest may be wrong.
//
// Exclusive or with 2 makes the quote (0x22) smaller than 0x21 and leaves every control character there, so that one
// subtraction finds both; the second one finds the backslash. Bytes above ASCII are masked out.
func special(w uint64) uint64 {
	quoteOrControl := (w ^ 0x02*eachByte) - 0x21*eachByte
	backslash := (w ^ '\\'*eachByte) - eachByte
	return (quoteOrControl | backslash) &^ w & highBits
}

// text returns the end of the string whose first byte after the opening quote is at i, or -1.
//
// Every byte is looked at, eight at a time: that is what it costs to accept exactly the strings that RFC 8259 allows,
// control characters and escapes included, so that no server can disagree about where a string ends.
func (s *scanner) text(i int) int {
	b := s.b
	for {
		if i+8 <= len(b) {
			m := special(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i = skipPlain(b, i+8)
				continue
			}
			i += bits.TrailingZeros64(m) / 8
		} else {
			for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
				i++
			}
			if i >= len(b) {
				return s.fail(len(b), "the text ends within a string")
			}
		}
		switch {
		case b[i] == '"':
			return i + 1
		case b[i] != '\\':
			return s.fail(i, "a control character in a string must be escaped")
		case i+1 < len(b) && simpleEscapes[b[i+1]]:
			i += 2
		case i+1 < len(b) && b[i+1] == 'u' && hex4(b[i+2:]) >= 0:
			i += 6
		default:
			return s.fail(i, "this is no escape sequence of JSON")
		}
	}
}

// skipPlain skips blocks of 32 bytes without anything special in them.
func skipPlain(b []byte, i int) int {
	for i+32 <= len(b) {
		block := b[i : i+32 : i+32]
		if special(binary.LittleEndian.Uint64(block))|
			special(binary.LittleEndian.Uint64(block[8:]))|
			special(binary.LittleEndian.Uint64(block[16:]))|
			special(binary.LittleEndian.Uint64(block[24:])) != 0 {
			break
		}
		i += 32
	}
	return i
}

// simpleEscapes are the characters that may follow a backslash, but for the u of \u0000.
var simpleEscapes = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// hex4 returns the value of the four hexadecimal digits that b begins with, or -1.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// isPlain says whether what stands between the quotes of a JSON string is the string's value: ASCII without escapes.
func isPlain(quoted []byte) bool {
	for _, c := range quoted {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendUnquoted appends the value of the JSON string between whose quotes quoted stands, and which text has accepted.
// As everywhere else in Go, what can't be decoded (lone surrogates, invalid UTF-8) becomes U+FFFD.
func appendUnquoted(dst, quoted []byte) []byte {
	for i := 0; i < len(quoted); {
		switch c := quoted[i]; {
		case c == '\\' && quoted[i+1] == 'u':
			r := hex4(quoted[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if i+1 < len(quoted) && quoted[i] == '\\' && quoted[i+1] == 'u' {
					low = hex4(quoted[i+2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		case c == '\\':
			dst = append(dst, unescaped(quoted[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, size := utf8.DecodeRune(quoted[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
		}
	}
	return dst
}

// unescaped returns what a backslash before c means.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c
	}
}

// Text decodes the JSON string at s. It returns false if there is no string, or more than a string.
func Text(b []byte, s Span) (string, bool) {
	if s.End-s.Start < 2 || b[s.Start] != '"' {
		return "", false
	}
	scan := scanner{b: b[:s.End]}
	if scan.text(s.Start+1) != s.End {
		return "", false
	}
	quoted := b[s.Start+1 : s.End-1]
	if isPlain(quoted) {
		return string(quoted), true
	}
	return string(appendUnquoted(make([]byte, 0, len(quoted)), quoted)), true
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8, which JSON can't hold, become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(slices.Grow(dst, len(s)+2), '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[done:i]...), "\uFFFD"...)
				done = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(append(dst, s[done:i]...), '\\')
		switch c {
		case '"', '\\':
			dst = append(dst, c)
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		default:
			dst = append(dst, 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
		i++
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}
