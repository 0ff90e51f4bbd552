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
	"fmt"
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/addresses"
)

// problem is why a Gateway's proxy does not serve; none if it does.
type problem struct {
	message string
	// undecided: see State.
	undecided bool
}

// deploymentProblem returns why a Deployment has not yet a pod of its newest template that is available.
func deploymentProblem(deployment *appsv1.Deployment, pods []corev1.Pod) problem {
	switch {
	case deployment == nil || deployment.Status.ObservedGeneration == 0:
		return problem{message: "the Deployment has just been made"}
	case deployment.Status.ObservedGeneration < deployment.Generation:
		return problem{message: "the Deployment has just been changed", undecided: true}
	case deployment.Spec.Replicas != nil && *deployment.Spec.Replicas == 0:
		return problem{message: "the Deployment has no replicas: the Gateway is out of service"}
	}
	status := &deployment.Status
	if old := status.Replicas - status.UpdatedReplicas; status.AvailableReplicas > old {
		return problem{} // Even if all old pods are available, a new one is.
	}
	return problem{message: unavailable(deployment, pods) + "; " + whereToLook(deployment)}
}

// unavailable returns why a Deployment has no new pod that is available. What is known of the pods says more than that it
// takes long.
func unavailable(deployment *appsv1.Deployment, pods []corev1.Pod) string {
	status := &deployment.Status
	if failed := failingCondition(status, appsv1.DeploymentReplicaFailure, corev1.ConditionTrue); failed != "" {
		return failed
	}
	message := "no pod is available yet"
	if status.AvailableReplicas > 0 {
		message = "the new pods are not available yet, those of before serve on"
	}
	if why := podsProblem(pods); why != "" {
		return message + ": " + why
	}
	if failed := failingCondition(status, appsv1.DeploymentProgressing, corev1.ConditionFalse); failed != "" {
		return failed
	}
	return message
}

func failingCondition(
	status *appsv1.DeploymentStatus, conditionType appsv1.DeploymentConditionType, failing corev1.ConditionStatus,
) string {
	for _, c := range status.Conditions {
		if c.Type == conditionType && c.Status == failing {
			return printable(fmt.Sprintf("the Deployment fails (%s): %s", c.Reason, c.Message))
		}
	}
	return ""
}

func whereToLook(deployment *appsv1.Deployment) string {
	return fmt.Sprintf("`kubectl describe pods -n %s -l %s=%s` says more", deployment.Namespace, gatewayv1.GatewayNameLabelKey,
		deployment.Spec.Selector.MatchLabels[gatewayv1.GatewayNameLabelKey])
}

// adminAddresses returns where the admin ports of the pods are that are ready, sorted. The slices are those of the headless
// Service, which has all pods: whether one is ready, its condition serving says.
func adminAddresses(endpoints []discoveryv1.EndpointSlice) []netip.AddrPort {
	var found []netip.AddrPort
	for i := range endpoints {
		for _, port := range endpoints[i].Ports {
			if port.Name == nil || *port.Name != portAdmin || port.Port == nil || *port.Port < 1 || *port.Port > 65535 {
				continue
			}
			for j := range endpoints[i].Endpoints {
				found = append(found, podAddresses(&endpoints[i].Endpoints[j], uint16(*port.Port))...)
			}
		}
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	return slices.Compact(found)
}

// podAddresses leaves out addresses that no pod has: who may write EndpointSlices should not have the manager ask others.
func podAddresses(endpoint *discoveryv1.Endpoint, port uint16) []netip.AddrPort {
	conditions := &endpoint.Conditions
	if conditions.Serving == nil || !*conditions.Serving || (conditions.Terminating != nil && *conditions.Terminating) {
		return nil
	}
	var found []netip.AddrPort
	for _, text := range endpoint.Addresses {
		if address, err := netip.ParseAddr(text); err == nil && addresses.KindOf(address) == addresses.Ordinary {
			found = append(found, netip.AddrPortFrom(address, port))
		}
	}
	return found
}

// gatewayAddresses returns where clients reach a Service: what its load balancer has assigned; else, be it that there is none
// yet or that the Service is of another type, its addresses in the cluster. The addresses of nodes are not among them.
func gatewayAddresses(service *corev1.Service, clusterDomain string) []gatewayv1.GatewayStatusAddress {
	if service == nil {
		return nil
	}
	var found []gatewayv1.GatewayStatusAddress
	add := func(kind gatewayv1.AddressType, value string) {
		known := slices.ContainsFunc(found, func(a gatewayv1.GatewayStatusAddress) bool { return a.Value == value })
		if value != "" && !known && len(found) < maxStatusAddresses {
			found = append(found, gatewayv1.GatewayStatusAddress{Type: new(kind), Value: value})
		}
	}
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			add(gatewayv1.IPAddressType, ingress.IP)
			if ingress.IP == "" {
				add(gatewayv1.HostnameAddressType, ingress.Hostname)
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, ip := range service.Spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			host := fmt.Sprintf("%s.%s.svc.%s", service.Name, service.Namespace, strings.TrimSuffix(clusterDomain, "."))
			add(gatewayv1.HostnameAddressType, host)
			continue
		}
		add(gatewayv1.IPAddressType, ip)
	}
	return found
}

// maxStatusAddresses is how many addresses the Gateway API permits.
const maxStatusAddresses = 16
