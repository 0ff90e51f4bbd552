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
	"errors"
	"testing"
)

// refMember is one member of an object, as encoding/json reads it.
type refMember struct {
	key   string
	value json.RawMessage
}

// refMembers returns the members of the object b in order, duplicates included; false if b is no object. Reading token by
// token, unlike decoding into a struct, compares keys as they are and hides no duplicate.
func refMembers(t *testing.T, b []byte) ([]refMember, bool) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, false
	}
	var members []refMember
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatalf("the reference fails on valid JSON: %v", err)
		}
		m := refMember{key: key.(string)}
		if err := dec.Decode(&m.value); err != nil {
			t.Fatalf("the reference fails on valid JSON: %v", err)
		}
		members = append(members, m)
	}
	return members, true
}

// refDepth returns how deep the valid JSON b nests.
func refDepth(b []byte) int {
	depth, deepest := 0, 0
	dec := json.NewDecoder(bytes.NewReader(b))
	for {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// refScan reads a message by way of encoding/json. Without ok the message is to be refused.
func refScan(t *testing.T, b []byte) (want parts, ok bool) {
	members, ok := refMembers(t, b)
	if !ok {
		return want, false
	}
	raw := map[string]json.RawMessage{}
	for _, m := range members {
		switch m.key {
		case "jsonrpc", "id", "method", "params", "result", "error":
			if _, ok := raw[m.key]; ok {
				return want, false
			}
			raw[m.key] = m.value
		}
	}
	want.id, want.result, want.error = string(raw["id"]), string(raw["result"]), string(raw["error"])
	var id, version any
	dec := json.NewDecoder(bytes.NewReader(raw["id"]))
	dec.UseNumber()
	_ = dec.Decode(&id)
	if json.Unmarshal(raw["jsonrpc"], &version) != nil || version != "2.0" {
		return want, false
	}
	idOK := false
	switch id := id.(type) {
	case string:
		idOK = true
	case json.Number:
		idOK = !bytes.ContainsAny([]byte(id), ".eE")
	}
	if raw["method"] == nil {
		want.kind = Response
		noID := raw["id"] == nil || string(raw["id"]) == "null"
		isError := raw["error"] != nil && raw["error"][0] == '{'
		return want, raw["result"] != nil && raw["error"] == nil && idOK || raw["result"] == nil && isError && (idOK || noID)
	}
	want.kind, want.params = Request, string(raw["params"])
	if raw["id"] == nil {
		want.kind, idOK = Notification, true
	}
	var method any
	_ = json.Unmarshal(raw["method"], &method)
	want.method, ok = method.(string)
	paramsOK := raw["params"] == nil || raw["params"][0] == '{'
	return want, ok && idOK && paramsOK && raw["result"] == nil && raw["error"] == nil
}

// codeOf returns the code of an error that must be a *Error; else 0.
func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// FuzzScan holds Scan against encoding/json: both accept the same JSON (but for the limit of depth), agree on which of it
// is a message, and on the message's parts.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,{"b":"}"}]}}}`,
		`{"jsonrpc":"2.0","id":"\ud83d\ude00","result":{"content":[{"type":"text","text":"\"quoted\" and \\"}]}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized","x":[true,false,null,-1.5e+3,[],{},[{}]]}`,
		`{"\u006asonrpc":"2\u002e0","i\u0064":1e3,"method":"a","method":"b"}`,
		` [ {"jsonrpc" : "2.0"} ] `, "\xef\xbb\xbf{}", "{\"a\":\"\xff\x1f\"}", `"\ud83d"`, `{"a":01}`, `{"a":1,}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		err := Scan(b, &m)
		if !json.Valid(b) {
			if codeOf(err) != CodeParse || !m.ID.Empty() {
				t.Fatalf("got error %v and id %v for what is not JSON", err, m.ID)
			}
			return
		}
		if refDepth(b) > MaxDepth {
			if err == nil {
				t.Fatal("no error in spite of the depth")
			}
			return
		}
		want, ok := refScan(t, b)
		if ok != (err == nil) {
			t.Fatalf("got error %v, the reference accepts: %v", err, ok)
		}
		if err != nil {
			if codeOf(err) != CodeInvalidRequest {
				t.Fatalf("got %v for valid JSON", err)
			}
			return
		}
		if got := partsOf(b, &m); got != want {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

// FuzzLookup holds Lookup and Text against encoding/json.
func FuzzLookup(f *testing.F) {
	f.Add([]byte(`{"name":"echo","arguments":{"name":1}}`), "name", "arguments")
	f.Add([]byte(`{"na\u006de":"\u00e9\n","name":1}`), "name", "é")
	f.Add([]byte("{\"\xff\":\"\\ud800\",\"\uFFFD\":2}"), "\uFFFD", "")
	f.Fuzz(func(t *testing.T, b []byte, key1, key2 string) {
		if key1 == key2 {
			return
		}
		keys, values := []string{key1, key2}, make([]Span, 2)
		err := Lookup(b, Span{0, len(b)}, keys, values)
		valid := json.Valid(b)
		if len(b) == 0 || valid && refDepth(b) > MaxDepth {
			return
		}
		members, isObject := []refMember(nil), false
		if valid {
			members, isObject = refMembers(t, b)
		}
		if !isObject {
			if err == nil {
				t.Fatal("no error for what is no object")
			}
			return
		}
		count, want := map[string]int{}, map[string]json.RawMessage{}
		for _, m := range members {
			count[m.key]++
			want[m.key] = m.value
		}
		if duplicate := count[key1] > 1 || count[key2] > 1; duplicate != (err != nil) {
			t.Fatalf("got error %v, the reference finds duplicates: %v", err, duplicate)
		}
		if err != nil {
			return
		}
		for i, key := range keys {
			if got := values[i].Of(b); !bytes.Equal(got, want[key]) {
				t.Fatalf("got %q for %q, want %q", got, key, want[key])
			}
			var decoded any
			_ = json.Unmarshal(want[key], &decoded)
			wantText, isText := decoded.(string)
			if text, ok := Text(b, values[i]); text != wantText || ok != isText {
				t.Fatalf("got text %q, %v, want %q, %v", text, ok, wantText, isText)
			}
		}
	})
}
