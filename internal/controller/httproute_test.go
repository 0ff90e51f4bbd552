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
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var _ = Describe("HTTPRoute", func() {
	var (
		namespace string
		gateway   *gatewayv1.Gateway
	)

	BeforeEach(func() {
		namespace = newNamespace()
		gateway = gatewayOf(namespace, "g", v1alpha1.GatewayClassName)
		create(gateway)
	})

	// entry matches our entry of a route's parents, with the reason of ResolvedRefs.
	entry := func(resolved metav1.ConditionStatus, reason string) gomegatypes.GomegaMatcher {
		return And(
			HaveField("ControllerName", BeEquivalentTo(v1alpha1.ControllerName)),
			HaveField("Conditions", And(
				haveCondition("Accepted", metav1.ConditionTrue, "Accepted"),
				haveCondition("ResolvedRefs", resolved, reason))))
	}
	parents := func(route *gatewayv1.HTTPRoute, matchers ...any) {
		GinkgoHelper()
		eventually(route, func(g Gomega, r *gatewayv1.HTTPRoute) {
			g.Expect(r.Status.Parents).To(ConsistOf(matchers...))
		})
	}

	It("resolves when its Backend appears, and no longer when it is gone", func() {
		route := routeOf(namespace, "r", gateway, toBackend("b"))
		backend := backendOf(namespace, "b", "app=mcp")
		create(route)
		parents(route, entry(metav1.ConditionFalse, "BackendNotFound"))
		create(backend)
		parents(route, entry(metav1.ConditionTrue, "ResolvedRefs"))
		unchanged(route)
		remove(backend)
		parents(route, entry(metav1.ConditionFalse, "BackendNotFound"))
	})

	It("tells of a Backend that is not accepted", func() {
		backend := backendOf(namespace, "b", "app=mcp")
		backend.Spec.MCP.Targets[0].Selector.Protocol = v1alpha1.MCPProtocolSSE
		route := routeOf(namespace, "r", gateway, toBackend("b"))
		create(route)
		create(backend)
		parents(route, entry(metav1.ConditionFalse, "BackendNotAccepted"))
		change(backend, func(b *v1alpha1.Backend) {
			b.Spec.MCP.Targets[0].Selector.Protocol = v1alpha1.MCPProtocolStreamableHTTP
		})
		parents(route, entry(metav1.ConditionTrue, "ResolvedRefs"))
	})

	It("is not woken by what happens among a Backend's targets", func() {
		backend := backendOf(namespace, "b", "app=mcp")
		route := routeOf(namespace, "r", gateway, toBackend("b"))
		create(backend)
		create(route)
		parents(route, entry(metav1.ConditionTrue, "ResolvedRefs"))
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("0/0")) })
		before := idle("httproute")
		create(serviceOf(namespace, "s", "app=mcp"))
		eventually(backend, func(g Gomega, b *v1alpha1.Backend) { g.Expect(b.Status.Summary).To(Equal("0/1")) })
		Consistently(func() float64 { return reconciles("httproute") }).Should(Equal(before))
	})

	It("refuses unknown kinds", func() {
		ref := toBackend("b")
		ref.Kind = new(gatewayv1.Kind("Frontend"))
		route := routeOf(namespace, "r", gateway, ref)
		create(route)
		parents(route, entry(metav1.ConditionFalse, "InvalidKind"))
	})

	It("reaches Backends of other namespaces only where a ReferenceGrant permits it", func() {
		other := newNamespace()
		create(backendOf(other, "b", "app=mcp"))
		ref := toBackend("b")
		ref.Namespace = new(gatewayv1.Namespace(other))
		route := routeOf(namespace, "r", gateway, ref)
		create(route)
		parents(route, entry(metav1.ConditionFalse, "RefNotPermitted"))
		grant := grantOf(other,
			gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: gatewayv1.Namespace(namespace)},
			gatewayv1.ReferenceGrantTo{Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: v1alpha1.KindBackend})
		create(grant)
		parents(route, entry(metav1.ConditionTrue, "ResolvedRefs"))
		remove(grant)
		parents(route, entry(metav1.ConditionFalse, "RefNotPermitted"))
	})

	It("keeps other controllers' entries and drops ours for Gateways that are gone", func() {
		class := classOf("foreign-"+namespace, "example.com/other")
		create(class)
		foreign := gatewayOf(namespace, "foreign", class.Name)
		create(foreign)
		route := routeOf(namespace, "r", gateway, toBackend("b"))
		route.Spec.ParentRefs = append(route.Spec.ParentRefs, gatewayv1.ParentReference{Name: "foreign"})
		create(route)
		ours := entry(metav1.ConditionFalse, "BackendNotFound")
		parents(route, ours)

		Eventually(func() error {
			fresh := &gatewayv1.HTTPRoute{}
			if err := api.Get(ctx, client.ObjectKeyFromObject(route), fresh); err != nil {
				return err
			}
			theirs := gatewayv1.RouteParentStatus{
				ParentRef: gatewayv1.ParentReference{Name: "foreign"}, ControllerName: "example.com/other",
			}
			apimeta.SetStatusCondition(&theirs.Conditions, metav1.Condition{
				Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Theirs",
			})
			fresh.Status.Parents = append([]gatewayv1.RouteParentStatus{theirs}, fresh.Status.Parents...)
			return api.Status().Update(ctx, fresh)
		}).Should(Succeed())
		theirs := And(HaveField("ControllerName", BeEquivalentTo("example.com/other")),
			HaveField("Conditions", haveCondition("Accepted", metav1.ConditionTrue, "Theirs")))
		create(backendOf(namespace, "b", "app=mcp"))
		parents(route, theirs, entry(metav1.ConditionTrue, "ResolvedRefs"))
		remove(gateway)
		parents(route, theirs)
	})

	It("drops our entry when it leaves the Gateway", func() {
		route := routeOf(namespace, "r", gateway, toBackend("b"))
		create(route)
		parents(route, entry(metav1.ConditionFalse, "BackendNotFound"))
		change(route, func(r *gatewayv1.HTTPRoute) { r.Spec.ParentRefs = nil })
		parents(route)
	})

	It("waits for its Gateway", func() {
		late := gatewayOf(namespace, "late", v1alpha1.GatewayClassName)
		route := routeOf(namespace, "r", late, toBackend("b"))
		create(route)
		seen(route)
		unchanged(route)
		create(late)
		parents(route, entry(metav1.ConditionFalse, "BackendNotFound"))
	})

	It("has an entry for each of its parents", func() {
		second := gatewayOf(namespace, "second", v1alpha1.GatewayClassName)
		create(second)
		route := routeOf(namespace, "r", gateway, toBackend("b"))
		route.Spec.ParentRefs = append(route.Spec.ParentRefs,
			gatewayv1.ParentReference{Name: "second", SectionName: new(gatewayv1.SectionName("http"))},
			gatewayv1.ParentReference{Name: "second", SectionName: new(gatewayv1.SectionName("none"))},
			gatewayv1.ParentReference{Group: new(gatewayv1.Group(corev1.GroupName)), Kind: new(gatewayv1.Kind("Service")), Name: "g"})
		create(route)
		at := func(section string) gomegatypes.GomegaMatcher {
			return HaveField("ParentRef.SectionName", HaveValue(BeEquivalentTo(section)))
		}
		parents(route,
			HaveField("ParentRef.Name", BeEquivalentTo("g")),
			And(at("http"), HaveField("Conditions", haveCondition("Accepted", metav1.ConditionTrue, ""))),
			And(at("none"), HaveField("Conditions", haveCondition("Accepted", metav1.ConditionFalse, "NoMatchingParent"))))
	})
})
