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
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/test/era"
)

// everythingRoot is the root that every client of the suite has.
const everythingRoot = "file:///walkthrough"

// sdkClient is a connected client of the Go SDK that can do what clients can: sample, elicit, show its roots.
type sdkClient struct {
	*mcp.ClientSession
	seen notifications
}

// notifications are what a server told a client.
type notifications struct {
	mu       sync.Mutex
	progress []mcp.ProgressNotificationParams
	logs     []any
	changes  int
}

func (n *notifications) record(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

// progressOf returns the progress that was told of a token, in order.
func (n *notifications) progressOf(token string) []float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	var values []float64
	for _, p := range n.progress {
		if p.ProgressToken == token {
			values = append(values, p.Progress)
		}
	}
	return values
}

func (n *notifications) logged() []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.logs)
}

// toolChanges returns how often the client was told that the list of tools changed.
func (n *notifications) toolChanges() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changes
}

// connect connects a client and closes its session at the end of the story.
func connect(ctx context.Context, url string) *sdkClient {
	GinkgoHelper()
	c := &sdkClient{}
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			c.seen.record(func() { c.seen.progress = append(c.seen.progress, *r.Params) })
		},
		LoggingMessageHandler: func(_ context.Context, r *mcp.LoggingMessageRequest) {
			c.seen.record(func() { c.seen.logs = append(c.seen.logs, r.Params.Data) })
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			c.seen.record(func() { c.seen.changes++ })
		},
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{
				Role:    "assistant",
				Model:   "e2e-model",
				Content: &mcp.TextContent{Text: "sampled " + r.Params.Messages[0].Content.(*mcp.TextContent).Text},
			}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "decline"}, nil
		},
	})
	client.AddRoots(&mcp.Root{URI: everythingRoot, Name: "walkthrough"})
	session, err := client.Connect(context.WithoutCancel(ctx), &mcp.StreamableClientTransport{
		Endpoint:   url,
		HTTPClient: &http.Client{Transport: era.LegacyOnly(watching{})},
		// A client that is patient enough to see a proxy restart.
		MaxRetries: 20,
	}, nil)
	Expect(err).NotTo(HaveOccurred())
	c.ClientSession = session
	DeferCleanup(func() { _ = session.Close() })
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

// jsonrpcError returns the JSON-RPC error that the server answered with.
func jsonrpcError(err error) *jsonrpc.Error {
	GinkgoHelper()
	var wire *jsonrpc.Error
	Expect(errors.As(err, &wire)).To(BeTrue(), "not a JSON-RPC error: %v", err)
	return wire
}
