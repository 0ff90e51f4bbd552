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
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/crdschema"
	"github.com/dynamic-mcp/dynamic-mcp/internal/fieldcheck"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// admitCustom checks an object of a kind that has a CRD. Where one layer refuses a field, later layers' words about the
// same field are left out; apart from that all layers are asked, so that a file has to be corrected only once.
func (p *Parser) admitCustom(set *Set, d *Document, s *crdschema.Schema) {
	d.settle(s.Namespaced)
	r := &report{set: set, document: d, root: fieldcheck.TreeOfSchema(s.Root())}
	r.metadata()
	unknown, err := s.Decode(d.value)
	r.unknown(unknown)
	if err != nil {
		r.add(Error, LayerDecoding, "", err.Error())
		set.keep(d)
		return
	}
	if s.Deprecation != "" {
		r.add(Warning, LayerSchema, "apiVersion", s.Deprecation)
	}
	r.requireName()
	errs, incomplete := s.Validate(context.Background(), d.value)
	r.errors(LayerSchema, errs)
	if incomplete {
		r.add(Note, LayerSchema, "", "some rules can't be checked before the errors are corrected")
	}
	if !set.keep(d) || !set.store(d) {
		return
	}
	errs, warnings := p.webhook(set, d)
	r.errors(LayerWebhook, errs)
	for _, warning := range warnings {
		path, _, _ := strings.Cut(warning, ": ")
		r.add(Warning, LayerWebhook, path, warning)
	}
}

// webhook returns what the webhook of a kind says of the object that was stored last.
func (p *Parser) webhook(set *Set, d *Document) (field.ErrorList, []string) {
	switch d.Kind.GroupKind() {
	case v1alpha1.GroupVersion.WithKind(v1alpha1.KindBackend).GroupKind():
		backend := &set.Backends[len(set.Backends)-1]
		return validate.Backend(backend, p.options.validation()), validate.BackendWarnings(backend, p.options.validation())
	case v1alpha1.GroupVersion.WithKind(v1alpha1.KindGatewayParameters).GroupKind():
		parameters := &set.GatewayParameters[len(set.GatewayParameters)-1]
		return validate.GatewayParameters(parameters), validate.GatewayParametersWarnings(parameters)
	default:
		return nil, nil
	}
}

// admitCore checks an object of a built-in kind: strictly as far as decoding goes, and then for what is most often
// wrong. The API server has more rules for these kinds than are repeated here.
func (p *Parser) admitCore(set *Set, d *Document, kind *coreKind) {
	d.settle(kind.namespaced)
	r := &report{set: set, document: d, root: fieldcheck.TreeOfType(kind.goType)}
	types := fieldcheck.Types{}
	types.Check(d.value, kind.goType, nil)
	r.unknown(types.Unknown)
	r.errors(LayerDecoding, types.Errs)
	r.requireName()
	if !set.keep(d) || !set.store(d) {
		return
	}
	r.errors(LayerSchema, kind.validate(set, d, p.options))
	for _, warning := range kind.warnings(set, d) {
		path, _, _ := strings.Cut(warning, ": ")
		r.add(Warning, LayerSchema, path, warning)
	}
}

