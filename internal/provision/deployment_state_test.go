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
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestDeploymentProblem(t *testing.T) {
	status := func(observed int64, all, updated, available int32, conditions ...appsv1.DeploymentCondition) appsv1.DeploymentStatus {
		return appsv1.DeploymentStatus{
			ObservedGeneration: observed, Replicas: all, UpdatedReplicas: updated, AvailableReplicas: available, Conditions: conditions,
		}
	}
	failing := func(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus) appsv1.DeploymentCondition {
		return appsv1.DeploymentCondition{Type: kind, Status: status, Reason: "Why", Message: "what"}
	}
	for name, test := range map[string]struct {
		status   appsv1.DeploymentStatus
		replicas int32
		want     string // the beginning
	}{
		"all are new and available":          {status(2, 2, 2, 2), 2, ""},
		"one of two new ones is available":   {status(2, 2, 2, 1), 2, ""},
		"nothing is known yet":               {status(0, 0, 0, 0), 2, "the Deployment has just been made"},
		"nothing is known of the change yet": {status(1, 2, 2, 2), 2, "the Deployment has just been changed"},
		"none is available":                  {status(2, 2, 2, 0), 2, "no pod is available yet; `kubectl describe pods -n ns -l"},
		"only old ones are available":        {status(2, 3, 1, 2), 2, "the new pods are not available yet"},
		"a new one may be available, or not": {status(2, 4, 2, 2), 2, "the new pods are not available yet"},
		"a new one is available for sure":    {status(2, 3, 1, 3), 2, ""},
		"no replicas":                        {status(2, 0, 0, 0), 0, "the Deployment has no replicas: the Gateway is out of service"},
		"old ones of no replicas":            {status(2, 1, 0, 1), 0, "the Deployment has no replicas: the Gateway is out of service"},
		"no quota": {
			status(2, 0, 0, 0, failing(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue)), 1,
			"the Deployment fails (Why): what; `kubectl",
		},
		"no progress": {
			status(2, 2, 1, 1, failing(appsv1.DeploymentProgressing, corev1.ConditionFalse)), 1,
			"the Deployment fails (Why): what; `kubectl",
		},
		"progress": {
			status(2, 1, 1, 0, failing(appsv1.DeploymentProgressing, corev1.ConditionTrue)), 1, "no pod is available yet",
		},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := desiredDeployment(testWanted(testGateway("gw")), &Installation{})
			deployment.Namespace, deployment.Generation, deployment.Status = "ns", 2, test.status
			deployment.Spec.Replicas = new(test.replicas)
			got := deploymentProblem(deployment, nil).message
			if test.want == "" {
				NewWithT(t).Expect(got).To(BeEmpty())
			} else {
				NewWithT(t).Expect(got).To(HavePrefix(test.want))
			}
		})
	}
	t.Run("what pods say", func(t *testing.T) {
		g := NewWithT(t)
		deployment := desiredDeployment(testWanted(testGateway("gw")), &Installation{})
		deployment.Spec.Replicas = new(int32(2))
		stuck := []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory",
		}}}
		deployment.Status = status(2, 2, 1, 1, failing(appsv1.DeploymentProgressing, corev1.ConditionFalse))
		g.Expect(deploymentProblem(deployment, stuck).message).To(HavePrefix(
			"the new pods are not available yet, those of before serve on: the pod p has failed (Evicted): low on memory; `kubectl"))
		deployment.Status = status(2, 1, 1, 0, failing(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue))
		g.Expect(deploymentProblem(deployment, stuck).message).To(HavePrefix("the Deployment fails (Why): what; `kubectl"))
		deployment.Status = status(2, 2, 2, 2)
		g.Expect(deploymentProblem(deployment, stuck)).To(Equal(problem{}))
	})
	NewWithT(t).Expect(deploymentProblem(nil, nil)).To(Equal(problem{message: "the Deployment has just been made"}))
}

func TestAdminAddresses(t *testing.T) {
	endpoint := func(ready bool, terminating *bool, addresses ...string) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: addresses, Conditions: discoveryv1.EndpointConditions{
			Ready: new(true), Serving: new(ready), Terminating: terminating,
		}}
	}
	slice := func(port int32, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
		return discoveryv1.EndpointSlice{
			Ports: []discoveryv1.EndpointPort{
				{Name: new("peers"), Port: new(int32(15022))}, {Name: new("admin"), Port: new(port)}, {Port: new(port)}, {Name: new("admin")},
			},
			Endpoints: endpoints,
		}
	}
	got := adminAddresses([]discoveryv1.EndpointSlice{
		slice(19001, endpoint(true, nil, "10.0.0.9")),
		slice(19000,
			endpoint(true, new(false), "10.0.0.2"),
			endpoint(true, nil, "10.0.0.1", "10.0.0.2"),
			endpoint(false, nil, "10.0.0.3"),
			endpoint(true, new(true), "10.0.0.4"),
			discoveryv1.Endpoint{Addresses: []string{"10.0.0.5"}},
			endpoint(true, nil, "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "::1", "no address"),
			endpoint(true, nil, "fd00::1")),
		slice(0, endpoint(true, nil, "10.0.0.6")),
		slice(70000, endpoint(true, nil, "10.0.0.6")),
	})
	NewWithT(t).Expect(fmt.Sprint(got)).To(Equal("[10.0.0.1:19000 10.0.0.2:19000 10.0.0.9:19001 [fd00::1]:19000]"))
}

