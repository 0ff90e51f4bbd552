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

func TestMembers(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`:                          nil,
		`{ "a" : [ 1 ] }`:             {`"a"`, "[ 1 ]"},
		`{"a":1,"\u0061":{},"b":"}"}`: {`"a"`, "1", `"\u0061"`, "{}", `"b"`, `"}"`},
	} {
		var got []string
		err := Members([]byte(text), Span{0, len(text)}, func(key, value Span) bool {
			got = append(got, string(key.Of([]byte(text))), string(value.Of([]byte(text))))
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
	if err := Members([]byte("{}"), Span{}, nil); err != nil {
		t.Errorf("no object: %v", err)
	}
	for text, code := range map[string]Code{
		"[]": CodeInvalidParams, "1": CodeInvalidParams, " ": CodeInvalidParams,
		"{": CodeParse, `{"a"}`: CodeParse, `{"a":1`: CodeParse, `{"a":1,}`: CodeParse, `{,}`: CodeParse, `{} x`: CodeParse,
	} {
		if err := Members([]byte(text), Span{0, len(text)}, func(_, _ Span) bool { return true }); codeOf(err) != code {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestMembersStopsWhenAsked(t *testing.T) {
	text, calls := []byte(`{"a":1,"b":nope`), 0
	err := Members(text, Span{0, len(text)}, func(_, _ Span) bool { calls++; return false })
	if err != nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestSetMembers(t *testing.T) {
	for name, test := range map[string]struct {
		in      string
		members []Member
		want    string
	}{
		"nothing":                    {`{"a":1}`, nil, `{"a":1}`},
		"adds to an empty object":    {`{}`, []Member{{"x", []byte("1")}}, `{"x":1}`},
		"adds where there is space":  {` { } `, []Member{{"x", []byte("1")}, {"y", []byte("2")}}, ` {"x":1,"y":2 } `},
		"adds at the end":            {`{"a" : 1 , "b":2 }`, []Member{{"x", []byte("1")}}, `{"a" : 1 , "b":2,"x":1 }`},
		"escapes a new key":          {`{}`, []Member{{"say \"x\"", []byte("1")}}, `{"say \"x\"":1}`},
		"replaces":                   {`{"a" : {"x":0} , "b":2}`, []Member{{"a", []byte("[]")}}, `{"a" : [] , "b":2}`},
		"replaces behind an escape":  {`{"\u0061":1}`, []Member{{"a", []byte("2")}}, `{"\u0061":2}`},
		"keeps the order of members": {`{"c":1,"b":2,"a":3}`, []Member{{"a", []byte("x")}, {"c", []byte("y")}, {"d", []byte("z")}}, `{"c":y,"b":2,"a":x,"d":z}`},
		"leaves nested keys alone":   {`{"a":{"b":1}}`, []Member{{"b", nil}}, `{"a":{"b":1}}`},
		"leaves other duplicates":    {`{"x":1,"x":2,"a":3}`, []Member{{"a", []byte("4")}}, `{"x":1,"x":2,"a":4}`},
		"removes nothing":            {`{"a":1}`, []Member{{"b", nil}}, `{"a":1}`},
		"removes the only one":       {`{ "a" : 1 }`, []Member{{"a", nil}}, `{  }`},
		"removes the first":          {`{ "a" : 1 , "b":2}`, []Member{{"a", nil}}, `{ "b":2}`},
		"removes the first two":      {`{"a":1,"b":2, "c":3}`, []Member{{"b", nil}, {"a", nil}}, `{"c":3}`},
		"removes in the middle":      {"{\"a\":1 ,\n \"b\":2 , \"c\":3}", []Member{{"b", nil}}, `{"a":1 , "c":3}`},
		"removes two in the middle":  {`{"a":1,"b":2,"c":3,"d":4}`, []Member{{"b", nil}, {"c", nil}}, `{"a":1,"d":4}`},
		"removes the last":           {`{"a":1 , "b":2 }`, []Member{{"b", nil}}, `{"a":1 }`},
		"removes every other one":    {`{"a":1,"b":2,"c":3,"d":4}`, []Member{{"a", nil}, {"c", nil}}, `{"b":2,"d":4}`},
		"removes all":                {`{"a":1,"b":2}`, []Member{{"a", nil}, {"b", nil}}, `{}`},
		"removes and adds":           {`{"a":1,"b":2}`, []Member{{"b", nil}, {"x", []byte("3")}}, `{"a":1,"x":3}`},
		"removes all and adds":       {`{ "a":1,"b":2 }`, []Member{{"a", nil}, {"b", nil}, {"x", []byte("3")}}, `{ "x":3 }`},
		"removes and replaces":       {`{"a":1,"b":2,"c":3}`, []Member{{"a", nil}, {"b", []byte("x")}, {"c", nil}}, `{"b":x}`},
		"replaces, removes the rest": {`{"a":1,"b":2,"c":3}`, []Member{{"a", []byte("x")}, {"b", nil}, {"c", nil}}, `{"a":x}`},
	} {
		t.Run(name, func(t *testing.T) {
			// Around the object there are bytes of others.
			in := "[1," + test.in + ",2]"
			edits, err := SetMembers([]byte(in), Span{3, 3 + len(test.in)}, test.members...)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(Splice(nil, []byte(in), edits...)); got != "[1,"+test.want+",2]" {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestSetMembersRefuses(t *testing.T) {
	for text, code := range map[string]Code{
		``: CodeInvalidParams, `[]`: CodeInvalidParams, `null`: CodeInvalidParams,
		`{"a":1`: CodeParse, `{"a":1}}`: CodeParse, `{"a":1,"b"}`: CodeParse,
		`{"a":1,"a":1}`: CodeInvalidRequest, `{"a":1,"x":0,"\u0061":1}`: CodeInvalidRequest,
	} {
		for _, value := range [][]byte{nil, []byte("2")} {
			edits, err := SetMembers([]byte(text), Span{0, len(text)}, Member{"a", value})
			if codeOf(err) != code || edits != nil {
				t.Errorf("%s: got %v and %d edits", text, err, len(edits))
			}
		}
	}
}

func TestSetMeta(t *testing.T) {
	add := []Member{{"v", []byte(`"1"`)}, {"w", []byte("{}")}}
	for name, test := range map[string]struct {
		in      string
		members []Member
		want    string
	}{
		"no params":              {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, add, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"v":"1","w":{}}}}`},
		"no params, space":       {"{\"jsonrpc\":\"2.0\",\"method\":\"ping\" } \r\n", add, "{\"jsonrpc\":\"2.0\",\"method\":\"ping\" ,\"params\":{\"_meta\":{\"v\":\"1\",\"w\":{}}}} \r\n"},
		"empty params":           {`{"params":{ },"jsonrpc":"2.0","method":"ping"}`, add, `{"params":{"_meta":{"v":"1","w":{}} },"jsonrpc":"2.0","method":"ping"}`},
		"no _meta":               {`{"jsonrpc":"2.0","method":"a","params":{"name":"x","_Meta":1}}`, add, `{"jsonrpc":"2.0","method":"a","params":{"_meta":{"v":"1","w":{}},"name":"x","_Meta":1}}`},
		"empty _meta":            {`{"jsonrpc":"2.0","method":"a","params":{"_meta":{}}}`, add, `{"jsonrpc":"2.0","method":"a","params":{"_meta":{"v":"1","w":{}}}}`},
		"other members stay":     {`{"jsonrpc":"2.0","method":"a","params":{"_meta":{"progressToken":12345678901234567890},"z":1}}`, add, `{"jsonrpc":"2.0","method":"a","params":{"_meta":{"progressToken":12345678901234567890,"v":"1","w":{}},"z":1}}`},
		"replaced in place":      {`{"jsonrpc":"2.0","method":"a","params":{"\u005fmeta":{"v":0,"x":1}}}`, add, `{"jsonrpc":"2.0","method":"a","params":{"\u005fmeta":{"v":"1","x":1,"w":{}}}}`},
		"removed":                {`{"jsonrpc":"2.0","method":"a","params":{"_meta":{"v":0,"x":1}}}`, []Member{{"v", nil}}, `{"jsonrpc":"2.0","method":"a","params":{"_meta":{"x":1}}}`},
		"no _meta to remove of":  {`{"jsonrpc":"2.0","method":"a","params":{"x":1}}`, []Member{{"v", nil}}, `{"jsonrpc":"2.0","method":"a","params":{"x":1}}`},
		"no params to remove of": {`{"jsonrpc":"2.0","method":"a"}`, []Member{{"v", nil}}, `{"jsonrpc":"2.0","method":"a"}`},
	} {
		t.Run(name, func(t *testing.T) {
			in := []byte(test.in)
			var m Message
			if err := Scan(in, &m); err != nil {
				t.Fatal(err)
			}
			edits, err := SetMeta(in, &m, test.members...)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(Splice(nil, in, edits...)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestSetMetaRefuses(t *testing.T) {
	for params, code := range map[string]Code{
		`{"_meta":[]}`: CodeInvalidParams, `{"_meta":null}`: CodeInvalidParams,
		`{"_meta":{},"_meta":{}}`: CodeInvalidRequest, `{"_meta":{"v":1,"v":2}}`: CodeInvalidRequest,
	} {
		in := []byte(`{"jsonrpc":"2.0","method":"a","params":` + params + `}`)
		var m Message
		if err := Scan(in, &m); err != nil {
			t.Fatal(err)
		}
		if _, err := SetMeta(in, &m, Member{"v", []byte("1")}); codeOf(err) != code {
			t.Errorf("%s: got %v", params, err)
		}
	}
}

// refSet is what SetMembers is to do, on members as encoding/json reads them. False if a key occurs twice.
func refSet(object []refMember, set []Member) ([]refMember, bool) {
	count := map[string]int{}
	var after []refMember
	for _, m := range object {
		count[m.key]++
		if i := slices.IndexFunc(set, func(s Member) bool { return s.Key == m.key }); i >= 0 {
			if m.value = set[i].Value; m.value == nil {
				continue
			}
		}
		after = append(after, m)
	}
	for _, s := range set {
		if count[s.Key] > 1 {
			return nil, false
		}
		if count[s.Key] == 0 && s.Value != nil {
			after = append(after, refMember{s.Key, s.Value})
		}
	}
	return after, true
}

func sameMember(a, b refMember) bool { return a.key == b.key && bytes.Equal(a.value, b.value) }

// FuzzSetMembers holds SetMembers against encoding/json: which members there are afterwards, with which bytes, and in
// which order.
func FuzzSetMembers(f *testing.F) {
	f.Add([]byte(`{"a":1, "b" : [2] ,"c":{"d":3}}`), "a", "b", true)
	f.Add([]byte(`{"a":1,"\u0061":2}`), "a", "x", false)
	f.Add([]byte(" {\"x\":0,\"b\":1,\n\"a\":{}} "), "b", "a", true)
	f.Add([]byte(`{"a":1,"b":2}`), "b", "a", false)
	f.Fuzz(func(t *testing.T, b []byte, key1, key2 string, remove bool) {
		if key1 == key2 || string([]rune(key1)) != key1 || string([]rune(key2)) != key2 {
			return
		}
		set := []Member{{key1, []byte(`{"new":1}`)}, {key2, []byte("-2")}}
		if remove {
			set[1].Value = nil
		}
		edits, err := SetMembers(b, Span{0, len(b)}, set...)
		if json.Valid(b) && refDepth(b) > MaxDepth {
			return
		}
		object, isObject := []refMember(nil), false
		if json.Valid(b) {
			object, isObject = refMembers(t, b)
		}
		want, unique := refSet(object, set)
		if ok := isObject && unique; ok != (err == nil) {
			t.Fatalf("got error %v, the reference accepts: %v", err, ok)
		}
		if err != nil {
			return
		}
		after := Splice(nil, b, edits...)
		if !json.Valid(after) {
			t.Fatalf("got %s, which is not JSON", after)
		}
		if got, _ := refMembers(t, after); !slices.EqualFunc(got, want, sameMember) {
			t.Fatalf("got %s", after)
		}
		if again, err := SetMembers(after, Span{0, len(after)}, set...); err != nil || !bytes.Equal(Splice(nil, after, again...), after) {
			t.Fatalf("the second time changes the object: %v", err)
		}
	})
}

// FuzzSetMeta holds SetMeta against encoding/json.
func FuzzSetMeta(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/list"} `))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"params":{},"method":"tools/list"}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"gone":1,"new":2}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"x":1},"\u005fmeta":{}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if Scan(b, &m) != nil || m.Kind == Response {
			return
		}
		set := []Member{{"gone", nil}, {"new", []byte(`"value"`)}}
		edits, err := SetMeta(b, &m, set...)
		envelope, _ := refMembers(t, b)
		params, meta, ok := refMeta(t, envelope)
		want, unique := refSet(meta, set)
		if ok = ok && unique; ok != (err == nil) {
			t.Fatalf("got error %v, the reference accepts: %v", err, ok)
		}
		if err != nil {
			return
		}
		after := Splice(nil, b, edits...)
		if !json.Valid(after) {
			t.Fatalf("got %s, which is not JSON", after)
		}
		envelopeAfter, _ := refMembers(t, after)
		paramsAfter, metaAfter, ok := refMeta(t, envelopeAfter)
		without := func(members []refMember, key string) []refMember {
			return slices.DeleteFunc(slices.Clone(members), func(m refMember) bool { return m.key == key })
		}
		if !ok || !slices.EqualFunc(metaAfter, want, sameMember) ||
			!slices.EqualFunc(without(paramsAfter, "_meta"), without(params, "_meta"), sameMember) ||
			!slices.EqualFunc(without(envelopeAfter, "params"), without(envelope, "params"), sameMember) {
			t.Fatalf("got %s", after)
		}
	})
}

// refMeta returns the members of params and of its _meta. False if _meta occurs twice, or is no object.
func refMeta(t *testing.T, envelope []refMember) (params, meta []refMember, ok bool) {
	for _, m := range envelope {
		if m.key == "params" {
			params, _ = refMembers(t, m.value)
		}
	}
	count := 0
	for _, m := range params {
		if m.key == "_meta" {
			count++
			if meta, ok = refMembers(t, m.value); !ok {
				return nil, nil, false
			}
		}
	}
	return params, meta, count <= 1
}
