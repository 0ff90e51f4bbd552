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

package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
)

// readOnly spares a copy of every object that is listed: a Backend may select a thousand Services. What is gathered
// goes to pure functions, which change nothing.
const readOnly = client.UnsafeDisableDeepCopy

// gather reads from the cache everything that a Backend's resolution depends on, and nothing else: Services that its
// selectors match, and the objects that belong to those.
func (r *BackendReconciler) gather(ctx context.Context, backend *v1alpha1.Backend) (resolve.Inputs, error) {
	in := resolve.Inputs{Backend: backend, Options: r.Options}
	for _, phase := range []struct {
		reads string
		read  func(context.Context, *resolve.Inputs) error
	}{
		{"namespaces", r.gatherNamespaces},
		{"services", r.gatherServices},
		{"endpoint slices", r.gatherEndpointSlices},
		{"reference grants", r.gatherReferenceGrants},
		{"backend TLS policies", r.gatherTLSPolicies},
		{"config maps", r.gatherConfigMaps},
	} {
		if err := phase.read(ctx, &in); err != nil {
			return resolve.Inputs{}, fmt.Errorf("read %s: %w", phase.reads, err)
		}
	}
	return in, nil
}

// gatherNamespaces reads the namespaces' labels only where a selector looks at them.
func (r *BackendReconciler) gatherNamespaces(ctx context.Context, in *resolve.Inputs) error {
	for _, selector := range selectorsOf(in.Backend) {
		if source, ok := newSource(in.Backend, selector); ok && source.byLabels() {
			var namespaces corev1.NamespaceList
			if err := r.List(ctx, &namespaces, readOnly); err != nil {
				return err
			}
			in.Namespaces = namespaces.Items
			return nil
		}
	}
	return nil
}

func (r *BackendReconciler) gatherServices(ctx context.Context, in *resolve.Inputs) error {
	seen := sets.Set[types.NamespacedName]{}
	for _, selector := range selectorsOf(in.Backend) {
		source, ok := newSource(in.Backend, selector)
		if !ok {
			continue
		}
		options := []client.ListOption{readOnly, client.MatchingLabelsSelector{Selector: source.services}}
		looksAt := func(string) bool { return true }
		switch {
		case source.namespaces == nil:
			options = append(options, client.InNamespace(source.own))
		case source.byLabels():
			looksAt = matchingNamespaces(in.Namespaces, source.namespaces).Has
		}
		var services corev1.ServiceList
		if err := r.List(ctx, &services, options...); err != nil {
			return err
		}
		for i := range services.Items {
			key := client.ObjectKeyFromObject(&services.Items[i])
			if looksAt(key.Namespace) && !seen.Has(key) {
				seen.Insert(key)
				in.Services = append(in.Services, services.Items[i])
			}
		}
	}
	return nil
}

func (r *BackendReconciler) gatherEndpointSlices(ctx context.Context, in *resolve.Inputs) error {
	for i := range in.Services {
		var slices discoveryv1.EndpointSliceList
		if err := r.List(ctx, &slices, readOnly, client.InNamespace(in.Services[i].Namespace),
			client.MatchingFields{indexEndpointSliceService: in.Services[i].Name}); err != nil {
			return err
		}
		in.EndpointSlices = append(in.EndpointSlices, slices.Items...)
	}
	return nil
}

func (r *BackendReconciler) gatherReferenceGrants(ctx context.Context, in *resolve.Inputs) error {
	for namespace := range namespacesOf(in.Services).Delete(in.Backend.Namespace) {
		var grants gatewayv1.ReferenceGrantList
		if err := r.List(ctx, &grants, readOnly, client.InNamespace(namespace)); err != nil {
			return err
		}
		in.ReferenceGrants = append(in.ReferenceGrants, grants.Items...)
	}
	return nil
}

// gatherTLSPolicies reads the policies on the matched Services. A namespace's policies are few; its Services may be
// many.
func (r *BackendReconciler) gatherTLSPolicies(ctx context.Context, in *resolve.Inputs) error {
	matched := sets.Set[types.NamespacedName]{}
	for i := range in.Services {
		matched.Insert(client.ObjectKeyFromObject(&in.Services[i]))
	}
	for namespace := range namespacesOf(in.Services) {
		var policies gatewayv1.BackendTLSPolicyList
		if err := r.List(ctx, &policies, readOnly, client.InNamespace(namespace)); err != nil {
			return err
		}
		for i := range policies.Items {
			for _, service := range tlsPolicyServices(&policies.Items[i]) {
				if matched.Has(types.NamespacedName{Namespace: namespace, Name: service}) {
					in.TLSPolicies = append(in.TLSPolicies, policies.Items[i])
					break
				}
			}
		}
	}
	return nil
}

func (r *BackendReconciler) gatherConfigMaps(ctx context.Context, in *resolve.Inputs) error {
	seen := sets.Set[types.NamespacedName]{}
	for i := range in.TLSPolicies {
		for _, name := range tlsPolicyConfigMaps(&in.TLSPolicies[i]) {
			key := types.NamespacedName{Namespace: in.TLSPolicies[i].Namespace, Name: name}
			if seen.Has(key) {
				continue
			}
			seen.Insert(key)
			var configMap corev1.ConfigMap
			if err := r.Get(ctx, key, &configMap, readOnly); client.IgnoreNotFound(err) != nil {
				return err
			} else if err == nil {
				in.ConfigMaps = append(in.ConfigMaps, configMap)
			}
		}
	}
	return nil
}

// serviceSource is where a selector looks for Services, in a form that matches quickly.
type serviceSource struct {
	services labels.Selector
	// namespaces is nil where only the Backend's own is looked at.
	namespaces labels.Selector
	// own is the Backend's namespace.
	own string
}

// byLabels returns whether it depends on the labels of namespaces. The empty selector means all of them.
func (s serviceSource) byLabels() bool { return s.namespaces != nil && !s.namespaces.Empty() }

// newSource returns false for a selector that selects nothing: it is invalid or, against the schema, empty. Resolution
// says so in the status.
func newSource(backend *v1alpha1.Backend, selector *v1alpha1.MCPTargetSelector) (serviceSource, bool) {
	services, err := metav1.LabelSelectorAsSelector(selector.Service)
	if err != nil || services.Empty() {
		return serviceSource{}, false
	}
	s := serviceSource{services: services, own: backend.Namespace}
	if selector.Namespace != nil {
		if s.namespaces, err = metav1.LabelSelectorAsSelector(selector.Namespace); err != nil {
			return serviceSource{}, false
		}
	}
	return s, true
}

func matchingNamespaces(namespaces []corev1.Namespace, selector labels.Selector) sets.Set[string] {
	matching := sets.Set[string]{}
	for i := range namespaces {
		if selector.Matches(labels.Set(namespaces[i].Labels)) {
			matching.Insert(namespaces[i].Name)
		}
	}
	return matching
}

func namespacesOf(services []corev1.Service) sets.Set[string] {
	namespaces := sets.Set[string]{}
	for i := range services {
		namespaces.Insert(services[i].Namespace)
	}
	return namespaces
}