// passOver says what becomes of an object of any other kind.
func (p *Parser) passOver(set *Set, d *Document) {
	group := d.Kind.Group
	switch {
	case p.schemas.HasGroup(group):
		message := fmt.Sprintf("kind: Unsupported value: %q: API group %s has the kinds %s", d.Kind.Kind, group,
			strings.Join(p.schemas.Kinds(group), ", "))
		if similar := fieldcheck.MostSimilar(d.Kind.Kind, p.schemas.Kinds(group)); similar != "" {
			message = fmt.Sprintf("kind: Unsupported value: %q: did you mean %q?", d.Kind.Kind, similar)
		}
		set.add(d.finding(Error, LayerDecoding, "kind", message))
	case clientgoscheme.Scheme.IsGroupRegistered(group) && !clientgoscheme.Scheme.Recognizes(d.Kind):
		message := fmt.Sprintf("kind: Unsupported value: %q: there is no such kind in %s", d.Kind.Kind, d.Kind.GroupVersion())
		var kinds []string
		for kind := range coreKinds {
			kinds = append(kinds, kind.Kind)
		}
		slices.Sort(kinds)
		if similar := fieldcheck.MostSimilar(d.Kind.Kind, kinds); similar != "" {
			message += fmt.Sprintf(": did you mean %q, apiVersion: %s?", similar, coreVersion(similar))
		}
		set.add(d.finding(Error, LayerDecoding, "kind", message))
	default:
		message := fmt.Sprintf("ignored: objects of kind %s (%s) are not looked at here", d.Kind.Kind, d.Kind.GroupVersion())
		if groups := p.schemas.Groups(d.Kind.Kind); len(groups) > 0 {
			message += fmt.Sprintf("; a %s of API group %s would be", d.Kind.Kind, groups[0])
		}
		set.add(d.finding(Note, LayerDecoding, "apiVersion", message))
		set.Ignored++
		return
	}
	d.Invalid = true
}

// report collects the findings about one document.
type report struct {
	set      *Set
	document *Document
	root     fieldcheck.Tree
	// refused are the fields that there is an error about, by the layer that has it.
	refused map[string]Layer
	// misspelt are the fields that unknown ones were probably meant to be. It is of no use to say that they are missing.
	misspelt map[string]bool
}

func (r *report) add(severity Severity, layer Layer, field, message string) {
	if severity == Error {
		r.document.Invalid = true
		if r.refused == nil {
			r.refused = map[string]Layer{}
		}
		if _, found := r.refused[field]; !found {
			r.refused[field] = layer
		}
	}
	r.set.add(r.document.finding(severity, layer, field, message))
}

// errors reports the errors of a layer, but nothing about fields that an earlier layer refuses, or refuses to look into.
func (r *report) errors(layer Layer, errs field.ErrorList) {
	for _, err := range errs {
		missing := err.Type == field.ErrorTypeRequired && r.misspelt[err.Field]
		if !missing && !r.refusedBefore(layer, err.Field) {
			r.add(Error, layer, err.Field, err.Error())
		}
	}
}

func (r *report) refusedBefore(layer Layer, field string) bool {
	for {
		if by, refused := r.refused[field]; refused && by != layer {
			return true
		}
		end := strings.LastIndexAny(field, ".[")
		if end < 0 {
			return false
		}
		field = field[:end]
	}
}

// unknown reports unknown fields.
func (r *report) unknown(paths []string) {
	for _, path := range paths {
		message, meant := fieldcheck.UnknownField(r.root, path)
		r.add(Error, LayerDecoding, path, message)
		if r.misspelt == nil {
			r.misspelt = map[string]bool{}
		}
		if meant != "" {
			r.misspelt[meant] = true
			// Where one of several fields is required, it is the object with them that lacks one.
			r.misspelt[meant[:max(strings.LastIndexByte(meant, '.'), 0)]] = true
		}
	}
}

// metadata checks the object's metadata, of which the schemas of CRDs say nothing.
func (r *report) metadata() {
	types := fieldcheck.Types{}
	if !types.Check(r.document.value["metadata"], reflect.TypeFor[metav1.ObjectMeta](), field.NewPath("metadata")) {
		r.document.value["metadata"] = map[string]any{}
	}
	r.unknown(types.Unknown)
	r.errors(LayerDecoding, types.Errs)
}

// requireName refuses generated names: what is applied from files needs a name to be found by again.
func (r *report) requireName() {
	metadata, _ := r.document.value["metadata"].(map[string]any)
	if generate, _ := metadata["generateName"].(string); generate != "" && r.document.Name == "" {
		r.add(Error, LayerDecoding, "metadata.name",
			"metadata.name: Required value: generateName works with `kubectl create` only: write a name")
	}
}

// decodeInto makes a typed object of a value that was checked.
func decodeInto(value map[string]any, into any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(encoded, into)
}
