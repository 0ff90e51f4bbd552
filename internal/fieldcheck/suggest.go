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

package fieldcheck

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Tree knows which fields there can be below a place of an object.
type Tree interface {
	// names returns the fields of an object, sorted; none for anything else.
	names() []string
	// child returns what is below a field, or nil.
	child(name string) Tree
	// item returns what the items of a list are, or nil.
	item() Tree
}

// TreeOfSchema returns the fields of a CRD's schema.
func TreeOfSchema(root *structuralschema.Structural) Tree {
	return schemaTree{schema: root, root: true}
}

// TreeOfType returns the fields of a Go type, as JSON has them.
func TreeOfType(t reflect.Type) Tree { return typeTree{t} }

// schemaTree is the fields of a CRD's schema.
type schemaTree struct {
	schema *structuralschema.Structural
	root   bool
}

func (t schemaTree) names() []string { return slices.Sorted(maps.Keys(t.schema.Properties)) }

func (t schemaTree) child(name string) Tree {
	if t.root && name == "metadata" {
		return typeTree{reflect.TypeFor[metav1.ObjectMeta]()}
	}
	if property, found := t.schema.Properties[name]; found {
		return schemaTree{schema: &property}
	}
	if additional := t.schema.AdditionalProperties; additional != nil && additional.Structural != nil {
		return schemaTree{schema: additional.Structural}
	}
	return nil
}

func (t schemaTree) item() Tree {
	if t.schema.Items == nil {
		return nil
	}
	return schemaTree{schema: t.schema.Items}
}

// typeTree is the fields of a Go type, as JSON has them.
type typeTree struct {
	reflect.Type
}

func (t typeTree) names() []string {
	if t.Kind() != reflect.Struct || isOpaque(t.Type) {
		return nil
	}
	return slices.Sorted(maps.Keys(jsonFields(t.Type)))
}

func (t typeTree) child(name string) Tree {
	switch t.Kind() {
	case reflect.Struct:
		if field, found := jsonFields(t.Type)[name]; found && !isOpaque(t.Type) {
			return typeTree{indirect(field)}
		}
	case reflect.Map:
		return typeTree{indirect(t.Elem())}
	}
	return nil
}

func (t typeTree) item() Tree {
	if t.Kind() != reflect.Slice {
		return nil
	}
	return typeTree{indirect(t.Elem())}
}

// descend follows a field path as far as the tree goes.
func descend(tree Tree, path string) Tree {
	for tree != nil && path != "" {
		if path[0] == '[' {
			_, rest, _ := strings.Cut(path, "]")
			tree, path = tree.item(), rest
			continue
		}
		path = strings.TrimPrefix(path, ".")
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		tree, path = tree.child(path[:end]), path[end:]
	}
	return tree
}

// maxListed is how many fields are listed where none resembles the unknown one.
const maxListed = 16

// UnknownField returns what to say about a field that there is not, and the path of the field that was probably meant.
func UnknownField(root Tree, path string) (message, meant string) {
	message = fmt.Sprintf("unknown field %q", path)
	parentPath, name := "", path
	if dot := strings.LastIndexByte(path, '.'); dot >= 0 {
		parentPath, name = path[:dot], path[dot+1:]
	}
	parent := descend(root, parentPath)
	if parent == nil {
		return message, ""
	}
	names := parent.names()
	if similar := MostSimilar(name, names); similar != "" {
		return fmt.Sprintf("%s: did you mean %q?", message, similar), ChildPath(parentPath, similar)
	}
	if elsewhere := findElsewhere(root, parent, parentPath, name); elsewhere != "" {
		return fmt.Sprintf("%s: did you mean %q?", message, elsewhere), elsewhere
	}
	if len(names) > 0 && len(names) <= maxListed {
		return fmt.Sprintf("%s: the fields here are %s", message, strings.Join(names, ", ")), ""
	}
	return message, ""
}

// findElsewhere looks for a field of that name one or two levels further down, and then further up: who knows a field
// often misses its place.
func findElsewhere(root, parent Tree, parentPath, name string) string {
	for _, child := range parent.names() {
		if below := parent.child(child); below != nil {
			if slices.Contains(below.names(), name) {
				return ChildPath(ChildPath(parentPath, child), name)
			}
		}
	}
	for _, child := range parent.names() {
		below := parent.child(child)
		if below == nil {
			continue
		}
		for _, grandchild := range below.names() {
			if further := below.child(grandchild); further != nil && slices.Contains(further.names(), name) {
				return ChildPath(ChildPath(ChildPath(parentPath, child), grandchild), name)
			}
		}
	}
	for above := parentPath; above != ""; {
		above = above[:max(strings.LastIndexAny(above, ".["), 0)]
		if tree := descend(root, above); tree != nil && slices.Contains(tree.names(), name) {
			return ChildPath(above, name)
		}
	}
	return ""
}

// MostSimilar returns the name that was probably meant, or "".
func MostSimilar(name string, names []string) string {
	best, bestDistance := "", len(name)
	lower := strings.ToLower(name)
	for _, candidate := range names {
		other := strings.ToLower(candidate)
		limit := max(1, min(len(name), len(candidate))/3)
		distance := editDistance(lower, other)
		// Half a name, or one with something before or after it, is near enough where it is long enough to tell.
		if distance > limit && min(len(lower), len(other)) >= 4 && (strings.Contains(other, lower) || strings.Contains(lower, other)) {
			distance = limit
		}
		if distance <= limit && distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// editDistance is the number of characters to insert, delete, replace or swap with their neighbour to make b of a
// (optimal string alignment).
func editDistance(a, b string) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}

// ChildPath returns the path of a field below another path, which is empty for the object itself.
func ChildPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
