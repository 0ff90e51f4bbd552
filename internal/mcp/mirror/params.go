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
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// What a tool's definition may have at most; one that has more is not valid here.
const (
	// maxParams is how many parameters may be mirrored.
	maxParams = 128
	// maxName is how many bytes a header's name may have, without Mcp-Param-.
	maxName = 256
	// maxDepth is how deep properties may nest that have an annotation.
	maxDepth = 16
)

// keyAnnotation is the key that marks a parameter to be mirrored.
const keyAnnotation = "x-mcp-header"

// Param is a parameter of a tool that is mirrored in a header.
type Param struct {
	// Header is the header's name in Go's canonical form: Mcp-Param-Region.
	Header string
	// Path are the keys that lead to the value in a call's arguments. There is at least one.
	Path []string
}

// Params returns the parameters that a tool's definition, which must be JSON, marks with x-mcp-header in its inputSchema,
// in the order of the schema. An error says what is wrong with an annotation, or where something is ambiguous: then the
// tool must not be offered to anybody.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#schema-extension
func Params(tool []byte) ([]Param, error) {
	if !mentions(tool) {
		return nil, nil
	}
	var schema [1]jsonrpc.Span
	if err := jsonrpc.Lookup(tool, jsonrpc.Span{End: len(tool)}, []string{"inputSchema"}, schema[:]); err != nil {
		return nil, fmt.Errorf("the definition: %w", unreadable(err))
	}
	if schema[0].Empty() {
		return nil, nil
	}
	w := walker{b: tool}
	if err := w.value(schema[0], true); err != nil {
		return nil, fmt.Errorf("inputSchema%s: %w", w.where(), err)
	}
	return w.params, nil
}

