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
	"net/http"
	"slices"
	"strconv"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Header returns the headers to send with a call of the tool that has these parameters, or nil if there are none. The
// arguments are raw JSON, or empty. What is absent or null there is not mirrored; neither is anything if the arguments are
// no object, which is for the server to judge. So are values of another primitive type than the schema says: they are sent
// as what they are. Errors are of type *jsonrpc.Error: CodeInvalidParams for a value that no header can mirror, else as of
// jsonrpc.Lookup.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#client-behavior
func Header(params []Param, arguments []byte) (http.Header, error) {
	var h http.Header
	err := each(arguments, jsonrpc.Span{End: len(arguments)}, 0, params, func(p *Param, at jsonrpc.Span) error {
		value, ok := valueOf(arguments, at)
		switch {
		case !ok:
			return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams,
				Message: "Invalid params: the argument for the header " + p.Header + " " + unmirrorable}
		case value.kind != kindNone:
			if h == nil {
				h = make(http.Header, len(params))
			}
			h[p.Header] = []string{Encode(value.text())}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Check checks the headers of a call of the tool that has these parameters against its arguments, which are raw JSON, or
// empty. Headers of other parameters are ignored. Values are compared as Header would send them; integers by their value, so
// that 42.0 is 42. Errors are of type *jsonrpc.Error: CodeHeaderMismatch if a header is missing, present without a value,
// there twice, not readable, or not what the arguments say, or if they have a value that no header can mirror; else as of
// jsonrpc.Lookup.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-behavior-for-custom-headers
func Check(h http.Header, params []Param, arguments []byte) error {
	return each(arguments, jsonrpc.Span{End: len(arguments)}, 0, params, func(p *Param, at jsonrpc.Span) error {
		value, ok := valueOf(arguments, at)
		if !ok {
			return mismatch(p.Header, "header can't be compared: the body's value "+unmirrorable)
		}
		if value.kind == kindNone {
			return checkAbsent(h, p.Header)
		}
		field, err := single(h, p.Header)
		if err != nil {
			return err
		}
		text, ok := Decode(field)
		if !ok {
			return mismatch(p.Header, wrongEncoding)
		}
		if !value.equals(text) {
			return mismatch(p.Header, wrongValue)
		}
		return nil
	})
}

// each calls visit for each parameter with where its value is in the object, or with an empty span if there is none. The
// object is where the parameters' first depth keys lead to. It looks for all the keys of one object at once.
func each(b []byte, object jsonrpc.Span, depth int, params []Param, visit func(*Param, jsonrpc.Span) error) error {
	if len(params) == 0 {
		return nil
	}
	var keysBuf [8]string
	keys := keysBuf[:0]
	for i := range params {
		if key := params[i].Path[depth]; !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	values := make([]jsonrpc.Span, len(keys))
	if isObject(b, object) {
		if err := jsonrpc.Lookup(b, object, keys, values); err != nil {
			return err
		}
	}
	for i, key := range keys {
		var nested []Param
		for j := range params {
			switch p := &params[j]; {
			case p.Path[depth] != key:
			case len(p.Path) > depth+1:
				nested = append(nested, *p)
			default:
				if err := visit(p, values[i]); err != nil {
					return err
				}
			}
		}
		if err := each(b, values[i], depth+1, nested, visit); err != nil {
			return err
		}
	}
	return nil
}

// isObject says whether a span, which may have white space around it, is of an object.
func isObject(b []byte, at jsonrpc.Span) bool {
	for _, c := range at.Of(b) {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// value is an argument that a header can mirror.
type value struct {
	kind kind
	// number is an integer's value.
	number int64
	// plain is a string's value, or how a boolean is written.
	plain string
}

type kind uint8

const (
	kindNone kind = iota
	kindInteger
	kindString
)

// unmirrorable is what is wrong with a value for which valueOf returns false.
const unmirrorable = "is not a string, a boolean or an integer between -(2^53-1) and 2^53-1"

// valueOf returns the argument at that span; false if no header can mirror it.
func valueOf(b []byte, at jsonrpc.Span) (value, bool) {
	if at.Empty() {
		return value{}, true
	}
	raw := at.Of(b)
	switch raw[0] {
	case 'n':
		return value{}, true
	case 't', 'f':
		return value{kind: kindString, plain: string(raw)}, true
	case '"':
		text, ok := jsonrpc.Text(b, at)
		return value{kind: kindString, plain: text}, ok
	case '{', '[':
		return value{}, false
	default:
		number, ok := integer(string(raw))
		return value{kind: kindInteger, number: number}, ok
	}
}

// text is what a header says for the value.
func (v value) text() string {
	if v.kind == kindInteger {
		return strconv.FormatInt(v.number, 10)
	}
	return v.plain
}

// equals says whether a header that says this mirrors the value.
func (v value) equals(text string) bool {
	if v.kind == kindInteger {
		number, ok := integer(text)
		return ok && number == v.number
	}
	return text == v.plain
}
