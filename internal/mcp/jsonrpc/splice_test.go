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
	"testing"
)

func TestSplice(t *testing.T) {
	const in = "0123456789"
	for name, test := range map[string]struct {
		edits []Edit
		want  string
	}{
		"nothing":               {nil, in},
		"replace":               {[]Edit{{Span{2, 4}, []byte("abc")}}, "01abc456789"},
		"delete":                {[]Edit{{Span{2, 4}, nil}}, "01456789"},
		"insert":                {[]Edit{{Span{2, 2}, []byte("x")}}, "01x23456789"},
		"at both ends":          {[]Edit{{Span{0, 0}, []byte("<")}, {Span{10, 10}, []byte(">")}}, "<" + in + ">"},
		"one after the other":   {[]Edit{{Span{2, 4}, []byte("a")}, {Span{4, 6}, []byte("b")}}, "01ab6789"},
		"everything":            {[]Edit{{Span{0, 10}, []byte("x")}}, "x"},
		"insertions, one place": {[]Edit{{Span{5, 5}, []byte("a")}, {Span{5, 5}, []byte("b")}}, "01234ab56789"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(Splice([]byte("> "), []byte(in), test.edits...)); got != "> "+test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSplicePanicsOnEditsThatAreNotInOrder(t *testing.T) {
	for name, edits := range map[string][]Edit{
		"descending":  {{Span{4, 6}, nil}, {Span{1, 2}, nil}},
		"overlapping": {{Span{1, 4}, nil}, {Span{3, 6}, nil}},
		"backwards":   {{Span{4, 2}, nil}},
		"outside":     {{Span{9, 12}, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			Splice(nil, []byte("0123456789"), edits...)
		})
	}
}

func TestSpliceGrowsOnce(t *testing.T) {
	in, name := []byte(`{"name":"a_echo"}`), []byte(`"echo"`)
	if n := testing.AllocsPerRun(100, func() { Splice(nil, in, Edit{Span{8, 16}, name}) }); n != 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                         `""`,
		"echo":                     `"echo"`,
		"say \"hi\" \\ bye":        `"say \"hi\" \\ bye"`,
		"\n\r\t\b\f\x00\x1f\x7f":   `"\n\r\t\u0008\u000c\u0000\u001f` + "\x7f\"",
		"é😀\u2028":                 "\"é😀\u2028\"",
		"a\xffb\xc3":               "\"a\uFFFDb\uFFFD\"",
		"\uFFFD is kept as it was": "\"\uFFFD is kept as it was\"",
	} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAppendAnswers(t *testing.T) {
	for name, test := range map[string]struct{ got, want string }{
		"result":          {string(AppendResult(nil, []byte("7"), []byte(`{"a":1}`))), `{"jsonrpc":"2.0","id":7,"result":{"a":1}}`},
		"error":           {string(AppendError(nil, []byte(`"q"`), &Error{Code: CodeInternal, Message: "say \"no\""})), `{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"say \"no\""}}`},
		"error with data": {string(AppendError(nil, []byte("1"), &Error{Code: CodeInternal, Data: []byte(`{"a":[]}`)})), `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"","data":{"a":[]}}}`},
		"error, no id":    {string(AppendError(nil, nil, &Error{Code: CodeParse, Message: "m"})), `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.got != test.want {
				t.Errorf("got %s, want %s", test.got, test.want)
			}
			var m Message
			if err := Scan([]byte(test.got), &m); err != nil || m.Kind != Response {
				t.Errorf("this is no response: %v", err)
			}
		})
	}
}

func TestErrorSaysItsCode(t *testing.T) {
	if got := (&Error{Code: CodeParse, Message: "Parse error"}).Error(); got != "Parse error (JSON-RPC error -32700)" {
		t.Error(got)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("echo")
	f.Add("\"\\\x00\xff\u2028é😀\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, in string) {
		got := AppendString([]byte("x"), in)[1:]
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if want := string([]rune(in)); back != want { // The conversion replaces each invalid byte by U+FFFD.
			t.Errorf("got %q, want %q", back, want)
		}
		if text, ok := Text(got, Span{0, len(got)}); !ok || text != back {
			t.Errorf("Text says %q, %v; want %q", text, ok, back)
		}
	})
}

func FuzzSplice(f *testing.F) {
	f.Add("0123456789", uint(2), uint(1), "new", uint(1), uint(3), "other")
	f.Fuzz(func(t *testing.T, in string, skip1, len1 uint, new1 string, skip2, len2 uint, new2 string) {
		start1 := int(skip1 % uint(len(in)+1))
		end1 := start1 + int(len1%uint(len(in)-start1+1))
		start2 := end1 + int(skip2%uint(len(in)-end1+1))
		end2 := start2 + int(len2%uint(len(in)-start2+1))
		got := string(Splice(nil, []byte(in), Edit{Span{start1, end1}, []byte(new1)}, Edit{Span{start2, end2}, []byte(new2)}))
		if want := in[:start1] + new1 + in[end1:start2] + new2 + in[end2:]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
