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

package overlay

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// reservedLabels are the labels by which objects are found to belong to a Gateway and to this project.
var reservedLabels = []string{
	"app.kubernetes.io/component", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/name",
}

// reservedPrefixes are the prefixes of such labels.
var reservedPrefixes = []string{"dynamic-mcp.dev/", "gateway.kgateway.dev/", "gateway.networking.k8s.io/"}

// IsReservedLabel is whether a label is not for parameters to set: it tells what an object belongs to.
func IsReservedLabel(key string) bool {
	return slices.Contains(reservedLabels, key) ||
		slices.ContainsFunc(reservedPrefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// protected is a field that no overlay can change.
type protected struct {
	path []string
	// why says what it is for, or what to use instead.
	why string
}

// protectedFields of every kind.
var protectedFields = []protected{
	{[]string{"apiVersion"}, "the kind of the object stays: leave it out"},
	{[]string{"kind"}, "the kind of the object stays: leave it out"},
	{[]string{"metadata", "name"}, "the object is found by its name: leave it out"},
	{[]string{"metadata", "generateName"}, "the object is found by its name: leave it out"},
	{[]string{"metadata", "namespace"}, "the object is in the Gateway's namespace: leave it out"},
	{[]string{"metadata", "ownerReferences"}, "the Gateway owns the object, so that both are deleted together: leave it out"},
	{[]string{"status"}, "the status is written by Kubernetes: leave it out"},
}

const whySelector = "the Gateway's pods are found by it: leave it out"

// protectedOfKind are the others.
var protectedOfKind = map[reflect.Type][]protected{
	reflect.TypeFor[appsv1.Deployment](): {
		{[]string{"spec", "selector"}, whySelector},
		{[]string{"spec", "replicas"}, "set spec.replicas or spec.autoscaling of the parameters instead"},
		{[]string{"spec", "template", "spec", "serviceAccountName"},
			"the proxy has its rights from its own ServiceAccount: change that by overlays.serviceAccount"},
		{[]string{"spec", "template", "spec", "serviceAccount"},
			"the proxy has its rights from its own ServiceAccount: change that by overlays.serviceAccount"},
	},
	reflect.TypeFor[corev1.Service]():               {{[]string{"spec", "selector"}, whySelector}},
	reflect.TypeFor[policyv1.PodDisruptionBudget](): {{[]string{"spec", "selector"}, whySelector}},
	reflect.TypeFor[autoscalingv2.HorizontalPodAutoscaler](): {
		{[]string{"spec", "scaleTargetRef"}, "the Gateway's Deployment is what is scaled: leave it out"},
	},
}

// unchanged returns what must not differ between an object and what an overlay made of it, and does.
func unchanged(before, after map[string]any, kind reflect.Type, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, p := range slices.Concat(protectedFields, protectedOfKind[kind]) {
		was, _, _ := unstructured.NestedFieldNoCopy(before, p.path...)
		is, _, _ := unstructured.NestedFieldNoCopy(after, p.path...)
		if !reflect.DeepEqual(was, is) {
			errs = append(errs, field.Forbidden(path.Child(p.path[0], p.path[1:]...), "can't be changed: "+p.why))
		}
	}
	errs = append(errs, unchangedLabels(before, after, IsReservedLabel, path, "metadata", "labels")...)
	if kind != reflect.TypeFor[appsv1.Deployment]() {
		return errs
	}
	selector, _, _ := unstructured.NestedMap(before, "spec", "selector", "matchLabels")
	isSelected := func(key string) bool { return selector[key] != nil || IsReservedLabel(key) }
	errs = append(errs, unchangedLabels(before, after, isSelected, path, "spec", "template", "metadata", "labels")...)
	if hasProxy(before) && !hasProxy(after) {
		errs = append(errs, field.Forbidden(path.Child("spec", "template", "spec", "containers"),
			"must keep the container "+v1alpha1.ProxyContainerName+", which serves the Gateway"))
	}
	return errs
}

// unchangedLabels returns the labels that an overlay changed, added or removed, of those that it must not.
func unchangedLabels(before, after map[string]any, isKept func(key string) bool, path *field.Path, labels ...string) field.ErrorList {
	var errs field.ErrorList
	was, _, _ := unstructured.NestedMap(before, labels...)
	is, _, _ := unstructured.NestedMap(after, labels...)
	keys := slices.Sorted(maps.Keys(was))
	for key := range is {
		if _, found := was[key]; !found {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if isKept(key) && was[key] != is[key] {
			errs = append(errs, field.Forbidden(path.Child(labels[0], labels[1:]...).Key(key),
				"can't be changed: it tells what the object belongs to: leave it out"))
		}
	}
	return errs
}

// hasProxy is whether a Deployment has the container of the proxy.
func hasProxy(deployment map[string]any) bool {
	containers, _, _ := unstructured.NestedSlice(deployment, "spec", "template", "spec", "containers")
	return slices.ContainsFunc(containers, func(c any) bool {
		container, _ := c.(map[string]any)
		return container["name"] == v1alpha1.ProxyContainerName
	})
}
