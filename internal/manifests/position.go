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

package manifests

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamic-mcp/dynamic-mcp/internal/fieldcheck"
)

// locate returns the node to point at for a field path as the API machinery writes it, like spec.targets[0].name or
// metadata.labels[app]: the field's key, a list's item, or else the innermost of them that is there.
func locate(root *yaml.Node, path string) *yaml.Node {
	best, at := root, root
	for path != "" {
		at = dereference(at)
		switch at.Kind {
		case yaml.MappingNode:
			key, value, rest := matchKey(at, path)
			if key == nil {
				return best
			}
			best, at, path = key, value, rest
		case yaml.SequenceNode:
			item, rest := matchItem(at, path)
			if item == nil {
				return best
			}
			best, at, path = item, item, rest
		default:
			return best
		}
	}
	return best
}

// dereference follows an alias to what it stands for.
func dereference(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return node.Alias
	}
	return node
}

// matchKey returns the entry that a path begins with, and the rest of the path. Keys may have dots and brackets
// themselves, so that the path alone does not tell where one ends: the longest key that fits is meant.
func matchKey(mapping *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	name, bracketed := strings.CutPrefix(path, "[")
	if !bracketed {
		name = strings.TrimPrefix(path, ".")
	}
	for _, entry := range entriesOf(mapping) {
		after, found := strings.CutPrefix(name, entry.key.Value)
		if found && bracketed {
			after, found = strings.CutPrefix(after, "]")
		}
		ends := after == "" || after[0] == '.' || after[0] == '['
		if found && ends && (key == nil || len(after) < len(rest)) {
			key, value, rest = entry.key, entry.value, after
		}
	}
	return key, value, rest
}

func matchItem(sequence *yaml.Node, path string) (item *yaml.Node, rest string) {
	text, bracketed := strings.CutPrefix(path, "[")
	number, rest, closed := strings.Cut(text, "]")
	index, err := strconv.Atoi(number)
	if !bracketed || !closed || err != nil || index < 0 || index >= len(sequence.Content) {
		return nil, ""
	}
	return sequence.Content[index], rest
}

// entry is a key of a mapping with its value.
type entry struct {
	key, value *yaml.Node
}

// maxMerges bounds how deep merge keys (<<) are followed.
const maxMerges = 8

// entriesOf returns a mapping's entries, and those that it merges from elsewhere unless it has the key itself.
func entriesOf(mapping *yaml.Node) []entry { return appendEntries(nil, mapping, 0) }

func appendEntries(entries []entry, mapping *yaml.Node, depth int) []entry {
	var merged []*yaml.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], dereference(mapping.Content[i+1])
		switch {
		case key.Tag != "!!merge":
			if !hasKey(entries, key.Value) || depth == 0 {
				entries = append(entries, entry{key, value})
			}
		case value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		default:
			merged = append(merged, value)
		}
	}
	for _, node := range merged {
		if node = dereference(node); node.Kind == yaml.MappingNode && depth < maxMerges {
			entries = appendEntries(entries, node, depth+1)
		}
	}
	return entries
}

func hasKey(entries []entry, name string) bool {
	for _, e := range entries {
		if e.key.Value == name {
			return true
		}
	}
	return false
}

// lookup returns the value of a field of a mapping, or nil.
func lookup(mapping *yaml.Node, name string) *yaml.Node {
	if mapping = dereference(mapping); mapping.Kind != yaml.MappingNode {
		return nil
	}
	for _, e := range entriesOf(mapping) {
		if e.key.Value == name {
			return e.value
		}
	}
	return nil
}

func itemsOf(sequence *yaml.Node) []*yaml.Node {
	if sequence == nil || sequence.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]*yaml.Node, 0, len(sequence.Content))
	for _, item := range sequence.Content {
		items = append(items, dereference(item))
	}
	return items
}

// reportRepeated reports the keys that stand twice in one object. Which of the two values counts is anybody's guess.
func (p *Parser) reportRepeated(set *Set, d *Document) (found bool) {
	var walk func(node *yaml.Node, path string)
	walk = func(node *yaml.Node, path string) {
		switch node.Kind {
		case yaml.MappingNode:
			first := map[string]int{}
			for i := 0; i+1 < len(node.Content); i += 2 {
				key := node.Content[i]
				field := fieldcheck.ChildPath(path, key.Value)
				if line, repeated := first[key.Value]; repeated && key.Tag != "!!merge" {
					found = true
					repeat := d.finding(Error, LayerDecoding, field, fmt.Sprintf(
						"duplicate field %q: line %d has it already", field, line+d.shift))
					repeat.Place = Place{File: d.File, Line: key.Line + d.shift, Column: key.Column}
					set.add(repeat)
					continue
				}
				first[key.Value] = key.Line
				walk(node.Content[i+1], field)
			}
		case yaml.SequenceNode:
			for i, item := range node.Content {
				walk(item, fmt.Sprintf("%s[%d]", path, i))
			}
		}
	}
	walk(d.node, "")
	return found
}
