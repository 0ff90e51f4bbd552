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
	"encoding/json"
	"os"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

var _ = Describe("a server that stops", func() {
	It("is named by the error, and the session goes on when it is back", storyTimeout, func(ctx SpecContext) {
		c := connect(ctx, gatewayURL+"/mcp")
		id := c.ID()
		Expect(c.echo(ctx, "before")).To(Equal("Echo: before"))

		DeferCleanup(restartEverything)
		everything.Stop()
		_, err := c.echo(ctx, "x")
		failed := jsonrpcError(err)
		Expect(failed.Message).To(Equal(`target "mcp-server-everything" is unavailable: it refuses connections`))
		var data struct {
			Target string `json:"target"`
			Reason string `json:"reason"`
		}
		Expect(json.Unmarshal(failed.Data, &data)).To(Succeed())
		Expect(data.Target).To(Equal("mcp-server-everything"))
		Expect(data.Reason).To(Equal("it refuses connections"))

		By("leaving its tools out of lists")
		Expect(c.toolNames(ctx)).To(BeEmpty())

		By("letting new clients in")
		newcomer := connect(ctx, gatewayURL+"/mcp")

		restartEverything(ctx)
		Eventually(c.echo).WithArguments(ctx, "after").Should(Equal("Echo: after"))
		Expect(c.ID()).To(Equal(id))
		Expect(c.toolNames(ctx)).To(ContainElement("trigger-sampling-request"),
			"the new session has the client's capabilities")
		Eventually(newcomer.echo).WithArguments(ctx, "welcome").Should(Equal("Echo: welcome"))

		By("connecting the client's stream to the server's new session")
		told := len(c.seen.logged())
		Expect(c.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "debug"})).To(Succeed())
		_, err = c.call(ctx, "toggle-simulated-logging", map[string]any{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() int { return len(c.seen.logged()) }).Should(BeNumerically(">", told))
	})
})

// restartEverything starts server-everything at its port if it does not run. It has forgotten its sessions.
func restartEverything(ctx context.Context) {
	GinkgoHelper()
	stopped := everything
	stopped.Stop()
	restarted, err := npm.StartEverything(ctx, stopped.Port, node.StreamableHTTP)
	Expect(err).NotTo(HaveOccurred())
	stoppedOutput += stopped.Output()
	everything = restarted
}

// stoppedOutput is what server-everything printed before it was last restarted.
var stoppedOutput string

var _ = Describe("a proxy that is killed", func() {
	It("is started again, and sessions go on", storyTimeout, func(ctx SpecContext) {
		c := connect(ctx, gatewayURL+"/mcp")
		id := c.ID()
		Expect(c.echo(ctx, "before")).To(Equal("Echo: before"))
		proxies := manager.proxies()
		Expect(proxies).To(HaveLen(1))

		kill(proxies[0])
		Eventually(programmed).WithArguments(ctx, "default", "agentgateway").Should(Equal("False"))
		condition := apimeta.FindStatusCondition(getGateway(ctx, "default", "agentgateway").Status.Conditions, "Programmed")
		Expect(condition.Message).To(ContainSubstring("exited"))

		expectProgrammed(ctx, "default", "agentgateway")
		Expect(manager.proxies()).To(And(HaveLen(1), Not(Equal(proxies))))
		Eventually(c.echo).WithArguments(ctx, "after").Should(Equal("Echo: after"))
		Expect(c.ID()).To(Equal(id))

		By("telling the client what changes from now on")
		DeferCleanup(func(ctx context.Context) {
			relabel(ctx, "mcp-server-everything")
			expectWalkthroughServes(ctx)
		})
		told := c.seen.toolChanges()
		away := false
		// The client takes its time to open its stream again, and nobody can tell it anything before.
		Eventually(func() int {
			if away = !away; away {
				relabel(ctx, "something-else")
			} else {
				relabel(ctx, "mcp-server-everything")
			}
			return c.seen.toolChanges()
		}).WithPolling(500 * time.Millisecond).Should(BeNumerically(">", told))
	})
})

var _ = Describe("a manager that ends", func() {
	DescribeTable("takes its proxies with it; its successor serves the sessions that there are",
		func(ctx SpecContext, signal os.Signal, status int) {
			c := connect(ctx, gatewayURL+"/mcp")
			id := c.ID()
			Expect(c.echo(ctx, "before")).To(Equal("Echo: before"))
			proxies := manager.proxies()
			Expect(proxies).To(HaveLen(1))
			DeferCleanup(func() {
				select {
				case <-manager.run.exited:
					manager.start()
				default:
				}
			})

			Expect(manager.signal(signal)).To(Equal(status))
			Eventually(running).WithArguments(proxies[0]).Should(BeFalse())
			_, err := rawClient{url: gatewayURL + "/mcp"}.send(ctx, initializeRequest)
			Expect(err).To(MatchError(syscall.ECONNREFUSED))

			manager.start()
			Eventually(c.echo).WithArguments(ctx, "after").Should(Equal("Echo: after"))
			Expect(c.ID()).To(Equal(id))
			expectWalkthroughServes(ctx)
		},
		Entry("asked to end", storyTimeout, syscall.SIGTERM, 0),
		Entry("killed", storyTimeout, os.Kill, -1),
	)
})
