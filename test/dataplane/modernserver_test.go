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
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// newModernSample returns a server of revision 2026-07-28, which keeps no sessions, with tools that ask the client in the way
// of that revision: in several rounds.
func newModernSample(t *testing.T, name string) *sample {
	s := newStatelessSample(t, name)
	schema := json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`)
	s.change(func(server *mcp.Server) {
		server.AddTool(&mcp.Tool{Name: "interview", InputSchema: json.RawMessage(`{"type":"object"}`)}, s.interview)
		server.AddTool(&mcp.Tool{Name: "region", InputSchema: schema}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return textResult(r.Extra.Header.Get("Mcp-Param-Region")), nil
		})
	})
	return s
}

func textResult(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

// interview asks who the user is, and then for a model's word and for roots at once. It keeps nothing but what the client
// brings back.
func (s *sample) interview(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	answers := r.Params.InputResponses
	switch r.Params.RequestState {
	case "":
		return &mcp.CallToolResult{RequestState: "first", InputRequests: mcp.InputRequestMap{"who": &mcp.ElicitParams{
			Message: "Who are you?",
			RequestedSchema: map[string]any{
				"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}, "required": []string{"name"},
			},
		}}}, nil
	case "first":
		answer, ok := answers["who"].(*mcp.ElicitResult)
		if !ok {
			return nil, fmt.Errorf("no answer: %v", answers)
		}
		return &mcp.CallToolResult{RequestState: fmt.Sprint(answer.Action, " ", answer.Content["name"]), InputRequests: mcp.InputRequestMap{
			"word": &mcp.CreateMessageParams{
				MaxTokens: 10, Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: "hi"}}},
			},
			"roots": &mcp.ListRootsParams{},
		}}, nil
	default:
		said, err := json.Marshal(answers["word"])
		if err != nil {
			return nil, err
		}
		roots, ok := answers["roots"].(*mcp.ListRootsResult)
		if !ok || len(roots.Roots) == 0 {
			return nil, fmt.Errorf("no roots: %v", answers)
		}
		return textResult(strings.Join([]string{s.name, r.Params.RequestState, string(said), roots.Roots[0].URI}, " | ")), nil
	}
}

// modernBackends are the ways in which a modern server stands behind a Backend.
var modernBackends = map[string]func(t *testing.T, modern *sample) []config.Target{
	"alone": func(_ *testing.T, modern *sample) []config.Target { return []config.Target{modern.target()} },
	"beside a legacy server": func(t *testing.T, modern *sample) []config.Target {
		return []config.Target{modern.target(), newSample(t, "legacy").target()}
	},
}

func TestClientsWithAModernServer(t *testing.T) {
	for name, targets := range modernBackends {
		t.Run(name, func(t *testing.T) {
			eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
				g := NewWithT(t)
				modern := newModernSample(t, "modern")
				c := connect(t, newGateway(t, targets(t, modern)).url)
				all := append([]string{"interview", "region"}, sampleTools...)
				g.Expect(names(t, c, "tools")).To(ContainElements(all))
				g.Expect(called(t, c, "echo", message("hi"))).To(Equal("modern: hi"))
				g.Expect(called(t, c, "region", map[string]any{"region": "eu"})).To(Equal("eu"))
				g.Expect(c.prompt(within(t), "greet", map[string]string{"who": "Ada"})).To(Equal("modern greets Ada"))
				g.Expect(c.read(within(t), "demo://note")).To(Equal("demo://note: modern"))
				g.Expect(c.complete(within(t), "greet", "", "who", "A")).To(Equal([]string{"modern greet A"}))

				t.Run("progress", func(t *testing.T) { modernProgress(t, c) })
				t.Run("cancellation", func(t *testing.T) { cancellation(t, c, modern) })
				t.Run("rounds of input", func(t *testing.T) { rounds(t, c) })
				t.Run("logging", func(t *testing.T) { modernLogging(t, c) })
				t.Run("subscriptions", func(t *testing.T) { modernSubscriptions(t, c, modern) })
				t.Run("changes", func(t *testing.T) { modernChanges(t, c, modern) })
				g.Expect(c.close()).To(Succeed())
			})
		})
	}
}

func modernProgress(t *testing.T, c client) {
	g := NewWithT(t)
	got, err := c.call(within(t), "slow", map[string]any{"steps": 3}, "token")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal("modern: done"))
	g.Eventually(func() map[string]int { return c.seen().all("progress token ") }).WithTimeout(patience).Should(HaveLen(3))
}

func rounds(t *testing.T, c client) {
	g := NewWithT(t)
	got := called(t, c, "interview", nil)
	g.Expect(got).To(And(HavePrefix("modern | accept "+elicitedName+" | "), ContainSubstring(sampledBy), HaveSuffix(" | "+clientRoot)))
	g.Expect(c.seen().count("elicitation")).To(Equal(1))
	g.Expect(c.seen().count("sampling")).To(Equal(1))
}

func modernLogging(t *testing.T, c client) {
	g := NewWithT(t)
	called(t, c, "log", message("without a level"))
	g.Expect(c.setLevel(within(t), "debug")).To(Succeed())
	called(t, c, "log", message("a word"))
	g.Eventually(func() int { return c.seen().count("log warning modern: a word") }).WithTimeout(patience).Should(Equal(1))
	g.Expect(c.setLevel(within(t), "error")).To(Succeed())
	called(t, c, "log", message("not heard"))
	g.Expect(c.seen().all("log ")).To(HaveLen(1))
}

func modernSubscriptions(t *testing.T, c client, s *sample) {
	g := NewWithT(t)
	g.Eventually(s.sessions).WithTimeout(patience).Should(Equal(1), "somebody listens")
	g.Expect(c.subscribe(within(t), "demo://note")).To(Succeed())
	updateNote(s) // The server has been told of the subscription before the client's request was answered.
	g.Eventually(func() int { return c.seen().count("updated demo://note") }).WithTimeout(patience).Should(BeNumerically(">=", 1))
	g.Expect(c.unsubscribe(within(t), "demo://note")).To(Succeed())
	g.Eventually(s.sessions).WithTimeout(patience).Should(Equal(1), "the older stream has ended")
	before := c.seen().count("updated demo://note")
	updateNote(s)
	s.change(func(server *mcp.Server) {
		addTool(server, "after-the-update", func(context.Context, *mcp.CallToolRequest, struct{}) (string, error) { return "", nil })
	})
	g.Eventually(func() int { return c.seen().count("tools changed") }).WithTimeout(patience).Should(BeNumerically(">=", 1))
	g.Expect(c.seen().count("updated demo://note")).To(Equal(before))
}

func modernChanges(t *testing.T, c client, s *sample) {
	g := NewWithT(t)
	before := c.seen().count("tools changed")
	s.change(func(server *mcp.Server) {
		addTool(server, "new", func(context.Context, *mcp.CallToolRequest, struct{}) (string, error) { return "new here", nil })
	})
	g.Eventually(func() int { return c.seen().count("tools changed") }).WithTimeout(patience).Should(BeNumerically(">", before))
	g.Expect(names(t, c, "tools")).To(ContainElement("new"))
	g.Expect(called(t, c, "new", nil)).To(Equal("new here"))

	// It loses nothing when it starts anew: there are no sessions. The tool is gone, of which the client is told.
	before = c.seen().count("tools changed")
	s.kill()
	s.start()
	g.Eventually(func() int { return c.seen().count("tools changed") }).WithTimeout(patience).Should(BeNumerically(">", before))
	g.Expect(called(t, c, "echo", message("again"))).To(Equal("modern: again"))
	g.Expect(names(t, c, "tools")).NotTo(ContainElement("new"))
}

// Each answer of the client reaches the replica that has asked, whichever takes it.
func TestRoundsOfInputBehindABalancer(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		targets := []config.Target{newModernSample(t, "modern").target(), newSample(t, "legacy").target()}
		c := connect(t, newGateway(t, targets, withReplicas(2)).url)
		for range 3 {
			NewWithT(t).Expect(called(t, c, "interview", nil)).To(HavePrefix("modern | accept"))
			NewWithT(t).Expect(called(t, c, "legacy_elicit", nil)).To(Equal("legacy: accept " + elicitedName))
		}
	})
}
