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
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"github.com/dynamic-mcp/dynamic-mcp/internal/apiserver"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

// caCertificateKey is the entry of a ConfigMap that a BackendTLSPolicy's caCertificateRefs mean.
// https://gateway-api.sigs.k8s.io/api-types/backendtlspolicy/
const caCertificateKey = "ca.crt"

// CacheOptions returns how the manager caches what the controllers of this package read. A cluster has many more
// Services' endpoints and ConfigMaps than MCP servers, so the cache holds of them only what resolution reads:
// managed fields go, an EndpointSlice keeps addresses, conditions and ports, a pod of a proxy keeps labels and status, a
// ConfigMap keeps the entry "ca.crt" (a watch can't select ConfigMaps by what refers to them, and a read per reconciliation
// from the API server would be slower and stale in another way), a CustomResourceDefinition its name, labels and bundle
// version.
// Because of that, objects from the cache must never be written back as a whole, only their status or a patch. Of
// namespaced objects it holds those of some namespaces; none stands for all.
func CacheOptions(namespaces ...string) cache.Options {
	options := cache.Options{
		DefaultTransform: transform(func(client.Object) {}),
		ByObject:         provision.CacheByObject(),
		NewInformer:      apiserver.Informers(),
	}
	options.ByObject[&discoveryv1.EndpointSlice{}] = cache.ByObject{Transform: transform(stripEndpointSlice)}
	options.ByObject[&corev1.ConfigMap{}] = cache.ByObject{Transform: transform(stripConfigMap)}
	options.ByObject[&corev1.Pod{}] = cache.ByObject{
		Label:     labels.SelectorFromSet(labels.Set{provision.LabelManagedBy: provision.ManagedBy}),
		Transform: transform(stripPod),
	}
	options.ByObject[crdMetadata()] = cache.ByObject{Transform: transform(stripCRD)}
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
	}
	for _, namespace := range namespaces {
		options.DefaultNamespaces[namespace] = cache.Config{}
	}
	return options
}

// transform strips what no controller reads and then what strip says. A transform may see an object that it has seen
// before and that readers hold by now, so strips must not write where there is nothing to strip.
func transform[T client.Object](strip func(T)) toolscache.TransformFunc {
	return func(in any) (any, error) {
		if object, err := apimeta.Accessor(in); err == nil && object.GetManagedFields() != nil {
			object.SetManagedFields(nil)
		}
		if object, ok := in.(T); ok {
			strip(object)
		}
		return in, nil
	}
}

func stripEndpointSlice(slice *discoveryv1.EndpointSlice) {
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		if e.TargetRef == nil && e.NodeName == nil && e.Zone == nil && e.Hints == nil && e.DeprecatedTopology == nil {
			continue
		}
		*e = discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions, Hostname: e.Hostname}
	}
}

// stripPod leaves out what is in a pod, of which its environment may be nobody's business.
func stripPod(pod *corev1.Pod) {
	if len(pod.Spec.Containers) > 0 {
		pod.Spec = corev1.PodSpec{}
	}
	if pod.Annotations != nil {
		pod.Annotations = nil
	}
}

func stripConfigMap(configMap *corev1.ConfigMap) {
	if configMap.BinaryData != nil {
		configMap.BinaryData = nil
	}
	if configMap.Annotations != nil {
		configMap.Annotations = nil
	}
	certificates, found := configMap.Data[caCertificateKey]
	switch {
	case !found && configMap.Data != nil:
		configMap.Data = nil
	case len(configMap.Data) > 1:
		configMap.Data = map[string]string{caCertificateKey: certificates}
	}
}

func stripCRD(crd *metav1.PartialObjectMetadata) {
	version, found := crd.Annotations[consts.BundleVersionAnnotation]
	switch {
	case !found && crd.Annotations != nil:
		crd.Annotations = nil
	case len(crd.Annotations) > 1:
		crd.Annotations = map[string]string{consts.BundleVersionAnnotation: version}
	}
}
