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
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// fixture is an MCP server of the Go SDK. It does what server-everything does not: it answers with JSON instead of
// streams, and it tells the story when a call is cancelled.
type fixture struct {
	// path at which the walkthrough's Gateway serves it.
	path string
	// began and cancelled get a value for each call of the tool "wait".
	began, cancelled chan struct{}
}

type sum struct {
	Left  int `json:"left"`
	Right int `json:"right"`
}

// serveFixture runs a fixture behind a Backend and a route of their own until the story ends. The route is in another
// namespace than the Gateway.
func serveFixture(ctx context.Context) *fixture {
	GinkgoHelper()
	fixtures++
	name := fmt.Sprintf("fixture-%d", fixtures)
	f := &fixture{path: "/" + name, began: make(chan struct{}, 1), cancelled: make(chan struct{}, 1)}
	server := mcp.NewServer(&mcp.Implementation{Name: name, Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "wait", Description: "Waits until it is cancelled."},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			f.began <- struct{}{}
			<-ctx.Done()
			f.cancelled <- struct{}{}
			return nil, nil, ctx.Err()
		})
	mcp.AddTool(server, &mcp.Tool{Name: "add", Description: "Adds two numbers."},
		func(_ context.Context, _ *mcp.CallToolRequest, in sum) (*mcp.CallToolResult, any, error) {
			text := &mcp.TextContent{Text: strconv.Itoa(in.Left + in.Right)}
			return &mcp.CallToolResult{Content: []mcp.Content{text}}, nil, nil
		})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{JSONResponse: true})
	listener := servertest.New(GinkgoT(), handler)
	_, port, err := net.SplitHostPort(listener.Listener.Addr().String())
	Expect(err).NotTo(HaveOccurred())

	api.createNamespace(ctx, name)
	api.apply(ctx, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: fixture, namespace: %[1]s, labels: {app: fixture}, annotations: {kgateway.dev/mcp-path: /}}
spec:
  type: ExternalName
  externalName: localhost
  ports: [{port: %[2]s, appProtocol: kgateway.dev/mcp}]
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: fixture, namespace: %[1]s}
spec:
  type: MCP
  mcp:
    targets: [{name: fixture, selector: {service: {matchLabels: {app: fixture}}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: fixture, namespace: %[1]s}
spec:
  parentRefs: [{name: agentgateway, namespace: default}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /%[1]s}}]
      backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: fixture}]
`, name, port))
	expectServes(ctx, gatewayURL+f.path, "wait")
	return f
}

// fixtures counts them, so that each has a namespace of its own.
var fixtures int

// expectServes waits until the data plane gives clients a server that has the tool.
func expectServes(ctx context.Context, url, tool string) {
	GinkgoHelper()
	Eventually(func() (string, error) {
		c := rawClient{url: url}
		initialized, err := c.send(ctx, initializeRequest)
		if err != nil || initialized.status != http.StatusOK {
			return initialized.body, err
		}
		c.session, c.version = initialized.header.Get(headerSession), version
		list, err := c.send(ctx, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		return list.message(), err
	}).WithContext(ctx).Should(ContainSubstring(`"name":"` + tool + `"`))
}
