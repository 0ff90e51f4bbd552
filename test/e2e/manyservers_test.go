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
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

var _ = Describe("a second server", func() {
	It("joins and leaves connected clients by its label alone, and costs the first one no call", storyTimeout, func(ctx SpecContext) {
		serveSecond(ctx)
		c := connect(ctx, gatewayURL+"/mcp")
		before, err := c.toolNames(ctx)
		Expect(err).NotTo(HaveOccurred())
		failed := callAllAlong(c)

		joined := changeLabel(ctx, c, "mcp-server-everything")
		AddReportEntry("labelled: client told after", joined.String())
		Eventually(c.toolNames).WithContext(ctx).Should(Equal(append(before, "second_echo", "whoami")))
		Expect(c.call(ctx, "whoami", nil)).To(Equal("second"))
		Expect(c.call(ctx, "second_echo", map[string]any{"message": "x"})).To(Equal("second: x"))
		Expect(c.echo(ctx, "x")).To(Equal("Echo: x"))
		Expect(api.mustKubectl(ctx, "get", "backend", "mcp-backend")).To(ContainSubstring("2/2"))

		left := changeLabel(ctx, c, "something-else")
		AddReportEntry("unlabelled: client told after", left.String())
		Eventually(c.toolNames).WithContext(ctx).Should(Equal(before))
		calls, failures := failed()
		AddReportEntry("calls to the first server, and failures", fmt.Sprintf("%d, %d", calls, len(failures)))
		Expect(calls).To(BeNumerically(">", 0))
		Expect(failures).To(BeEmpty())
	})
})

// changeLabel labels the second Service, and returns how long the client took to be told.
func changeLabel(ctx context.Context, c *sdkClient, app string) time.Duration {
	GinkgoHelper()
	told := c.seen.toolChanges()
	begin := time.Now()
	api.mustKubectl(ctx, "label", "service", "second", "app="+app, "--overwrite")
	Eventually(c.seen.toolChanges).WithContext(ctx).Should(BeNumerically(">", told))
	return time.Since(begin).Round(time.Millisecond)
}

// callAllAlong calls the first server again and again until what it returns is called, which returns how often, and the
// errors.
func callAllAlong(c *sdkClient) func() (int, []error) {
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	var (
		calls    atomic.Int64
		failures []error
		running  sync.WaitGroup
	)
	running.Go(func() {
		for ctx.Err() == nil {
			text, err := c.echo(context.Background(), "all along")
			if err == nil && text != "Echo: all along" {
				err = fmt.Errorf("another server answered: %q", text)
			}
			if err != nil {
				failures = append(failures, err)
			}
			calls.Add(1)
		}
	})
	return func() (int, []error) {
		cancel()
		running.Wait()
		return int(calls.Load()), failures
	}
}

// serveSecond runs a server whose echo collides with the first one's, behind a Service that nobody selects yet.
func serveSecond(ctx context.Context) {
	GinkgoHelper()
	server := mcp.NewServer(&mcp.Implementation{Name: "second", Version: "1"}, nil)
	type input struct {
		Message string `json:"message"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "second: " + in.Message}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "second"}}}, nil, nil
	})
	listener := servertest.New(GinkgoT(), mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	_, port, err := net.SplitHostPort(listener.Listener.Addr().String())
	Expect(err).NotTo(HaveOccurred())
	service := fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: second, namespace: default, labels: {app: something-else}, annotations: {kgateway.dev/mcp-path: /}}
spec:
  type: ExternalName
  externalName: localhost
  ports: [{port: %s, appProtocol: kgateway.dev/mcp}]
`, port)
	api.apply(ctx, service)
	DeferCleanup(func(ctx context.Context) { api.remove(ctx, service) })
}
