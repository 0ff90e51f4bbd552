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
	"errors"
	"testing"
)

func TestLookupFindsValues(t *testing.T) {
	for name, test := range map[string]struct {
		in, a, b string
	}{
		"both":                     {`{"b":[1, 2],"x":0,"a":"é"}`, `"é"`, "[1, 2]"},
		"one":                      {`{"x":{"b":1},"a":{}}`, "{}", ""},
		"none":                     {`{}`, "", ""},
		"white space":              {" \n{ \"a\" \t: null } ", "null", ""},
		"escaped key":              {`{"\u0061":1,"\u0062":2}`, "1", "2"},
		"unknown keys twice":       {`{"x":1,"x":2,"é":3,"é":4,"a":5}`, "5", ""},
		"nested keys don't count":  {`{"a":{"a":1,"a":2}}`, `{"a":1,"a":2}`, ""},
		"case makes a difference":  {`{"A":1,"B":2,"a":3}`, "3", ""},
		"key of another's prefix":  {`{"aa":1,"":2,"b":3}`, "", "3"},
		"a key longer than buffer": {`{"\u0061aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":1,"b":3}`, "", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			in := []byte(test.in)
			values := [2]Span{{7, 9}, {7, 9}}
			if err := Lookup(in, Span{0, len(in)}, []string{"a", "b"}, values[:]); err != nil {
				t.Fatal(err)
			}
			if a, b := string(values[0].Of(in)), string(values[1].Of(in)); a != test.a || b != test.b {
				t.Errorf("got %q and %q, want %q and %q", a, b, test.a, test.b)
			}
		})
	}
}

func TestLookupWithoutObjectFindsNothing(t *testing.T) {
	values := [1]Span{{7, 9}}
	if err := Lookup([]byte("{}"), Span{}, []string{"a"}, values[:]); err != nil || !values[0].Empty() {
		t.Errorf("got %v and error %v", values, err)
	}
}

func TestLookupRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		code Code
		text string
	}{
		"duplicate":                     {`{"name":1,"x":2,"name":1}`, CodeInvalidRequest, `Invalid request: the key "name" occurs twice in one object`},
		"duplicate that is escaped":     {`{"name":1,"na\u006de":1}`, CodeInvalidRequest, `Invalid request: the key "name" occurs twice in one object`},
		"duplicates that are both so":   {`{"n\u0061me":1,"na\u006de":1}`, CodeInvalidRequest, `Invalid request: the key "name" occurs twice in one object`},
		"array":                         {`[]`, CodeInvalidParams, "Invalid params: expected an object"},
		"string":                        {`"name"`, CodeInvalidParams, "Invalid params: expected an object"},
		"white space":                   {` `, CodeInvalidParams, "Invalid params: expected an object"},
		"broken object":                 {`{"name":1`, CodeParse, "Parse error at byte 9: expected ',' or '}' after an object's value"},
		"broken value":                  {`{"name":[}`, CodeParse, "Parse error at byte 9: expected a value"},
		"more than the object":          {`{"name":1},`, CodeParse, "Parse error at byte 10: only white space may follow the object"},
		"broken object after the value": {`{"name":1,"x"}`, CodeParse, "Parse error at byte 13: expected ':' after a key"},
	} {
		t.Run(name, func(t *testing.T) {
			var values [1]Span
			var e *Error
			err := Lookup([]byte(test.in), Span{0, len(test.in)}, []string{"name"}, values[:])
			if !errors.As(err, &e) || e.Code != test.code || e.Message != test.text {
				t.Errorf("got error %v, want %d %s", err, test.code, test.text)
			}
			if values[0] != (Span{}) {
				t.Errorf("got %v besides the error", values[0])
			}
		})
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	in := []byte(`{"name":"echo","\u005fmeta":{},"arguments":{"a":1}}`)
	if n := testing.AllocsPerRun(100, func() {
		var values [2]Span
		if err := Lookup(in, Span{0, len(in)}, []string{"name", "_meta"}, values[:]); err != nil || values[1].Empty() {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestText(t *testing.T) {
	for name, test := range map[string]struct {
		in, want string
		ok       bool
	}{
		"plain":                        {`"echo"`, "echo", true},
		"empty":                        {`""`, "", true},
		"every escape":                 {`"\"\\\/\b\f\n\r\t\u0000\u00E9"`, "\"\\/\b\f\n\r\t\x00é", true},
		"surrogate pair":               {`"\ud83d\uDE00"`, "😀", true},
		"high surrogate alone":         {`"\ud83dx"`, "\uFFFDx", true},
		"high surrogate, then another": {`"\ud83d\ud83d\ude00"`, "\uFFFD😀", true},
		"high surrogate, then letter":  {`"\ud83d\u0041"`, "\uFFFDA", true},
		"high surrogate, then escape":  {`"\ud83d\n"`, "\uFFFD\n", true},
		"low surrogate alone":          {`"\ude00"`, "\uFFFD", true},
		"invalid UTF-8":                {"\"a\xffb\"", "a\uFFFDb", true},
		"number":                       {`12`, "", false},
		"null":                         {`null`, "", false},
		"no end":                       {`"a`, "", false},
		"quote alone":                  {`"`, "", false},
		"nothing":                      {``, "", false},
		"two strings":                  {`"a","b"`, "", false},
		"ends with an escaped quote":   {`"a\"`, "", false},
		"unknown escape":               {`"\q"`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Text([]byte(test.in), Span{0, len(test.in)})
			if got != test.want || ok != test.ok {
				t.Errorf("got %q, %v", got, ok)
			}
		})
	}
}
