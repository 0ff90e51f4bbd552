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
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// Set is the objects of some files. They have what an API server would have given them: the namespace "default" where
// they name none, UIDs, which depend on kind, namespace and name alone, and creation times in the order of the
// documents. Statuses are dropped, as on every creation.
type Set struct {
	GatewayClasses    []gatewayv1.GatewayClass
	Gateways          []gatewayv1.Gateway
	HTTPRoutes        []gatewayv1.HTTPRoute
	ReferenceGrants   []gatewayv1.ReferenceGrant
	TLSPolicies       []gatewayv1.BackendTLSPolicy
	Backends          []v1alpha1.Backend
	GatewayParameters []v1alpha1.GatewayParameters
	Services          []corev1.Service
	EndpointSlices    []discoveryv1.EndpointSlice
	ConfigMaps        []corev1.ConfigMap
	Secrets           []corev1.Secret
	// Namespaces are those of the files, and one for each namespace that another object is in.
	Namespaces []corev1.Namespace
	// Documents are all the objects, in order, those of kinds that have no list here included.
	Documents []*Document
	// Ignored is the number of objects of kinds that are not looked at.
	Ignored int

	byKey    map[Key]*Document
	findings []Finding
}

func newSet() *Set { return &Set{byKey: map[Key]*Document{}} }

func (s *Set) add(findings ...Finding) { s.findings = append(s.findings, findings...) }

// Find returns the document of an object, or nil if there is none.
func (s *Set) Find(group, kind, namespace, name string) *Document {
	return s.byKey[Key{group, kind, types.NamespacedName{Namespace: namespace, Name: name}}]
}

// AnyInvalid is whether an object of a kind has errors. What is said about all objects of the kind may then be wrong.
func (s *Set) AnyInvalid(group, kind string) bool {
	return slices.ContainsFunc(s.Documents, func(d *Document) bool {
		return d.Invalid && d.Kind.Group == group && d.Kind.Kind == kind
	})
}

// epoch is the creation time of the first document. All that counts is the order.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// store decodes the object of a document into the list of its kind. It returns false if it can't be decoded, which the
// checks before have reported.
func (s *Set) store(d *Document) bool {
	var err error
	switch d.Kind.Kind {
	case "GatewayClass":
		s.GatewayClasses, err = appended(s, s.GatewayClasses, d)
	case "Gateway":
		s.Gateways, err = appended(s, s.Gateways, d)
	case "HTTPRoute":
		s.HTTPRoutes, err = appended(s, s.HTTPRoutes, d)
	case "ReferenceGrant":
		s.ReferenceGrants, err = appended(s, s.ReferenceGrants, d)
	case "BackendTLSPolicy":
		s.TLSPolicies, err = appended(s, s.TLSPolicies, d)
	case v1alpha1.KindBackend:
		s.Backends, err = appended(s, s.Backends, d)
	case v1alpha1.KindGatewayParameters:
		s.GatewayParameters, err = appended(s, s.GatewayParameters, d)
	case "Service":
		s.Services, err = appended(s, s.Services, d)
	case "EndpointSlice":
		s.EndpointSlices, err = appended(s, s.EndpointSlices, d)
	case "Namespace":
		var decoded []corev1.Namespace
		if decoded, err = appended(s, decoded, d); err == nil {
			s.storeNamespace(&decoded[0])
		}
	case "ConfigMap":
		s.ConfigMaps, err = appended(s, s.ConfigMaps, d)
	case "Secret":
		s.Secrets, err = appended(s, s.Secrets, d)
	}
	if d.Namespace != "" {
		s.ensureNamespace(d.Namespace)
	}
	return err == nil
}

// object is a pointer to an object of a type.
type object[T any] interface {
	*T
	metav1.Object
}

func appended[T any, P object[T]](s *Set, list []T, d *Document) ([]T, error) {
	var decoded T
	if err := decodeInto(d.value, &decoded); err != nil {
		return list, fmt.Errorf("decode: %w", err)
	}
	o := P(&decoded)
	o.SetUID(uidOf(d.key()))
	o.SetCreationTimestamp(metav1.Time{Time: epoch.Add(time.Duration(len(s.Documents)) * time.Second)})
	o.SetGeneration(1)
	return append(list, decoded), nil
}

// uidOf returns a UID that an object has in every process that reads it, so that sessions outlive restarts and are
// shared by processes that read the same files.
func uidOf(key Key) types.UID {
	sum := sha256.Sum256([]byte(strings.Join([]string{key.Group, key.Kind, key.Namespace, key.Name}, "\x00")))
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}

// storeNamespace adds a namespace of a file, or puts it in the place of one that was only assumed.
func (s *Set) storeNamespace(namespace *corev1.Namespace) {
	if namespace.Labels == nil {
		namespace.Labels = map[string]string{}
	}
	namespace.Labels[corev1.LabelMetadataName] = namespace.Name
	i := slices.IndexFunc(s.Namespaces, func(n corev1.Namespace) bool { return n.Name == namespace.Name })
	if i >= 0 {
		s.Namespaces[i] = *namespace
		return
	}
	s.Namespaces = append(s.Namespaces, *namespace)
}

// ensureNamespace assumes a namespace that an object is in. It has the label that an API server gives every namespace.
func (s *Set) ensureNamespace(name string) {
	if slices.ContainsFunc(s.Namespaces, func(n corev1.Namespace) bool { return n.Name == name }) {
		return
	}
	s.Namespaces = append(s.Namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{corev1.LabelMetadataName: name},
	}})
}

// SortFindings sorts by file, in the order in which the files were read, then by line and column.
func SortFindings(findings []Finding, files []File) {
	order := make(map[string]int, len(files))
	for i := range files {
		order[files[i].Name] = i
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
