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

package resolve

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// index has the inputs in the shape that resolution asks for, built once, so that the work grows with the number of
// objects and not with its square.
type index struct {
	backend *v1alpha1.Backend
	options Options
	// clusterDomain is never empty.
	clusterDomain string
	// services, eldest first.
	services   []*corev1.Service
	namespaces map[string]labels.Set
	slices     map[types.NamespacedName][]*discoveryv1.EndpointSlice
	grants     map[string]grant
	// policies that name a Service, by that Service.
	policies   map[types.NamespacedName][]policyRef
	configMaps map[types.NamespacedName]*corev1.ConfigMap
}

// grant is what the ReferenceGrants of one namespace permit the Backend.
type grant struct {
	all   bool
	names map[string]bool
}

// policyRef is one targetRef of a BackendTLSPolicy.
type policyRef struct {
	policy *gatewayv1.BackendTLSPolicy
	// section is the name of the Service port, or empty for all of them.
	section string
}

func newIndex(in *Inputs) *index {
	ix := &index{
		backend:       in.Backend,
		options:       in.Options,
		clusterDomain: strings.Trim(in.Options.ClusterDomain, "."),
		services:      sortedServices(in.Services),
		namespaces:    make(map[string]labels.Set, len(in.Namespaces)),
		slices:        make(map[types.NamespacedName][]*discoveryv1.EndpointSlice, len(in.Services)),
		grants:        grantsFor(in.Backend.Namespace, in.ReferenceGrants),
		policies:      policiesByService(in.TLSPolicies),
		configMaps:    make(map[types.NamespacedName]*corev1.ConfigMap, len(in.ConfigMaps)),
	}
	if ix.clusterDomain == "" {
		ix.clusterDomain = validate.DefaultClusterDomain
	}
	for i := range in.Namespaces {
		ix.namespaces[in.Namespaces[i].Name] = namespaceLabels(&in.Namespaces[i])
	}
	for i := range in.EndpointSlices {
		s := &in.EndpointSlices[i]
		if service := s.Labels[discoveryv1.LabelServiceName]; service != "" {
			key := types.NamespacedName{Namespace: s.Namespace, Name: service}
			ix.slices[key] = append(ix.slices[key], s)
		}
	}
	for i := range in.ConfigMaps {
		ix.configMaps[keyOf(&in.ConfigMaps[i])] = &in.ConfigMaps[i]
	}
	return ix
}

type named interface {
	GetNamespace() string
	GetName() string
}

func keyOf(o named) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// sortedServices returns the Services by age, then namespace, then name, each once.
func sortedServices(services []corev1.Service) []*corev1.Service {
	sorted := make([]*corev1.Service, len(services))
	for i := range services {
		sorted[i] = &services[i]
	}
	slices.SortFunc(sorted, func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.CompactFunc(sorted, func(a, b *corev1.Service) bool { return keyOf(a) == keyOf(b) })
}

// namespaceLabels adds the label that the API server gives every namespace, for namespaces that come from files.
func namespaceLabels(ns *corev1.Namespace) labels.Set {
	if ns.Labels[corev1.LabelMetadataName] == ns.Name {
		return ns.Labels
	}
	return labels.Merge(ns.Labels, labels.Set{corev1.LabelMetadataName: ns.Name})
}

// grantsFor returns what the ReferenceGrants permit Backends of a namespace, by the namespace of the grant.
func grantsFor(namespace string, grants []gatewayv1.ReferenceGrant) map[string]grant {
	byNamespace := map[string]grant{}
	for i := range grants {
		rg := &grants[i]
		if !slices.ContainsFunc(rg.Spec.From, func(from gatewayv1.ReferenceGrantFrom) bool {
			return string(from.Group) == v1alpha1.GroupVersion.Group && from.Kind == "Backend" &&
				string(from.Namespace) == namespace
		}) {
			continue
		}
		g := byNamespace[rg.Namespace]
		for _, to := range rg.Spec.To {
			switch {
			case to.Group != corev1.GroupName || to.Kind != "Service":
			case to.Name == nil || *to.Name == "":
				g.all = true
			default:
				if g.names == nil {
					g.names = map[string]bool{}
				}
				g.names[string(*to.Name)] = true
			}
		}
		byNamespace[rg.Namespace] = g
	}
	return byNamespace
}

// permitted is whether the Backend may refer to the Service.
func (ix *index) permitted(s *corev1.Service) bool {
	if s.Namespace == ix.backend.Namespace {
		return true
	}
	g := ix.grants[s.Namespace]
	return g.all || g.names[s.Name]
}

// policiesByService returns the references of all policies to Services, in the order of precedence of policies that
// are equally specific: the older, then the alphabetically first.
func policiesByService(policies []gatewayv1.BackendTLSPolicy) map[types.NamespacedName][]policyRef {
	byService := map[types.NamespacedName][]policyRef{}
	for i := range policies {
		p := &policies[i]
		for _, ref := range p.Spec.TargetRefs {
			if ref.Group != corev1.GroupName || ref.Kind != "Service" {
				continue
			}
			key := types.NamespacedName{Namespace: p.Namespace, Name: string(ref.Name)}
			r := policyRef{policy: p}
			if ref.SectionName != nil {
				r.section = string(*ref.SectionName)
			}
			byService[key] = append(byService[key], r)
		}
	}
	for _, refs := range byService {
		slices.SortFunc(refs, func(a, b policyRef) int {
			return cmp.Or(a.policy.CreationTimestamp.Compare(b.policy.CreationTimestamp.Time),
				cmp.Compare(a.policy.Name, b.policy.Name), cmp.Compare(a.section, b.section))
		})
	}
	return byService
}
