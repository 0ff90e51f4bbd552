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

package sse

import "sync"

const (
	// smallBuffer is what a stream has while it waits for an event: there may be tens of thousands of such streams.
	smallBuffer = 1 << 10
	// largeBuffer is enough for all but unusual events. Larger ones are not kept.
	largeBuffer = 64 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// getBuffer returns a buffer of that size.
func getBuffer(size int) []byte {
	switch size {
	case smallBuffer:
		return smallBuffers.Get().(*[smallBuffer]byte)[:]
	case largeBuffer:
		return largeBuffers.Get().(*[largeBuffer]byte)[:]
	default:
		return make([]byte, size)
	}
}

// putBuffer takes a buffer back.
func putBuffer(buf []byte) {
	switch len(buf) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(buf))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(buf))
	}
}
