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

package mirror

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"regexp"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// testParams are a string, an integer, a boolean, and a string and an integer in objects of the arguments.
var testParams = []Param{
	{"Mcp-Param-S", []string{"s"}},
	{"Mcp-Param-I", []string{"i"}},
	{"Mcp-Param-B", []string{"b"}},
	{"Mcp-Param-Os", []string{"o", "s"}},
	{"Mcp-Param-Opi", []string{"o", "p", "i"}},
}

func TestHeader(t *testing.T) {
	for arguments, want := range map[string]http.Header{
		"":                    nil,
		"null":                nil,
		"{}":                  nil,
		`[{"s":"a"}]`:         nil,
		`"s"`:                 nil,
		`{"s":null,"o":null}`: nil,
		`{"o":[{"s":"a"}],"S":"a","x":{"s":"a"}}`: nil,
		` {"s":"us-west1","i":42,"b":false} `:     {"Mcp-Param-S": {"us-west1"}, "Mcp-Param-I": {"42"}, "Mcp-Param-B": {"false"}},
		`{"s":"Hello, \u4e16界","b":true}`:         {"Mcp-Param-S": {"=?base64?SGVsbG8sIOS4lueVjA==?="}, "Mcp-Param-B": {"true"}},
		`{"s":""}`:                                {"Mcp-Param-S": {"=?base64??="}},
		`{"\u0073":"a","x":{},"x":{}}`:            {"Mcp-Param-S": {"a"}},
		`{"s":"x\r\nHost: y"}`:                    {"Mcp-Param-S": {"=?base64?eA0KSG9zdDogeQ==?="}},
		`{"o":{"s":"a","p":{"i":-7}}}`:            {"Mcp-Param-Os": {"a"}, "Mcp-Param-Opi": {"-7"}},
		`{"i":42.0}`:                              {"Mcp-Param-I": {"42"}},
		`{"i":1.5e3}`:                             {"Mcp-Param-I": {"1500"}},
		`{"i":-0}`:                                {"Mcp-Param-I": {"0"}},
		`{"i":9007199254740991}`:                  {"Mcp-Param-I": {"9007199254740991"}},
		`{"i":-9007199254740991}`:                 {"Mcp-Param-I": {"-9007199254740991"}},
		// What is of another type than the schema says is for the server to refuse.
		`{"i":"42","s":42,"b":"no"}`: {"Mcp-Param-I": {"42"}, "Mcp-Param-S": {"42"}, "Mcp-Param-B": {"no"}},
	} {
		got, err := Header(testParams, []byte(arguments))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v, want %v", arguments, got, err, want)
		}
		if err := Check(got, testParams, []byte(arguments)); err != nil {
			t.Errorf("%s: Check says %v", arguments, err)
		}
	}
}

