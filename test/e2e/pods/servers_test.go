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
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// expectAsBefore waits until the walkthrough's only server is served again.
func expectAsBefore(ctx context.Context) {
	GinkgoHelper()
	Eventually(backendStatus).WithContext(ctx).WithArguments("default", "mcp-backend").Should(HaveField("Summary", "1/1"))
}

var _ = Describe("MCP servers", func() {
	BeforeEach(install, NodeTimeout(5*time.Minute))

	It("scale from one pod to three, to none, and back to one", longStory, func(ctx SpecContext) {
		url := gatewayURL(ctx, "default", "agentgateway", 8080) + "/mcp"
		scale := func(replicas string) {
			GinkgoHelper()
			k.mustKubectl(ctx, "scale", "deployment/mcp-server-everything", "--replicas="+replicas)
		}
		endpoints := func() (int, error) {
			status, err := backendStatus(ctx, "default", "mcp-backend")
			if err != nil || len(status.Targets) != 1 {
				return -1, err
			}
			return len(status.Targets[0].Endpoints), nil
		}
		DeferCleanup(func(ctx context.Context) {
			k.mustKubectl(ctx, "scale", "deployment/mcp-server-everything", "--replicas=1")
			Eventually(k.pods).WithContext(ctx).WithArguments("default", client.MatchingLabels{"app": "mcp-server-everything"}).Should(HaveLen(1))
			expectAsBefore(ctx)
		})
		c := connect(ctx, url)
		names, err := c.toolNames(ctx)
		Expect(err).NotTo(HaveOccurred())

		load := startLoad(url)
		scale("3")
		Eventually(endpoints).WithContext(ctx).Should(Equal(3))
		Eventually(func() int { // The pods have no readiness probe: they are ready before they listen.
			logs := k.mustKubectl(ctx, "logs", "-l", "app=mcp-server-everything", "--tail=-1")
			return strings.Count(logs, "listening on port 3001")
		}).WithContext(ctx).Should(Equal(3))
		load.expectNoFailure(ctx, "scaled 1 to 3")
		Expect(c.echo(ctx, "three")).To(Equal("Echo: three"))

		told := c.toolChanges.Load()
		scale("0")
		Eventually(endpoints).WithContext(ctx).Should(BeZero())
		Expect(k.mustKubectl(ctx, "get", "backend", "mcp-backend")).To(ContainSubstring("0/1"))
		Expect(k.mustKubectl(ctx, "describe", "backend", "mcp-backend")).To(ContainSubstring("NoReadyEndpoints"))
		Eventually(c.toolChanges.Load).WithContext(ctx).Should(BeNumerically(">", told))
		Eventually(c.toolNames).WithContext(ctx).Should(BeEmpty())
		_, err = c.echo(ctx, "none")
		Expect(err).To(MatchError(ContainSubstring("mcp-server-everything")), "the error names the server")

		scale("1")
		Eventually(c.toolNames).WithContext(ctx).Should(Equal(names))
		Eventually(c.echo).WithContext(ctx).WithArguments("one").Should(Equal("Echo: one"))
		expectAsBefore(ctx)
	})

	It("leave and come back by a label, and connected clients are told", storyTimeout, func(ctx SpecContext) {
		url := gatewayURL(ctx, "default", "agentgateway", 8080) + "/mcp"
		c := connect(ctx, url)
		id := c.ID()
		names, err := c.toolNames(ctx)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) {
			k.mustKubectl(ctx, "label", "service", "mcp-server-everything", "--overwrite", "app=mcp-server-everything")
			expectAsBefore(ctx)
		})
		relabel := func(app string) time.Duration {
			GinkgoHelper()
			told := c.toolChanges.Load()
			k.mustKubectl(ctx, "label", "service", "mcp-server-everything", "--overwrite", "app="+app)
			begin := time.Now()
			Eventually(c.toolChanges.Load).WithContext(ctx).WithPolling(5 * time.Millisecond).Should(BeNumerically(">", told))
			return time.Since(begin).Round(time.Millisecond)
		}

		measured("relabelled away: the client was told after", relabel("something-else"))
		Eventually(c.toolNames).WithContext(ctx).Should(BeEmpty())
		measured("relabelled back: the client was told after", relabel("mcp-server-everything"))
		Eventually(c.toolNames).WithContext(ctx).Should(Equal(names))
		Eventually(c.echo).WithContext(ctx).WithArguments("back").Should(Equal("Echo: back"))
		Expect(c.ID()).To(Equal(id))
	})

	It("of another namespace are served once its owner grants it", longStory, func(ctx SpecContext) {
		k.namespace(ctx, "team")
		k.apply(ctx, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: theirs, namespace: team}
spec:
  selector: {matchLabels: {app: theirs}}
  template:
    metadata: {labels: {app: theirs}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: server
          image: node:20-alpine
          command: [npx, -y, "@modelcontextprotocol/server-everything", streamableHttp]
---
apiVersion: v1
kind: Service
metadata: {name: theirs, namespace: team, labels: {shared: tools}}
spec:
  selector: {app: theirs}
  ports: [{port: 3001, appProtocol: kgateway.dev/mcp}]
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: shared, namespace: default}
spec:
  type: MCP
  mcp:
    targets:
      - name: tools
        selector: {service: {matchLabels: {shared: tools}}, namespace: {}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shared, namespace: default}
spec:
  parentRefs: [{name: agentgateway}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /shared}}]
      backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: shared}]
`)
		k.rolledOut(ctx, "team", "deployment/theirs")
		Eventually(backendStatus).WithContext(ctx).WithArguments("default", "shared").Should(And(
			HaveField("Summary", "0/0"),
			HaveField("Skipped", HaveExactElements(HaveField("Reason", BeEquivalentTo("RefNotPermitted"))))))
		Expect(k.mustKubectl(ctx, "describe", "backend", "shared")).NotTo(ContainSubstring("theirs"),
			"whoever was not granted it does not learn what there is")
		c := connect(ctx, gatewayURL(ctx, "default", "agentgateway", 8080)+"/shared")
		Expect(c.toolNames(ctx)).To(BeEmpty())

		const grant = `
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: mcp-from-default, namespace: team}
spec:
  from: [{group: gateway.kgateway.dev, kind: Backend, namespace: default}]
  to: [{group: "", kind: Service}]
`
		k.apply(ctx, grant)
		Eventually(backendStatus).WithContext(ctx).WithArguments("default", "shared").Should(And(
			HaveField("Summary", "1/1"),
			HaveField("Targets", HaveExactElements(HaveField("Name", BeEquivalentTo("team-theirs"))))))
		Eventually(c.echo).WithContext(ctx).WithArguments("granted").Should(Equal("Echo: granted"))

		k.remove(ctx, grant)
		Eventually(c.toolNames).WithContext(ctx).Should(BeEmpty())
		_, err := c.echo(ctx, "no longer")
		Expect(err).To(HaveOccurred())
	})
})
