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

// Lookup finds the values of the keys that the object at that span has, and sets values[i] to where the value of keys[i]
// is, or to the zero span if the object has no such key. Keys are compared after unescaping. If the object span is empty,
// all values are absent. Around the object there may be white space, so that the span can be all of b.
//
// Errors are of type *Error: CodeInvalidRequest if one of the keys occurs twice, CodeInvalidParams if there is something
// else than an object, CodeParse if it is not JSON. Then no value is set. There must be as many values as keys.
func Lookup(b []byte, object Span, keys []string, values []Span) error {
	values = values[:len(keys)]
	clear(values)
	if object.Empty() {
		return nil
	}
	s := scanner{b: b[:object.End]}
	i, err := s.open(object)
	if err == nil {
		err = s.lookup(i, keys, values)
	}
	if err != nil {
		clear(values)
	}
	return err
}

// open returns the index of the first byte after the '{' of the object at that span.
func (s *scanner) open(object Span) (int, error) {
	i := space(s.b, object.Start)
	if i >= len(s.b) || s.b[i] != '{' {
		return 0, &Error{Code: CodeInvalidParams, Message: "Invalid params: expected an object"}
	}
	return i + 1, nil
}

// end returns what is wrong with an object after whose '}' i is, or that was left with -1, and with what follows it.
func (s *scanner) end(i int) error {
	if i >= 0 {
		if i = space(s.b, i); i != len(s.b) {
			s.fail(i, "only white space may follow the object")
		}
	}
	if s.err != nil {
		return s.err
	}
	return nil
}

// duplicate is the error for a key that is read and occurs twice.
func duplicate(key string) error {
	return &Error{Code: CodeInvalidRequest, Message: "Invalid request: the key " +
		string(AppendString(nil, key)) + " occurs twice in one object"}
}

// lookup does Lookup's work on the object whose first byte after '{' is at i.
func (s *scanner) lookup(i int, keys []string, values []Span) error {
	for first := true; ; first = false {
		key, value, next, more := s.member(i, first)
		if !more {
			return s.end(next)
		}
		i = next
		found := s.find(key, keys)
		if found < 0 {
			continue
		}
		if !values[found].Empty() {
			return duplicate(keys[found])
		}
		values[found] = value
	}
}

// find returns the index of the key at that span among keys, or -1.
func (s *scanner) find(key Span, keys []string) int {
	name := s.b[key.Start+1 : key.End-1]
	var buf [64]byte
	if !isPlain(name) {
		name = appendUnquoted(buf[:0], name)
	}
	for i, k := range keys {
		if string(name) == k {
			return i
		}
	}
	return -1
}
