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
	"strings"
	"testing"
)

// parts is a message with its spans resolved, for comparison.
type parts struct {
	kind                              Kind
	id, method, params, result, error string
}

func partsOf(b []byte, m *Message) parts {
	return parts{
		kind: m.Kind, method: m.Method,
		id: string(m.ID.Of(b)), params: string(m.Params.Of(b)), result: string(m.Result.Of(b)), error: string(m.Error.Of(b)),
	}
}

func TestScanFindsTheParts(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want parts
	}{
		"request": {
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,{"b":"}"}]}}}`,
			parts{kind: Request, id: "1", method: "tools/call", params: `{"name":"echo","arguments":{"a":[1,{"b":"}"}]}}`},
		},
		"request in another order, with white space and unknown members": {
			" {\r\n\t\"params\" : { } , \"x\":[ ] ,\"method\" : \"ping\",\"y\":null, \"id\": \"a\\\"b\" ,\"jsonrpc\":\"2.0\" } \n",
			parts{kind: Request, id: `"a\"b"`, method: "ping", params: "{ }"},
		},
		"request without params":                {`{"jsonrpc":"2.0","id":-7,"method":"ping"}`, parts{kind: Request, id: "-7", method: "ping"}},
		"an id beyond 2^53 keeps its digits":    {`{"jsonrpc":"2.0","id":9007199254740993123,"method":"ping"}`, parts{kind: Request, id: "9007199254740993123", method: "ping"}},
		"the empty string is an id":             {`{"jsonrpc":"2.0","id":"","method":"ping"}`, parts{kind: Request, id: `""`, method: "ping"}},
		"escaped keys and values are the same":  {`{"\u006as\u006fnrpc":"2\u002e0","\u0069d":3,"\u006dethod":"tools\/call"}`, parts{kind: Request, id: "3", method: "tools/call"}},
		"keys of another case are unknown keys": {`{"jsonrpc":"2.0","id":1,"method":"ping","ID":2,"Method":"tools/call","PARAMS":[]}`, parts{kind: Request, id: "1", method: "ping"}},
		"notification":                          {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, parts{kind: Notification, method: "notifications/initialized"}},
		"notification with params":              {`{"jsonrpc":"2.0","method":"x/y","params":{"a":"\u00e9é"}}`, parts{kind: Notification, method: "x/y", params: `{"a":"\u00e9é"}`}},
		"method beyond ASCII":                   {`{"jsonrpc":"2.0","method":"é\ud83d\ude00"}`, parts{kind: Notification, method: "é😀"}},
		"result":                                {`{"jsonrpc":"2.0","id":"x","result":{"tools":[]}}`, parts{kind: Response, id: `"x"`, result: `{"tools":[]}`}},
		"result that is no object":              {`{"jsonrpc":"2.0","id":0,"result":null}`, parts{kind: Response, id: "0", result: "null"}},
		"error":                                 {`{"jsonrpc":"2.0","id":5,"error":{"code":-32603,"message":"m"}}`, parts{kind: Response, id: "5", error: `{"code":-32603,"message":"m"}`}},
		"error with null id":                    {`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`, parts{kind: Response, id: "null", error: `{"code":-32700,"message":"m"}`}},
		"error without id":                      {`{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}`, parts{kind: Response, error: `{"code":-32700,"message":"m"}`}},
		"params of a response are ignored":      {`{"jsonrpc":"2.0","id":5,"result":1,"params":[]}`, parts{kind: Response, id: "5", result: "1"}},
		"deepest nesting":                       {`{"jsonrpc":"2.0","method":"m","x":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1) + `}`, parts{kind: Notification, method: "m"}},
		"invalid UTF-8 is passed on":            {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{\"a\":\"\xff\"}}", parts{kind: Notification, method: "m", params: "{\"a\":\"\xff\"}"}},
		"every kind of number": {
			`{"jsonrpc":"2.0","method":"m","params":{"a":[0,-0,10,1.5,-0.25,1e9,1E+9,2.5e-3,123456789012345678901234567890]}}`,
			parts{kind: Notification, method: "m", params: `{"a":[0,-0,10,1.5,-0.25,1e9,1E+9,2.5e-3,123456789012345678901234567890]}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m Message
			if err := Scan([]byte(test.in), &m); err != nil {
				t.Fatal(err)
			}
			if got := partsOf([]byte(test.in), &m); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestScanRefusesInvalidMessages(t *testing.T) {
	const duplicate = "a member that must be unique (jsonrpc, id, method, params, result or error) occurs twice"
	for name, test := range map[string]struct{ in, message, id string }{
		"batch":                        {`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, "a message must be a JSON object, not an array (batches are not supported)", ""},
		"string":                       {`"x"`, "a message must be a JSON object", ""},
		"no members":                   {`{}`, `jsonrpc must be "2.0"`, ""},
		"no jsonrpc":                   {`{"id":1,"method":"ping"}`, `jsonrpc must be "2.0"`, "1"},
		"jsonrpc 1.0":                  {`{"jsonrpc":"1.0","id":1,"method":"ping"}`, `jsonrpc must be "2.0"`, "1"},
		"jsonrpc as number":            {`{"jsonrpc":2.0,"id":1,"method":"ping"}`, `jsonrpc must be "2.0"`, "1"},
		"neither method nor answer":    {`{"jsonrpc":"2.0","id":1}`, "a message needs a method, a result or an error", "1"},
		"method and result":            {`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, "a message has either a method, or a result or error, not both", "1"},
		"method and error":             {`{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}`, "a message has either a method, or a result or error, not both", "1"},
		"result and error":             {`{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, "a response has either a result or an error, not both", ""},
		"method is no string":          {`{"jsonrpc":"2.0","id":1,"method":["ping"]}`, "method must be a string", "1"},
		"null id":                      {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, "id must be a string or an integer, not null", ""},
		"fraction as id":               {`{"jsonrpc":"2.0","id":1.0,"method":"ping"}`, "id must be a string or an integer, without fraction or exponent", ""},
		"exponent as id":               {`{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, "id must be a string or an integer, without fraction or exponent", ""},
		"boolean as id":                {`{"jsonrpc":"2.0","id":true,"method":"ping"}`, "id must be a string or an integer", ""},
		"array as id":                  {`{"jsonrpc":"2.0","id":[1],"method":"ping"}`, "id must be a string or an integer", ""},
		"object as id":                 {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, "id must be a string or an integer", ""},
		"array as params":              {`{"jsonrpc":"2.0","id":"q","method":"ping","params":[1]}`, "params must be an object, or absent", `"q"`},
		"null as params":               {`{"jsonrpc":"2.0","id":"q","method":"ping","params":null}`, "params must be an object, or absent", `"q"`},
		"params of a notification":     {`{"jsonrpc":"2.0","method":"ping","params":1}`, "params must be an object, or absent", ""},
		"result without id":            {`{"jsonrpc":"2.0","result":{}}`, "id is missing", ""},
		"result with null id":          {`{"jsonrpc":"2.0","id":null,"result":{}}`, "id must be a string or an integer, not null", ""},
		"error with a boolean id":      {`{"jsonrpc":"2.0","id":false,"error":{}}`, "id must be a string or an integer", ""},
		"error is no object":           {`{"jsonrpc":"2.0","id":1,"error":"bad"}`, "error must be an object", ""},
		"two methods":                  {`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, duplicate, "1"},
		"two methods, one escaped":     {`{"jsonrpc":"2.0","id":1,"method":"ping","\u006d\u0065\u0074\u0068\u006f\u0064":"x"}`, duplicate, "1"},
		"two params":                   {`{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}`, duplicate, "1"},
		"two jsonrpc":                  {`{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}`, duplicate, "1"},
		"two ids leave it open which":  {`{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, duplicate, ""},
		"three ids":                    {`{"jsonrpc":"2.0","id":1,"id":2,"id":3,"method":"ping"}`, duplicate, ""},
		"two ids, then two methods":    {`{"jsonrpc":"2.0","id":1,"id":2,"method":"a","method":"b"}`, duplicate, ""},
		"two results":                  {`{"jsonrpc":"2.0","id":1,"result":1,"result":2}`, duplicate, ""},
		"two errors":                   {`{"jsonrpc":"2.0","id":1,"error":{},"error":{}}`, duplicate, ""},
		"duplicate before the id":      {`{"method":"a","method":"b","jsonrpc":"2.0","id":9}`, duplicate, "9"},
		"wrong version before the id":  {`{"jsonrpc":"3","method":"a","id":9}`, `jsonrpc must be "2.0"`, "9"},
		"wrong version, id duplicated": {`{"jsonrpc":"3","method":"a","id":9,"id":9}`, duplicate, ""},
	} {
		t.Run(name, func(t *testing.T) {
			checkRefused(t, test.in, CodeInvalidRequest, "Invalid request: "+test.message, test.id)
		})
	}
}

func checkRefused(t *testing.T, in string, code Code, message, id string) {
	t.Helper()
	m := Message{Kind: Request, Method: "left over", Params: Span{1, 2}}
	var e *Error
	if err := Scan([]byte(in), &m); !errors.As(err, &e) {
		t.Fatalf("got error %v, want a *Error", err)
	}
	if e.Code != code || e.Message != message {
		t.Errorf("got  %d %s\nwant %d %s", e.Code, e.Message, code, message)
	}
	if want := (Message{ID: m.ID}); m != want {
		t.Errorf("got %+v, want nothing but an id", m)
	}
	if got := string(m.ID.Of([]byte(in))); got != id {
		t.Errorf("got id %q, want %q", got, id)
	}
}

func TestScanRefusesWhatIsNotJSON(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth)
	for name, test := range map[string]struct{ in, message string }{
		"empty":                      {"", "at byte 0: the text is empty"},
		"white space":                {" \n", "at byte 2: the text is empty"},
		"no JSON":                    {"hello", "at byte 0: expected a value"},
		"byte order mark":            {"\xef\xbb\xbf{}", "at byte 0: the text must not begin with a byte order mark"},
		"half a message":             {`{"jsonrpc":"2.0","id":1`, "at byte 23: expected ',' or '}' after an object's value"},
		"two messages":               {`{"a":1}{"a":1}`, "at byte 7: only white space may follow the message"},
		"array, then more":           {`[] x`, "at byte 3: only white space may follow the message"},
		"NUL at the end":             {"{}\x00", "at byte 2: only white space may follow the message"},
		"comma before the end":       {`{"a":1,}`, "at byte 7: expected a key in double quotes"},
		"comma at the start":         {`{,"a":1}`, "at byte 1: expected a key in double quotes"},
		"no comma":                   {`{"a":1 "b":2}`, "at byte 7: expected ',' or '}' after an object's value"},
		"no colon":                   {`{"a" 1}`, "at byte 5: expected ':' after a key"},
		"no value":                   {`{"a":}`, "at byte 5: expected a value"},
		"no value at the end":        {`{"a":`, "at byte 5: the text ends where a value must follow"},
		"key without quotes":         {`{a:1}`, "at byte 1: expected a key in double quotes"},
		"key in single quotes":       {`{'a':1}`, "at byte 1: expected a key in double quotes"},
		"key is a number":            {`{1:1}`, "at byte 1: expected a key in double quotes"},
		"comment":                    {`{/**/"a":1}`, "at byte 1: expected a key in double quotes"},
		"wrong bracket":              {`{"a":[1}`, "at byte 7: expected ',' or ']' after an array's value"},
		"wrong brace":                {`{"a":{"b":1]}`, "at byte 11: expected ',' or '}' after an object's value"},
		"array with comma at end":    {`{"a":[1,]}`, "at byte 8: expected a value"},
		"array without end":          {`{"a":[1`, "at byte 7: the text ends within an array or object"},
		"nested key without colon":   {`{"a":{"b"}}`, "at byte 9: expected ':' after a key"},
		"nested comma, no key":       {`{"a":{"b":1,}}`, "at byte 12: expected a key in double quotes"},
		"string without end":         {`{"a":"b`, "at byte 7: the text ends within a string"},
		"string that ends in escape": {`{"a":"b\`, `at byte 7: this is no escape sequence of JSON`},
		"unknown escape":             {`{"a":"\x41"}`, "at byte 6: this is no escape sequence of JSON"},
		"short unicode escape":       {`{"a":"\u12"}`, "at byte 6: this is no escape sequence of JSON"},
		"line feed in a string":      {"{\"a\":\"b\nc\"}", "at byte 7: a control character in a string must be escaped"},
		"control after long text":    {`{"a":"` + strings.Repeat("b", 100) + "\x1f\"}", "at byte 106: a control character in a string must be escaped"},
		"misspelt literal":           {`{"a":nul}`, "at byte 5: expected a value"},
		"literal too long":           {`{"a":truee}`, "at byte 9: expected ',' or '}' after an object's value"},
		"NaN":                        {`{"a":NaN}`, "at byte 5: expected a value"},
		"leading zero":               {`{"a":01}`, "at byte 6: expected ',' or '}' after an object's value"},
		"plus sign":                  {`{"a":+1}`, "at byte 5: expected a value"},
		"minus alone":                {`{"a":-}`, "at byte 6: expected a digit"},
		"point without digits":       {`{"a":1.}`, "at byte 7: expected a digit after the decimal point"},
		"exponent without digits":    {`{"a":1e+}`, "at byte 8: expected a digit in the exponent"},
		"too deep":                   {`{"a":` + deep, "at byte 516: values nest deeper than 512 levels"},
		"too deep without object":    {deep + "[", "at byte 512: values nest deeper than 512 levels"},
		"broken after the id":        {`{"jsonrpc":"2.0","id":1,"method":"ping",}`, "at byte 40: expected a key in double quotes"},
		"form feed as white space":   {"{\f}", "at byte 1: expected a key in double quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			checkRefused(t, test.in, CodeParse, "Parse error "+test.message, "")
		})
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	for _, in := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[{},[1]]}}}`,
		`{"jsonrpc":"2.0","\u0069d":1,"method":"tools\/call"}`,
		`{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`,
	} {
		b := []byte(in)
		if n := testing.AllocsPerRun(100, func() {
			var m Message
			if err := Scan(b, &m); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations for %s", n, in)
		}
	}
}

func TestWellKnownMethodsAreThemselves(t *testing.T) {
	for _, name := range []string{"initialize", "tools/call", "notifications/subscriptions/acknowledged"} {
		if got := wellKnown([]byte(name)); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
	if got := wellKnown([]byte("tools/Call")); got != "" {
		t.Errorf("got %q for an unknown method", got)
	}
}

func TestIsBatch(t *testing.T) {
	for in, want := range map[string]bool{"[": true, " \r\n\t[]": true, "": false, " ": false, "{}": false, "\f[": false} {
		if got := IsBatch([]byte(in)); got != want {
			t.Errorf("IsBatch(%q) = %v", in, got)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	for kind, want := range map[Kind]string{Invalid: "invalid", Request: "request", Notification: "notification", Response: "response"} {
		if got := kind.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
