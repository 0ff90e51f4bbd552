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

// Member is what SetMembers makes of an object's member.
type Member struct {
	// Key is not escaped.
	Key string
	// Value is raw JSON. Nil removes the member.
	Value []byte
}

// Members calls yield with the spans of the key (with its quotes, to be read with Text) and the value of each member of
// the object at that span, in their order and with duplicates, until yield returns false. If the span is empty, there are
// none. Errors are as of Lookup, but that duplicates are none.
func Members(b []byte, object Span, yield func(key, value Span) bool) error {
	if object.Empty() {
		return nil
	}
	s := scanner{b: b[:object.End]}
	i, err := s.open(object)
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		key, value, next, more := s.member(i, first)
		if !more {
			return s.end(next)
		}
		if !yield(key, value) {
			return nil
		}
		i = next
	}
}

// SetMembers returns the edits, in the order that Splice wants, after which the object at that span has exactly these
// values for these keys, each of which is given once: members are replaced or removed where they are, and new ones follow
// at the end, in the order given. All other bytes stay. Errors are as of Lookup.
//
// The edits of two calls for the same object don't fit together: one call must say everything.
func SetMembers(b []byte, object Span, members ...Member) ([]Edit, error) {
	s := scanner{b: b[:object.End]}
	i, err := s.open(object)
	if err != nil {
		return nil, err
	}
	var keysBuf [8]string
	keys := keysBuf[:0]
	for _, m := range members {
		keys = append(keys, m.Key)
	}
	e := memberEditor{members: members, keys: keys, done: make([]bool, len(members)), end: i, removed: -1}
	for first := true; ; first = false {
		key, value, next, more := s.member(i, first)
		if !more {
			if err := s.end(next); err != nil {
				return nil, err
			}
			return e.finish(), nil
		}
		if err := e.member(&s, key, value); err != nil {
			return nil, err
		}
		i = next
	}
}

// memberEditor does SetMembers's work on one member after the other.
type memberEditor struct {
	members []Member
	keys    []string
	// done says which of the members are in the object already.
	done  []bool
	edits []Edit
	// end is where the last member ended, or, before the first one, just after '{'.
	end int
	// kept is whether a member stays, so that what follows needs its comma.
	kept bool
	// removed is where the first member began if it and all others up to here are removed; else -1.
	removed int
}

func (e *memberEditor) member(s *scanner, key, value Span) error {
	found := s.find(key, e.keys)
	if found >= 0 {
		if e.done[found] {
			return duplicate(e.keys[found])
		}
		e.done[found] = true
	}
	switch {
	case found < 0 || e.members[found].Value != nil:
		if e.removed >= 0 {
			e.edits = append(e.edits, Edit{Span: Span{e.removed, key.Start}})
			e.removed = -1
		}
		if found >= 0 {
			e.edits = append(e.edits, Edit{Span: value, New: e.members[found].Value})
		}
		e.kept = true
	case e.kept:
		// With the comma before it.
		e.edits = append(e.edits, Edit{Span: Span{e.end, value.End}})
	case e.removed < 0:
		e.removed = key.Start
	}
	e.end = value.End
	return nil
}

// finish adds what the object does not have yet.
func (e *memberEditor) finish() []Edit {
	var added []byte
	for i, m := range e.members {
		if e.done[i] || m.Value == nil {
			continue
		}
		if e.kept {
			added = append(added, ',')
		}
		added = append(append(AppendString(added, m.Key), ':'), m.Value...)
		e.kept = true
	}
	at := Span{e.end, e.end}
	if e.removed >= 0 {
		at.Start = e.removed
	}
	if added != nil || !at.Empty() {
		e.edits = append(e.edits, Edit{Span: at, New: added})
	}
	return e.edits
}

// SetMeta returns the edits that SetMembers would for params._meta of a request or notification. Where params or _meta is
// absent and there is something to add, it is added: params at the end of the message, _meta at the beginning of params.
// Errors are as of Lookup.
// https://modelcontextprotocol.io/specification/2026-07-28/basic#meta
func SetMeta(b []byte, m *Message, members ...Member) ([]Edit, error) {
	var meta [1]Span
	if err := Lookup(b, m.Params, []string{"_meta"}, meta[:]); err != nil {
		return nil, err
	}
	if !meta[0].Empty() {
		return SetMembers(b, meta[0], members...)
	}
	empty := memberEditor{members: members, done: make([]bool, len(members)), removed: -1}
	edits := empty.finish()
	if len(edits) == 0 {
		return nil, nil
	}
	added := make([]byte, 0, len(edits[0].New)+len(`,"params":{"_meta":{}}`))
	if m.Params.Empty() {
		added = append(append(append(added, `,"params":{"_meta":{`...), edits[0].New...), "}}"...)
		end := len(b)
		for b[end-1] != '}' { // After the message there is nothing but white space.
			end--
		}
		return append(edits[:0], Edit{Span{end - 1, end - 1}, added}), nil
	}
	added = append(append(append(added, `"_meta":{`...), edits[0].New...), '}')
	start := m.Params.Start + 1
	if b[space(b, start)] != '}' {
		added = append(added, ',')
	}
	return append(edits[:0], Edit{Span{start, start}, added}), nil
}
