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
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/controller"
)

func classOf(name, controllerName string) *gatewayv1.GatewayClass {
	return &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(controllerName)},
	}
}

// crdOf returns a CRD to patch its labels and annotations.
func crdOf(name string) *metav1.PartialObjectMetadata {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	crd.APIVersion = "apiextensions.k8s.io/v1"
	crd.Name = name
	return crd
}

func mergePatch(object client.Object, patch string) {
	GinkgoHelper()
	Expect(api.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(patch)))).To(Succeed())
}

var _ = Describe("GatewayClass", func() {
	const accepted = string(gatewayv1.GatewayClassConditionStatusAccepted)
	const supported = string(gatewayv1.GatewayClassConditionStatusSupportedVersion)

	It("exists and is accepted", func() {
		eventually(classOf(v1alpha1.GatewayClassName, ""), func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Spec.ControllerName).To(BeEquivalentTo(v1alpha1.ControllerName))
			g.Expect(c.Status.Conditions).To(And(
				haveCondition(accepted, metav1.ConditionTrue, "Accepted"),
				haveCondition(supported, metav1.ConditionTrue, "SupportedVersion"),
				HaveEach(HaveField("ObservedGeneration", c.Generation))))
		})
	})

	It("is left alone if it belongs to another controller", func() {
		class := classOf("foreign-"+newNamespace(), "example.com/other")
		create(class)
		seen(class)
		unchanged(class)
	})

	It("is not accepted with parameters", func() {
		class := classOf("parameters-"+newNamespace(), v1alpha1.ControllerName)
		class.Spec.ParametersRef = &gatewayv1.ParametersReference{Kind: "ConfigMap", Name: "p", Namespace: new(gatewayv1.Namespace("default"))}
		create(class)
		eventually(class, func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Status.Conditions).To(haveCondition(accepted, metav1.ConditionFalse, "InvalidParameters: spec.parametersRef"))
		})
		change(class, func(c *gatewayv1.GatewayClass) { c.Spec.ParametersRef = nil })
		eventually(class, func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Status.Conditions).To(haveCondition(accepted, metav1.ConditionTrue, ""))
		})
	})

	It("can't be deleted under its Gateways", func() {
		class := classOf("used-"+newNamespace(), v1alpha1.ControllerName)
		gateway := gatewayOf(newNamespace(), "g", class.Name)
		create(class)
		create(gateway)
		eventually(class, func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Finalizers).To(ConsistOf(gatewayv1.GatewayClassFinalizerGatewaysExist))
		})
		Expect(api.Delete(ctx, class)).To(Succeed())
		Consistently(func() error {
			return api.Get(ctx, client.ObjectKeyFromObject(class), &gatewayv1.GatewayClass{})
		}).Should(Succeed())
		remove(gateway)
		Eventually(func() bool {
			return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(class), &gatewayv1.GatewayClass{}))
		}).Should(BeTrue())
	})

	It("says when the Gateway API's CRDs are of another version", func() {
		class := classOf(v1alpha1.GatewayClassName, "")
		crd := crdOf("httproutes.gateway.networking.k8s.io")
		annotate := func(value string) {
			mergePatch(crd, `{"metadata":{"annotations":{"`+consts.BundleVersionAnnotation+`":`+value+`}}}`)
		}
		DeferCleanup(annotate, `"`+consts.BundleVersion+`"`)
		annotate(`"v9.8.7"`)
		eventually(class, func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Status.Conditions).To(And(haveCondition(accepted, metav1.ConditionTrue, ""),
				haveCondition(supported, metav1.ConditionFalse, "UnsupportedVersion: There are Gateway API CRDs v9.8.7")))
		})
		annotate(`null`)
		eventually(class, func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Status.Conditions).To(haveCondition(supported, metav1.ConditionFalse, "UnsupportedVersion: There are Gateway API CRDs of unknown"))
		})
		annotate(`"v1.6.9"`)
		eventually(class, func(g Gomega, c *gatewayv1.GatewayClass) {
			g.Expect(c.Status.Conditions).To(haveCondition(supported, metav1.ConditionTrue, ""))
		})
	})
})

var _ = Describe("CheckCRDs", func() {
	It("is content with what is shipped", func() {
		Expect(controller.CheckCRDs(ctx, api)).To(Succeed())
	})

	It("refuses CRDs of another project", func() {
		for _, name := range []string{"backends.gateway.kgateway.dev", "gatewayparameters.gateway.kgateway.dev"} {
			crd := crdOf(name)
			DeferCleanup(mergePatch, crd, `{"metadata":{"labels":{"app.kubernetes.io/part-of":"dynamic-mcp"}}}`)
			mergePatch(crd, `{"metadata":{"labels":{"app.kubernetes.io/part-of":"kgateway"}}}`)
			Expect(controller.CheckCRDs(ctx, api)).To(MatchError(And(
				ContainSubstring("the CRD "+name+" belongs to another project"), ContainSubstring("uninstall"))))
		}
	})
})

var _ = Describe("A Namespace without objects of ours", func() {
	It("wakes nobody", func() {
		routes, backends := idle("httproute"), idle("backend")
		change(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: newNamespace()}}, func(n *corev1.Namespace) {
			n.Labels["example.com/unrelated"] = "1"
		})
		Consistently(func() []float64 {
			return []float64{reconciles("httproute"), reconciles("backend")}
		}).Should(Equal([]float64{routes, backends}))
	})
})
