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

// Package crdschema applies the schemas of the embedded CRDs as an API server does when an object is created: unknown
// fields, defaults, OpenAPI validation, list types, metadata and CEL rules, by the API server's own libraries. It is
// what makes the answers without a cluster those of a cluster.
package crdschema

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/config/crd"
)

// Registry has the schemas of all embedded CRDs. Reading and compiling one takes up to some hundreds of milliseconds,
// so that each is read when it is first asked for, and then kept. A Registry is safe for concurrent use.
type Registry struct {
	definitions map[schema.GroupKind]*definition
}

// definition is one CRD.
type definition struct {
	file string
	read func() (*apiextensionsv1.CustomResourceDefinition, error)

	mu       sync.Mutex
	versions map[string]*Schema
}

// The generators of CRDs write these lines with this indentation, so that what a file is about can be told without
// parsing all of it.
var (
	kindLine  = regexp.MustCompile(`(?m)^    kind: (\w+)$`)
	groupLine = regexp.MustCompile(`(?m)^  group: ([\w.-]+)$`)
	crdLine   = regexp.MustCompile(`(?m)^kind: CustomResourceDefinition$`)
)

// NewRegistry returns the schemas of the embedded CRDs.
func NewRegistry() (*Registry, error) {
	r := &Registry{definitions: map[schema.GroupKind]*definition{}}
	err := fs.WalkDir(crd.Files(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(crd.Files(), path)
		if err != nil || !crdLine.Match(content) {
			return err
		}
		kind, group := kindLine.FindSubmatch(content), groupLine.FindSubmatch(content)
		if kind == nil || group == nil {
			return fmt.Errorf("%s: the group and the kind of the CustomResourceDefinition can't be found", path)
		}
		r.definitions[schema.GroupKind{Group: string(group[1]), Kind: string(kind[1])}] = &definition{
			file: path, read: sync.OnceValues(func() (*apiextensionsv1.CustomResourceDefinition, error) { return parseCRD(content) }),
			versions: map[string]*Schema{},
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the embedded CRDs: %w", err)
	}
	return r, nil
}

func parseCRD(content []byte) (*apiextensionsv1.CustomResourceDefinition, error) {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(content, definition); err != nil {
		return nil, err
	}
	return definition, nil
}

// HasGroup returns whether there are CRDs of an API group.
func (r *Registry) HasGroup(group string) bool {
	for kind := range r.definitions {
		if kind.Group == group {
			return true
		}
	}
	return false
}

// Kinds returns the kinds of an API group, sorted.
func (r *Registry) Kinds(group string) []string {
	var kinds []string
	for kind := range r.definitions {
		if kind.Group == group {
			kinds = append(kinds, kind.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Groups returns the API groups that have a kind of that name, sorted.
func (r *Registry) Groups(kind string) []string {
	var groups []string
	for known := range r.definitions {
		if known.Kind == kind {
			groups = append(groups, known.Group)
		}
	}
	slices.Sort(groups)
	return groups
}

// ErrNotServed is the error of Lookup for a version of a known kind that an API server would not serve.
var ErrNotServed = errors.New("the version is not served")

// Lookup returns the schema of a kind, and nil for a kind that has none here.
func (r *Registry) Lookup(kind schema.GroupVersionKind) (*Schema, error) {
	d := r.definitions[kind.GroupKind()]
	if d == nil {
		return nil, nil //nolint:nilnil // no schema is an answer, not a failure
	}
	definition, err := d.read()
	if err != nil {
		return nil, fmt.Errorf("embedded CRD %s: %w", d.file, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.versions[kind.Version]; s != nil {
		return s, nil
	}
	var served []string
	for i := range definition.Spec.Versions {
		version := &definition.Spec.Versions[i]
		if !version.Served {
			continue
		}
		served = append(served, kind.Group+"/"+version.Name)
		if version.Name != kind.Version {
			continue
		}
		s, err := compile(kind, definition, version)
		if err != nil {
			return nil, fmt.Errorf("embedded CRD %s, version %s: %w", d.file, version.Name, err)
		}
		d.versions[kind.Version] = s
		return s, nil
	}
	return nil, fmt.Errorf("kind %s: %w: write apiVersion: %s", kind.Kind, ErrNotServed, strings.Join(served, " or "))
}
