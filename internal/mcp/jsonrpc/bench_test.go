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
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// benchMessages are tools/call requests of several shapes.
func benchMessages() map[string][]byte {
	call := func(arguments string) []byte {
		return []byte(`{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"server-everything_echo",` +
			`"arguments":` + arguments + `,"_meta":{"progressToken":"token-12345"}}}`)
	}
	nested := `{"path":"/a/b","line":12,"tags":["x","y"],"next":null}`
	for range 250 {
		nested = `{"path":"/a/b/c","line":12345,"tags":["alpha","beta",true],"children":[{"id":1.5,"name":"leaf"},` + nested + `]}`
	}
	return map[string][]byte{
		"200B":         call(`{"message":"hello, world","count":3,"verbose":true}`),
		"32KB-string":  call(`{"message":"` + strings.Repeat("lorem ipsum ", 32<<10/12) + `"}`),
		"32KB-escapes": call(`{"source":"` + strings.Repeat(`if x != \"\" {\n\treturn y\n}\n`, 32<<10/31) + `"}`),
		"32KB-nested":  call(nested),
	}
}

func BenchmarkScan(b *testing.B) {
	for name, in := range benchMessages() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				var m Message
				if err := Scan(in, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCall is what a call with a prefixed name costs: scan, find the name, splice it and the id.
func BenchmarkCall(b *testing.B) {
	keys := []string{"name", "_meta"}
	for name, in := range benchMessages() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			out := make([]byte, 0, len(in)+64)
			for b.Loop() {
				var m Message
				if err := Scan(in, &m); err != nil {
					b.Fatal(err)
				}
				var values [2]Span
				if err := Lookup(in, m.Params, keys, values[:]); err != nil {
					b.Fatal(err)
				}
				out = Splice(out[:0], in, Edit{m.ID, []byte(`"7"`)}, Edit{values[0], []byte(`"echo"`)})
			}
		})
	}
}

// BenchmarkValid is encoding/json's check of the same bytes, to compare with.
func BenchmarkValid(b *testing.B) {
	for name, in := range benchMessages() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if !json.Valid(in) {
					b.Fatal(fmt.Errorf("%s is not valid", name))
				}
			}
		})
	}
}
