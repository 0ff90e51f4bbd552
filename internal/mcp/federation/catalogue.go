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

package federation

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Entry is one entry as clients see it.
type Entry struct {
	// Name is what clients call it.
	Name string
	// Target has it, under the name Own.
	Target config.TargetName
	Own    string
	item   *Item
}

// Hidden is an entry that clients are not shown.
type Hidden struct {
	Target config.TargetName
	Own    string
	Reason string
}

// Catalogue is the one list that several targets make together. It never changes.
type Catalogue struct {
	kind Kind
	// Shown are the entries that clients are shown, in the order of the targets.
	Shown []Entry
	// Hidden are those that they are not.
	Hidden []Hidden

	byName    map[string]Entry    // Shown and held ones, by the name that clients see.
	qualified map[string]Entry    // Every entry, by its qualified name.
	cooling   map[string][]string // Qualified names, by a bare name that nobody may have for now.
}

// Merge makes the catalogue of the listings, which stand in the order of status, eldest first.
//
// A bare name belongs to the eldest that has it. A bare name that equals the qualified name of another entry is never
// used. Cooling says whether a name is to be used by nobody but the target that is passed: its owner has left, and a
// client that knew it must not reach another server by it. Nil stands for no such name.
func Merge(kind Kind, mode config.PrefixMode, listings []Listing, cooling func(name string, target config.TargetName) bool) *Catalogue {
	c := &Catalogue{
		kind: kind, byName: map[string]Entry{}, qualified: map[string]Entry{}, cooling: map[string][]string{},
	}
	for _, l := range listings {
		for i := range l.Items {
			item := &l.Items[i]
			name := kind.Qualified(l.Target, item.Name)
			if _, again := c.qualified[name]; again {
				c.hide(l.Target, item.Name, "the server lists this name twice")
				continue
			}
			c.qualified[name] = Entry{Name: name, Target: l.Target, Own: item.Name, item: item}
		}
	}
	for _, l := range listings {
		for i := range l.Items {
			item := &l.Items[i]
			if entry := c.qualified[kind.Qualified(l.Target, item.Name)]; entry.item == item {
				c.place(mode, entry, l.Held, cooling)
			}
		}
	}
	return c
}

// place decides what an entry is called.
func (c *Catalogue) place(mode config.PrefixMode, entry Entry, held bool, cooling func(string, config.TargetName) bool) {
	bare := entry
	bare.Name = entry.Own
	_, taken := c.byName[bare.Name]
	_, ambiguous := c.qualified[bare.Name]
	switch {
	case mode == config.PrefixAlways:
		c.show(entry, held)
	case cooling != nil && cooling(bare.Name, entry.Target):
		c.cooling[bare.Name] = append(c.cooling[bare.Name], entry.Name)
		c.show(entry, held)
	case ambiguous:
		c.show(entry, held)
	case !taken:
		c.show(bare, held)
	case mode == config.PrefixNever:
		c.hide(entry.Target, entry.Own, "an elder target has this name, and prefixMode is Never")
	default:
		c.show(entry, held)
	}
}

func (c *Catalogue) show(entry Entry, held bool) {
	if (c.kind == Tools || c.kind == Prompts) && len(entry.Name) > MaxNameLength && entry.Name != entry.Own {
		c.hide(entry.Target, entry.Own, "its qualified name is longer than "+strconv.Itoa(MaxNameLength)+" characters")
		return
	}
	c.byName[entry.Name] = entry
	if !held {
		c.Shown = append(c.Shown, entry)
	}
}

func (c *Catalogue) hide(target config.TargetName, own, reason string) {
	c.Hidden = append(c.Hidden, Hidden{Target: target, Own: own, Reason: reason})
}

// Find returns the entry that a client means by a name. Qualified names work in every mode, and win.
func (c *Catalogue) Find(name string) (Entry, bool) {
	if entry, ok := c.qualified[name]; ok {
		return entry, true
	}
	entry, ok := c.byName[name]
	return entry, ok
}

// Bare returns the entries that have their own name, held ones included, in no particular order.
func (c *Catalogue) Bare() []Entry {
	var bare []Entry
	for _, entry := range c.byName {
		if entry.Name == entry.Own {
			bare = append(bare, entry)
		}
	}
	return bare
}

// Cooling returns the qualified names to use instead of a bare name whose owner has left; none if it is not such a name.
func (c *Catalogue) Cooling(name string) []string { return c.cooling[name] }

// NameFor returns what clients call an entry of a target; its own name if the target has no such entry.
func (c *Catalogue) NameFor(target config.TargetName, own string) string {
	qualified := c.kind.Qualified(target, own)
	if _, ok := c.qualified[qualified]; !ok {
		return own
	}
	if entry, ok := c.byName[own]; ok && entry.Target == target && entry.Own == own {
		return own
	}
	return qualified
}

// FindURI returns where a URI that no list has may belong to: the template whose literal beginning is the longest that the
// URI has. The catalogue must be of templates.
func (c *Catalogue) FindURI(uri string) (Entry, bool) {
	var best Entry
	length := -1
	for _, shown := range c.Shown {
		for _, candidate := range [...]Entry{shown, c.qualified[c.kind.Qualified(shown.Target, shown.Own)]} {
			literal, _, isTemplate := strings.Cut(candidate.Name, "{")
			if isTemplate && len(literal) > length && strings.HasPrefix(uri, literal) {
				best, length = candidate, len(literal)
			}
		}
	}
	if length < 0 {
		return Entry{}, false
	}
	prefix := strings.TrimSuffix(best.Name, best.Own)
	return Entry{Name: uri, Target: best.Target, Own: strings.TrimPrefix(uri, prefix)}, true
}

// Fingerprint tells catalogues with other names, or in another order, from this one.
func (c *Catalogue) Fingerprint() uint64 {
	h := fnv.New64a()
	var length [8]byte
	for i := range c.Shown {
		binary.BigEndian.PutUint64(length[:], uint64(len(c.Shown[i].Name)))
		_, _ = h.Write(length[:])
		_, _ = h.Write([]byte(c.Shown[i].Name))
	}
	return h.Sum64()
}

// AppendPage appends the result of a list that has the entries from one index on, as many as fit into that many bytes, but
// at least one. It returns the index of the first entry that is left; len(c.Shown) if none is. The names are spliced in;
// all else in an entry is as its server sent it. The cursor for what is left is made by the caller.
func (c *Catalogue) AppendPage(dst []byte, from, size int, cursor func(next int) string) ([]byte, int) {
	begin := len(dst)
	dst = append(dst, `{"`...)
	dst = append(dst, c.kind.Member()...)
	dst = append(dst, `":[`...)
	next := from
	for ; next < len(c.Shown); next++ {
		entry := &c.Shown[next]
		if next > from && len(dst)-begin+len(entry.item.raw) > size {
			break
		}
		if next > from {
			dst = append(dst, ',')
		}
		if entry.Name == entry.Own {
			dst = append(dst, entry.item.raw...)
			continue
		}
		name := jsonrpc.AppendString(nil, entry.Name)
		dst = jsonrpc.Splice(dst, entry.item.raw, jsonrpc.Edit{Span: entry.item.name, New: name})
	}
	dst = append(dst, ']')
	if next < len(c.Shown) {
		dst = append(dst, `,"nextCursor":`...)
		dst = jsonrpc.AppendString(dst, cursor(next))
	}
	return append(dst, '}'), next
}
