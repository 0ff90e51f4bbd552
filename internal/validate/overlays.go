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

package validate

import (
	"errors"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/overlay"
)

// validateOverlays applies each overlay to an object that resembles the one that it is for.
func validateOverlays(o *v1alpha1.ProxyOverlays, path *field.Path) field.ErrorList {
	if o == nil {
		return nil
	}
	errs := tryOverlay(o.Deployment, sampleDeployment(), path.Child("deployment"))
	errs = append(errs, tryOverlay(o.Service, sampleService(), path.Child("service"))...)
	errs = append(errs, tryOverlay(o.ServiceAccount, &corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: sampleMeta(),
	}, path.Child("serviceAccount"))...)
	errs = append(errs, tryOverlay(o.PodDisruptionBudget, &policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: sampleMeta(),
		Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: sampleLabels()}},
	}, path.Child("podDisruptionBudget"))...)
	return append(errs, tryOverlay(o.HorizontalPodAutoscaler, &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"}, ObjectMeta: sampleMeta(),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: sampleName},
			MaxReplicas:    1,
		},
	}, path.Child("horizontalPodAutoscaler"))...)
}

func tryOverlay[T overlay.Object](raw *runtime.RawExtension, sample *T, path *field.Path) field.ErrorList {
	if raw == nil || len(raw.Raw) == 0 {
		return nil
	}
	_, err := overlay.Apply(sample, []overlay.Patch{{Field: path.String(), JSON: raw.Raw}})
	if refused, ok := errors.AsType[*overlay.Error](err); ok {
		return refused.Errors
	}
	return nil
}

// What no overlay says by chance, so that one that would change it is found out.
const (
	sampleName     = "-"
	sampleReplicas = int32(-1)
)

func sampleLabels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": sampleName, "app.kubernetes.io/managed-by": sampleName}
}

func sampleMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: sampleName, Namespace: sampleName, Labels: sampleLabels(),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: sampleName}},
	}
}

func sampleDeployment() *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: sampleMeta(),
		Spec: appsv1.DeploymentSpec{
			Replicas: new(sampleReplicas),
			Selector: &metav1.LabelSelector{MatchLabels: sampleLabels()},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: sampleLabels()},
				Spec: corev1.PodSpec{
					ServiceAccountName: sampleName,
					Containers:         []corev1.Container{{Name: v1alpha1.ProxyContainerName, Image: sampleName}},
				},
			},
		},
	}
}

func sampleService() *corev1.Service {
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: sampleMeta(),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: sampleLabels(),
			Ports: []corev1.ServicePort{{Name: "port-80", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
}