func TestGatewayAddresses(t *testing.T) {
	service := func(kind corev1.ServiceType, ips []string, ingress ...corev1.LoadBalancerIngress) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "gw"},
			Spec:       corev1.ServiceSpec{Type: kind, ClusterIPs: ips},
			Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: ingress}},
		}
	}
	many := make([]corev1.LoadBalancerIngress, 20)
	for i := range many {
		many[i].IP = fmt.Sprintf("192.0.2.%d", i)
	}
	for name, test := range map[string]struct {
		service *corev1.Service
		want    []string
	}{
		"no Service":            {nil, nil},
		"a load balancer's":     {service(corev1.ServiceTypeLoadBalancer, []string{"10.96.0.1"}, corev1.LoadBalancerIngress{IP: "192.0.2.1"}), []string{"IPAddress 192.0.2.1"}},
		"its name":              {service(corev1.ServiceTypeLoadBalancer, nil, corev1.LoadBalancerIngress{Hostname: "lb.example.com"}), []string{"Hostname lb.example.com"}},
		"both":                  {service(corev1.ServiceTypeLoadBalancer, nil, corev1.LoadBalancerIngress{IP: "192.0.2.1", Hostname: "x"}), []string{"IPAddress 192.0.2.1"}},
		"none yet":              {service(corev1.ServiceTypeLoadBalancer, []string{"10.96.0.1", "fd00::1"}), []string{"IPAddress 10.96.0.1", "IPAddress fd00::1"}},
		"in the cluster":        {service(corev1.ServiceTypeClusterIP, []string{"10.96.0.1"}, corev1.LoadBalancerIngress{IP: "192.0.2.1"}), []string{"IPAddress 10.96.0.1"}},
		"nodes' are left out":   {service(corev1.ServiceTypeNodePort, []string{"10.96.0.1"}), []string{"IPAddress 10.96.0.1"}},
		"a headless Service's":  {service(corev1.ServiceTypeClusterIP, []string{"None"}), []string{"Hostname gw.ns.svc.cluster.local"}},
		"a Service that is new": {service(corev1.ServiceTypeClusterIP, nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, address := range gatewayAddresses(test.service, "cluster.local.") {
				got = append(got, string(*address.Type)+" "+address.Value)
			}
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
	NewWithT(t).Expect(gatewayAddresses(service(corev1.ServiceTypeLoadBalancer, nil, many...), "x")).To(
		HaveLen(16), "what %T permits", gatewayv1.GatewayStatus{})
}

func TestContains(t *testing.T) {
	type m = map[string]any
	type l = []any
	for name, test := range map[string]struct {
		live, desired any
		want          bool
	}{
		"equal":                    {m{"a": int64(1), "b": l{"x"}}, m{"a": int64(1), "b": l{"x"}}, true},
		"more":                     {m{"a": int64(1), "b": "default"}, m{"a": int64(1)}, true},
		"another value":            {m{"a": int64(1)}, m{"a": int64(2)}, false},
		"false is a value":         {m{"a": true}, m{"a": false}, false},
		"zero is a value":          {m{"a": int64(3)}, m{"a": int64(0)}, false},
		"missing":                  {m{}, m{"a": int64(0)}, false},
		"an empty map and none":    {m{}, m{"a": m{}}, true},
		"an empty list and none":   {m{}, m{"a": l{}}, true},
		"fields in lists":          {m{"a": l{m{"name": "x", "more": "y"}}}, m{"a": l{m{"name": "x"}}}, true},
		"a longer list":            {m{"a": l{"x", "y"}}, m{"a": l{"x"}}, false},
		"another's item":           {m{"env": l{m{"name": "y"}, m{"name": "x"}, m{"name": "z"}}}, m{"env": l{m{"name": "x"}}}, true},
		"another's item alone":     {m{"env": l{m{"name": "y"}, m{"name": "z"}}}, m{"env": l{m{"name": "x"}}}, false},
		"another's in place":       {m{"env": l{m{"name": "y"}}}, m{"env": l{m{"name": "x"}}}, false},
		"an item is missing":       {m{"env": l{m{"name": "x"}}}, m{"env": l{m{"name": "x"}, m{"name": "y"}}}, false},
		"another order":            {m{"a": l{"y", "x"}}, m{"a": l{"x", "y"}}, false},
		"a map where there's text": {m{"a": "x"}, m{"a": m{"b": "c"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(contains(test.live, test.desired)).To(Equal(test.want))
		})
	}
}