func TestHeaderRefuses(t *testing.T) {
	for arguments, code := range map[string]jsonrpc.Code{
		`{"s":{"secret":1}}`:          jsonrpc.CodeInvalidParams,
		`{"s":["secret"]}`:            jsonrpc.CodeInvalidParams,
		`{"i":42.5}`:                  jsonrpc.CodeInvalidParams,
		`{"i":9007199254740992}`:      jsonrpc.CodeInvalidParams,
		`{"i":-9007199254740993}`:     jsonrpc.CodeInvalidParams,
		`{"o":{"p":{"i":1e400}}}`:     jsonrpc.CodeInvalidParams,
		`{"s":"secret","s":"secret"}`: jsonrpc.CodeInvalidRequest,
		`{"o":{},"\u006f":{}}`:        jsonrpc.CodeInvalidRequest,
		`{"s":"secret"`:               jsonrpc.CodeParse,
	} {
		h, err := Header(testParams, []byte(arguments))
		if h != nil {
			t.Errorf("%s: got %v", arguments, h)
		}
		checkError(t, err, code, "e")
		if code == jsonrpc.CodeInvalidParams {
			code = jsonrpc.CodeHeaderMismatch
		}
		checkError(t, Check(headers("Mcp-Param-S", "secret"), testParams, []byte(arguments)), code, "e")
	}
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		h         http.Header
		arguments string
		want      string
	}{
		"nothing":                     {nil, "", ""},
		"other headers":               {headers("Mcp-Param-X", "a", "Mcp-Param-X", "\xff"), "{}", ""},
		"equal":                       {headers("mcp-param-s", "us-west1", "MCP-PARAM-B", "true"), `{"s":"us-west1","b":true}`, ""},
		"encoded":                     {headers("Mcp-Param-S", "=?base64?SGVsbG8=?="), `{"s":"Hello"}`, ""},
		"looks encoded, and is not":   {headers("Mcp-Param-S", "=?base64?SGVsbG8="), `{"s":"=?base64?SGVsbG8="}`, ""},
		"space around":                {headers("Mcp-Param-S", " a\t"), `{"s":"a"}`, ""},
		"empty":                       {headers("Mcp-Param-S", ""), `{"s":""}`, ""},
		"nested":                      {headers("Mcp-Param-Opi", "1"), `{"o":{"p":{"i":1}}}`, ""},
		"42.0 is 42":                  {headers("Mcp-Param-I", "42.0"), `{"i":42}`, ""},
		"42 is 42.0":                  {headers("Mcp-Param-I", "42"), `{"i":42.0}`, ""},
		"4.2e1 is 420e-1":             {headers("Mcp-Param-I", "4.2e1"), `{"i":420E-1}`, ""},
		"0 is -0.000":                 {headers("Mcp-Param-I", "0"), `{"i":-0.000e99999999999999999999}`, ""},
		"an encoded number":           {headers("Mcp-Param-I", "=?base64?NDI=?="), `{"i":42}`, ""},
		"value without header":        {nil, `{"s":"secret"}`, "Header mismatch: Mcp-Param-S header is missing"},
		"second header missing":       {headers("Mcp-Param-S", "a"), `{"s":"a","o":{"s":"secret"}}`, "Mcp-Param-Os header is missing"},
		"not the value":               {headers("Mcp-Param-S", "secret"), `{"s":"top secret"}`, "Header mismatch: Mcp-Param-S header value does not match the body's value"},
		"other case":                  {headers("Mcp-Param-S", "A"), `{"s":"a"}`, "does not match"},
		"header twice":                {headers("Mcp-Param-S", "a", "Mcp-Param-S", "a"), `{"s":"a"}`, "Mcp-Param-S header occurs more than once"},
		"no padding":                  {headers("Mcp-Param-S", "=?base64?SGVsbG8?="), `{"s":"Hello"}`, "is not Base64"},
		"not Base64":                  {headers("Mcp-Param-S", "=?base64?SGVs!!!bG8=?="), `{"s":"Hello"}`, "is not Base64"},
		"not ASCII":                   {headers("Mcp-Param-S", "é"), `{"s":"é"}`, "invalid characters"},
		"header without value":        {headers("Mcp-Param-S", "secret"), `{}`, "Mcp-Param-S header is present, but the body has no such value"},
		"header for null":             {headers("Mcp-Param-S", "null"), `{"s":null}`, "header is present"},
		"empty header for null":       {headers("Mcp-Param-S", ""), `{"s":null}`, "header is present"},
		"header, no arguments":        {headers("Mcp-Param-Os", "a"), ``, "header is present"},
		"other number":                {headers("Mcp-Param-I", "43"), `{"i":42}`, "does not match"},
		"nearly the number":           {headers("Mcp-Param-I", "42.0000000000000000001"), `{"i":42}`, "does not match"},
		"no number":                   {headers("Mcp-Param-I", "secret"), `{"i":42}`, "does not match"},
		"hexadecimal":                 {headers("Mcp-Param-I", "0x2a"), `{"i":42}`, "does not match"},
		"plus":                        {headers("Mcp-Param-I", "+42"), `{"i":42}`, "does not match"},
		"leading zero":                {headers("Mcp-Param-I", "042"), `{"i":42}`, "does not match"},
		"two numbers":                 {headers("Mcp-Param-I", "42, 42"), `{"i":42}`, "does not match"},
		"numbers in strings are text": {headers("Mcp-Param-I", "42.0"), `{"i":"42"}`, "does not match"},
		"upper-case boolean":          {headers("Mcp-Param-B", "True"), `{"b":true}`, "does not match"},
		"number for boolean":          {headers("Mcp-Param-B", "1"), `{"b":true}`, "does not match"},
		"nothing can mirror":          {headers("Mcp-Param-S", `["secret"]`), `{"s":["secret"]}`, "Mcp-Param-S header can't be compared"},
		"too large an integer":        {headers("Mcp-Param-I", "9007199254740993"), `{"i":9007199254740993}`, "between -(2^53-1) and 2^53-1"},
	} {
		t.Run(name, func(t *testing.T) {
			checkError(t, Check(test.h, testParams, []byte(test.arguments)), jsonrpc.CodeHeaderMismatch, test.want)
		})
	}
}

