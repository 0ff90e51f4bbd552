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
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

var _ = Describe("Gateway", func() {
	const accepted, programmed = string(gatewayv1.GatewayConditionAccepted), string(gatewayv1.GatewayConditionProgrammed)
	var (
		namespace string
		key       types.NamespacedName
		serving   = provision.State{Serving: true, Addresses: []gatewayv1.GatewayStatusAddress{{
			Type: new(gatewayv1.IPAddressType), Value: "127.0.0.1",
		}}}
	)

	BeforeEach(func() {
		namespace = newNamespace()
		key = types.NamespacedName{Namespace: namespace, Name: "agentgateway"}
	})

	It("is accepted, and programmed when the proxy serves", func() {
		createManifests("testdata/walkthrough.yaml", namespace)
		gateway := gatewayOf(key.Namespace, key.Name, v1alpha1.GatewayClassName)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(And(
				haveCondition(accepted, metav1.ConditionTrue, "Accepted"),
				haveCondition(programmed, metav1.ConditionFalse, "Pending: Waiting for the proxy"),
				HaveEach(HaveField("ObservedGeneration", gw.Generation))))
			g.Expect(gw.Status.Listeners).To(ConsistOf(And(
				HaveField("Name", BeEquivalentTo("http")),
				HaveField("AttachedRoutes", int32(1)),
				HaveField("SupportedKinds", ConsistOf(HaveField("Kind", BeEquivalentTo("HTTPRoute")))),
				HaveField("Conditions", And(haveCondition("Accepted", metav1.ConditionTrue, ""),
					haveCondition("ResolvedRefs", metav1.ConditionTrue, ""),
					haveCondition("Programmed", metav1.ConditionFalse, "Pending"))))))
			g.Expect(proxies.ensuredGeneration(key)).To(Equal(gw.Generation))
		})
		proxies.become(key, provision.State{Message: "port 8080 is in use"}, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionFalse, "Pending: port 8080 is in use"))
		})
		proxies.become(key, serving, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionTrue, "Programmed"))
			g.Expect(gw.Status.Addresses).To(Equal(serving.Addresses))
			g.Expect(gw.Status.Listeners[0].Conditions).To(haveCondition("Programmed", metav1.ConditionTrue, "Programmed"))
		})
		unchanged(gateway)
		proxies.become(key, provision.State{}, errors.New("no more processes"))
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionUnknown, "Pending: ensure proxy: no more processes"))
			g.Expect(gw.Status.Addresses).To(Equal(serving.Addresses), "not known to have changed")
		})
		proxies.become(key, provision.State{Message: "restarting"}, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionFalse, "Pending: restarting"))
		})
	})

	It("stays programmed while it is not known whether the proxy still serves what it served", func() {
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		create(gateway)
		asked := provision.State{Undecided: true, Message: "asked", Addresses: serving.Addresses}
		proxies.become(key, asked, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionFalse, "Pending: asked"))
		})
		proxies.become(key, serving, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionTrue, "Programmed"))
		})
		asked.Addresses = nil // so that there is something to see
		proxies.become(key, asked, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Addresses).To(BeEmpty())
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionTrue, "Programmed"))
			g.Expect(gw.Status.Listeners[0].Conditions).To(haveCondition("Programmed", metav1.ConditionTrue, "Programmed"))
		})
		change(gateway, func(gw *gatewayv1.Gateway) { gw.Spec.Listeners[0].Port = 8081 })
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionFalse, "Pending: asked"))
		})
	})

	It("counts attached routes", func() {
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		create(gateway)
		attached := func(n int32) {
			GinkgoHelper()
			eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
				g.Expect(gw.Status.Listeners).To(ConsistOf(HaveField("AttachedRoutes", n)))
			})
		}
		attached(0)
		first := routeOf(namespace, "first", gateway, toBackend("b"))
		second := routeOf(newNamespace(), "second", gateway, toBackend("b"))
		create(first)
		attached(1)
		create(second)
		attached(2)
		change(second, func(r *gatewayv1.HTTPRoute) { r.Spec.ParentRefs[0].Name = "other" })
		attached(1)
		remove(first)
		attached(0)
	})

	It("follows the labels of namespaces that its listeners select", func() {
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		gateway.Spec.Listeners[0].AllowedRoutes.Namespaces = &gatewayv1.RouteNamespaces{
			From:     new(gatewayv1.NamespacesFromSelector),
			Selector: &metav1.LabelSelector{MatchLabels: labelled("team=" + namespace)},
		}
		guest := newNamespace()
		route := routeOf(guest, "r", gateway, toBackend("b"))
		create(gateway)
		create(route)
		attached := func(n int32, status metav1.ConditionStatus) {
			GinkgoHelper()
			eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
				g.Expect(gw.Status.Listeners).To(ConsistOf(HaveField("AttachedRoutes", n)))
			})
			eventually(route, func(g Gomega, r *gatewayv1.HTTPRoute) {
				g.Expect(r.Status.Parents).To(ConsistOf(HaveField("Conditions", haveCondition("Accepted", status, ""))))
			})
		}
		attached(0, metav1.ConditionFalse)
		change(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guest}}, func(n *corev1.Namespace) {
			n.Labels["team"] = namespace
		})
		attached(1, metav1.ConditionTrue)
		change(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guest}}, func(n *corev1.Namespace) {
			delete(n.Labels, "team")
		})
		attached(0, metav1.ConditionFalse)
	})

	It("tells which listener can't be served", func() {
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		gateway.Spec.Listeners = append(gateway.Spec.Listeners, gatewayv1.Listener{
			Name: "udp", Port: 9090, Protocol: gatewayv1.UDPProtocolType,
		})
		create(gateway)
		proxies.become(key, serving, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(And(
				haveCondition(accepted, metav1.ConditionTrue, "ListenersNotValid"),
				haveCondition(programmed, metav1.ConditionTrue, "Programmed")))
			g.Expect(gw.Status.Listeners).To(ConsistOf(
				And(HaveField("Name", BeEquivalentTo("http")),
					HaveField("Conditions", haveCondition("Programmed", metav1.ConditionTrue, "Programmed"))),
				And(HaveField("Name", BeEquivalentTo("udp")),
					HaveField("Conditions", haveCondition("Programmed", metav1.ConditionFalse, "Invalid")))))
		})
	})

	It("gets no proxy if it is not accepted", func() {
		class := classOf("parameters-"+namespace, v1alpha1.ControllerName)
		class.Spec.ParametersRef = &gatewayv1.ParametersReference{Group: "example.com", Kind: "P", Name: "p"}
		gateway := gatewayOf(namespace, key.Name, class.Name)
		create(class)
		create(gateway)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(And(
				haveCondition(accepted, metav1.ConditionFalse, "InvalidParameters: GatewayClass "+class.Name),
				haveCondition(programmed, metav1.ConditionFalse, "Invalid")))
		})
		Expect(proxies.ensuredGeneration(key)).To(BeZero())
		change(class, func(c *gatewayv1.GatewayClass) { c.Spec.ParametersRef = nil })
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(accepted, metav1.ConditionTrue, "Accepted"))
			g.Expect(proxies.ensuredGeneration(key)).To(Equal(gw.Generation))
		})
	})

	It("gets a proxy by the parameters of its class and its own", func() {
		far, near := parametersOf(newNamespace(), "class"), parametersOf(namespace, "own")
		far.Spec.Replicas, far.Spec.SessionLifetime = new(int32(2)), &metav1.Duration{Duration: time.Hour}
		near.Spec.Replicas = new(int32(3))
		class := classOf("parameters-"+namespace, v1alpha1.ControllerName)
		class.Spec.ParametersRef = &gatewayv1.ParametersReference{
			Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: v1alpha1.KindGatewayParameters,
			Name: far.Name, Namespace: new(gatewayv1.Namespace(far.Namespace)),
		}
		gateway := gatewayOf(namespace, key.Name, class.Name)
		gateway.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{ParametersRef: &gatewayv1.LocalParametersReference{
			Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: v1alpha1.KindGatewayParameters, Name: near.Name,
		}}
		create(far)
		create(class)
		create(gateway)
		proxies.become(key, serving, nil)
		conditions := func(acceptedStatus metav1.ConditionStatus, reason string) {
			GinkgoHelper()
			eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
				g.Expect(gw.Status.Conditions).To(haveCondition(accepted, acceptedStatus, reason))
			})
		}
		conditions(metav1.ConditionFalse, "InvalidParameters: spec.infrastructure.parametersRef: GatewayParameters "+
			namespace+"/own do not exist")
		Expect(proxies.lastWanted(key)).To(BeNil())

		create(near)
		conditions(metav1.ConditionTrue, "Accepted")
		wants := func(replicas int, lifetime time.Duration) {
			GinkgoHelper()
			Eventually(func() *provision.Wanted { return proxies.lastWanted(key) }).Should(And(
				HaveField("Ports", []int32{8080}),
				HaveField("Parameters.Spec.Replicas", HaveValue(BeEquivalentTo(replicas))),
				HaveField("Parameters.Spec.SessionLifetime.Duration", lifetime)))
		}
		wants(3, time.Hour)
		change(near, func(p *v1alpha1.GatewayParameters) { p.Spec.Replicas = new(int32(4)) })
		wants(4, time.Hour)
		change(far, func(p *v1alpha1.GatewayParameters) { p.Spec.SessionLifetime.Duration = 2 * time.Hour })
		wants(4, 2*time.Hour)

		By("a class whose parameters are gone: what serves goes on, with its addresses")
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) { g.Expect(gw.Status.Addresses).To(Equal(serving.Addresses)) })
		remove(far)
		conditions(metav1.ConditionFalse, "InvalidParameters: GatewayClass "+class.Name+" is not accepted: spec.parametersRef")
		eventually(class, func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Status.Conditions).To(haveCondition("Accepted", metav1.ConditionFalse, "InvalidParameters: spec.parametersRef"))
		})
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionFalse, "Invalid"))
			g.Expect(gw.Status.Addresses).To(Equal(serving.Addresses))
		})
		Expect(proxies.wasRemoved(key)).To(BeFalse())
	})

	It("is not accepted with parameters that the API server does not take", func() {
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		create(gateway)
		proxies.become(key, provision.State{}, provision.NewInvalidParametersError(errors.New("no such field")))
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(And(
				haveCondition(accepted, metav1.ConditionFalse, "InvalidParameters: no such field"),
				haveCondition(programmed, metav1.ConditionFalse, "Invalid")))
		})
	})

	It("says which object of somebody else is in the way", func() {
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		create(gateway)
		proxies.become(key, provision.State{Reason: v1alpha1.GatewayReasonObjectConflict, Message: "the Service"}, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionFalse, "ObjectConflict: the Service"))
		})
	})

	It("loses its proxy when it is deleted", func() {
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		create(gateway)
		Eventually(func() int64 { return proxies.ensuredGeneration(key) }).Should(Equal(gateway.Generation))
		remove(gateway)
		Eventually(func() bool { return proxies.wasRemoved(key) }).Should(BeTrue())
	})

	It("is not touched if its class is another controller's or does not exist", func() {
		class := classOf("foreign-"+namespace, "example.com/other")
		create(class)
		foreign, unknown := gatewayOf(namespace, "foreign", class.Name), gatewayOf(namespace, "unknown", "none-"+namespace)
		create(foreign)
		create(unknown)
		seen(foreign)
		seen(unknown)
		unchanged(foreign)
		unchanged(unknown)
		Expect(proxies.ensuredGeneration(client.ObjectKeyFromObject(foreign))).To(BeZero())
		Expect(proxies.ensuredGeneration(client.ObjectKeyFromObject(unknown))).To(BeZero())

		create(classOf("none-"+namespace, v1alpha1.ControllerName))
		eventually(unknown, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(accepted, metav1.ConditionTrue, ""))
		})
	})

	It("loses its proxy and keeps its status when it moves to another controller's class", func() {
		class := classOf("foreign-"+namespace, "example.com/other")
		create(class)
		gateway := gatewayOf(namespace, key.Name, v1alpha1.GatewayClassName)
		route := routeOf(namespace, "r", gateway, toBackend("b"))
		create(gateway)
		create(route)
		proxies.become(key, serving, nil)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionTrue, ""))
			g.Expect(gw.Status.Listeners).To(ConsistOf(HaveField("AttachedRoutes", int32(1))))
		})
		eventually(route, func(g Gomega, r *gatewayv1.HTTPRoute) { g.Expect(r.Status.Parents).To(HaveLen(1)) })
		change(gateway, func(gw *gatewayv1.Gateway) { gw.Spec.GatewayClassName = gatewayv1.ObjectName(class.Name) })
		Eventually(func() bool { return proxies.wasRemoved(key) }).Should(BeTrue())
		unchanged(gateway)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(programmed, metav1.ConditionTrue, ""))
		})
		eventually(route, func(g Gomega, r *gatewayv1.HTTPRoute) { g.Expect(r.Status.Parents).To(BeEmpty()) })
	})
})
