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

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/test/era"
)

// client is a connected MCP client, of whichever SDK.
type client interface {
	// server is the name that the server gave itself, and modern whether revision 2026-07-28 was agreed on.
	server() string
	modern() bool
	// list returns the names of all tools, prompts, resources (their URIs) or templates (their URI templates).
	list(ctx context.Context, what string) ([]string, error)
	// call calls a tool and returns the text of its result. With a token, progress is asked for.
	call(ctx context.Context, tool string, arguments map[string]any, token string) (string, error)
	prompt(ctx context.Context, name string, arguments map[string]string) (string, error)
	read(ctx context.Context, uri string) (string, error)
	subscribe(ctx context.Context, uri string) error
	unsubscribe(ctx context.Context, uri string) error
	// complete asks for completions of an argument of a prompt or of a template.
	complete(ctx context.Context, prompt, template, argument, value string) ([]string, error)
	setLevel(ctx context.Context, level string) error
	// addRoot adds a root, of which servers are told.
	addRoot(ctx context.Context, uri string) error
	// seen is what servers told the client.
	seen() *notes
	// close ends the session.
	close() error
}

// sdks are the SDKs of whose clients every story is told, and modernSDKs those that speak revision 2026-07-28 too.
var (
	sdks = map[string]func(t *testing.T, url string) client{
		"Go SDK":             connectGo,
		"TypeScript SDK 1.x": nodeKind{}.connect,
		"TypeScript SDK 2.x": nodeKind{mode: "legacy"}.connect,
	}
	modernSDKs = map[string]func(t *testing.T, url string) client{
		"TypeScript SDK 2.x, modern": nodeKind{mode: "auto"}.connect,
	}
)

// eachSDK tells a story of a session once for each SDK.
func eachSDK(t *testing.T, story func(t *testing.T, connect func(t *testing.T, url string) client)) {
	tell(t, sdks, story)
}

// eachEra tells a story that needs no session once for each SDK and era.
func eachEra(t *testing.T, story func(t *testing.T, connect func(t *testing.T, url string) client)) {
	tell(t, sdks, story)
	tell(t, modernSDKs, story)
}

func tell(
	t *testing.T, by map[string]func(t *testing.T, url string) client,
	story func(t *testing.T, connect func(t *testing.T, url string) client),
) {
	for name, connect := range by {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, connect)
		})
	}
}

// notes count what servers told a client.
type notes struct {
	mu     sync.Mutex
	counts map[string]int
}

func (n *notes) add(format string, arguments ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts == nil {
		n.counts = map[string]int{}
	}
	n.counts[fmt.Sprintf(format, arguments...)]++
}

// count returns how often a note was taken.
func (n *notes) count(note string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts[note]
}

// all returns the counts of all notes that begin in some way.
func (n *notes) all(prefix string) map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := map[string]int{}
	for note, count := range n.counts {
		if strings.HasPrefix(note, prefix) {
			found[note] = count
		}
	}
	return found
}

// What the clients answer when servers ask them.
const (
	clientRoot   = "file:///dataplane"
	sampledBy    = "a model of the client"
	elicitedName = "Ada"
)

// goClient is a client of the Go SDK.
type goClient struct {
	client  *mcp.Client
	session *mcp.ClientSession
	notes   notes
	level   string // Of a modern client, which says it with each call.
}

func connectGo(t *testing.T, url string) client {
	t.Helper()
	c, err := dialGo(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func dialGo(t *testing.T, url string) (*goClient, error) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return dialGoBy(t, &mcp.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: era.LegacyOnly(transport)},
	})
}

// dialGoBy connects a client by a transport, which also decides on the era that it speaks.
func dialGoBy(t *testing.T, transport mcp.Transport) (*goClient, error) {
	t.Helper()
	c := &goClient{}
	c.client = mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			c.notes.add("progress %v %v/%v", r.Params.ProgressToken, r.Params.Progress, r.Params.Total)
		},
		LoggingMessageHandler: func(_ context.Context, r *mcp.LoggingMessageRequest) {
			c.notes.add("log %s %v", r.Params.Level, r.Params.Data)
		},
		ToolListChangedHandler:     func(context.Context, *mcp.ToolListChangedRequest) { c.notes.add("tools changed") },
		PromptListChangedHandler:   func(context.Context, *mcp.PromptListChangedRequest) { c.notes.add("prompts changed") },
		ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) { c.notes.add("resources changed") },
		ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
			c.notes.add("updated %s", r.Params.URI)
		},
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			c.notes.add("sampling")
			asked, _ := r.Params.Messages[0].Content.(*mcp.TextContent)
			return &mcp.CreateMessageResult{
				Role: "assistant", Model: sampledBy, Content: &mcp.TextContent{Text: "sampled " + asked.Text},
			}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			c.notes.add("elicitation")
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": elicitedName}}, nil
		},
	})
	c.client.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
			if method == "roots/list" {
				c.notes.add("roots")
			}
			return next(ctx, method, r)
		}
	})
	c.client.AddRoots(&mcp.Root{URI: clientRoot, Name: "dataplane"})
	var err error
	// The stream of a client over HTTP+SSE lasts as long as the context.
	c.session, err = c.client.Connect(context.WithoutCancel(t.Context()), transport, nil)
	t.Cleanup(func() { _ = c.close() })
	return c, err
}

