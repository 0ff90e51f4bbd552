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

package main

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func service(name string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	if change != nil {
		change(s)
	}
	return s
}

func TestAssignGivesFreeAddressesToThoseThatWaitForOne(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset(
		service("a", nil),
		service("b", nil),
		service("class", func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("other") }),
		service("cluster", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }),
		service("has-one", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.2"}}
		}),
	)
	addresses := func() map[string]string {
		list, err := client.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		found := map[string]string{}
		for _, s := range list.Items {
			for _, ingress := range s.Status.LoadBalancer.Ingress {
				found[s.Name] = ingress.IP
			}
		}
		return found
	}

	prefix := netip.MustParsePrefix("192.0.2.0/24")
	_, err := assign(t.Context(), client, prefix)
	g.Expect(err).NotTo(HaveOccurred())
	want := map[string]string{"a": "192.0.2.1", "b": "192.0.2.3", "has-one": "192.0.2.2"}
	g.Expect(addresses()).To(Equal(want))

	_, err = assign(t.Context(), client, prefix)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(addresses()).To(Equal(want), "a Service keeps its address")
}

func TestAssignSaysThatTheRangeIsExhausted(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset(service("a", nil), service("b", nil))
	_, err := assign(t.Context(), client, netip.MustParsePrefix("192.0.2.0/31"))
	g.Expect(err).To(MatchError(ContainSubstring("no address is left")))
}
