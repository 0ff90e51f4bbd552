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

// Package federation makes one list out of the lists of several targets, and decides under which name each entry is
// known. It is pure: what it is given it does not change, and nothing else plays a part.
package federation

import (
	"errors"
	"fmt"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Kind is one of the lists that servers have.
type Kind uint8

const (
	// Tools are listed by tools/list.
	Tools Kind = iota
	// Prompts are listed by prompts/list.
	Prompts
	// Resources are listed by resources/list.
	Resources
	// Templates are listed by resources/templates/list.
	Templates
	// Kinds is how many there are.
	Kinds
)

// kinds has what is particular to each list.
var kinds = [Kinds]struct{ method, member, name, separator string }{
	Tools:     {"tools/list", "tools", "name", "_"},
	Prompts:   {"prompts/list", "prompts", "name", "_"},
	Resources: {"resources/list", "resources", "uri", "+"},
	Templates: {"resources/templates/list", "resourceTemplates", "uriTemplate", "+"},
}

// KindOfList returns the kind that a method lists.
func KindOfList(method string) (Kind, bool) {
	for kind := range Kinds {
		if kinds[kind].method == method {
			return kind, true
		}
	}
	return 0, false
}

// Method returns the method that lists the kind.
func (k Kind) Method() string { return kinds[k].method }

// Member returns the member of a list's result that has the entries.
func (k Kind) Member() string { return kinds[k].member }

// MaxNameLength is how long a tool's or a prompt's name may be.
// https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names
const MaxNameLength = 128

// Qualified returns the name that an entry of a target has in every mode.
func (k Kind) Qualified(target config.TargetName, own string) string {
	return string(target) + kinds[k].separator + own
}

// Item is one entry of a target's list.
type Item struct {
	// Name is the entry's own: a tool's or prompt's name, a resource's URI, a template's URI template.
	Name string
	// raw is the entry's JSON as the server sent it, and name where the name stands in it.
	raw  []byte
	name jsonrpc.Span
}

// Raw returns the entry's JSON as the server sent it; it must not be changed.
func (i *Item) Raw() []byte { return i.raw }

// Listing is the whole list of one target.
type Listing struct {
	Target config.TargetName
	Items  []Item
	// Held means that the target does not answer: its entries are not shown, but their names stay its own.
	Held bool
}

// Size returns about how many bytes the listing holds.
func (l *Listing) Size() int {
	size := 0
	for i := range l.Items {
		size += len(l.Items[i].raw) + len(l.Items[i].Name)
	}
	return size
}

// errNoList is for a result that has no list.
var errNoList = errors.New("the result has no list")

// ParsePage returns the entries of one page, which is the result of a list, and the cursor of the next page as raw JSON,
// empty if it is the last. The entries share the result's memory. An entry without a name is left out.
func ParsePage(kind Kind, result []byte) (items []Item, cursor []byte, err error) {
	var fields [2]jsonrpc.Span
	keys := []string{kinds[kind].member, "nextCursor"}
	if err := jsonrpc.Lookup(result, jsonrpc.Span{End: len(result)}, keys, fields[:]); err != nil {
		return nil, nil, err
	}
	if fields[0].Empty() {
		return nil, nil, errNoList
	}
	err = jsonrpc.Elements(result, fields[0], func(element jsonrpc.Span) bool {
		raw := element.Of(result)
		var name [1]jsonrpc.Span
		if jsonrpc.Lookup(raw, jsonrpc.Span{End: len(raw)}, []string{kinds[kind].name}, name[:]) != nil || name[0].Empty() {
			return true
		}
		if text, ok := jsonrpc.Text(raw, name[0]); ok {
			items = append(items, Item{Name: text, raw: raw, name: name[0]})
		}
		return true
	})
	if err != nil {
		return nil, nil, fmt.Errorf("member %q: %w", kinds[kind].member, err)
	}
	if cursor = fields[1].Of(result); string(cursor) == "null" {
		cursor = nil
	}
	return items, cursor, nil
}
