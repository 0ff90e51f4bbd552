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
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Document is one object of a file.
type Document struct {
	// File that it is in.
	File string
	// Kind, Namespace and Name of the object. The namespace is filled in with the default, and empty for kinds that
	// are not in namespaces.
	Kind            schema.GroupVersionKind
	Namespace, Name string
	// Invalid is whether something is wrong with it.
	Invalid bool

	value map[string]any
	node  *yaml.Node
	// shift is what has to be added to a node's line for the line of the file.
	shift int
}

func (d *Document) key() Key {
	return Key{d.Kind.Group, d.Kind.Kind, types.NamespacedName{Namespace: d.Namespace, Name: d.Name}}
}

// Place returns where a field is, or else the innermost object around it that is there.
func (d *Document) Place(field string) Place {
	node := locate(d.node, field)
	return Place{File: d.File, Line: node.Line + d.shift, Column: node.Column}
}

func (d *Document) finding(severity Severity, layer Layer, field, message string) Finding {
	return Finding{
		Place: d.Place(field), Severity: severity, Layer: layer,
		APIVersion: d.Kind.GroupVersion().String(), Kind: d.Kind.Kind, Namespace: d.Namespace, Name: d.Name,
		Field: field, Message: message,
	}
}

// Finding returns a finding about a field of the object; "" is the object as a whole.
func (d *Document) Finding(severity Severity, field, message string) Finding {
	return d.finding(severity, LayerStatus, field, message)
}

// readDocuments returns the objects of a file, those of lists one by one.
func readDocuments(file *File) ([]*Document, []Finding) {
	var documents []*Document
	var findings []Finding
	for _, chunk := range split(file.Data) {
		node, value, line, err := parseChunk(chunk.text)
		if err != nil {
			place := Place{File: file.Name, Line: max(line, 1) + chunk.line - 1, Column: 1}
			findings = append(findings, Finding{Place: place, Severity: Error, Layer: LayerSyntax, Message: err.Error()})
			continue
		}
		if node == nil {
			continue
		}
		d := &Document{File: file.Name, node: node, value: value, shift: chunk.line - 1}
		items, problems := d.unroll()
		documents, findings = append(documents, items...), append(findings, problems...)
		if len(documents) > maxDocuments {
			place := d.Place("")
			return documents[:maxDocuments], append(findings, Finding{
				Place: place, Severity: Error, Layer: LayerSyntax, Message: fmt.Sprintf("more than %d objects in one file", maxDocuments),
			})
		}
	}
	return documents, findings
}

// unroll returns the items of a list, such as kubectl get -o yaml writes, and a document that is no list as it is. Items
// of lists of one kind need not repeat it.
func (d *Document) unroll() ([]*Document, []Finding) {
	kind, _ := d.value["kind"].(string)
	apiVersion, _ := d.value["apiVersion"].(string)
	itemKind, isList := strings.CutSuffix(kind, "List")
	values, hasItems := d.value["items"].([]any)
	if !isList || !hasItems {
		return []*Document{d}, nil
	}
	var documents []*Document
	var findings []Finding
	nodes := itemsOf(lookup(d.node, "items"))
	for i, value := range values {
		fields, ok := value.(map[string]any)
		if !ok || i >= len(nodes) {
			findings = append(findings, d.finding(Error, LayerSyntax, fmt.Sprintf("items[%d]", i),
				fmt.Sprintf("items[%d]: must be an object with apiVersion, kind and metadata", i)))
			continue
		}
		if itemKind != "" {
			setDefault(fields, "apiVersion", apiVersion)
			setDefault(fields, "kind", itemKind)
		}
		item := &Document{File: d.File, node: nodes[i], value: fields, shift: d.shift}
		nested, problems := item.unroll()
		documents, findings = append(documents, nested...), append(findings, problems...)
	}
	return documents, findings
}

func setDefault(fields map[string]any, name, value string) {
	if _, found := fields[name]; !found {
		fields[name] = value
	}
}

// identify reads what the object is called. Without that nothing else can be said about it.
func (p *Parser) identify(set *Set, d *Document) bool {
	apiVersion, versionOK := d.value["apiVersion"].(string)
	kind, kindOK := d.value["kind"].(string)
	d.Kind = schema.FromAPIVersionAndKind(apiVersion, kind)
	if metadata, ok := d.value["metadata"].(map[string]any); ok {
		d.Name, _ = metadata["name"].(string)
		d.Namespace, _ = metadata["namespace"].(string)
	}
	complete := true
	for _, required := range []struct {
		field, value, example string
		ok                    bool
	}{
		{"apiVersion", apiVersion, "gateway.kgateway.dev/v1alpha1", versionOK},
		{"kind", kind, "Backend", kindOK},
	} {
		if !required.ok || required.value == "" {
			complete = false
			set.add(d.finding(Error, LayerDecoding, required.field, fmt.Sprintf(
				"%s: Required value: write what kind of object this is, like %[1]s: %[2]s", required.field, required.example)))
		}
	}
	if _, err := schema.ParseGroupVersion(apiVersion); complete && err != nil {
		complete = false
		set.add(d.finding(Error, LayerDecoding, "apiVersion", fmt.Sprintf(
			"apiVersion: Invalid value: %q: must be <group>/<version>, like gateway.kgateway.dev/v1alpha1", apiVersion)))
	}
	return complete
}

// settle puts the object into the namespace default if its kind is in namespaces and it names none, and into none if its
// kind is not.
func (d *Document) settle(namespaced bool) {
	if !namespaced {
		d.Namespace = ""
		return
	}
	if d.Namespace != "" {
		return
	}
	d.Namespace = metav1.NamespaceDefault
	if d.value["metadata"] == nil {
		d.value["metadata"] = map[string]any{}
	}
	// What is there and is no object or no string is refused by the checks of types.
	if metadata, ok := d.value["metadata"].(map[string]any); ok {
		if namespace := metadata["namespace"]; namespace == nil || namespace == "" {
			metadata["namespace"] = metav1.NamespaceDefault
		}
	}
}
