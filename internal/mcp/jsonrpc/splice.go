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
	"slices"
	"strconv"
)

// Edit replaces the bytes at Span by New. An empty span whose two ends are equal inserts.
type Edit struct {
	Span Span
	New  []byte
}

// Splice appends b to dst with the edits applied and returns the result. The edits must be in ascending order and must
// not overlap; anything else is the caller's mistake and panics. dst must not overlap b.
func Splice(dst, b []byte, edits ...Edit) []byte {
	size := len(b)
	for _, e := range edits {
		size += len(e.New) - (e.Span.End - e.Span.Start)
	}
	dst = slices.Grow(dst, max(size, 0))
	done := 0
	for _, e := range edits {
		dst = append(dst, b[done:e.Span.Start]...)
		dst = append(dst, e.New...)
		if done = e.Span.End; done < e.Span.Start {
			panic("jsonrpc: an edit ends before it starts")
		}
	}
	return append(dst, b[done:]...)
}

// AppendError appends an error response. The id is raw JSON; without one the answer's id is null, which is what JSON-RPC
// wants where the id of what is answered could not be read.
func AppendError(dst, id []byte, e *Error) []byte {
	dst = appendHead(dst, id)
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.Code), 10)
	dst = append(dst, `,"message":`...)
	dst = AppendString(dst, e.Message)
	if len(e.Data) > 0 {
		dst = append(dst, `,"data":`...)
		dst = append(dst, e.Data...)
	}
	return append(dst, "}}"...)
}

// AppendResult appends a response. The id and the result are raw JSON.
func AppendResult(dst, id, result []byte) []byte {
	dst = appendHead(dst, id)
	dst = append(dst, `,"result":`...)
	dst = append(dst, result...)
	return append(dst, '}')
}

func appendHead(dst, id []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if len(id) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, id...)
}
