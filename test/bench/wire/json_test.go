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
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestMember(t *testing.T) {
	for _, c := range []struct{ in, key, want string }{
		{`{"a":1,"b":"x"}`, "b", `"x"`},
		{" {\n\"a\" : {\"b\":[1,{\"b\":2}]} , \"b\" :\t-1.5e3 }", "b", "-1.5e3"},
		{`{"a":"quote \" and } brace \\","b":[]}`, "b", "[]"},
		{`{"a":"\\\"","b":null}`, "b", "null"},
		{`{"a":1}`, "b", ""},
		{`{"a":"open`, "b", ""},
		{`{"a":{"b":1`, "b", ""},
		{`{"b":`, "b", ""},
		{`{"b"`, "b", ""},
		{`[1,2]`, "b", ""},
		{``, "b", ""},
	} {
		if got := string(Member([]byte(c.in), c.key)); got != c.want {
			t.Errorf("Member(%s, %s) = %q, want %q", c.in, c.key, got, c.want)
		}
	}
}

// FuzzMembers holds the scanner to encoding/json.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":{"x":[1,2,"]"]},"b":"\u0041\\"}`))
	f.Add([]byte(`{"a":"\\\"","b":nul`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var want map[string]json.RawMessage
		valid := json.Unmarshal(b, &want) == nil && want != nil
		seen := map[string][]byte{}
		for it := MembersOf(b); it.Next(); {
			seen[string(it.Key)] = it.Value
		}
		if !valid {
			return // it must only not panic
		}
		for k, v := range want {
			if slices.ContainsFunc([]byte(k), func(c byte) bool { return c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 }) {
				continue // the scanner does not unescape keys
			}
			if got, ok := seen[k]; ok && !bytes.Equal(got, v) {
				t.Errorf("%q: got %q, want %q", k, got, v)
			}
		}
	})
}
