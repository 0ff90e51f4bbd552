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

// Package fieldcheck compares what a user wrote with the fields that there are, in a Go type or in a CRD's schema, and
// says of what does not fit where it is and what was probably meant. It is pure.
package fieldcheck

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Types compares values with the Go types that they are to be decoded into, as strict decoding does, but tells all that
// does not fit instead of the first, and exactly where. What does not fit is made null in the value, so that the rest can
// be decoded.
type Types struct {
	// Patches is whether values are strategic merge patches, which have directives, like $patch, beside the fields.
	Patches bool
	// Errs are the values of wrong types that were found.
	Errs field.ErrorList
	// Unknown are the paths of the unknown fields that were found. They are deleted from the value.
	Unknown []string
}

// Check compares one value, at a path. It returns false if the value as a whole does not fit.
func (p *Types) Check(value any, t reflect.Type, path *field.Path) bool {
	t = indirect(t)
	switch {
	case value == nil: // null stands for nothing at all, everywhere.
		return true
	case isOpaque(t):
		return p.checkOpaque(value, t, path)
	case t.Kind() == reflect.Struct:
		return p.checkStruct(value, t, path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		text, ok := value.(string)
		if _, err := base64.StdEncoding.DecodeString(text); !ok || err != nil {
			return p.refuse(path, field.OmitValueType{}, "must be a string in base64")
		}
		return true
	case t.Kind() == reflect.Slice:
		items, ok := value.([]any)
		if !ok {
			return p.refuse(path, typeName(value), "must be a list")
		}
		for i, item := range items {
			if !p.Check(item, t.Elem(), path.Index(i)) {
				items[i] = nil
			}
		}
		return true
	case t.Kind() == reflect.Map:
		fields, ok := value.(map[string]any)
		if !ok {
			return p.refuse(path, typeName(value), "must be an object")
		}
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			if !p.Check(fields[key], t.Elem(), path.Key(key)) {
				fields[key] = nil
			}
		}
		return true
	default:
		return p.checkScalar(value, t, path)
	}
}

func (p *Types) checkStruct(value any, t reflect.Type, path *field.Path) bool {
	fields, ok := value.(map[string]any)
	if !ok {
		return p.refuse(path, typeName(value), "must be an object")
	}
	known := jsonFields(t)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		child := field.NewPath(name)
		if path != nil {
			child = path.Child(name)
		}
		fieldType, found := known[name]
		switch {
		case p.Patches && strings.HasPrefix(name, "$"):
		case !found:
			p.Unknown = append(p.Unknown, child.String())
			delete(fields, name)
		case !p.Check(fields[name], fieldType, child):
			fields[name] = nil
		}
	}
	return true
}

func (p *Types) checkScalar(value any, t reflect.Type, path *field.Path) bool {
	ok, want := true, ""
	switch t.Kind() {
	case reflect.String:
		_, ok = value.(string)
		want = "must be a string: write it in quotes"
	case reflect.Bool:
		_, ok = value.(bool)
		want = "must be true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		number, isInt := value.(int64)
		ok = isInt && (t.Kind() != reflect.Int32 || number >= math.MinInt32 && number <= math.MaxInt32)
		want = "must be an integer"
	case reflect.Float64:
		_, isFloat := value.(float64)
		_, isInt := value.(int64)
		ok, want = isFloat || isInt, "must be a number"
	}
	if !ok {
		return p.refuse(path, typeName(value), want)
	}
	return true
}

// checkOpaque asks a type that decodes itself, such as a time or a number or name.
func (p *Types) checkOpaque(value any, t reflect.Type, path *field.Path) bool {
	encoded, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(encoded, reflect.New(t).Interface())
	}
	if err != nil {
		return p.refuse(path, typeName(value), fmt.Sprintf("is no valid %s", t.Name()))
	}
	return true
}

func (p *Types) refuse(path *field.Path, value any, detail string) bool {
	p.Errs = append(p.Errs, field.TypeInvalid(path, value, detail))
	return false
}

// typeName names the type that a value has. The value itself may be large, or a secret.
func typeName(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int64:
		return "integer"
	case float64:
		return "number"
	case []any:
		return "array"
	default:
		return "object"
	}
}

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// isOpaque is whether a type decodes itself.
func isOpaque(t reflect.Type) bool {
	return t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(unmarshaler)
}

// jsonFields returns the fields of a struct as JSON has them, those of inlined structs included.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name != "":
			fields[name] = f.Type
		case strings.Contains(options, "inline") || f.Anonymous:
			maps.Copy(fields, jsonFields(indirect(f.Type)))
		}
	}
	return fields
}
