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
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

func TestElements(t *testing.T) {
	for text, want := range map[string][]string{
		"[]":  nil,
		"[1]": {"1"},
		`[ {"a":[1,2]} , "]" ,` + "\n" + `[[]] ]`: {`{"a":[1,2]}`, `"]"`, "[[]]"},
	} {
		var got []string
		err := Elements([]byte(text), Span{0, len(text)}, func(s Span) bool {
			got = append(got, string(s.Of([]byte(text))))
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"{}", "1", "[", "[1", "[1,", "[1 2]", "[,1]", "[1,]", "[nope]"} {
		if Elements([]byte(text), Span{0, len(text)}, func(Span) bool { return true }) == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

func FuzzElements(f *testing.F) {
	f.Add([]byte(`[1,"a",{"b":[]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got []string
		err := Elements(b, Span{0, len(b)}, func(s Span) bool {
			got = append(got, string(s.Of(b)))
			return true
		})
		var want []json.RawMessage
		if json.Unmarshal(b, &want) != nil || len(b) == 0 || want == nil {
			return // What follows the array is the caller's to check: the span is of one value.
		}
		if err != nil {
			if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) < MaxDepth {
				t.Fatal(err)
			}
			return // It nests deeper than the reference minds.
		}
		if len(got) != len(want) {
			t.Fatalf("got %d elements, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != string(want[i]) {
				t.Errorf("element %d: got %s, want %s", i, got[i], want[i])
			}
		}
	})
}