func TestParamsOfAnyOrder(t *testing.T) {
	var params []Param
	arguments, want := `{`, http.Header{}
	for i := range 20 {
		header, key := fmt.Sprintf("Mcp-Param-%d", i), fmt.Sprintf("k%d", i%3)
		path := []string{"o", key, fmt.Sprintf("l%d", i)}
		params = append(params, Param{header, path}, Param{header + "-Flat", []string{fmt.Sprintf("f%d", i)}})
		arguments += fmt.Sprintf(`"f%d":%d,`, i, i)
		want[header], want[header+"-Flat"] = []string{fmt.Sprint(i)}, []string{fmt.Sprint(i)}
	}
	var inner [3]string
	for i := range 20 {
		inner[i%3] += fmt.Sprintf(`,"l%d":%d`, i, i)
	}
	arguments += `"o":{"k0":{` + inner[0][1:] + `},"k1":{` + inner[1][1:] + `},"k2":{` + inner[2][1:] + `}}}`
	got, err := Header(params, []byte(arguments))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCallsWithoutParamsCostNothing(t *testing.T) {
	arguments := []byte(`{"a":1}`)
	if n := testing.AllocsPerRun(100, func() {
		h, err := Header(nil, arguments)
		if h != nil || err != nil || Check(nil, nil, arguments) != nil {
			t.Error(h, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// number is what a JSON number is.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$`)

// refInteger reads an integer with rational numbers.
func refInteger(text string) (*big.Int, bool) {
	if !number.MatchString(text) {
		return nil, false
	}
	r, ok := new(big.Rat).SetString(text)
	limit := big.NewInt(1<<53 - 1)
	if !ok || !r.IsInt() || new(big.Int).Abs(r.Num()).Cmp(limit) > 0 {
		return nil, false
	}
	return r.Num(), true
}

// refValue follows a path. The value is a *big.Int, a string, nil if there is none, or whatever no header can mirror.
func refValue(n *node, path []string) (value any, unique bool) {
	for _, key := range path {
		found := n.find(key)
		if len(found) != 1 {
			return nil, len(found) == 0
		}
		n = found[0]
	}
	switch scalar := n.scalar.(type) {
	case json.Number:
		if i, ok := refInteger(scalar.String()); ok {
			return i, true
		}
		return n, true
	case bool:
		return fmt.Sprint(scalar), true
	case string:
		return scalar, true
	}
	if n.kind != 0 {
		return n, true
	}
	return nil, true
}

// refCheck is Check for one parameter, with one field as often as count says.
func refCheck(n *node, path []string, field string, count int) (code jsonrpc.Code) {
	value, unique := refValue(n, path)
	if !unique {
		return jsonrpc.CodeInvalidRequest
	}
	text, readable := refDecode(field)
	ok := false
	switch value := value.(type) {
	case nil:
		ok = count == 0
	case string:
		ok = count == 1 && readable && text == value
	case *big.Int:
		i, isInteger := refInteger(text)
		ok = count == 1 && readable && isInteger && i.Cmp(value) == 0
	}
	if !ok {
		return jsonrpc.CodeHeaderMismatch
	}
	return 0
}

// FuzzCheck holds Check and Header against a reference that is built on encoding/json and math/big.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"s":"us-west1","o":{"s":"a","p":{"i":1}}}`), "us-west1", uint8(0), uint8(1))
	f.Add([]byte(`{"i":42.0}`), "42", uint8(1), uint8(1))
	f.Add([]byte(`{"i":9007199254740993}`), "9007199254740992", uint8(1), uint8(1))
	f.Add([]byte(`{"i":0.42e+2,"i":1}`), "4200e-2", uint8(1), uint8(1))
	f.Add([]byte(`{"b":true}`), "=?base64?dHJ1ZQ==?=", uint8(2), uint8(2))
	f.Add([]byte(`{"o":{"s":null,"\u0070":{"i":-0}}}`), "-0", uint8(4), uint8(1))
	f.Add([]byte(`{"o":[{"s":"\ud800"}]}`), "", uint8(3), uint8(0))
	f.Fuzz(func(t *testing.T, arguments []byte, field string, which, count uint8) {
		p := testParams[int(which)%len(testParams)]
		h := http.Header{}
		for range count % 3 {
			h.Add(p.Header, field)
		}
		err := Check(h, []Param{p}, arguments)
		all, allErr := Header(testParams, arguments)
		if allErr == nil {
			if err := Check(all, testParams, arguments); err != nil {
				t.Errorf("Check refuses what Header made: %v", err)
			}
		}
		if len(arguments) > 0 && !json.Valid(arguments) || longExponent.MatchString(field) || longExponent.Match(arguments) {
			return // What is no JSON must not panic; more is not promised. The others are too much for the reference.
		}
		n := &node{}
		if len(arguments) > 0 {
			n = parse(t, arguments)
		}
		if n.depth() > jsonrpc.MaxDepth {
			return
		}
		if want := refCheck(n, p.Path, field, int(count%3)); (want == 0) != (err == nil) || want != 0 && codeOf(err) != want {
			t.Errorf("got %v, want %d", err, want)
		}
		for _, p := range testParams {
			value, unique := refValue(n, p.Path)
			if _, unmirrorable := value.(*node); (unmirrorable || !unique) && allErr == nil {
				t.Errorf("no error for %s", p.Header)
			}
			if allErr == nil && (value == nil) != (all[p.Header] == nil) {
				t.Errorf("got %v for %s", all[p.Header], p.Header)
			}
		}
	})
}

var longExponent = regexp.MustCompile(`[eE][-+]?[0-9]{4}|[0-9]{400}`)
