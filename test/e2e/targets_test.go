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

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

var _ = Describe("the Backend's selector", func() {
	It("follows a Service that is relabelled away and back", storyTimeout, func(ctx SpecContext) {
		c := connect(ctx, gatewayURL+"/mcp")
		id := c.ID()
		names, err := c.toolNames(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(names).To(ContainElement("echo"))
		DeferCleanup(func(ctx context.Context) {
			relabel(ctx, "mcp-server-everything")
			expectWalkthroughServes(ctx)
		})

		told := c.seen.toolChanges()
		begin := time.Now()
		relabel(ctx, "something-else")
		Eventually(c.seen.toolChanges).Should(BeNumerically(">", told))
		AddReportEntry("relabelled away: client told after", time.Since(begin).Round(time.Millisecond).String())
		Eventually(c.toolNames).WithContext(ctx).Should(BeEmpty())
		status, err := backendStatus(ctx, "default", "mcp-backend")
		Expect(err).NotTo(HaveOccurred())
		Expect(status.Summary).To(Equal("0/0"))
		Expect(status.Targets).To(BeEmpty())
		Expect(status.Conditions).To(ContainElement(isCondition("Ready", "False", "NoTargets")))
		Expect(api.mustKubectl(ctx, "describe", "backend", "mcp-backend")).To(ContainSubstring("NoTargets"))
		_, err = c.echo(ctx, "x")
		Expect(err).To(HaveOccurred())

		told = c.seen.toolChanges()
		begin = time.Now()
		relabel(ctx, "mcp-server-everything")
		Eventually(c.seen.toolChanges).Should(BeNumerically(">", told))
		AddReportEntry("relabelled back: client told after", time.Since(begin).Round(time.Millisecond).String())
		Eventually(c.toolNames).WithContext(ctx).Should(Equal(names))
		Expect(c.echo(ctx, "still here")).To(Equal("Echo: still here"))
		Expect(c.ID()).To(Equal(id))
	})

	It("skips a Service that speaks SSE and says what to do", storyTimeout, func(ctx SpecContext) {
		sse, err := npm.StartEverything(ctx, 0, node.SSE)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(sse.Stop)
		applySecond(ctx, secondService("legacy", sse.Port, func(_ *unstructured.Unstructured, port map[string]any) {
			port["appProtocol"] = "kgateway.dev/mcp-sse"
		}))
		Eventually(backendStatus).WithArguments(ctx, "default", "mcp-backend").Should(HaveField("Skipped",
			ConsistOf(isSkipped("legacy", "UnsupportedProtocol", ContainSubstring("static")))))
		Expect(getBackend(ctx, "default", "mcp-backend").Status.Summary).To(Equal("1/1"))

		described := api.mustKubectl(ctx, "describe", "backend", "mcp-backend")
		Expect(described).To(And(ContainSubstring("legacy"), ContainSubstring("UnsupportedProtocol"),
			ContainSubstring("label selectors support only StreamableHTTP")))
		Expect(connect(ctx, gatewayURL+"/mcp").echo(ctx, "unharmed")).To(Equal("Echo: unharmed"))
		Expect(sse.Output()).NotTo(ContainSubstring("Client Connected"))
	})

	DescribeTable("skips a Service with a bad path and leaves the other alone",
		func(ctx SpecContext, path string) {
			c := connect(ctx, gatewayURL+"/mcp")
			applySecond(ctx, secondService("broken", everything.Port,
				func(service *unstructured.Unstructured, _ map[string]any) {
					service.SetAnnotations(map[string]string{"kgateway.dev/mcp-path": path})
				}))
			Eventually(backendStatus).WithArguments(ctx, "default", "mcp-backend").Should(HaveField("Skipped",
				ConsistOf(isSkipped("broken", "InvalidPath", Not(BeEmpty())))))
			Expect(getBackend(ctx, "default", "mcp-backend").Status.Summary).To(Equal("1/1"))
			Expect(c.echo(ctx, "unharmed")).To(Equal("Echo: unharmed"))
		},
		Entry("that is not absolute", storyTimeout, "mcp"),
		Entry("that is a URL", storyTimeout, "http://127.0.0.1/mcp"),
	)

	It("skips a Service without an MCP port", storyTimeout, func(ctx SpecContext) {
		applySecond(ctx, secondService("plain", everything.Port,
			func(_ *unstructured.Unstructured, port map[string]any) { delete(port, "appProtocol") }))
		Eventually(backendStatus).WithArguments(ctx, "default", "mcp-backend").Should(HaveField("Skipped",
			ConsistOf(isSkipped("plain", "NoMCPPort", ContainSubstring("appProtocol: kgateway.dev/mcp")))))
	})

	It("matches nothing", storyTimeout, func(ctx SpecContext) {
		api.apply(ctx, `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: lonely, namespace: default}
spec:
  type: MCP
  mcp:
    targets: [{name: tools, selector: {service: {matchLabels: {app: nobody}}}}]
---
`+routeTo("lonely"))
		Eventually(backendStatus).WithArguments(ctx, "default", "lonely").Should(And(
			HaveField("Summary", "0/0"),
			HaveField("Conditions", ContainElements(
				isCondition("Accepted", "True", "Accepted"), isCondition("Ready", "False", "NoTargets")))))
		Eventually(func() (string, error) {
			answer, err := rawClient{url: gatewayURL + "/lonely"}.send(ctx, initializeRequest)
			return answer.message(), err
		}).Should(ContainSubstring(`"name":"lonely"`))
		c := connect(ctx, gatewayURL+"/lonely")
		Expect(c.toolNames(ctx)).To(BeEmpty())
		_, err := c.echo(ctx, "x")
		Expect(err).To(HaveOccurred())
	})

	It("follows the ready addresses of EndpointSlices", storyTimeout, func(ctx SpecContext) {
		const namespace = "endpoints"
		api.createNamespace(ctx, namespace)
		api.apply(ctx, `
apiVersion: v1
kind: Service
metadata: {name: scaled, namespace: endpoints, labels: {app: scaled}}
spec:
  ports: [{name: mcp, port: 3001, targetPort: 3001, appProtocol: kgateway.dev/mcp}]
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: scaled, namespace: endpoints}
spec:
  type: MCP
  mcp:
    targets: [{name: tools, selector: {service: {matchLabels: {app: scaled}}}}]
`)
		notReady := And(
			HaveField("Summary", "0/1"),
			HaveField("Targets", HaveExactElements(And(
				HaveField("Name", "scaled"),
				HaveField("Reason", "NoReadyEndpoints"),
				HaveField("Endpoints", BeEmpty())))),
			HaveField("Conditions", ContainElement(isCondition("Ready", "False", "NoTargetsReady"))))
		Eventually(backendStatus).WithArguments(ctx, namespace, "scaled").Should(notReady)

		// An address for documentation (RFC 5737): no route refers to this Backend, so nobody dials it.
		api.apply(ctx, endpointSlice(true))
		ready := And(
			HaveField("Summary", "1/1"),
			HaveField("Targets", HaveExactElements(HaveField("Endpoints", Equal([]string{"192.0.2.1:3001"})))),
			HaveField("Conditions", ContainElement(isCondition("Ready", "True", "AllTargetsReady"))))
		Eventually(backendStatus).WithArguments(ctx, namespace, "scaled").Should(ready)

		api.apply(ctx, endpointSlice(false))
		Eventually(backendStatus).WithArguments(ctx, namespace, "scaled").Should(notReady)
		Expect(api.mustKubectl(ctx, "describe", "backend", "scaled", "-n", namespace)).To(
			ContainSubstring("NoReadyEndpoints"))

		api.apply(ctx, endpointSlice(true))
		Eventually(backendStatus).WithArguments(ctx, namespace, "scaled").Should(ready)
	})
})

func endpointSlice(ready bool) string {
	return fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: scaled-1, namespace: endpoints, labels: {kubernetes.io/service-name: scaled}}
addressType: IPv4
ports: [{name: mcp, port: 3001, protocol: TCP}]
endpoints: [{addresses: [192.0.2.1], conditions: {ready: %t}}]
`, ready)
}

// routeTo returns an HTTPRoute that serves a Backend of the default namespace at the path of its name.
func routeTo(backend string) string {
	return strings.ReplaceAll(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: NAME, namespace: default}
spec:
  parentRefs: [{name: agentgateway}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /NAME}}]
      backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: NAME}]
`, "NAME", backend)
}

func relabel(ctx context.Context, app string) {
	GinkgoHelper()
	api.mustKubectl(ctx, "label", "service", "mcp-server-everything", "--overwrite", "app="+app)
}

// applySecond applies a second Service that the walkthrough's Backend selects. The story's end waits until the Backend
// has forgotten it.
func applySecond(ctx context.Context, service string) {
	GinkgoHelper()
	DeferCleanup(func(ctx context.Context) {
		Eventually(backendStatus).WithArguments(ctx, "default", "mcp-backend").Should(HaveField("Skipped", BeEmpty()))
	})
	api.apply(ctx, service)
}

// secondService returns a copy of the walkthrough's Service, with the labels that its Backend selects by, under
// another name and changed.
func secondService(name string, port int, change func(*unstructured.Unstructured, map[string]any)) string {
	GinkgoHelper()
	service := manifests("mcp-server.yaml")[1]
	service.SetName(name)
	service.SetNamespace("default")
	runsHere(service, port)
	ports := service.Object["spec"].(map[string]any)["ports"].([]any)
	change(service, ports[0].(map[string]any))
	return toYAML(service)
}
