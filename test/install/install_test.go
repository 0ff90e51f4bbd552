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

package install

import (
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("dist/install.yaml", func() {
	It("changes nothing when it is applied again", func(ctx SpecContext) {
		for _, object := range installer() {
			before := object.DeepCopy()
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), before)).To(Succeed())
			Expect(apply(ctx, admin, object)).To(Succeed())
			after := object.DeepCopy()
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), after)).To(Succeed())
			Expect(after.GetGeneration()).To(Equal(before.GetGeneration()), "%s %s", object.GetKind(), object.GetName())
		}
	})

	It("has labels that tell what belongs to it, and not that of what the manager makes", func() {
		for _, object := range installer() {
			Expect(object.GetLabels()).To(HaveKeyWithValue("app.kubernetes.io/part-of", "dynamic-mcp"), "%s %s", object.GetKind(), object.GetName())
			Expect(object.GetLabels()).NotTo(HaveKey("app.kubernetes.io/managed-by"), "%s %s", object.GetKind(), object.GetName())
		}
	})

	It("leaves the Gateway API to the cluster", func() {
		for _, object := range installer() {
			Expect(object.GetName()).NotTo(HaveSuffix("gateway.networking.k8s.io"))
		}
	})

	It("grants no wildcards, and Secrets only one by one", func() {
		for _, object := range installer() {
			if !strings.HasSuffix(object.GetKind(), "Role") {
				continue
			}
			for _, rule := range as[rbacv1.ClusterRole](object).Rules {
				for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
					Expect(words).NotTo(ContainElement("*"), object.GetName())
				}
				if slices.Contains(rule.Resources, "secrets") && len(rule.ResourceNames) == 0 {
					Expect(rule.Verbs).NotTo(ContainElement(BeElementOf("list", "watch", "patch", "deletecollection")), object.GetName())
				}
			}
		}
	})

	It("binds roles that are there, to the manager alone", func() {
		all := installer()
		for _, object := range all {
			if !strings.HasSuffix(object.GetKind(), "RoleBinding") {
				continue
			}
			binding := as[rbacv1.RoleBinding](object)
			Expect(all.find(binding.RoleRef.Kind, binding.RoleRef.Name)).NotTo(BeNil(), object.GetName())
			if object.GetName() == "dynamic-mcp-proxy" {
				Expect(binding.Subjects).To(BeEmpty(), "the manager sets them")
				continue
			}
			Expect(binding.Subjects).To(ConsistOf(rbacv1.Subject{Kind: "ServiceAccount", Namespace: systemNamespace, Name: managerName}))
		}
	})

	It("runs pods that the Pod Security Standard restricted admits", func(ctx SpecContext) {
		pod := managerPod()
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: managerName}}
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(account), account)).To(Succeed())
		Expect(admin.Create(ctx, pod, client.DryRunAll)).To(Succeed())

		privileged := managerPod()
		privileged.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = new(true)
		Expect(admin.Create(ctx, privileged, client.DryRunAll)).To(MatchError(ContainSubstring(`violates PodSecurity "restricted`)),
			"the namespace does not enforce it")
	})

	It("has Services and a budget that find the pods, and ports that the pods have", func() {
		all, pod := installer(), managerPod()
		for _, name := range []string{"dynamic-mcp-webhook-service", "dynamic-mcp-controller-manager-metrics"} {
			service := as[corev1.Service](all.find("Service", name))
			Expect(service.Spec.Selector).NotTo(BeEmpty())
			for key, value := range service.Spec.Selector {
				Expect(pod.Labels).To(HaveKeyWithValue(key, value))
			}
			Expect(pod.Spec.Containers[0].Ports).To(ContainElement(HaveField("Name", service.Spec.Ports[0].TargetPort.StrVal)))
		}
		deployment := as[appsv1.Deployment](all.find("Deployment", managerName))
		Expect(*deployment.Spec.Replicas).To(BeNumerically(">=", 2))
		Expect(deployment.Spec.Template.Spec.TopologySpreadConstraints).NotTo(BeEmpty())
	})

	It("has the webhooks of its kinds at its Service, and refuses what nobody has checked", func() {
		all := installer()
		configuration := as[admissionregistrationv1.ValidatingWebhookConfiguration](
			all.find("ValidatingWebhookConfiguration", "dynamic-mcp-validating-webhook-configuration"))
		Expect(configuration.Webhooks).To(HaveLen(2))
		for _, webhook := range configuration.Webhooks {
			service := webhook.ClientConfig.Service
			Expect(service.Namespace).To(Equal(systemNamespace))
			Expect(all.find("Service", service.Name)).NotTo(BeNil())
			Expect(*webhook.FailurePolicy).To(Equal(admissionregistrationv1.Fail))
			for _, rule := range webhook.Rules {
				Expect(rule.APIGroups).To(Equal([]string{"gateway.kgateway.dev"}), "no other kind must depend on it")
				Expect(rule.Operations).NotTo(ContainElement(admissionregistrationv1.Delete), "deletion never depends on it")
			}
		}
	})

	It("judges only what changes a spec, so that finalizers can be taken off while no manager answers", func(ctx SpecContext) {
		hooks := installer().find("ValidatingWebhookConfiguration", "dynamic-mcp-validating-webhook-configuration")
		Expect(admin.Delete(ctx, hooks.DeepCopy())).To(Succeed())
		backend := object("{apiVersion: gateway.kgateway.dev/v1alpha1, kind: Backend, " +
			"metadata: {namespace: default, name: held, finalizers: [example.com/held]}, " +
			"spec: {type: MCP, mcp: {targets: [{name: a, selector: {service: {matchLabels: {app: a}}}}]}}}")
		parameters := object("{apiVersion: gateway.kgateway.dev/v1alpha1, kind: GatewayParameters, " +
			"metadata: {namespace: default, name: held, finalizers: [example.com/held]}, spec: {}}")
		held := []*unstructured.Unstructured{backend, parameters}
		for _, o := range held {
			Eventually(func() error { return client.IgnoreAlreadyExists(admin.Create(ctx, o.DeepCopy())) }).Should(Succeed())
		}
		Expect(apply(ctx, admin, hooks)).To(Succeed())

		for _, o := range held {
			path := map[string]string{"Backend": `{"spec":{"mcp":{"failureMode":"FailClosed"}}}`, "GatewayParameters": `{"spec":{"replicas":2}}`}
			Eventually(func() error {
				return admin.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(path[o.GetKind()])), client.DryRunAll)
			}).Should(MatchError(ContainSubstring("failed calling webhook")), o.GetKind())
			change := func(patch string) {
				GinkgoHelper()
				Expect(admin.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed(), o.GetKind())
			}
			change(`{"metadata":{"labels":{"team":"a"}}}`)
			Expect(admin.Delete(ctx, o.DeepCopy())).To(Succeed())
			change(`{"metadata":{"finalizers":null}}`)
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopy())).To(Satisfy(apierrors.IsNotFound), o.GetKind())
		}
	})

	It("has options that go together", func(ctx SpecContext) {
		all := parse(kustomize(ctx, "cert-manager", "network-policy", "prometheus"))
		deployment := as[appsv1.Deployment](all.find("Deployment", managerName))
		Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--webhook-cert-dir=/certificate"))
		Expect(deployment.Spec.Template.Spec.Containers[0].Args).NotTo(ContainElement(HavePrefix("--webhook-cert-source")))
		Expect(all.find("ClusterRole", "dynamic-mcp-webhook-certificate-role")).To(BeNil(), "cert-manager does it")
		Expect(all.find("Role", "dynamic-mcp-webhook-certificate-role")).To(BeNil())
		certificate := all.find("Certificate", "dynamic-mcp-webhook-certificate")
		Expect(certificate.Object["spec"]).To(HaveKeyWithValue("dnsNames", ConsistOf("dynamic-mcp-webhook-service."+systemNamespace+".svc")))
		Expect(all.find("NetworkPolicy", managerName)).NotTo(BeNil())
		Expect(all.find("ServiceMonitor", managerName)).NotTo(BeNil())
		Expect(apply(ctx, admin, all.find("NetworkPolicy", managerName), client.DryRunAll)).To(Succeed())
		Expect(apply(ctx, admin, all.find("Deployment", managerName), client.DryRunAll)).To(Succeed())
	})
})

// managerPod is a pod of the manager's Deployment.
func managerPod() *corev1.Pod {
	deployment := as[appsv1.Deployment](installer().find("Deployment", managerName))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "manager", Labels: deployment.Spec.Template.Labels},
		Spec:       deployment.Spec.Template.Spec,
	}
}
