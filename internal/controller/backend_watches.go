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
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// endpointsDelay gathers the changes of endpoints, which come in bursts when a workload rolls, into one write.
const endpointsDelay = 100 * time.Millisecond

// backendWatches finds the Backends that a change concerns. Every method reads the cache only. An informer puts an
// object into the cache before it tells of it, so whichever of two objects that belong together is told of last finds
// the other one there.
type backendWatches struct {
	client.Reader
}

// service finds the Backends whose selectors match the Service, and those whose status names it. An update asks for
// the Service as it was and as it is, so one that was relabelled away wakes the Backend it left.
func (w backendWatches) service(ctx context.Context, service *corev1.Service) wakeups {
	found := w.serviceNamed(ctx, client.ObjectKeyFromObject(service))
	for _, where := range []string{service.Namespace, anyNamespace} {
		for _, backend := range w.backends(ctx, client.MatchingFields{indexBackendSourceNamespace: where}) {
			if w.selects(ctx, &backend, service) {
				found.Insert(client.ObjectKeyFromObject(&backend))
			}
		}
	}
	return found
}

// serviceNamed finds the Backends whose status names a Service.
func (w backendWatches) serviceNamed(ctx context.Context, service types.NamespacedName) wakeups {
	found := wakeups{}
	for _, backend := range w.backends(ctx, client.MatchingFields{indexBackendStatusService: service.String()}) {
		found.Insert(client.ObjectKeyFromObject(&backend))
	}
	return found
}

// belongingTo finds the Backends that something which belongs to a Service concerns. The status alone is not enough:
// a reconciliation that is on its way may have read too early, and its status is not written yet.
func (w backendWatches) belongingTo(ctx context.Context, key types.NamespacedName) wakeups {
	var service corev1.Service
	if err := w.Get(ctx, key, &service, readOnly); err != nil {
		// Most often not found: then the Service's own creation will wake those that it concerns.
		if client.IgnoreNotFound(err) != nil {
			log.FromContext(ctx).Error(err, "Could not read Service", "service", key)
		}
		return w.serviceNamed(ctx, key)
	}
	return w.service(ctx, &service)
}

func (w backendWatches) endpointSlice(ctx context.Context, slice *discoveryv1.EndpointSlice) wakeups {
	found := wakeups{}
	for _, service := range endpointSliceServices(slice) {
		found = w.belongingTo(ctx, types.NamespacedName{Namespace: slice.Namespace, Name: service})
	}
	return found
}

func (w backendWatches) tlsPolicy(ctx context.Context, policy *gatewayv1.BackendTLSPolicy) wakeups {
	found := wakeups{}
	for _, service := range tlsPolicyServices(policy) {
		found = found.Union(w.belongingTo(ctx, types.NamespacedName{Namespace: policy.Namespace, Name: service}))
	}
	return found
}

func (w backendWatches) configMap(ctx context.Context, configMap *corev1.ConfigMap) wakeups {
	found := wakeups{}
	var policies gatewayv1.BackendTLSPolicyList
	if err := w.List(ctx, &policies, readOnly, client.InNamespace(configMap.Namespace),
		client.MatchingFields{indexTLSPolicyConfigMap: configMap.Name}); err != nil {
		log.FromContext(ctx).Error(err, "Could not list BackendTLSPolicies", "configMap", klog.KObj(configMap))
	}
	for i := range policies.Items {
		found = found.Union(w.tlsPolicy(ctx, &policies.Items[i]))
	}
	return found
}

// namespace finds the Backends that begin or cease to look at a namespace.
func (w backendWatches) namespace(ctx context.Context, before, after *corev1.Namespace) wakeups {
	found := wakeups{}
	for _, backend := range w.backends(ctx, client.MatchingFields{indexBackendSourceNamespace: anyNamespace}) {
		for _, selector := range selectorsOf(&backend) {
			source, ok := newSource(&backend, selector)
			if !ok || !source.byLabels() {
				continue
			}
			looked := before != nil && source.namespaces.Matches(labels.Set(before.Labels))
			looks := after != nil && source.namespaces.Matches(labels.Set(after.Labels))
			if looked != looks {
				found.Insert(client.ObjectKeyFromObject(&backend))
			}
		}
	}
	return found
}

// referenceGrant finds the Backends that a grant lets use Services of its namespace.
func (w backendWatches) referenceGrant(ctx context.Context, grant *gatewayv1.ReferenceGrant) wakeups {
	found := wakeups{}
	if !grants(grant, corev1.GroupName, "Service") {
		return found
	}
	for _, from := range grant.Spec.From {
		if string(from.Group) != v1alpha1.GroupVersion.Group || from.Kind != v1alpha1.KindBackend {
			continue
		}
		for _, backend := range w.backends(ctx, client.InNamespace(from.Namespace),
			client.MatchingFields{indexBackendSourceNamespace: anyNamespace}) {
			for _, selector := range selectorsOf(&backend) {
				if source, ok := newSource(&backend, selector); ok && w.looksAt(ctx, source, grant.Namespace) {
					found.Insert(client.ObjectKeyFromObject(&backend))
				}
			}
		}
	}
	return found
}

// grants returns whether a grant is about references to a kind.
func grants(grant *gatewayv1.ReferenceGrant, group, kind string) bool {
	for _, to := range grant.Spec.To {
		if string(to.Group) == group && string(to.Kind) == kind {
			return true
		}
	}
	return false
}

// selects returns whether one of a Backend's selectors matches a Service, permitted or not.
func (w backendWatches) selects(ctx context.Context, backend *v1alpha1.Backend, service *corev1.Service) bool {
	for _, selector := range selectorsOf(backend) {
		source, ok := newSource(backend, selector)
		if ok && source.services.Matches(labels.Set(service.Labels)) && w.looksAt(ctx, source, service.Namespace) {
			return true
		}
	}
	return false
}

// looksAt returns whether a selector looks at a namespace. One that is not in the cache yet wakes us when it comes.
func (w backendWatches) looksAt(ctx context.Context, source serviceSource, name string) bool {
	if source.namespaces == nil {
		return name == source.own
	}
	if !source.byLabels() {
		return true
	}
	var namespace corev1.Namespace
	if err := w.Get(ctx, types.NamespacedName{Name: name}, &namespace, readOnly); err != nil {
		if client.IgnoreNotFound(err) != nil {
			log.FromContext(ctx).Error(err, "Could not read Namespace", "namespace", name)
		}
		return false
	}
	return source.namespaces.Matches(labels.Set(namespace.Labels))
}

func (w backendWatches) backends(ctx context.Context, options ...client.ListOption) []v1alpha1.Backend {
	var list v1alpha1.BackendList
	if err := w.List(ctx, &list, append(options, readOnly)...); err != nil {
		log.FromContext(ctx).Error(err, "Could not list Backends")
	}
	return list.Items
}
