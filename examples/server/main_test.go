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

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"
)

// everything are the options of a server with all tools.
var everything = options{name: "everything", tools: strings.Join(toolNames(), ",")}

// client is a connected client that says its name is Ada when it is asked.
type client struct {
	*mcp.ClientSession
	mu       sync.Mutex
	progress []string
}

// revisions are one of each era of MCP.
var revisions = []string{"2025-11-25", "2026-07-28"}

func connect(t *testing.T, o options, revision string) *client {
	t.Helper()
	g := NewWithT(t)
	server, err := newServer(o.name, strings.Split(o.tools, ","))
	g.Expect(err).NotTo(HaveOccurred())
	listener := httptest.NewServer(newHandler(server, o))
	t.Cleanup(listener.Close)

	c := &client{}
	sdk := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.progress = append(c.progress, fmt.Sprintf("%v/%v", r.Params.Progress, r.Params.Total))
		},
	})
	c.ClientSession, err = sdk.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: listener.URL + "/mcp"},
		&mcp.ClientSessionOptions{ProtocolVersion: revision})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// call returns the text of a tool's result.
func (c *client) call(t *testing.T, params *mcp.CallToolParams) string {
	t.Helper()
	g := NewWithT(t)
	result, err := c.CallTool(t.Context(), params)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.Content).To(HaveLen(1))
	return result.Content[0].(*mcp.TextContent).Text
}

func TestTools(t *testing.T) {
	for _, revision := range revisions {
		t.Run(revision, func(t *testing.T) {
			g := NewWithT(t)
			c := connect(t, everything, revision)
			tools, err := c.ListTools(t.Context(), nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(tools.Tools).To(HaveLen(5))

			g.Expect(c.call(t, &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"message": "hi"}})).To(Equal("Echo: hi"))
			g.Expect(c.call(t, &mcp.CallToolParams{Name: "add", Arguments: map[string]any{"a": 40, "b": 2}})).To(Equal(`{"sum":42}`))
			g.Expect(c.call(t, &mcp.CallToolParams{Name: "greet"})).To(Equal("Hello, Ada!"))
			lima := c.call(t, &mcp.CallToolParams{Name: "forecast", Arguments: map[string]any{"city": "Lima"}})
			g.Expect(lima).To(MatchRegexp(`^Lima: \w+, \d+ °C$`))
			g.Expect(c.call(t, &mcp.CallToolParams{Name: "forecast", Arguments: map[string]any{"city": "Lima"}})).To(Equal(lima))
		})
	}
}

func TestStateless(t *testing.T) {
	stateless := everything
	stateless.stateless = true
	for _, revision := range revisions {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, stateless, revision)
			NewWithT(t).Expect(c.call(t, &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"message": "hi"}})).
				To(Equal("Echo: hi"))
		})
	}
}

func TestCountdownTellsEachStepToClientsThatAskForProgress(t *testing.T) {
	for _, revision := range revisions {
		t.Run(revision, func(t *testing.T) {
			g := NewWithT(t)
			c := connect(t, everything, revision)
			params := &mcp.CallToolParams{Name: "countdown", Arguments: map[string]any{"from": 3, "millis": 1}}
			params.SetProgressToken("token")
			g.Expect(c.call(t, params)).To(Equal("Lift-off!"))
			g.Eventually(func() []string {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.progress
			}).Should(Equal([]string{"1/3", "2/3", "3/3"}))
		})
	}
}

func TestCountdownRefusesWhatWouldTakeTooLong(t *testing.T) {
	c := connect(t, everything, revisions[1])
	NewWithT(t).Expect(c.call(t, &mcp.CallToolParams{Name: "countdown", Arguments: map[string]any{"from": 61}})).
		To(ContainSubstring("from must be 1 to 60"))
}

func TestPromptAndResources(t *testing.T) {
	g := NewWithT(t)
	c := connect(t, everything, revisions[1])
	prompt, err := c.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "explain", Arguments: map[string]string{"topic": "tides"}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(prompt.Messages[0].Content).To(HaveField("Text", "Explain in one sentence: tides"))

	read := func(uri string) (string, error) {
		result, err := c.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
		if err != nil {
			return "", err
		}
		return result.Contents[0].Text, nil
	}
	g.Expect(read("sample://about")).To(Equal(`I am the sample server "everything".`))
	g.Expect(read("sample://squares/12")).To(Equal("144"))
	_, err = read("sample://squares/many")
	g.Expect(err).To(MatchError(ContainSubstring("not found")))
}

func TestUnknownToolIsRefusedWithTheKnownOnes(t *testing.T) {
	_, err := newServer("x", []string{"ecko"})
	NewWithT(t).Expect(err).To(MatchError(`there is no tool "ecko": take any of add, countdown, echo, forecast, greet`))
}

func TestHosts(t *testing.T) {
	named := everything
	named.hosts = "mcp.default.svc"
	for _, test := range []struct {
		o      options
		host   string
		status int
	}{
		{everything, "localhost:3001", http.StatusOK},
		{everything, "mcp.default.svc", http.StatusForbidden},
		{named, "mcp.default.svc", http.StatusOK},
		{named, "mcp.default.svc:3001", http.StatusOK},
		{named, "[::1]:3001", http.StatusOK},
		{named, "evil.example", http.StatusForbidden},
	} {
		t.Run(test.host, func(t *testing.T) {
			g := NewWithT(t)
			server, err := newServer("x", nil)
			g.Expect(err).NotTo(HaveOccurred())
			listener := httptest.NewServer(newHandler(server, test.o))
			defer listener.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, listener.URL+"/mcp", strings.NewReader(
				`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},`+
					`"clientInfo":{"name":"x","version":"1"}}}`))
			g.Expect(err).NotTo(HaveOccurred())
			req.Host = test.host
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/json, text/event-stream")
			response, err := http.DefaultClient.Do(req)
			g.Expect(err).NotTo(HaveOccurred())
			_ = response.Body.Close()
			g.Expect(response.StatusCode).To(Equal(test.status))
		})
	}
}

func TestEndsAtOnceAlsoWithAnOpenStream(t *testing.T) {
	g := NewWithT(t)
	server, err := newServer("x", []string{"echo"})
	g.Expect(err).NotTo(HaveOccurred())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, newHandler(server, options{})) }()

	sdk := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := sdk.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: "http://" + listener.Addr().String() + "/mcp", MaxRetries: -1},
		&mcp.ClientSessionOptions{ProtocolVersion: revisions[0]})
	g.Expect(err).NotTo(HaveOccurred())
	cancel()
	g.Eventually(served).WithTimeout(900 * time.Millisecond).Should(Receive(BeNil()))
	_ = session.Close()
}