// mentions says whether one of the strings in b, which is JSON, is x-mcp-header. It costs next to nothing where none is:
// most tools have no annotation. Only where an escape could hide a letter of it, all strings are looked at.
func mentions(b []byte) bool {
	if bytes.Contains(b, []byte(`"`+keyAnnotation+`"`)) {
		return true
	}
	if !bytes.Contains(b, []byte(`\u00`)) {
		return false
	}
	for start := 0; ; {
		open := bytes.IndexByte(b[start:], '"')
		if open < 0 {
			return false
		}
		start += open
		end := start + 1
		for end < len(b) && b[end] != '"' {
			if b[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(b) {
			return false
		}
		end++
		if end-start <= len(`"\u0078"`)*len(keyAnnotation) {
			if text, _ := jsonrpc.Text(b, jsonrpc.Span{Start: start, End: end}); text == keyAnnotation {
				return true
			}
		}
		start = end
	}
}

// walker collects the annotations of a schema.
type walker struct {
	b      []byte
	params []Param
	// trail are the keys on the way from the schema's root to where the walker is; after an error, to what is wrong.
	trail []string
	// path is the part of them that names properties.
	path []string
}

// value visits what stands where a schema can: a schema, a list of them, or something else. The annotation counts if it is
// reachable: if only properties lead to it. Whatever holds none is not looked at.
func (w *walker) value(at jsonrpc.Span, reachable bool) error {
	if !mentions(at.Of(w.b)) {
		return nil
	}
	if len(w.trail) > 2*maxDepth {
		return fmt.Errorf("%s may be on properties up to %d levels deep", keyAnnotation, maxDepth)
	}
	switch w.b[at.Start] {
	case '{':
		return w.schema(at, reachable)
	case '[':
		return w.list(at)
	default:
		return nil
	}
}

// list visits the schemas of a list.
func (w *walker) list(at jsonrpc.Span) (err error) {
	i := 0
	scanErr := jsonrpc.Elements(w.b, at, func(element jsonrpc.Span) bool {
		err = w.enter(strconv.Itoa(i), func() error { return w.value(element, false) })
		i++
		return err == nil
	})
	if scanErr != nil {
		return unreadable(scanErr)
	}
	return err
}

// schema visits a schema.
func (w *walker) schema(at jsonrpc.Span, reachable bool) error {
	var own [3]jsonrpc.Span
	if err := jsonrpc.Lookup(w.b, at, []string{keyAnnotation, "type", "properties"}, own[:]); err != nil {
		return unreadable(err)
	}
	if annotation := own[0]; !annotation.Empty() {
		if err := w.annotation(annotation, own[1], reachable); err != nil {
			return err
		}
	}
	return w.members(at, func(key string, value jsonrpc.Span) error {
		switch key {
		case keyAnnotation, "const", "default", "enum", "examples":
			// Data, of which no schema can be made.
			return nil
		case "properties":
			return w.named(value, reachable)
		case "patternProperties", "$defs", "definitions", "dependentSchemas", "dependentRequired", "dependencies":
			return w.named(value, false)
		default:
			// Also under a keyword that nobody knows there may be schemas, which a $ref can use.
			return w.value(value, false)
		}
	})
}

// named visits an object that has a schema for each name. The name of a property that leads to a mirrored parameter must not
// occur twice, because JSON leaves it open which of the two counts.
func (w *walker) named(at jsonrpc.Span, properties bool) error {
	if w.b[at.Start] != '{' {
		return w.value(at, false)
	}
	if !mentions(at.Of(w.b)) {
		return nil
	}
	mirrored := map[string]bool{}
	return w.members(at, func(name string, value jsonrpc.Span) error {
		if !properties {
			return w.value(value, false)
		}
		before := len(w.params)
		w.path = append(w.path, name)
		if err := w.value(value, true); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
		earlier, twice := mirrored[name]
		mirrored[name] = earlier || len(w.params) > before
		if twice && mirrored[name] {
			return fmt.Errorf("this property occurs twice in one object, and has an %s", keyAnnotation)
		}
		return nil
	})
}

// members calls visit for each member of an object, with the trail leading there.
func (w *walker) members(at jsonrpc.Span, visit func(key string, value jsonrpc.Span) error) (err error) {
	scanErr := jsonrpc.Members(w.b, at, func(key, value jsonrpc.Span) bool {
		name, _ := jsonrpc.Text(w.b, key)
		err = w.enter(name, func() error { return visit(name, value) })
		return err == nil
	})
	if scanErr != nil {
		return unreadable(scanErr)
	}
	return err
}

// enter runs visit one step further. If that fails, the trail stays.
func (w *walker) enter(key string, visit func() error) error {
	w.trail = append(w.trail, key)
	err := visit()
	if err == nil {
		w.trail = w.trail[:len(w.trail)-1]
	}
	return err
}

// annotation checks an annotation and notes the parameter.
func (w *walker) annotation(annotation, kind jsonrpc.Span, reachable bool) error {
	if !reachable || len(w.path) == 0 {
		return fmt.Errorf("%s is allowed only on properties that a chain of nothing but properties leads to", keyAnnotation)
	}
	name, ok := jsonrpc.Text(w.b, annotation)
	if !ok || !isToken(name) {
		return fmt.Errorf("%s must be a string of the characters that an HTTP header's name may have, and not empty", keyAnnotation)
	}
	if len(name) > maxName {
		return fmt.Errorf("%s has more than %d bytes", keyAnnotation, maxName)
	}
	switch t, _ := jsonrpc.Text(w.b, kind); t {
	case "string", "integer", "boolean":
	default:
		return fmt.Errorf("%s needs type string, integer or boolean beside it", keyAnnotation)
	}
	// Names that differ only in case have the same canonical form.
	header := textproto.CanonicalMIMEHeaderKey(HeaderParamPrefix + name)
	if slices.ContainsFunc(w.params, func(p Param) bool { return p.Header == header }) {
		return fmt.Errorf("%s has a name that another parameter has too, upper and lower case being the same", keyAnnotation)
	}
	if len(w.params) == maxParams {
		return fmt.Errorf("more than %d parameters have an %s", maxParams, keyAnnotation)
	}
	w.params = append(w.params, Param{Header: header, Path: slices.Clone(w.path)})
	return nil
}

// where returns the trail as a JSON pointer (RFC 6901), quoted and shortened for messages, or "" at the root.
func (w *walker) where() string {
	const limit = 200
	var pointer strings.Builder
	for _, key := range w.trail {
		pointer.WriteByte('/')
		pointer.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
		if pointer.Len() > limit {
			return " at " + strconv.Quote(pointer.String()[:limit]) + "…"
		}
	}
	if pointer.Len() == 0 {
		return ""
	}
	return " at " + strconv.Quote(pointer.String())
}

// unreadable is an error of package jsonrpc as it reads in an error about a definition.
func unreadable(err error) error {
	var e *jsonrpc.Error
	if !errors.As(err, &e) {
		return err
	}
	return errors.New(strings.TrimPrefix(e.Message, "Invalid request: "))
}

// isToken says whether a string is a token, as the names of header fields are (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
