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
	"crypto/sha1" //nolint:gosec // prescribed for labels, and nothing is secured by it
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Labels of every object that the manager makes for a Gateway, beside LabelManagedBy and those of the Gateway API.
const (
	labelName     = "app.kubernetes.io/name"
	labelInstance = "app.kubernetes.io/instance"
	labelPart     = "app.kubernetes.io/component"

	nameOfProxies   = "dynamic-mcp-proxy"
	componentProxy  = "proxy"
	peersNameSuffix = "-peers"
)

const (
	// maxLabelValue is the largest length of a label's value, and of a Service's name.
	maxLabelValue = 63
	// labelHead is how much of a name that is too long for a label stays.
	labelHead = 20
)

// ObjectName returns the name of a Gateway's Deployment, Service, PodDisruptionBudget and HorizontalPodAutoscaler: the
// Gateway's own, so that `kubectl port-forward deployment/<gateway>` is what one would type. GEP-1762 recommends to append
// the name of the class, against conflicts; an object of that name that is somebody else's is never touched, and the
// Gateway's status says so. A name that a Service can't have ends in a hash instead.
func ObjectName(gatewayName string) string { return serviceName(gatewayName, "") }

// PeersName returns the name of the headless Service by which a Gateway's replicas find each other.
func PeersName(gatewayName string) string { return serviceName(gatewayName, peersNameSuffix) }

// AccountName returns the name of a Gateway's ServiceAccount, Role and RoleBinding. Like the Secret's, it is never that of
// the Gateway: every namespace has a ServiceAccount "default", and a Gateway may be called so.
func AccountName(gatewayName string) string { return SecretName(gatewayName) }

func serviceName(gatewayName, suffix string) string {
	if name := gatewayName + suffix; len(validation.IsDNS1035Label(name)) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(gatewayName))
	suffix = "-" + hex.EncodeToString(sum[:nameHashBytes]) + suffix
	name := strings.ReplaceAll(gatewayName, ".", "-")
	if name[0] < 'a' {
		name = "gateway-" + name
	}
	return strings.TrimRight(name[:min(len(name), maxLabelValue-len(suffix))], "-") + suffix
}

// labelValue returns the value of a label that says a name. How one that is too long is shortened, GEP-1762 says.
// https://gateway-api.sigs.k8s.io/geps/gep-1762/
func labelValue(name string) string {
	if len(name) <= maxLabelValue {
		return name
	}
	sum := sha1.Sum([]byte(name[labelHead:])) //nolint:gosec // see the import
	return name[:labelHead] + "-" + hex.EncodeToString(sum[:])
}

// selectorOf returns the labels by which a Gateway's pods are found. They can never change.
func selectorOf(gatewayName string) map[string]string {
	return map[string]string{labelName: nameOfProxies, gatewayv1.GatewayNameLabelKey: labelValue(gatewayName)}
}

// labelsOf returns the labels of everything that belongs to a Gateway. What the Gateway asks for does not replace those by
// which it is found.
func labelsOf(gateway *gatewayv1.Gateway, others ...map[string]string) map[string]string {
	labels := map[string]string{}
	if infrastructure := gateway.Spec.Infrastructure; infrastructure != nil {
		for key, value := range infrastructure.Labels {
			labels[string(key)] = string(value)
		}
	}
	for _, more := range others {
		maps.Copy(labels, more)
	}
	maps.Copy(labels, selectorOf(gateway.Name))
	labels[labelInstance] = labelValue(gateway.Name)
	labels[labelPart] = componentProxy
	labels[LabelManagedBy] = ManagedBy
	labels[gatewayv1.GatewayClassNameLabelKey] = labelValue(string(gateway.Spec.GatewayClassName))
	return labels
}

// annotationsOfKubernetes begins the names of annotations that Kubernetes writes to Deployments itself, again and again.
const annotationsOfKubernetes = "deployment.kubernetes.io/"

// annotationsOf returns the annotations of everything that belongs to a Gateway; nil for none.
func annotationsOf(gateway *gatewayv1.Gateway, others ...map[string]string) map[string]string {
	annotations := map[string]string{}
	if infrastructure := gateway.Spec.Infrastructure; infrastructure != nil {
		for key, value := range infrastructure.Annotations {
			annotations[string(key)] = string(value)
		}
	}
	for _, more := range others {
		maps.Copy(annotations, more)
	}
	maps.DeleteFunc(annotations, func(key, _ string) bool { return strings.HasPrefix(key, annotationsOfKubernetes) })
	if len(annotations) == 0 {
		return nil
	}
	return annotations
}

// metaOf returns the metadata of an object that belongs to a Gateway.
func metaOf(gateway *gatewayv1.Gateway, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:       gateway.Namespace,
		Name:            name,
		Labels:          labelsOf(gateway),
		Annotations:     annotationsOf(gateway),
		OwnerReferences: []metav1.OwnerReference{ownerReference(gateway)},
	}
}

// ownerReference returns the reference by which an object is deleted with its Gateway. It does not block the Gateway's
// deletion: that would need the right to update the Gateway's finalizers, for nothing.
func ownerReference(gateway *gatewayv1.Gateway) metav1.OwnerReference {
	owner := metav1.NewControllerRef(gateway, gatewayOwner)
	owner.BlockOwnerDeletion = new(false)
	return *owner
}
