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

package pods

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// backendStatus is for Eventually.
func backendStatus(ctx context.Context, namespace, name string) (v1alpha1.BackendStatus, error) {
	backend := &v1alpha1.Backend{}
	err := k.Get(ctx, key(namespace, name), backend)
	return backend.Status, err
}

// walkthroughIn returns the walkthrough's manifests for another namespace.
func walkthroughIn(namespace string) string {
	GinkgoHelper()
	var all []string
	for _, file := range []string{"mcp-server.yaml", "backend.yaml", "gateway.yaml", "httproute.yaml"} {
		content, err := os.ReadFile(walkthrough(file))
		Expect(err).NotTo(HaveOccurred())
		all = append(all, string(content))
	}
	manifest := strings.Join(all, "\n---\n")
	manifest = strings.ReplaceAll(manifest, "namespace: default", "namespace: "+namespace)
	return strings.ReplaceAll(manifest, "\nmetadata:\n", "\nmetadata:\n  namespace: "+namespace+"\n")
}

var _ = Describe("the walkthrough", func() {
	BeforeEach(install, NodeTimeout(5*time.Minute))

	It("shows the Gateway's class, its address, and that it serves", storyTimeout, func(ctx SpecContext) {
		gatewayURL(ctx, "default", "agentgateway", 8080)
		service, err := k.serviceAddress(ctx, "default", "agentgateway")
		Expect(err).NotTo(HaveOccurred())
		lines := strings.Split(k.mustKubectl(ctx, "get", "gateway", "agentgateway"), "\n")
		Expect(strings.Fields(lines[0])).To(Equal([]string{"NAME", "CLASS", "ADDRESS", "PROGRAMMED", "AGE"}))
		Expect(strings.Fields(lines[1])).To(HaveExactElements("agentgateway", "agentgateway", service, "True", Not(BeEmpty())))
	})

	It("shows the pod behind the Backend's selector", storyTimeout, func(ctx SpecContext) {
		pods := &corev1.PodList{}
		Expect(k.List(ctx, pods, client.InNamespace("default"), client.MatchingLabels{"app": "mcp-server-everything"})).To(Succeed())
		Expect(pods.Items).To(HaveLen(1))
		Eventually(backendStatus).WithContext(ctx).WithArguments("default", "mcp-backend").Should(And(
			HaveField("Summary", "1/1"),
			HaveField("Targets", HaveExactElements(And(
				HaveField("Name", BeEquivalentTo("mcp-server-everything")),
				HaveField("Host", "mcp-server-everything.default.svc.cluster.local"),
				HaveField("Endpoints", HaveExactElements(pods.Items[0].Status.PodIP+":3001")))))))
	})

	It("serves the Inspector at the load balancer's address", storyTimeout, func(ctx SpecContext) {
		expectInspected(ctx, gatewayURL(ctx, "default", "agentgateway", 8080)+"/mcp")
	})

	It("serves the Inspector through kubectl port-forward", storyTimeout, func(ctx SpecContext) {
		expectInspected(ctx, fmt.Sprintf("http://%s/mcp", k.portForward(ctx, "default", "deployment/agentgateway", 8080)))
	})

	It("runs under the Pod Security Standard restricted, on a port below 1024", storyTimeout, func(ctx SpecContext) {
		k.namespace(ctx, "strict", "pod-security.kubernetes.io/enforce=restricted")
		k.apply(ctx, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: strict, namespace: strict}
spec:
  gatewayClassName: agentgateway
  listeners: [{name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: strict, namespace: default}
spec:
  parentRefs: [{name: strict, namespace: strict}]
  rules: [{backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: mcp-backend}]}]
`)
		k.wait(ctx, "strict", "gateway/strict", "condition=Programmed")
		url := fmt.Sprintf("http://%s/mcp", k.portForward(ctx, "strict", "deployment/strict", 80))
		Expect(connect(ctx, url).echo(ctx, "strictly")).To(Equal("Echo: strictly"))
		url = gatewayURL(ctx, "strict", "strict", 80) + "/mcp"
		Expect(connect(ctx, url).echo(ctx, "strictly")).To(Equal("Echo: strictly"))
	})

	It("leaves nothing behind when its objects are deleted", storyTimeout, func(ctx SpecContext) {
		k.namespace(ctx, "cleanup")
		before := k.inventory(ctx)
		k.apply(ctx, walkthroughIn("cleanup"))
		k.wait(ctx, "cleanup", "gateway/agentgateway", "condition=Programmed")
		Expect(k.mustKubectl(ctx, "get", "-n", "cleanup", "deployment,service,secret", "-o", "name")).To(And(
			ContainSubstring("deployment.apps/agentgateway\n"), ContainSubstring("service/agentgateway\n"),
			ContainSubstring("secret/agentgateway-dynamic-mcp\n")))

		k.remove(ctx, walkthroughIn("cleanup"))
		Eventually(k.inventory).WithContext(ctx).Should(Equal(before))
		Eventually(k.pods).WithContext(ctx).WithArguments("cleanup", client.MatchingLabels{}).Should(BeEmpty())
	})
})
