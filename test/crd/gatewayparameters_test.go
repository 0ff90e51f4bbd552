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

package crd

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var _ = Describe("GatewayParameters", func() {
	describeCases("gatewayparameters", "gateway.kgateway.dev_gatewayparameters.yaml")

	It("is printed with its replicas, Service type and age", func(ctx SpecContext) {
		Expect(printedColumns(ctx, "gatewayparameters")).To(Equal([]string{"Name", "Replicas", "Max", "Service", "Age"}))
	})

	It("has a short name and categories", func() {
		resources, err := discovery.NewDiscoveryClientForConfigOrDie(cfg).
			ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
		Expect(err).NotTo(HaveOccurred())
		Expect(resources.APIResources).To(ContainElement(And(
			HaveField("Name", "gatewayparameters"),
			HaveField("ShortNames", []string{"gwp"}),
			HaveField("Categories", ConsistOf("gateway-api", "mcp")),
		)))
	})

	It("keeps what overlays say, null and directives included", func(ctx SpecContext) {
		parameters := &v1alpha1.GatewayParameters{ObjectMeta: metav1.ObjectMeta{Name: "overlays", Namespace: "default"}}
		const patch = `{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"},"template":{"metadata":{"annotations":{"a":null}}}}}`
		parameters.Spec.Overlays = &v1alpha1.ProxyOverlays{Deployment: &runtime.RawExtension{Raw: []byte(patch)}}
		Expect(k8sClient.Create(ctx, parameters)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(k8sClient.Delete(ctx, parameters)).To(Succeed()) })

		var stored v1alpha1.GatewayParameters
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(parameters), &stored)).To(Succeed())
		Expect(stored.Spec.Overlays.Deployment.Raw).To(MatchJSON(patch))
	})

	It("can be empty, also as the API's own types write it", func(ctx SpecContext) {
		parameters := &v1alpha1.GatewayParameters{ObjectMeta: metav1.ObjectMeta{Name: "empty", Namespace: "default"}}
		Expect(k8sClient.Create(ctx, parameters, client.DryRunAll)).To(Succeed())
	})
})
