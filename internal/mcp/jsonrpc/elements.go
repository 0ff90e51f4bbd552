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

// Elements calls yield with the span of each element of the array at that span, until yield returns false. If the span is
// empty, there are none. Errors are of type *Error: CodeInvalidParams if there is something else than an array, CodeParse
// if it is not JSON.
func Elements(b []byte, array Span, yield func(Span) bool) error {
	if array.Empty() {
		return nil
	}
	s := scanner{b: b[:array.End]}
	i := space(s.b, array.Start)
	if i == len(s.b) || s.b[i] != '[' {
		return &Error{Code: CodeInvalidParams, Message: "Invalid params: expected an array"}
	}
	for i, first := space(s.b, i+1), true; ; first = false {
		switch {
		case i < len(s.b) && s.b[i] == ']':
			return nil
		case first:
		case i >= len(s.b) || s.b[i] != ',':
			s.fail(i, "expected ',' or ']' after an array's value")
			return s.err
		default:
			i = space(s.b, i+1)
		}
		end := s.value(i, 0)
		if end < 0 {
			return s.err
		}
		if !yield(Span{i, end}) {
			return nil
		}
		i = space(s.b, end)
	}
}
