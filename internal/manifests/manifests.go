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

// Package manifests reads Kubernetes objects from YAML and JSON files as strictly as `kubectl apply` hands them to an
// API server, and checks them as the API server and the webhooks would: unknown and repeated fields, types, defaults,
// schemas with their CEL rules, and the rules of internal/validate. Every finding says where in which file it is.
package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dynamic-mcp/dynamic-mcp/internal/crdschema"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// Options say how strict checks are where clusters differ.
type Options struct {
	// AllowLoopback permits loopback addresses, as static hosts and in EndpointSlices. No API server permits the
	// latter; where the proxy runs on the user's own machine they are what is meant.
	AllowLoopback bool
	// ClusterDomain is the DNS domain of the cluster's Services. Default: validate.DefaultClusterDomain.
	ClusterDomain string
}

func (o Options) validation() validate.Options {
	return validate.Options{AllowLoopback: o.AllowLoopback, ClusterDomain: o.ClusterDomain}
}

// Parser makes objects of files. It keeps compiled schemas, so that parsing again is fast. It is not safe for
// concurrent use.
type Parser struct {
	schemas *crdschema.Registry
	options Options
}

// NewParser returns a Parser.
func NewParser(o Options) (*Parser, error) {
	schemas, err := crdschema.NewRegistry()
	if err != nil {
		return nil, err
	}
	return &Parser{schemas: schemas, options: o}, nil
}

// Parse returns the objects of the files and everything that was found about them, in the order of the files. Objects
// with errors are in the set as well, as far as they can be made sense of, so that references to them don't dangle.
func (p *Parser) Parse(files []File) (*Set, []Finding) {
	set := newSet()
	for i := range files {
		documents, findings := readDocuments(&files[i])
		set.add(findings...)
		for _, document := range documents {
			p.admit(set, document)
		}
	}
	return set, set.findings
}

// admit does with a document what the API server does with the object of a request.
func (p *Parser) admit(set *Set, d *Document) {
	identified := p.identify(set, d)
	d.Invalid = p.reportRepeated(set, d)
	if !identified {
		return
	}
	schema, err := p.schemas.Lookup(d.Kind)
	switch {
	case err != nil:
		set.add(d.finding(Error, LayerDecoding, "apiVersion", fmt.Sprintf("apiVersion: Invalid value: %q: %v", d.Kind.GroupVersion(), err)))
		d.Invalid = true
	case schema != nil:
		p.admitCustom(set, d, schema)
	case coreKinds[d.Kind] != nil:
		p.admitCore(set, d, coreKinds[d.Kind])
	default:
		p.passOver(set, d)
	}
}

// keep puts the object of a document into the set, unless another document has it already.
func (s *Set) keep(d *Document) bool {
	if first := s.byKey[d.key()]; first != nil && d.Name != "" {
		s.add(d.finding(Error, LayerDecoding, "metadata.name", fmt.Sprintf(
			"metadata.name: Duplicate value: %q: %s has a %s of this name already: remove one of the two, or rename it",
			d.Name, first.Place("metadata.name"), d.Kind.Kind)))
		d.Invalid = true
		return false
	}
	s.byKey[d.key()] = d
	s.Documents = append(s.Documents, d)
	return true
}

// Key identifies an object among all kinds. Versions of a kind are the same objects.
type Key struct {
	Group, Kind string
	types.NamespacedName
}
