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
	"encoding/json"
	"net/http"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

// sdkClient is a connected client of the Go SDK.
type sdkClient struct {
	*mcp.ClientSession
	// toolChanges counts how often the client was told that the list of tools changed.
	toolChanges atomic.Int64
}

// connect connects a client and closes its session at the end of the story.
func connect(ctx context.Context, url string) *sdkClient {
	GinkgoHelper()
	c := &sdkClient{}
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { c.toolChanges.Add(1) },
	})
	Eventually(func() error {
		session, err := client.Connect(context.WithoutCancel(ctx), &mcp.StreamableClientTransport{
			Endpoint:   url,
			HTTPClient: &http.Client{Transport: http.DefaultTransport},
			// A client that is patient enough to see pods replaced.
			MaxRetries: 20,
		}, nil)
		c.ClientSession = session
		return err
	}).WithContext(ctx).Should(Succeed())
	DeferCleanup(func() { _ = c.Close() })
	return c
}

// call calls a tool and returns the text of its result.
func (c *sdkClient) call(ctx context.Context, tool string, arguments map[string]any) (string, error) {
	result, err := c.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return "", err
	}
	var text string
	for _, content := range result.Content {
		if t, ok := content.(*mcp.TextContent); ok {
			text += t.Text
		}
	}
	return text, nil
}

// echo is for Eventually.
func (c *sdkClient) echo(ctx context.Context, message string) (string, error) {
	return c.call(ctx, "echo", map[string]any{"message": message})
}

// toolNames is for Eventually.
func (c *sdkClient) toolNames(ctx context.Context) ([]string, error) {
	list, err := c.ListTools(ctx, nil)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

// expectInspected does with the MCP Inspector what the walkthrough tells users to do: list the tools, and run echo.
func expectInspected(ctx context.Context, url string) {
	GinkgoHelper()
	var listed struct {
		Tools []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	Expect(json.Unmarshal(inspect(ctx, url, "--method", "tools/list"), &listed)).To(Succeed())
	Expect(listed.Tools).To(ContainElement(HaveField("Name", "echo")))

	var called struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	Expect(json.Unmarshal(inspect(ctx, url, "--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=Hello, world!"),
		&called)).To(Succeed())
	Expect(called.Content).To(ConsistOf(HaveField("Text", "Echo: Hello, world!")))
}

func inspect(ctx context.Context, url string, args ...string) json.RawMessage {
	GinkgoHelper()
	inspection, err := npm.Inspect(ctx, url, args...)
	Expect(err).NotTo(HaveOccurred())
	Expect(inspection.ExitStatus).To(Equal(node.InspectorOK), inspection.Stdout+inspection.Stderr)
	return inspection.Result
}
