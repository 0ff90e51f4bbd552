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

// Package parameters decides how the proxy of a Gateway runs: what the GatewayParameters of the Gateway and of its
// GatewayClass come to together, and what holds where neither says anything. It is pure.
package parameters

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/overlay"
)

// Parameters are the GatewayParameters of a Gateway and of its GatewayClass in one.
type Parameters struct {
	// Spec is the two merged. It has no overlays.
	Spec v1alpha1.GatewayParametersSpec
	// Overlays are the patches of both.
	Overlays Overlays
}

// Overlays are the patches of each object, in the order in which they are applied: first the GatewayClass's, then the
// Gateway's.
type Overlays struct {
	Deployment              []overlay.Patch
	Service                 []overlay.Patch
	ServiceAccount          []overlay.Patch
	PodDisruptionBudget     []overlay.Patch
	HorizontalPodAutoscaler []overlay.Patch
}

// Merge returns the parameters of a GatewayClass and of a Gateway in one; either may be nil. The Gateway's win, field by
// field: structs and maps are merged, lists replaced (env by name). What only makes sense together is taken together: tag
// and digest, replicas and autoscaling, and each of autoscaling and podDisruptionBudget as a whole. The result shares
// nothing with what it is made of.
func Merge(class, gateway *v1alpha1.GatewayParametersSpec) Parameters {
	far, near := orEmpty(class), orEmpty(gateway)
	p := Parameters{
		Spec: v1alpha1.GatewayParametersSpec{
			Image:               merged(far.Image, near.Image, mergeImage),
			Replicas:            far.Replicas,
			Autoscaling:         far.Autoscaling,
			PodDisruptionBudget: either(far.PodDisruptionBudget, near.PodDisruptionBudget),
			Resources:           merged(far.Resources, near.Resources, mergeResources),
			Scheduling:          merged(far.Scheduling, near.Scheduling, mergeScheduling),
			Pod:                 merged(far.Pod, near.Pod, mergePod),
			Service:             merged(far.Service, near.Service, mergeService),
			Env:                 mergeEnv(far.Env, near.Env),
			Log:                 merged(far.Log, near.Log, mergeLog),
			RequestBodyLimit:    either(far.RequestBodyLimit, near.RequestBodyLimit),
			AllowedOrigins:      eitherList(far.AllowedOrigins, near.AllowedOrigins),
			DrainTimeout:        either(far.DrainTimeout, near.DrainTimeout),
			SessionLifetime:     either(far.SessionLifetime, near.SessionLifetime),
		},
	}
	if near.Replicas != nil || near.Autoscaling != nil {
		p.Spec.Replicas, p.Spec.Autoscaling = near.Replicas, near.Autoscaling
	}
	p.Overlays.add(overlay.FromGatewayClass, far.Overlays)
	p.Overlays.add(overlay.FromGateway, near.Overlays)
	return p
}

func orEmpty(spec *v1alpha1.GatewayParametersSpec) *v1alpha1.GatewayParametersSpec {
	if spec == nil {
		return &v1alpha1.GatewayParametersSpec{}
	}
	return spec.DeepCopy()
}

func (o *Overlays) add(source overlay.Source, overlays *v1alpha1.ProxyOverlays) {
	if overlays == nil {
		return
	}
	for _, one := range []struct {
		name    string
		raw     *runtime.RawExtension
		patches *[]overlay.Patch
	}{
		{"deployment", overlays.Deployment, &o.Deployment},
		{"service", overlays.Service, &o.Service},
		{"serviceAccount", overlays.ServiceAccount, &o.ServiceAccount},
		{"podDisruptionBudget", overlays.PodDisruptionBudget, &o.PodDisruptionBudget},
		{"horizontalPodAutoscaler", overlays.HorizontalPodAutoscaler, &o.HorizontalPodAutoscaler},
	} {
		if one.raw != nil && len(one.raw.Raw) > 0 {
			*one.patches = append(*one.patches, overlay.Patch{Source: source, Field: "spec.overlays." + one.name, JSON: one.raw.Raw})
		}
	}
}

