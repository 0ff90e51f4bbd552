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

package controller_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var _ = Describe("Backend", func() {
	var namespace string

	BeforeEach(func() { namespace = newNamespace() })

	It("lists the walkthrough's server", func() {
		createManifests("testdata/walkthrough.yaml", namespace)
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mcp-server-everything"}}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(service), service)).To(Succeed())
		create(endpointsOf(service, "10.0.0.1", "10.0.0.2"))

		eventually(backendOf(namespace, "mcp-backend"), func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Conditions).To(And(
				haveCondition(v1alpha1.BackendConditionAccepted, metav1.ConditionTrue, v1alpha1.BackendReasonAccepted),
				haveCondition(v1alpha1.BackendConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.BackendReasonResolvedRefs),
				haveCondition(v1alpha1.BackendConditionReady, metav1.ConditionTrue, v1alpha1.BackendReasonAllTargetsReady),
				HaveEach(HaveField("ObservedGeneration", b.Generation)),
				HaveEach(HaveField("LastTransitionTime.Time", Not(BeZero()))),
			))
			g.Expect(b.Status.Summary).To(Equal("1/1"))
			g.Expect(b.Status.Targets).To(ConsistOf(And(
				HaveField("Name", "mcp-server-everything"),
				HaveField("Target", "mcp-server-everything"),
				HaveField("Service", HaveValue(And(HaveField("UID", service.UID), HaveField("Port", int32(3001))))),
				HaveField("Host", "mcp-server-everything."+namespace+".svc.cluster.local"),
				HaveField("Path", "/mcp"),
				HaveField("Endpoints", []string{"10.0.0.1:3001", "10.0.0.2:3001"}),
				HaveField("Ready", HaveValue(BeTrue())),
			)))
		})
	})

	It("says so when it matches nothing", func() {
		backend := backendOf(namespace, "b", "app=none")
		create(backend)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Conditions).To(And(
				haveCondition(v1alpha1.BackendConditionAccepted, metav1.ConditionTrue, ""),
				haveCondition(v1alpha1.BackendConditionReady, metav1.ConditionFalse, v1alpha1.BackendReasonNoTargets)))
			g.Expect(b.Status.Summary).To(Equal("0/0"))
		})
	})

	It("follows a Service that is relabelled away and back, and keeps name and place of the others", func() {
		elder, younger := serviceOf(namespace, "z-elder", "app=mcp"), serviceOf(namespace, "a-younger", "app=mcp")
		backend := backendOf(namespace, "b", "app=mcp")
		create(elder)
		create(backend)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"z-elder"}))
		})
		create(younger)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"z-elder", "a-younger"}))
		})
		change(elder, func(s *corev1.Service) { s.Labels["app"] = "other" })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"a-younger"}))
		})
		change(elder, func(s *corev1.Service) { s.Labels["app"] = "mcp" })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"a-younger", "z-elder"}))
		})
		remove(younger)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"z-elder"}))
		})
	})

	It("ends where the last of many quick changes left it", func() {
		service := serviceOf(namespace, "s", "app=mcp")
		backend := backendOf(namespace, "b", "app=mcp")
		create(service)
		create(backend)
		for range 10 {
			change(service, func(s *corev1.Service) { s.Labels["app"] = "other" })
			change(service, func(s *corev1.Service) { s.Labels["app"] = "mcp" })
		}
		idle("backend")
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"s"}))
		})
		change(service, func(s *corev1.Service) { s.Labels["app"] = "other" })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(targetNames(b)).To(BeEmpty()) })
	})

	It("puts a status right that someone else has written", func() {
		backend := backendOf(namespace, "b", "app=mcp")
		create(serviceOf(namespace, "s", "app=mcp"))
		create(backend)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(targetNames(b)).To(Equal([]string{"s"})) })
		Eventually(func() error {
			fresh := &v1alpha1.Backend{}
			if err := api.Get(ctx, client.ObjectKeyFromObject(backend), fresh); err != nil {
				return err
			}
			fresh.Status = v1alpha1.BackendStatus{Summary: "7/7"}
			return api.Status().Update(ctx, fresh)
		}).Should(Succeed())
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Summary).To(Equal("0/1"))
			g.Expect(targetNames(b)).To(Equal([]string{"s"}))
		})
	})

	It("follows the spec", func() {
		backend := backendOf(namespace, "b", "app=one")
		create(serviceOf(namespace, "one", "app=one"))
		create(serviceOf(namespace, "two", "app=two"))
		create(backend)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(targetNames(b)).To(Equal([]string{"one"})) })
		change(backend, func(b *v1alpha1.Backend) {
			b.Spec.MCP.Targets[0].Selector.Service.MatchLabels["app"] = "two"
		})
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"two"}))
			g.Expect(b.Status.Conditions).To(HaveEach(HaveField("ObservedGeneration", b.Generation)))
		})
	})

	It("turns a target not ready that loses its ready addresses, tells of it, and back", func() {
		service := serviceOf(namespace, "s", "app=mcp")
		slice := endpointsOf(service, "10.0.0.1")
		backend := backendOf(namespace, "b", "app=mcp")
		create(service)
		create(slice)
		create(backend)
		ready := func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Targets).To(ConsistOf(And(HaveField("Ready", HaveValue(BeTrue())),
				HaveField("Endpoints", []string{"10.0.0.1:3001"}))))
		}
		eventually(backend, ready)
		change(slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = new(false) })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Targets).To(ConsistOf(And(HaveField("Ready", HaveValue(BeFalse())),
				HaveField("Reason", v1alpha1.TargetReasonNoReadyEndpoints), HaveField("Endpoints", BeEmpty()))))
			g.Expect(b.Status.Conditions).To(haveCondition(
				v1alpha1.BackendConditionReady, metav1.ConditionFalse, v1alpha1.BackendReasonNoTargetsReady))
		})
		Eventually(func(g Gomega) {
			var events eventsv1.EventList
			g.Expect(api.List(ctx, &events, client.InNamespace(namespace))).To(Succeed())
			g.Expect(events.Items).To(ContainElement(And(
				HaveField("Regarding.Name", "b"), HaveField("Type", corev1.EventTypeWarning),
				HaveField("Reason", v1alpha1.BackendReasonNoTargetsReady), HaveField("Note", HavePrefix("Ready is False")))))
		}).Should(Succeed())
		change(slice, func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = new(true) })
		eventually(backend, ready)
		remove(slice)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("0/1")) })
	})

	It("makes few writes of many changes of endpoints", func() {
		service := serviceOf(namespace, "s", "app=mcp")
		slice := endpointsOf(service)
		backend := backendOf(namespace, "b", "app=mcp")
		create(service)
		create(slice)
		create(backend)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("0/1")) })
		before := idle("backend")
		start := time.Now()
		const changes = 20
		for i := range changes {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.1.%d", i+1)}})
			Expect(api.Update(ctx, slice)).To(Succeed())
		}
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Targets).To(ConsistOf(HaveField("Endpoints", HaveLen(changes))))
		})
		// One reconciliation resolves and writes, one more sees that write, every 100 ms at most.
		windows := time.Since(start)/(100*time.Millisecond) + 1
		Expect(idle("backend")-before).To(BeNumerically("<=", 2*windows), "reconciliations for %d changes", changes)
	})

	It("skips what can't be used, with the reason, and uses the rest", func() {
		sse := serviceOf(namespace, "sse", "app=mcp")
		sse.Spec.Ports[0].AppProtocol = new(v1alpha1.AppProtocolMCPSSE)
		plain := serviceOf(namespace, "plain", "app=mcp")
		plain.Spec.Ports[0].AppProtocol = nil
		external := serviceOf(namespace, "external", "app=mcp")
		external.Spec.Type, external.Spec.ExternalName = corev1.ServiceTypeExternalName, "mcp.example.com"
		badPath := serviceOf(namespace, "bad-path", "app=mcp")
		badPath.Annotations = map[string]string{v1alpha1.AnnotationMCPPath: "http://elsewhere/mcp"}
		good := serviceOf(namespace, "good", "app=mcp")
		backend := backendOf(namespace, "b", "app=mcp")
		for _, object := range []client.Object{sse, plain, external, badPath, good, backend} {
			create(object)
		}
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"good"}))
			g.Expect(skippedReasons(b)).To(ConsistOf(
				v1alpha1.SkipReasonUnsupportedProtocol+" sse", v1alpha1.SkipReasonNoMCPPort+" plain",
				v1alpha1.SkipReasonExternalNameNotAllowed+" external", v1alpha1.SkipReasonInvalidPath+" bad-path"))
			g.Expect(b.Status.SkippedCount).To(Equal(int32(4)))
		})
		change(badPath, func(s *corev1.Service) { s.Annotations[v1alpha1.AnnotationMCPPath] = "/tools/mcp" })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{"good", "bad-path"}))
			g.Expect(b.Status.Targets[1].Path).To(Equal("/tools/mcp"))
		})
	})

	It("uses Services of other namespaces only where a ReferenceGrant permits it", func() {
		label := "team=" + namespace // selects the spec's own namespaces
		granted, denied := newNamespace(label), newNamespace(label)
		for _, n := range []string{granted, denied} {
			create(serviceOf(n, "same", "app=mcp"))
		}
		grant := grantOf(granted,
			gatewayv1.ReferenceGrantFrom{
				Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: v1alpha1.KindBackend,
				Namespace: gatewayv1.Namespace(namespace),
			},
			gatewayv1.ReferenceGrantTo{Kind: "Service"})
		backend := acrossNamespaces(backendOf(namespace, "b", "app=mcp"), label)
		create(backend)
		without := func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(BeEmpty())
			g.Expect(b.Status.Skipped).To(ConsistOf(And(
				HaveField("Reason", v1alpha1.SkipReasonRefNotPermitted), HaveField("Count", int32(2)),
				HaveField("Service", BeNil()))))
			g.Expect(b.Status.Conditions).To(haveCondition(
				v1alpha1.BackendConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.SkipReasonRefNotPermitted))
		}
		eventually(backend, without)
		create(grant)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(targetNames(b)).To(Equal([]string{granted + "-same"}))
			g.Expect(skippedReasons(b)).To(Equal([]string{v1alpha1.SkipReasonRefNotPermitted}))
		})
		change(grant, func(r *gatewayv1.ReferenceGrant) { r.Spec.From[0].Namespace = "elsewhere" })
		eventually(backend, without)
		change(grant, func(r *gatewayv1.ReferenceGrant) { r.Spec.From[0].Namespace = gatewayv1.Namespace(namespace) })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(targetNames(b)).To(HaveLen(1)) })
		remove(grant)
		eventually(backend, without)
	})

	It("follows the labels of namespaces", func() {
		label := "team=" + namespace
		backend := acrossNamespaces(backendOf(namespace, "b", "app=mcp"), label)
		create(serviceOf(namespace, "s", "app=mcp"))
		create(backend)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("0/0")) })
		own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		change(own, func(n *corev1.Namespace) { n.Labels["team"] = namespace })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(targetNames(b)).To(Equal([]string{"s"})) })
		change(own, func(n *corev1.Namespace) { delete(n.Labels, "team") })
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(targetNames(b)).To(BeEmpty()) })
	})

	It("follows TLS policies and their certificates, and never falls back to plain text", func() {
		service := serviceOf(namespace, "s", "app=mcp")
		backend := backendOf(namespace, "b", "app=mcp")
		for _, object := range []client.Object{service, endpointsOf(service, "10.0.0.1"), backend} {
			create(object)
		}
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("1/1")) })
		broken := func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Targets).To(ConsistOf(And(HaveField("Ready", HaveValue(BeFalse())),
				HaveField("Reason", v1alpha1.TargetReasonInvalidTLSPolicy))))
		}
		policy := &gatewayv1.BackendTLSPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tls"},
			Spec: gatewayv1.BackendTLSPolicySpec{
				TargetRefs: []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{
					LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: "s"},
				}},
				Validation: gatewayv1.BackendTLSPolicyValidation{
					Hostname:          "mcp.example.com",
					CACertificateRefs: []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "ca"}},
				},
			},
		}
		create(policy)
		eventually(backend, broken)

		first, second := certificate("first"), certificate("second")
		trusts := func(pem string) func(Gomega, *v1alpha1.Backend) {
			return func(g Gomega, b *v1alpha1.Backend) {
				g.Expect(b.Status.Summary).To(Equal("1/1"))
				g.Expect(b.Status.Targets[0].TLS).To(HaveValue(HaveField("Hostname", "mcp.example.com")))
				g.Expect(b.Status.CABundles).To(HaveLen(1))
				g.Expect(b.Status.CABundles[b.Status.Targets[0].TLS.CABundle]).To(Equal(pem))
			}
		}
		configMap := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"},
			Data:       map[string]string{"ca.crt": first, "other": "not cached"},
		}
		create(configMap)
		eventually(backend, trusts(first))
		change(configMap, func(c *corev1.ConfigMap) { c.Data["ca.crt"] = second })
		eventually(backend, trusts(second))
		remove(configMap)
		eventually(backend, broken)
		change(policy, func(p *gatewayv1.BackendTLSPolicy) {
			p.Spec.Validation.CACertificateRefs = nil
			p.Spec.Validation.WellKnownCACertificates = new(gatewayv1.WellKnownCACertificatesSystem)
		})
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Targets[0].TLS).To(HaveValue(HaveField("WellKnownCACertificates", "System")))
			g.Expect(b.Status.CABundles).To(BeEmpty())
		})
		remove(policy)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Summary).To(Equal("1/1"))
			g.Expect(b.Status.Targets[0].TLS).To(BeNil())
		})
	})

	It("is not woken by what does not concern it, and not written when nothing changed", func() {
		service := serviceOf(namespace, "s", "app=mcp")
		slice := endpointsOf(service, "10.0.0.1")
		backend := backendOf(namespace, "b", "app=mcp")
		for _, object := range []client.Object{service, slice, backend} {
			create(object)
		}
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("1/1")) })
		before := idle("backend")

		other := serviceOf(namespace, "other", "app=other")
		elsewhere := serviceOf(newNamespace(), "s", "app=mcp")
		service.Status.Conditions = []metav1.Condition{{
			Type: "example.com/Unrelated", Status: metav1.ConditionTrue, Reason: "Set", LastTransitionTime: metav1.Now(),
		}}
		Expect(api.Status().Update(ctx, service)).To(Succeed())
		service.Annotations = map[string]string{"example.com/unrelated": "1"}
		Expect(api.Update(ctx, service)).To(Succeed())
		slice.Annotations = map[string]string{"example.com/unrelated": "1"}
		slice.Endpoints[0].Zone = new("zone-a")
		Expect(api.Update(ctx, slice)).To(Succeed())
		otherSlice := endpointsOf(other, "10.0.0.2")
		configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "unrelated"}}
		for _, object := range []client.Object{other, elsewhere, otherSlice, configMap} {
			create(object)
		}
		change(other, func(s *corev1.Service) { s.Labels["app"] = "another" })
		change(backend, func(b *v1alpha1.Backend) { b.Labels = map[string]string{"team": "a"} })
		for _, object := range []client.Object{service, slice, elsewhere, otherSlice, configMap} {
			seen(object)
		}
		unchanged(backend)
		Consistently(func() float64 { return reconciles("backend") }).Should(Equal(before))
	})

	It("tells why a Backend is not accepted that no webhook has seen", func() {
		backend := backendOf(namespace, "b", "app=mcp")
		backend.Spec.MCP.Targets[0].Selector.Protocol = v1alpha1.MCPProtocolSSE
		create(backend)
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) {
			g.Expect(b.Status.Conditions).To(haveCondition(
				v1alpha1.BackendConditionAccepted, metav1.ConditionFalse, v1alpha1.BackendReasonInvalid))
		})
	})
})
