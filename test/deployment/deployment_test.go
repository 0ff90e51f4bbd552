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

package deployment

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

var _ = Describe("The objects of a Gateway", func() {
	var (
		namespace  string
		gateway    *gatewayv1.Gateway
		deployment *appsv1.Deployment
		service    *corev1.Service
	)

	BeforeEach(func() {
		namespace = newNamespace()
		gateway = gatewayOf(namespace, "tools")
		meta := metav1.ObjectMeta{Namespace: namespace, Name: "tools"}
		deployment, service = &appsv1.Deployment{ObjectMeta: meta}, &corev1.Service{ObjectMeta: meta}
	})

	It("are made, owned by it, and deleted with it", func() {
		create(gateway)
		exist(objectsOf(gateway))
		for _, object := range objectsOf(gateway) {
			Expect(api.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
			Expect(metav1.IsControlledBy(object, gateway)).To(BeTrue(), "%T", object)
			Expect(object.GetLabels()).To(And(
				HaveKeyWithValue(provision.LabelManagedBy, provision.ManagedBy),
				HaveKeyWithValue("gateway.networking.k8s.io/gateway-name", "tools")))
		}
		Eventually(subjects).Should(ContainElement(accountOf(gateway)))
		Expect(api.Delete(ctx, gateway)).To(Succeed())
		gone(objectsOf(gateway))
		Eventually(subjects).ShouldNot(ContainElement(accountOf(gateway)))
	})

	It("make pods that pass the restricted Pod Security Standard", func() {
		create(gateway)
		Eventually(func() error { return api.Get(ctx, client.ObjectKeyFromObject(deployment), deployment) }).Should(Succeed())
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "tools-", Labels: deployment.Spec.Template.Labels},
			Spec:       deployment.Spec.Template.Spec,
		}
		Expect(api.Create(ctx, pod)).To(Succeed())
	})

	It("are not written again without a reason", func() {
		create(gateway)
		ips := serve(gateway, 1)
		pods.takeKeys(gateway, ips...)
		condition(gateway, programmed, metav1.ConditionTrue, "")
		condition(gateway, v1alpha1.GatewayConditionSessionKeys, metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysSettled)
		before, written := versions(objectsOf(gateway)), writes.count.Load()

		By("reconciling it for a route, and for its pods")
		route := &gatewayv1.HTTPRoute{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "route"},
			Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: gatewayv1.CommonRouteSpec{
				ParentRefs: []gatewayv1.ParentReference{{Name: "tools"}},
			}},
		}
		create(route)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Listeners).To(ConsistOf(HaveField("AttachedRoutes", int32(1))))
		})
		pods.change(ips[0], func(p *fakePod) { p.problem = "something" })
		condition(gateway, programmed, metav1.ConditionFalse, "")
		pods.change(ips[0], func(p *fakePod) { p.problem = "" })
		condition(gateway, programmed, metav1.ConditionTrue, "")
		Expect(versions(objectsOf(gateway))).To(Equal(before))
		Expect(writes.count.Load()).To(Equal(written))
	})

	It("are put right when somebody else changes or deletes them", func() {
		create(gateway)
		exist(objectsOf(gateway))
		change(deployment, func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image = "other"
			d.Spec.Template.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = new(true)
			d.Spec.Replicas = new(int32(0))
		})
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Spec.Template.Spec.Containers[0].Image).To(Equal(proxyImage))
			g.Expect(d.Spec.Template.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation).To(HaveValue(BeFalse()))
			g.Expect(d.Spec.Replicas).To(HaveValue(BeEquivalentTo(1)))
		})
		for _, object := range objectsOf(gateway) {
			if _, isSecret := object.(*corev1.Secret); !isSecret { // Secrets are not watched.
				Expect(api.Delete(ctx, object)).To(Succeed())
			}
		}
		Eventually(func(g Gomega) {
			for _, object := range objectsOf(gateway) {
				g.Expect(api.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed(), "%T", object)
				g.Expect(object.GetDeletionTimestamp()).To(BeNil())
			}
		}).Should(Succeed())

		By("a label that is gone, without which the cache does not have the object any more")
		change(deployment, func(d *appsv1.Deployment) { d.Labels = nil })
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Labels).To(HaveKeyWithValue(provision.LabelManagedBy, provision.ManagedBy))
		})

		By("fields of others stay")
		change(deployment, func(d *appsv1.Deployment) { d.Annotations["example.com/restarted"] = "now" })
		change(gateway, func(gw *gatewayv1.Gateway) {
			gw.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{Labels: map[gatewayv1.LabelKey]gatewayv1.LabelValue{"a": "b"}}
		})
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Labels).To(HaveKeyWithValue("a", "b"))
			g.Expect(d.Spec.Template.Labels).To(HaveKeyWithValue("a", "b"))
			g.Expect(d.Annotations).To(HaveKeyWithValue("example.com/restarted", "now"))
		})
		By("and what is no longer asked for goes")
		change(gateway, func(gw *gatewayv1.Gateway) { gw.Spec.Infrastructure = nil })
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Labels).NotTo(HaveKey("a"))
			g.Expect(d.Annotations).To(HaveKeyWithValue("example.com/restarted", "now"))
		})
	})

	It("follow the listeners", func() {
		gateway.Spec.Listeners[0].Port = 80
		create(gateway)
		ports := func(want ...int32) {
			GinkgoHelper()
			eventually(service, func(g Gomega, s *corev1.Service) {
				found := []int32{}
				for _, port := range s.Spec.Ports {
					g.Expect(port.TargetPort).To(Equal(intstr.FromInt32(port.Port)))
					found = append(found, port.Port)
				}
				g.Expect(found).To(Equal(want))
			})
		}
		ports(80)
		eventually(deployment, func(Gomega, *appsv1.Deployment) {})
		before := versions([]client.Object{deployment})
		change(gateway, func(gw *gatewayv1.Gateway) {
			gw.Spec.Listeners = append(gw.Spec.Listeners,
				gatewayv1.Listener{Name: "more", Port: 9000, Protocol: gatewayv1.HTTPProtocolType},
				gatewayv1.Listener{Name: "same", Port: 80, Protocol: gatewayv1.HTTPProtocolType, Hostname: new(gatewayv1.Hostname("a.example"))},
				gatewayv1.Listener{Name: "bad", Port: 9001, Protocol: gatewayv1.UDPProtocolType})
		})
		ports(80, 9000)
		Expect(versions([]client.Object{deployment})).To(Equal(before), "new listeners replace no pods")
	})

	DescribeTable("are never taken from somebody else",
		func(foreign func() client.Object, named string) {
			object := foreign()
			object.SetNamespace(namespace)
			create(object)
			before := versions([]client.Object{object})
			create(gateway)
			condition(gateway, programmed, metav1.ConditionFalse, "ObjectConflict: the "+named+" "+namespace+"/"+object.GetName()+
				" exists and is not controlled by Gateway")
			Expect(versions([]client.Object{object})).To(Equal(before))
			if named == "Service" {
				Expect(client.IgnoreNotFound(api.Get(ctx, client.ObjectKeyFromObject(deployment), deployment))).To(Succeed())
				Expect(deployment.UID).To(BeEmpty(), "nothing is made")
			}
			Expect(api.Delete(ctx, object)).To(Succeed())
			exist(objectsOf(gateway))
			condition(gateway, programmed, metav1.ConditionFalse, "Pending")
		},
		Entry("a Service", func() client.Object {
			return &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: "tools", Labels: map[string]string{provision.LabelManagedBy: provision.ManagedBy}},
				Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
			}
		}, "Service"),
		Entry("a ServiceAccount of another owner", func() client.Object {
			return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
				Name: "tools-dynamic-mcp",
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "other", UID: "x", Controller: new(true),
				}},
			}}
		}, "ServiceAccount"),
		Entry("a Secret", func() client.Object {
			return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tools-dynamic-mcp"}}
		}, "Secret"),
	)

	It("replace those of an earlier Gateway of its name", func() {
		old := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "tools-dynamic-mcp",
			Labels: map[string]string{provision.LabelManagedBy: provision.ManagedBy, "gateway.networking.k8s.io/gateway-name": "tools"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "tools", UID: "earlier", Controller: new(true),
			}},
		}}
		create(old)
		create(gateway)
		Eventually(func(g Gomega) {
			fresh := &corev1.ServiceAccount{}
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(old), fresh)).To(Succeed())
			g.Expect(metav1.IsControlledBy(fresh, gateway)).To(BeTrue())
		}).Should(Succeed())
		Eventually(subjects).Should(ContainElement(accountOf(gateway)))
	})

	It("go when its class is another controller's", func() {
		create(gateway)
		exist(objectsOf(gateway))
		class := &gatewayv1.GatewayClass{
			ObjectMeta: metav1.ObjectMeta{Name: "foreign-" + namespace},
			Spec:       gatewayv1.GatewayClassSpec{ControllerName: "example.com/other"},
		}
		create(class)
		change(gateway, func(gw *gatewayv1.Gateway) { gw.Spec.GatewayClassName = gatewayv1.ObjectName(class.Name) })
		gone(objectsOf(gateway))
		Eventually(subjects).ShouldNot(ContainElement(accountOf(gateway)))
	})

	It("have names of their own where the Gateway's is none for them", func() {
		long := gatewayOf(namespace, "mcp."+strings.Repeat("a", 200)+".example.com")
		create(long)
		exist(objectsOf(long))
		Eventually(subjects).Should(ContainElement(accountOf(long)))
		plain := gatewayOf(namespace, "default") // Every namespace has a ServiceAccount of that name.
		create(plain)
		exist(objectsOf(plain))
	})

	It("follow parameters", func() {
		spec := v1alpha1.GatewayParametersSpec{Replicas: new(int32(3))}
		parameters := withParameters(gateway, spec)
		create(parameters)
		create(gateway)
		replicas := func(want int32) {
			GinkgoHelper()
			eventually(deployment, func(g Gomega, d *appsv1.Deployment) { g.Expect(d.Spec.Replicas).To(HaveValue(Equal(want))) })
		}
		replicas(3)
		eventually(service, func(g Gomega, s *corev1.Service) { g.Expect(s.Spec.Type).To(Equal(corev1.ServiceTypeLoadBalancer)) })
		gone(optionalObjectsOf(gateway))

		By("autoscaling, which takes over the size that there is")
		change(parameters, func(p *v1alpha1.GatewayParameters) {
			p.Spec.Replicas, p.Spec.Autoscaling = nil, &v1alpha1.ProxyAutoscaling{MinReplicas: 2, MaxReplicas: 5}
			p.Spec.PodDisruptionBudget = &v1alpha1.ProxyPodDisruptionBudget{MaxUnavailable: new(intstr.FromInt32(1))}
			p.Spec.Service = &v1alpha1.ProxyService{Type: corev1.ServiceTypeClusterIP, Annotations: map[string]string{"note": "x"}}
		})
		exist(optionalObjectsOf(gateway))
		replicas(3)
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 5}}
		Expect(api.SubResource("scale").Update(ctx, deployment, client.WithSubResourceBody(scale))).To(Succeed())
		change(parameters, func(p *v1alpha1.GatewayParameters) { p.Spec.Log = &v1alpha1.ProxyLog{Level: v1alpha1.LogLevelDebug} })
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			g.Expect(d.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--log-level=debug"))
			g.Expect(d.Spec.Replicas).To(HaveValue(BeEquivalentTo(5)), "the autoscaler's")
		})
		eventually(service, func(g Gomega, s *corev1.Service) {
			g.Expect(s.Spec.Type).To(Equal(corev1.ServiceTypeClusterIP))
			g.Expect(s.Annotations).To(HaveKeyWithValue("note", "x"))
		})

		By("and back")
		change(parameters, func(p *v1alpha1.GatewayParameters) { p.Spec = v1alpha1.GatewayParametersSpec{Replicas: new(int32(2))} })
		replicas(2)
		gone(optionalObjectsOf(gateway))
		eventually(service, func(g Gomega, s *corev1.Service) {
			g.Expect(s.Spec.Type).To(Equal(corev1.ServiceTypeLoadBalancer))
			g.Expect(s.Annotations).NotTo(HaveKey("note"))
		})
	})

	It("get pods again when autoscaling follows no replicas", func() {
		parameters := withParameters(gateway, v1alpha1.GatewayParametersSpec{Replicas: new(int32(0))})
		create(parameters)
		create(gateway)
		rollout(gateway, appsv1.DeploymentStatus{})
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the Deployment has no replicas: the Gateway is out of service")
		change(parameters, func(p *v1alpha1.GatewayParameters) {
			p.Spec.Replicas, p.Spec.Autoscaling = nil, &v1alpha1.ProxyAutoscaling{MinReplicas: 2, MaxReplicas: 5}
		})
		exist([]client.Object{&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: deployment.ObjectMeta}})
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) {
			// An autoscaler leaves what has no replicas as it is.
			g.Expect(d.Spec.Replicas).To(HaveValue(BeEquivalentTo(2)))
		})
	})

	It("are left alone where parameters can't work", func() {
		parameters := withParameters(gateway, v1alpha1.GatewayParametersSpec{})
		create(parameters)
		create(gateway)
		serve(gateway, 1)
		condition(gateway, programmed, metav1.ConditionTrue, "")
		before := versions(objectsOf(gateway))
		for overlay, message := range map[string]string{
			`{"spec":{"replicaz":3}}`:                                           "did you mean",
			`{"spec":{"selector":{"matchLabels":{"a":"b"}}}}`:                   "can't be changed",
			`{"spec":{"minReadySeconds":-1}}`:                                   "the API server does not take the Deployment",
			`{"spec":{"template":{"spec":{"restartPolicy":"OnFailure"}}}}`:      "the API server does not take the Deployment",
			`{"spec":{"template":{"spec":{"priorityClassName":"Not a name"}}}}`: "the API server does not take the Deployment",
		} {
			change(parameters, func(p *v1alpha1.GatewayParameters) {
				// What is right is not done without what is wrong.
				p.Spec.Service = &v1alpha1.ProxyService{Type: corev1.ServiceTypeClusterIP}
				p.Spec.Overlays = &v1alpha1.ProxyOverlays{Deployment: raw(overlay)}
			})
			eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
				g.Expect(gw.Status.Conditions).To(ContainElement(And(
					HaveField("Type", accepted), HaveField("Status", metav1.ConditionFalse), HaveField("Reason", "InvalidParameters"),
					HaveField("Message", ContainSubstring(message)))), overlay)
				g.Expect(gw.Status.Addresses).NotTo(BeEmpty())
			})
			Expect(versions(objectsOf(gateway))).To(Equal(before))
		}
		change(parameters, func(p *v1alpha1.GatewayParameters) { p.Spec.Overlays = nil })
		condition(gateway, accepted, metav1.ConditionTrue, "")
		eventually(service, func(g Gomega, s *corev1.Service) { g.Expect(s.Spec.Type).To(Equal(corev1.ServiceTypeClusterIP)) })
	})

	It("are of kinds that the manager may write", func() {
		parameters := withParameters(gateway, v1alpha1.GatewayParametersSpec{
			Autoscaling:         &v1alpha1.ProxyAutoscaling{MaxReplicas: 2},
			PodDisruptionBudget: &v1alpha1.ProxyPodDisruptionBudget{MinAvailable: new(intstr.FromString("50%"))},
			Overlays: &v1alpha1.ProxyOverlays{
				ServiceAccount:          raw(`{"metadata":{"annotations":{"role":"x"}}}`),
				PodDisruptionBudget:     raw(`{"metadata":{"annotations":{"a":"x"}}}`),
				HorizontalPodAutoscaler: raw(`{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":600}}}}`),
			},
		})
		create(parameters)
		create(gateway)
		exist(optionalObjectsOf(gateway))
		key := types.NamespacedName{Namespace: namespace, Name: "tools"}
		var scaler autoscalingv2.HorizontalPodAutoscaler
		Expect(api.Get(ctx, key, &scaler)).To(Succeed())
		Expect(scaler.Spec.Behavior.ScaleDown.StabilizationWindowSeconds).To(HaveValue(BeEquivalentTo(600)))
		var budget policyv1.PodDisruptionBudget
		Expect(api.Get(ctx, key, &budget)).To(Succeed())
		Expect(budget.Annotations).To(HaveKeyWithValue("a", "x"))
		Expect(api.Delete(ctx, gateway)).To(Succeed())
		gone(append(objectsOf(gateway), optionalObjectsOf(gateway)...))
	})
})