// merged returns what there is of two, or both in one.
func merged[T any](far, near *T, merge func(far, near *T)) *T {
	if far == nil || near == nil {
		return either(far, near)
	}
	merge(far, near)
	return far
}

// either returns the nearer of two, if it is set.
func either[T any](far, near *T) *T {
	if near != nil {
		return near
	}
	return far
}

// eitherValue returns the nearer of two, if it is set.
func eitherValue[T comparable](far, near T) T {
	var unset T
	if near != unset {
		return near
	}
	return far
}

// eitherList returns the nearer of two lists, if it is set, be it empty.
func eitherList[T any](far, near []T) []T {
	if near != nil {
		return near
	}
	return far
}

// mergeMap returns the entries of both maps; of two with one key, the nearer.
func mergeMap[M ~map[K]V, K comparable, V any](far, near M) M {
	if far == nil {
		return near
	}
	maps.Copy(far, near)
	return far
}

func mergeImage(far, near *v1alpha1.ProxyImage) {
	far.Repository = eitherValue(far.Repository, near.Repository)
	if near.Tag != "" || near.Digest != "" {
		far.Tag, far.Digest = near.Tag, near.Digest
	}
	far.PullPolicy = eitherValue(far.PullPolicy, near.PullPolicy)
	far.PullSecrets = eitherList(far.PullSecrets, near.PullSecrets)
}

func mergeResources(far, near *v1alpha1.ProxyResources) {
	far.Requests = mergeMap(far.Requests, near.Requests)
	far.Limits = mergeMap(far.Limits, near.Limits)
}

func mergeScheduling(far, near *v1alpha1.ProxyScheduling) {
	far.NodeSelector = mergeMap(far.NodeSelector, near.NodeSelector)
	far.Tolerations = eitherList(far.Tolerations, near.Tolerations)
	far.Affinity = either(far.Affinity, near.Affinity)
	far.TopologySpreadConstraints = eitherList(far.TopologySpreadConstraints, near.TopologySpreadConstraints)
	far.PriorityClassName = eitherValue(far.PriorityClassName, near.PriorityClassName)
}

func mergePod(far, near *v1alpha1.ProxyPod) {
	far.Labels = mergeMap(far.Labels, near.Labels)
	far.Annotations = mergeMap(far.Annotations, near.Annotations)
}

// mergeService leaves out what a Service of the nearer's type does not have, so that a Gateway can choose a type without
// knowing what its class says about another one.
func mergeService(far, near *v1alpha1.ProxyService) {
	if near.Type != "" && near.Type != corev1.ServiceTypeLoadBalancer {
		far.LoadBalancerClass = ""
	}
	if near.Type == corev1.ServiceTypeClusterIP {
		far.ExternalTrafficPolicy = ""
	}
	far.Type = eitherValue(far.Type, near.Type)
	far.LoadBalancerClass = eitherValue(far.LoadBalancerClass, near.LoadBalancerClass)
	far.ExternalTrafficPolicy = eitherValue(far.ExternalTrafficPolicy, near.ExternalTrafficPolicy)
	far.Labels = mergeMap(far.Labels, near.Labels)
	far.Annotations = mergeMap(far.Annotations, near.Annotations)
}

// mergeEnv replaces variables in place, because one may refer to those before it: $(NAME).
func mergeEnv(far, near []corev1.EnvVar) []corev1.EnvVar {
	for _, variable := range near {
		i := slices.IndexFunc(far, func(v corev1.EnvVar) bool { return v.Name == variable.Name })
		if i < 0 {
			far = append(far, variable)
			continue
		}
		far[i] = variable
	}
	return far
}

func mergeLog(far, near *v1alpha1.ProxyLog) {
	far.Level = eitherValue(far.Level, near.Level)
	far.Format = eitherValue(far.Format, near.Format)
	far.AccessLog = merged(far.AccessLog, near.AccessLog, func(far, near *v1alpha1.ProxyAccessLog) {
		far.Format = eitherValue(far.Format, near.Format)
		far.ClientAddresses = either(far.ClientAddresses, near.ClientAddresses)
	})
}
