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

package crdschema

import (
	"io/fs"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/config/crd"
)

func TestEveryEmbeddedCRDCanBeUsed(t *testing.T) {
	g := NewWithT(t)
	r, err := NewRegistry()
	g.Expect(err).NotTo(HaveOccurred())
	files, err := fs.Glob(crd.Files(), "*/*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	// One of the files is a ValidatingAdmissionPolicy.
	g.Expect(r.definitions).To(HaveLen(len(files) - 1))
	for kind, d := range r.definitions {
		definition, err := d.read()
		g.Expect(err).NotTo(HaveOccurred(), d.file)
		g.Expect(definition.Spec.Names.Kind).To(Equal(kind.Kind), d.file)
		g.Expect(definition.Spec.Group).To(Equal(kind.Group), d.file)
		for _, version := range definition.Spec.Versions {
			s, err := r.Lookup(kind.WithVersion(version.Name))
			if !version.Served {
				g.Expect(err).To(MatchError(ErrNotServed))
				continue
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(s.Kind.Kind).To(Equal(kind.Kind))
			again, err := r.Lookup(kind.WithVersion(version.Name))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again).To(BeIdenticalTo(s), "a schema is compiled once")
		}
	}
}

func TestLookup(t *testing.T) {
	g := NewWithT(t)
	r, err := NewRegistry()
	g.Expect(err).NotTo(HaveOccurred())

	s, err := r.Lookup(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s).To(BeNil())

	_, err = r.Lookup(schema.GroupVersionKind{Group: v1alpha1.GroupVersion.Group, Version: "v1", Kind: "Backend"})
	g.Expect(err).To(MatchError(ContainSubstring("kind Backend: the version is not served: write apiVersion: gateway.kgateway.dev/v1alpha1")))

	s, err = r.Lookup(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "GatewayClass"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Namespaced).To(BeFalse())

	g.Expect(r.HasGroup(v1alpha1.GroupVersion.Group)).To(BeTrue())
	g.Expect(r.HasGroup("apps")).To(BeFalse())
	g.Expect(r.Kinds(v1alpha1.GroupVersion.Group)).To(ContainElement("Backend"))
	g.Expect(r.Groups("HTTPRoute")).To(Equal([]string{"gateway.networking.k8s.io"}))
}

func TestDecodeDoesWhatAnAPIServerDoes(t *testing.T) {
	g := NewWithT(t)
	r, err := NewRegistry()
	g.Expect(err).NotTo(HaveOccurred())
	s, err := r.Lookup(v1alpha1.GroupVersion.WithKind("Backend"))
	g.Expect(err).NotTo(HaveOccurred())

	object := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Backend",
		"metadata": map[string]any{"name": "b", "namespace": "default"},
		"status":   map[string]any{"summary": "1/1"},
		"spec": map[string]any{
			"type": "MCP", "odd": int64(1),
			"mcp": map[string]any{"name": nil, "targets": []any{
				map[string]any{"name": "t", "static": map[string]any{"host": "mcp.example.com", "port": int64(80), "odder": true}},
			}},
		},
	}
	unknown, err := s.Decode(object)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(unknown).To(ConsistOf("spec.odd", "spec.mcp.targets[0].static.odder"))
	g.Expect(object).NotTo(HaveKey("status"))
	g.Expect(object["spec"]).To(Equal(map[string]any{
		"type": "MCP",
		"mcp": map[string]any{"prefixMode": "OnConflict", "failureMode": "FailOpen", "targets": []any{
			map[string]any{"name": "t", "static": map[string]any{"host": "mcp.example.com", "port": int64(80), "protocol": "StreamableHTTP"}},
		}},
	}))
	errs, incomplete := s.Validate(t.Context(), object)
	g.Expect(errs).To(BeEmpty())
	g.Expect(incomplete).To(BeFalse())
}
