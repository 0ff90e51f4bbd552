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
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

var _ = Describe("The status of a Gateway", func() {
	var gateway *gatewayv1.Gateway

	BeforeEach(func() {
		gateway = gatewayOf(newNamespace(), "tools")
		create(gateway)
	})

	It("is Programmed when a pod of the newest template is available and all that are ready serve", func() {
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the Deployment has just been")
		rollout(gateway, appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1})
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: no pod is available yet; `kubectl describe pods -n "+
			gateway.Namespace+" -l gateway.networking.k8s.io/gateway-name=tools` says more")
		rollout(gateway, appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, Conditions: []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota",
		}}})
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the Deployment fails (FailedCreate): exceeded quota; `kubectl")
		rollout(gateway, allUp(1))
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the pods are ready, and their endpoints are not known yet")

		ip, other := pods.add(), pods.add()
		pods.change(ip, func(p *fakePod) { p.problem = "no configuration yet" })
		endpoints(gateway, []string{ip}, other)
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the pod at "+ip+": the proxy is not ready: no configuration yet")
		pods.change(ip, func(p *fakePod) { p.problem = "" })
		condition(gateway, programmed, metav1.ConditionTrue, "Programmed")

		By("a new generation")
		pods.change(ip, func(p *fakePod) { p.generation = gateway.Generation })
		change(gateway, func(gw *gatewayv1.Gateway) { gw.Spec.Listeners[0].Port = 8081 })
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the pod at "+ip+": the proxy is not ready: generation 1 of the "+
			"Gateway is served, not yet 2")
		pods.change(ip, func(p *fakePod) { p.generation = 2 })
		condition(gateway, programmed, metav1.ConditionTrue, "Programmed")

		By("a pod that is ready and does not answer")
		mute := pods.add()
		pods.change(mute, func(p *fakePod) { p.mute = true })
		endpoints(gateway, []string{ip, mute})
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the pod at "+mute+": its admin port does not answer the manager")
		endpoints(gateway, []string{ip}, mute)
		condition(gateway, programmed, metav1.ConditionTrue, "Programmed")

		By("a rollout")
		rollout(gateway, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1})
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: the new pods are not available yet, those of before serve on")
		rollout(gateway, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2})
		condition(gateway, programmed, metav1.ConditionTrue, "Programmed")
	})

	It("stays Programmed while pods come, and while their number changes", func() {
		ips := serve(gateway, 1)
		condition(gateway, programmed, metav1.ConditionTrue, "Programmed")
		said := watchProgrammed(gateway)

		By("a pod that is ready, and has not said yet what it serves")
		slow, asked, release := pods.addSlow()
		defer release()
		endpoints(gateway, append(ips, slow))
		rollout(gateway, allUp(2))
		Eventually(asked).Should(BeClosed())
		mark(gateway, "first")
		Expect(said()).To(HaveEach("True"))
		release()

		By("a Deployment that somebody scales, and the manager scales back")
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "tools"}}
		change(deployment, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(5)) })
		eventually(deployment, func(g Gomega, d *appsv1.Deployment) { g.Expect(d.Spec.Replicas).To(HaveValue(BeEquivalentTo(1))) })
		mark(gateway, "second")
		rollout(gateway, allUp(1))
		endpoints(gateway, ips)
		mark(gateway, "third")
		Expect(said()).To(HaveEach("True"))
		condition(gateway, programmed, metav1.ConditionTrue, "Programmed")
	})

	It("says why pods don't run", func() {
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "tools"}}
		Eventually(func() error { return api.Get(ctx, client.ObjectKeyFromObject(deployment), deployment) }).Should(Succeed())
		rollout(gateway, appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1})
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: no pod is available yet; `kubectl describe pods")
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "tools-1", Labels: deployment.Spec.Template.Labels},
			Spec:       deployment.Spec.Template.Spec,
		}
		create(pod)
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "proxy", Image: proxyImage, State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"},
			},
		}}
		Expect(api.Status().Update(ctx, pod)).To(Succeed())
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: no pod is available yet: the pod tools-1 can't run its container "+
			"proxy (ImagePullBackOff): Back-off pulling image; `image` of the GatewayParameters says which image, and by which `pullSecrets`")
		Expect(api.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		condition(gateway, programmed, metav1.ConditionFalse, "Pending: no pod is available yet; `kubectl describe pods")
	})

	It("has the addresses of the load balancer, else those in the cluster", func() {
		addresses := func(want ...gatewayv1.GatewayStatusAddress) {
			GinkgoHelper()
			eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) { g.Expect(gw.Status.Addresses).To(Equal(want)) })
		}
		ip := func(value string) gatewayv1.GatewayStatusAddress {
			return gatewayv1.GatewayStatusAddress{Type: new(gatewayv1.IPAddressType), Value: value}
		}
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "tools"}}
		Eventually(func() error { return api.Get(ctx, client.ObjectKeyFromObject(service), service) }).Should(Succeed())
		addresses(ip(service.Spec.ClusterIP))
		assigned := func(ingress ...corev1.LoadBalancerIngress) {
			GinkgoHelper()
			Eventually(func() error {
				if err := api.Get(ctx, client.ObjectKeyFromObject(service), service); err != nil {
					return err
				}
				service.Status.LoadBalancer.Ingress = ingress
				return api.Status().Update(ctx, service)
			}).Should(Succeed())
		}
		assigned(corev1.LoadBalancerIngress{IP: "192.0.2.1"}, corev1.LoadBalancerIngress{IP: "192.0.2.1"})
		addresses(ip("192.0.2.1"))
		assigned(corev1.LoadBalancerIngress{Hostname: "lb.example.com"})
		addresses(gatewayv1.GatewayStatusAddress{Type: new(gatewayv1.HostnameAddressType), Value: "lb.example.com"})
		assigned()
		addresses(ip(service.Spec.ClusterIP))
	})

	It("tells when every ready pod has the keys of sessions", func() {
		ips := serve(gateway, 2)
		condition(gateway, programmed, metav1.ConditionTrue, "Programmed")
		keys := v1alpha1.GatewayConditionSessionKeys
		condition(gateway, keys, metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysSpreading)
		pods.takeKeys(gateway, ips[0])
		condition(gateway, keys, metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysSpreading)
		pods.takeKeys(gateway, ips[1])
		condition(gateway, keys, metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysSettled)
	})
})

