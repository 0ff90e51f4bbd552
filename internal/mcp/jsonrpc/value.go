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

// MaxDepth is how deep arrays and objects of a message may nest, the message itself counted. It bounds what a message
// can cost the servers behind the gateway, many of which parse by recursion.
const MaxDepth = 512

// scanner finds the ends of JSON values (RFC 8259). Its methods take the index at which to begin and return the one at
// which they ended, or -1 after a failure, which is then in err.
type scanner struct {
	b   []byte
	err *Error
}

// fail notes what is wrong at i and returns -1.
func (s *scanner) fail(i int, what string) int {
	s.err = &Error{Code: CodeParse, Message: "Parse error at byte " + strconv.Itoa(i) + ": " + what}
	return -1
}

// space returns the index of the first byte from i on that is not white space.
func space(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// nesting remembers, for each level, whether it is an object; one bit each.
type nesting [MaxDepth/64 + 1]uint64

func (n *nesting) set(depth int, object bool) {
	bit := uint64(1) << (depth % 64)
	n[depth/64] &^= bit
	if object {
		n[depth/64] |= bit
	}
}

func (n *nesting) isObject(depth int) bool { return n[depth/64]>>(depth%64)&1 != 0 }

// value skips white space and the value that begins at i within that many arrays and objects. It does not recurse, so
// that no message can exhaust the stack.
func (s *scanner) value(i, outer int) int {
	var levels nesting
	depth := outer
	for {
		i = space(s.b, i)
		if i >= len(s.b) {
			return s.fail(i, "the text ends where a value must follow")
		}
		switch c := s.b[i]; c {
		case '"':
			i = s.text(i + 1)
		case '{', '[':
			if depth++; depth > MaxDepth {
				return s.fail(i, "values nest deeper than "+strconv.Itoa(MaxDepth)+" levels")
			}
			levels.set(depth, c == '{')
			i = space(s.b, i+1)
			if i < len(s.b) && s.b[i] == c+2 { // In ASCII a closing bracket is its opening bracket plus two.
				depth--
				i++
				break
			}
			if c == '{' {
				if i = s.key(i); i < 0 {
					return -1
				}
			}
			continue
		default:
			i = s.scalar(i)
		}
		if i < 0 {
			return -1
		}
		if i, depth = s.closing(i, depth, outer, &levels); i < 0 || depth == outer {
			return i
		}
	}
}

// closing skips what follows a value that ended at i: the ends of arrays and objects, and then the comma, in an object
// with the next key, before the next value. It returns the depth at which that next value stands, or outer if the
// outermost value has ended.
func (s *scanner) closing(i, depth, outer int, levels *nesting) (end, newDepth int) {
	for depth > outer {
		object := levels.isObject(depth)
		i = space(s.b, i)
		switch {
		case i >= len(s.b):
			return s.fail(i, "the text ends within an array or object"), depth
		case s.b[i] == ',' && object:
			return s.key(space(s.b, i+1)), depth
		case s.b[i] == ',':
			return i + 1, depth
		case s.b[i] == '}' && object, s.b[i] == ']' && !object:
			depth--
			i++
		case object:
			return s.fail(i, "expected ',' or '}' after an object's value"), depth
		default:
			return s.fail(i, "expected ',' or ']' after an array's value"), depth
		}
	}
	return i, depth
}

// key skips an object's key and the colon after it.
func (s *scanner) key(i int) int {
	if i >= len(s.b) || s.b[i] != '"' {
		return s.fail(i, "expected a key in double quotes")
	}
	if i = s.text(i + 1); i < 0 {
		return -1
	}
	if i = space(s.b, i); i >= len(s.b) || s.b[i] != ':' {
		return s.fail(i, "expected ':' after a key")
	}
	return i + 1
}

// scalar skips a number or a literal.
func (s *scanner) scalar(i int) int {
	var literal string
	switch c := s.b[i]; {
	case c == 't':
		literal = "true"
	case c == 'f':
		literal = "false"
	case c == 'n':
		literal = "null"
	case c == '-' || '0' <= c && c <= '9':
		return s.number(i)
	default:
		return s.fail(i, "expected a value")
	}
	end := i + len(literal)
	if end > len(s.b) || string(s.b[i:end]) != literal {
		return s.fail(i, "expected a value")
	}
	return end
}

// number skips a number.
func (s *scanner) number(i int) int {
	b := s.b
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && '1' <= b[i] && b[i] <= '9':
		i = digits(b, i)
	default:
		return s.fail(i, "expected a digit")
	}
	if i < len(b) && b[i] == '.' {
		start := i + 1
		if i = digits(b, start); i == start {
			return s.fail(i, "expected a digit after the decimal point")
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		start := i
		if i = digits(b, start); i == start {
			return s.fail(i, "expected a digit in the exponent")
		}
	}
	return i
}

// digits returns the end of the decimal digits that begin at i.
func digits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// member skips one member of an object, from just after '{' (first) or after the previous value on. It returns where the
// key (with its quotes) and the value are, and where it ended: after the value, or, without more, after '}' or -1.
func (s *scanner) member(i int, first bool) (key, value Span, end int, more bool) {
	i = space(s.b, i)
	switch {
	case i < len(s.b) && s.b[i] == '}':
		return Span{}, Span{}, i + 1, false
	case first:
	case i < len(s.b) && s.b[i] == ',':
		i = space(s.b, i+1)
	default:
		return Span{}, Span{}, s.fail(i, "expected ',' or '}' after an object's value"), false
	}
	key.Start = i
	if i = s.key(i); i < 0 {
		return Span{}, Span{}, -1, false
	}
	// Between the key's closing quote and i there is only white space and the colon.
	for key.End = i - 1; s.b[key.End-1] != '"'; {
		key.End--
	}
	value.Start = space(s.b, i)
	if value.End = s.value(value.Start, 1); value.End < 0 {
		return Span{}, Span{}, -1, false
	}
	return key, value, value.End, true
}
