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
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// annotationDomain is the domain of the annotations by which Services tell about MCP servers.
const annotationDomain = "kgateway.dev/"

// onUpdate lets creations and deletions pass, and of updates those that differ says matter.
func onUpdate[T client.Object](differs func(before, after T) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(T)
		if !ok {
			return false
		}
		after, ok := e.ObjectNew.(T)
		return ok && differs(before, after)
	}}
}

// generationDiffers is for objects whose metadata and status don't concern us.
func generationDiffers(before, after client.Object) bool {
	return before.GetGeneration() != after.GetGeneration()
}

func labelsDiffer(before, after client.Object) bool {
	return !maps.Equal(before.GetLabels(), after.GetLabels())
}

// The objects whose status we write wake us by a change of the status too, also by our own write. A reconciliation
// that read a stale status and found it right wrote nothing; the write that it had not seen yet must wake it again,
// and a status that someone else has overwritten is put right.

func backendDiffers(before, after *v1alpha1.Backend) bool {
	return generationDiffers(before, after) || !equality.Semantic.DeepEqual(&before.Status, &after.Status)
}

func gatewayDiffers(before, after *gatewayv1.Gateway) bool {
	return generationDiffers(before, after) || !equality.Semantic.DeepEqual(&before.Status, &after.Status)
}

func httpRouteDiffers(before, after *gatewayv1.HTTPRoute) bool {
	return generationDiffers(before, after) || !equality.Semantic.DeepEqual(&before.Status, &after.Status)
}

func gatewayClassDiffers(before, after *gatewayv1.GatewayClass) bool {
	return generationDiffers(before, after) ||
		!equality.Semantic.DeepEqual(&before.Status, &after.Status) ||
		!equality.Semantic.DeepEqual(before.Finalizers, after.Finalizers)
}

// serviceDiffers leaves out the status of load balancers and what other controllers annotate.
func serviceDiffers(before, after *corev1.Service) bool {
	return before.UID != after.UID || // deleted and created again between two lists
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		labelsDiffer(before, after) ||
		!maps.Equal(ownAnnotations(before), ownAnnotations(after)) ||
		!equality.Semantic.DeepEqual(&before.Spec, &after.Spec)
}

func ownAnnotations(object client.Object) map[string]string {
	own := maps.Clone(object.GetAnnotations())
	maps.DeleteFunc(own, func(key, _ string) bool { return !strings.HasPrefix(key, annotationDomain) })
	return own
}

func endpointSliceDiffers(before, after *discoveryv1.EndpointSlice) bool {
	return before.Labels[discoveryv1.LabelServiceName] != after.Labels[discoveryv1.LabelServiceName] ||
		before.AddressType != after.AddressType ||
		!equality.Semantic.DeepEqual(before.Ports, after.Ports) ||
		!equality.Semantic.DeepEqual(before.Endpoints, after.Endpoints)
}

func configMapDiffers(before, after *corev1.ConfigMap) bool {
	_, found := before.Data[caCertificateKey]
	_, finds := after.Data[caCertificateKey]
	return found != finds || before.Data[caCertificateKey] != after.Data[caCertificateKey]
}

// backendDiffersForRoutes leaves out what goes on among a Backend's targets, which no route's status depends on. What
// is wrong with a Backend is quoted in the status of its routes.
func backendDiffersForRoutes(before, after *v1alpha1.Backend) bool {
	was := apimeta.FindStatusCondition(before.Status.Conditions, v1alpha1.BackendConditionAccepted)
	is := apimeta.FindStatusCondition(after.Status.Conditions, v1alpha1.BackendConditionAccepted)
	return generationDiffers(before, after) || !equality.Semantic.DeepEqual(was, is)
}

func crdDiffers(before, after *metav1.PartialObjectMetadata) bool {
	return before.Annotations[consts.BundleVersionAnnotation] != after.Annotations[consts.BundleVersionAnnotation]
}