func (c *goClient) server() string { return c.session.InitializeResult().ServerInfo.Name }

func (c *goClient) modern() bool {
	return c.session.InitializeResult().ProtocolVersion == modernVersion
}

func (c *goClient) seen() *notes { return &c.notes }

func (c *goClient) close() error {
	if c.session == nil {
		return nil
	}
	return c.session.Close()
}

func (c *goClient) list(ctx context.Context, what string) (names []string, err error) {
	names = []string{}
	switch what {
	case "tools":
		for tool, err := range c.session.Tools(ctx, nil) {
			if err != nil {
				return nil, err
			}
			names = append(names, tool.Name)
		}
	case "prompts":
		for prompt, err := range c.session.Prompts(ctx, nil) {
			if err != nil {
				return nil, err
			}
			names = append(names, prompt.Name)
		}
	case "resources":
		for resource, err := range c.session.Resources(ctx, nil) {
			if err != nil {
				return nil, err
			}
			names = append(names, resource.URI)
		}
	case "templates":
		for template, err := range c.session.ResourceTemplates(ctx, nil) {
			if err != nil {
				return nil, err
			}
			names = append(names, template.URITemplate)
		}
	default:
		return nil, fmt.Errorf("no list of %s", what)
	}
	return names, nil
}

func (c *goClient) call(ctx context.Context, tool string, arguments map[string]any, token string) (string, error) {
	if arguments == nil {
		arguments = map[string]any{} // null is what some servers refuse.
	}
	params := &mcp.CallToolParams{Name: tool, Arguments: arguments, Meta: mcp.Meta{}}
	if token != "" {
		params.Meta["progressToken"] = token
	}
	if c.level != "" {
		params.Meta["io.modelcontextprotocol/logLevel"] = c.level
	}
	result, err := c.session.CallTool(ctx, params)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, content := range result.Content {
		if t, ok := content.(*mcp.TextContent); ok {
			text.WriteString(t.Text)
		}
	}
	if result.IsError {
		return "", errors.New("the tool failed: " + text.String())
	}
	return text.String(), nil
}

func (c *goClient) prompt(ctx context.Context, name string, arguments map[string]string) (string, error) {
	result, err := c.session.GetPrompt(ctx, &mcp.GetPromptParams{Name: name, Arguments: arguments})
	if err != nil {
		return "", err
	}
	text, _ := result.Messages[0].Content.(*mcp.TextContent)
	return text.Text, nil
}

func (c *goClient) read(ctx context.Context, uri string) (string, error) {
	result, err := c.session.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		return "", err
	}
	return result.Contents[0].URI + ": " + result.Contents[0].Text, nil
}

func (c *goClient) subscribe(ctx context.Context, uri string) error {
	return c.session.Subscribe(ctx, &mcp.SubscribeParams{URI: uri})
}

func (c *goClient) unsubscribe(ctx context.Context, uri string) error {
	return c.session.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: uri})
}

func (c *goClient) complete(ctx context.Context, prompt, template, argument, value string) ([]string, error) {
	ref := &mcp.CompleteReference{Type: "ref/prompt", Name: prompt}
	if template != "" {
		ref = &mcp.CompleteReference{Type: "ref/resource", URI: template}
	}
	result, err := c.session.Complete(ctx, &mcp.CompleteParams{
		Ref: ref, Argument: mcp.CompleteParamsArgument{Name: argument, Value: value},
	})
	if err != nil {
		return nil, err
	}
	return result.Completion.Values, nil
}

func (c *goClient) setLevel(ctx context.Context, level string) error {
	if c.modern() {
		c.level = level
		return nil
	}
	return c.session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(level)})
}

func (c *goClient) addRoot(_ context.Context, uri string) error {
	c.client.AddRoots(&mcp.Root{URI: uri})
	return nil
}

// names lists and fails the test if that fails.
func names(t *testing.T, c client, what string) []string {
	t.Helper()
	got, err := c.list(within(t), what)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return got
}

// called calls a tool and fails the test if that fails.
func called(t *testing.T, c client, tool string, arguments map[string]any) string {
	t.Helper()
	got, err := c.call(within(t), tool, arguments, "")
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "%s; the client was told %v", tool, c.seen().all(""))
	return got
}

// within returns a context for one request.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// message is the argument of echo.
func message(text string) map[string]any { return map[string]any{"message": text} }
