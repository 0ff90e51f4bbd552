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

package standalone

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

func TestMain(m *testing.M) {
	// Logging libraries start goroutines for the whole life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

const patience = 20 * time.Second

// buffer takes the output of several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// instance is a running standalone.
type instance struct {
	out, err, log *buffer
	stop          func() error
}

// start runs standalone on a directory, until the end of the test.
func start(t *testing.T, directory string, change ...func(*Options)) *instance {
	t.Helper()
	i, o := newInstance(directory)
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	i.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := i.stop(); err != nil {
			t.Errorf("standalone: %v\n%s", err, i.log)
		}
	})
	i.eventually(t, "GATEWAY")
	return i
}

func newInstance(directory string) (*instance, Options) {
	i := &instance{out: &buffer{}, err: &buffer{}, log: &buffer{}}
	return i, Options{
		Source: manifests.Source{Paths: []string{directory}}, BindAddress: "127.0.0.1", DrainTimeout: time.Second,
		Limits: config.DefaultLimits(), Version: "test", Out: i.out, Err: i.err,
		Log: slog.New(slog.NewTextHandler(i.log, nil)),
	}
}

// eventually waits until the tables have a text.
func (i *instance) eventually(t *testing.T, text string) {
	t.Helper()
	NewWithT(t).Eventually(i.out.String).WithTimeout(patience).Should(ContainSubstring(text), "%s%s", i.err, i.log)
}

// write writes a file of the directory, as one does who replaces it whole.
func write(t *testing.T, directory, name, content string) {
	t.Helper()
	temporary := filepath.Join(directory, "."+name+".tmp")
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(directory, name)); err != nil {
		t.Fatal(err)
	}
}

// gatewayOn is a Gateway and a route for all its requests to the Backend "tools".
func gatewayOn(name string, port int) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %[1]s}
spec: {gatewayClassName: agentgateway, listeners: [{name: http, protocol: HTTP, port: %[2]d}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s}
spec:
  parentRefs: [{name: %[1]s}]
  rules: [{backendRefs: [{name: tools, kind: Backend, group: gateway.kgateway.dev}]}]
`, name, port)
}

const toolsBackend = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: tools}
spec: {type: MCP, mcp: {targets: [{name: tools, selector: {service: {matchLabels: {mcp: enabled}}}}]}}
`

// serviceAt is a Service for a server on this machine, with a label mcp.
func serviceAt(name, label, address string) string {
	_, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, labels: {mcp: %s}}
spec: {type: ExternalName, externalName: localhost, ports: [{port: %s, appProtocol: kgateway.dev/mcp}]}
`, name, label, port)
}

// mcpServer runs an MCP server with tools that answer with their own name, and returns its address.
func mcpServer(t *testing.T, tools ...string) string {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	for _, name := range tools {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: name}}}, nil, nil
		})
	}
	t.Cleanup(func() {
		for session := range server.Sessions() {
			_ = session.Close() // Those that no client has ended.
		}
	})
	s := servertest.New(t, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	return s.Listener.Addr().String()
}

// client is a connected client of the Go SDK.
type client struct {
	*mcp.ClientSession
	changed chan struct{}
}

func connect(t *testing.T, url string) *client {
	t.Helper()
	c := &client{changed: make(chan struct{}, 100)}
	transport := &http.Transport{}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { c.changed <- struct{}{} },
	}).Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: transport}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.ClientSession = session
	t.Cleanup(func() {
		_ = session.Close()
		transport.CloseIdleConnections()
	})
	return c
}

// tools returns the names of the tools, in order.
func (c *client) tools(t *testing.T) []string {
	t.Helper()
	result, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// call calls a tool and returns the text of its answer, or the error.
func (c *client) call(t *testing.T, tool string) string {
	t.Helper()
	result, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
	if err != nil {
		return "error: " + err.Error()
	}
	return result.Content[0].(*mcp.TextContent).Text
}

// get returns the status and the body of an answer.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	status, _, body := getAll(t, url)
	return status, body
}

// getAll returns all of an answer.
func getAll(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

// rawPost sends one message, in a session if there is one.
func rawPost(t *testing.T, url, session, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(answer)
}
