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

package provision

import (
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dynamic-mcp/dynamic-mcp/internal/overlay"
)

// Installation is what all proxies of a manager have in common.
type Installation struct {
	// Image of the proxies, unless parameters say another.
	Image string
	// ClusterDomain is the DNS domain of the cluster's Services.
	ClusterDomain string
	// WatchNamespaces are the namespaces that proxies read objects from; empty for all.
	WatchNamespaces []string
}

// objectsOf returns the objects that a Gateway's proxy is made of, all but the Secret, in the order in which they are best
// made: what pods need before the pods. It is pure. It returns a *overlay.Error if an overlay does not fit.
func objectsOf(wanted *Wanted, site *Installation) ([]client.Object, error) {
	account, err := overlay.Apply(desiredServiceAccount(wanted), wanted.Parameters.Overlays.ServiceAccount)
	if err != nil {
		return nil, err
	}
	service, err := overlay.Apply(desiredService(wanted), wanted.Parameters.Overlays.Service)
	if err != nil {
		return nil, err
	}
	deployment, err := overlay.Apply(desiredDeployment(wanted, site), wanted.Parameters.Overlays.Deployment)
	if err != nil {
		return nil, err
	}
	objects := []client.Object{
		account, desiredRole(wanted), desiredPeers(wanted), service, desiredRoleBinding(wanted), deployment,
	}
	if wanted.Parameters.Spec.PodDisruptionBudget != nil {
		budget, err := overlay.Apply(desiredPodDisruptionBudget(wanted), wanted.Parameters.Overlays.PodDisruptionBudget)
		if err != nil {
			return nil, err
		}
		objects = append(objects, budget)
	}
	if wanted.Parameters.Spec.Autoscaling != nil {
		scaler, err := overlay.Apply(desiredAutoscaler(wanted), wanted.Parameters.Overlays.HorizontalPodAutoscaler)
		if err != nil {
			return nil, err
		}
		objects = append(objects, scaler)
	}
	return objects, nil
}

// desiredServiceAccount is whom the pods run as. Only they get its token, not every pod that names the ServiceAccount.
func desiredServiceAccount(wanted *Wanted) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   metaOf(wanted.Gateway, AccountName(wanted.Gateway.Name)),
		AutomountServiceAccountToken: new(false),
	}
}

// desiredRole lets the pods read the Gateway's Secret, and no other. Not list or watch it: the API server lets nobody give
// away rights that he doesn't have, so the manager would need the right to list all Secrets.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
func desiredRole(wanted *Wanted) *rbacv1.Role {
	return &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
		ObjectMeta: metaOf(wanted.Gateway, AccountName(wanted.Gateway.Name)),
		Rules: []rbacv1.PolicyRule{{
			APIGroups:     []string{""},
			Resources:     []string{"secrets"},
			ResourceNames: []string{SecretName(wanted.Gateway.Name)},
			Verbs:         []string{"get"},
		}},
	}
}

func desiredRoleBinding(wanted *Wanted) *rbacv1.RoleBinding {
	name := AccountName(wanted.Gateway.Name)
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: metaOf(wanted.Gateway, name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{subjectOf(wanted.Gateway.Namespace, name)},
	}
}

func subjectOf(namespace, account string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}
}

// desiredService is how clients reach the pods. Ports have one number everywhere: that of the listener.
func desiredService(wanted *Wanted) *corev1.Service {
	spec := wanted.Parameters.Spec.Service
	meta := metaOf(wanted.Gateway, ObjectName(wanted.Gateway.Name))
	meta.Labels = labelsOf(wanted.Gateway, spec.Labels)
	meta.Annotations = annotationsOf(wanted.Gateway, spec.Annotations)
	service := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: meta,
		Spec: corev1.ServiceSpec{
			Type:                  spec.Type,
			Selector:              selectorOf(wanted.Gateway.Name),
			ExternalTrafficPolicy: spec.ExternalTrafficPolicy,
		},
	}
	if spec.LoadBalancerClass != "" {
		service.Spec.LoadBalancerClass = new(spec.LoadBalancerClass)
	}
	for _, port := range wanted.Ports {
		service.Spec.Ports = append(service.Spec.Ports, servicePort("port-"+strconv.Itoa(int(port)), port))
	}
	return service
}

// desiredPeers is the headless Service whose name resolves to the addresses of all pods, also of those that are not ready
// or about to end: what one of them alone can serve, the others hand over. By its endpoints, the manager finds the pods'
// admin ports, and so can Prometheus.
func desiredPeers(wanted *Wanted) *corev1.Service {
	admin, peers := internalPorts(wanted.Ports)
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metaOf(wanted.Gateway, PeersName(wanted.Gateway.Name)),
		Spec: corev1.ServiceSpec{
			Type:                     corev1.ServiceTypeClusterIP,
			ClusterIP:                corev1.ClusterIPNone,
			PublishNotReadyAddresses: true,
			Selector:                 selectorOf(wanted.Gateway.Name),
			Ports: []corev1.ServicePort{
				{Name: portPeers, Protocol: corev1.ProtocolTCP, Port: peers, TargetPort: intstr.FromString(portPeers)},
				{Name: portAdmin, Protocol: corev1.ProtocolTCP, Port: admin, TargetPort: intstr.FromString(portAdmin)},
			},
		},
	}
}

func servicePort(name string, port int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Protocol: corev1.ProtocolTCP, Port: port, TargetPort: intstr.FromInt32(port)}
}

// internalPorts returns the pods' own ports: the usual ones, or the next ones that no listener has.
func internalPorts(listeners []int32) (admin, peers int32) {
	free := func(port int32) int32 {
		for slices.Contains(listeners, port) {
			port++
		}
		return port
	}
	return free(adminPort), free(peersPort)
}

func desiredPodDisruptionBudget(wanted *Wanted) *policyv1.PodDisruptionBudget {
	spec := wanted.Parameters.Spec.PodDisruptionBudget
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget"},
		ObjectMeta: metaOf(wanted.Gateway, ObjectName(wanted.Gateway.Name)),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable:   spec.MinAvailable,
			MaxUnavailable: spec.MaxUnavailable,
			Selector:       &metav1.LabelSelector{MatchLabels: selectorOf(wanted.Gateway.Name)},
			// A pod that does not work must not keep its node from being drained.
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
}

func desiredAutoscaler(wanted *Wanted) *autoscalingv2.HorizontalPodAutoscaler {
	spec := wanted.Parameters.Spec.Autoscaling
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: autoscalingv2.SchemeGroupVersion.String(), Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metaOf(wanted.Gateway, ObjectName(wanted.Gateway.Name)),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment", Name: ObjectName(wanted.Gateway.Name),
			},
			MinReplicas: new(spec.MinReplicas),
			MaxReplicas: spec.MaxReplicas,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{
						Type:               autoscalingv2.UtilizationMetricType,
						AverageUtilization: new(spec.TargetCPUUtilizationPercentage),
					},
				},
			}},
		},
	}
}

// ownedKinds returns an empty object of each kind that a Gateway's proxy is made of, but the Secret. The ServiceAccount is
// the last one, so that as long as it is there, it is known that something is.
func ownedKinds() []client.Object {
	return []client.Object{
		&autoscalingv2.HorizontalPodAutoscaler{}, &policyv1.PodDisruptionBudget{}, &appsv1.Deployment{}, &corev1.Service{},
		&rbacv1.RoleBinding{}, &rbacv1.Role{}, &corev1.ServiceAccount{},
	}
}