// watchProgrammed returns a function that returns which statuses a Gateway's condition Programmed has had since.
func watchProgrammed(gateway *gatewayv1.Gateway) func() []string {
	GinkgoHelper()
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	watching, err := watcher.Watch(ctx, &gatewayv1.GatewayList{}, client.InNamespace(gateway.Namespace))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(watching.Stop)
	var said []string
	return func() []string {
		GinkgoHelper()
		fresh := &gatewayv1.Gateway{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(gateway), fresh)).To(Succeed())
		for version := ""; version != fresh.ResourceVersion; {
			var got watch.Event
			Eventually(watching.ResultChan()).Should(Receive(&got))
			gw, ok := got.Object.(*gatewayv1.Gateway)
			Expect(ok).To(BeTrue(), "%v", got)
			version = gw.ResourceVersion
			said = append(said, string(apimeta.FindStatusCondition(gw.Status.Conditions, programmed).Status))
		}
		return said
	}
}

// mark has the manager write the Gateway's status, and waits for it.
func mark(gateway *gatewayv1.Gateway, name string) {
	GinkgoHelper()
	attached := int32(0)
	eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
		g.Expect(gw.Status.Listeners).To(HaveLen(1))
		attached = gw.Status.Listeners[0].AttachedRoutes
	})
	create(&gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: name},
		Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: gatewayv1.CommonRouteSpec{
			ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(gateway.Name)}},
		}},
	})
	eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
		g.Expect(gw.Status.Listeners).To(ConsistOf(HaveField("AttachedRoutes", attached+1)))
	})
}

var _ = Describe("A proxy in a pod", func() {
	It("may read its own Secret and what it serves, and nothing else", func() {
		gateway := gatewayOf(newNamespace(), "tools")
		create(gateway)
		exist(objectsOf(gateway))
		Eventually(subjects).Should(ContainElement(accountOf(gateway)))
		other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "other"}}
		create(other)

		impersonated := rest.CopyConfig(config)
		impersonated.Impersonate = rest.ImpersonationConfig{
			UserName: "system:serviceaccount:" + gateway.Namespace + ":" + provision.AccountName(gateway.Name),
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + gateway.Namespace, "system:authenticated"},
		}
		proxy, err := client.New(impersonated, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		get := func(ctx context.Context, name string) error {
			return proxy.Get(ctx, client.ObjectKey{Namespace: gateway.Namespace, Name: name}, &corev1.Secret{})
		}
		Eventually(func() error { return get(ctx, provision.SecretName("tools")) }).Should(Succeed())
		Expect(apierrors.IsForbidden(get(ctx, other.Name))).To(BeTrue())
		for _, list := range []client.ObjectList{
			&gatewayv1.GatewayList{}, &gatewayv1.HTTPRouteList{}, &gatewayv1.ReferenceGrantList{}, &v1alpha1.BackendList{},
			&corev1.NamespaceList{},
		} {
			Eventually(func() error { return proxy.List(ctx, list) }).Should(Succeed(), "%T", list)
		}
		for _, list := range []client.ObjectList{
			&corev1.SecretList{}, &corev1.ServiceList{}, &corev1.PodList{}, &corev1.ConfigMapList{}, &gatewayv1.GatewayClassList{},
			&v1alpha1.GatewayParametersList{},
		} {
			Expect(apierrors.IsForbidden(proxy.List(ctx, list, client.InNamespace(gateway.Namespace)))).To(BeTrue(), "%T", list)
		}
		Expect(apierrors.IsForbidden(proxy.Delete(ctx, gateway))).To(BeTrue())
	})
})
