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
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

var _ = Describe("the MCP Inspector", func() {
	It("lists the same tools as directly", storyTimeout, func(ctx SpecContext) {
		direct := inspect(ctx, everything.URL(), "--method", "tools/list")
		through := inspect(ctx, gatewayURL+"/mcp", "--method", "tools/list")
		Expect(string(direct.Result)).To(ContainSubstring(`"echo"`))
		Expect(through.Result).To(MatchJSON(direct.Result))
	})

	It("calls echo", storyTimeout, func(ctx SpecContext) {
		called := inspect(ctx, gatewayURL+"/mcp",
			"--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=Hello, world!")
		Expect(called.Result).To(MatchJSON(`{"content":[{"type":"text","text":"Echo: Hello, world!"}]}`))
	})
})

// inspect runs the Inspector, which must succeed.
func inspect(ctx context.Context, url string, args ...string) *node.Inspection {
	GinkgoHelper()
	inspection, err := npm.Inspect(ctx, url, args...)
	Expect(err).NotTo(HaveOccurred())
	Expect(inspection.ExitStatus).To(Equal(node.InspectorOK), inspection.Stdout+inspection.Stderr)
	Expect(inspection.Result).NotTo(BeNil(), inspection.Stdout+inspection.Stderr)
	return inspection
}

var _ = Describe("a raw client", func() {
	It("is given the server's bytes", storyTimeout, func(ctx SpecContext) {
		for _, request := range []string{
			`{"jsonrpc":"2.0","id":4503599627370497,"method":"tools/call","params":` +
				`{"name":"echo","arguments":{"message":"\u00e4\ud83d\ude00<&>\u2028"}}}`,
			`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get-structured-content",` +
				`"arguments":{"location":"New York"}}}`,
			`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"no-such-tool","arguments":{}}}`,
			`{"jsonrpc":"2.0","id":4,"method":"no/such/method"}`,
		} {
			direct := openSession(ctx, everything.URL()).mustSend(ctx, request)
			through := openSession(ctx, gatewayURL+"/mcp").mustSend(ctx, request)
			Expect(through.status).To(Equal(direct.status), request)
			Expect(through.message()).To(Equal(direct.message()), request)
		}
	})

	It("is given the server's bytes of every tool in a list", storyTimeout, func(ctx SpecContext) {
		const request = `{"jsonrpc":"2.0","id":"one","method":"tools/list"}`
		direct := tools(openSession(ctx, everything.URL()).mustSend(ctx, request))
		Expect(direct).NotTo(BeEmpty())
		Expect(tools(openSession(ctx, gatewayURL+"/mcp").mustSend(ctx, request))).To(Equal(direct))
	})

	It("never sees the server's own session id", storyTimeout, func(ctx SpecContext) {
		session := openSession(ctx, gatewayURL+"/mcp")
		list := session.mustSend(ctx, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		opened := sessionsOpened(everything.Output())
		Expect(opened).NotTo(BeEmpty())
		Expect(opened).NotTo(ContainElement(session.session))
		for _, id := range opened {
			Expect(list.header).NotTo(ContainElement(ContainElement(ContainSubstring(id))))
		}
	})
})

// tools returns the tools in the answer to tools/list, each as it was sent.
func tools(list answer) []string {
	GinkgoHelper()
	var message struct {
		Result struct {
			Tools []json.RawMessage `json:"tools"`
		} `json:"result"`
	}
	Expect(json.Unmarshal([]byte(list.message()), &message)).To(Succeed(), list.body)
	var texts []string
	for _, tool := range message.Result.Tools {
		texts = append(texts, string(tool))
	}
	return texts
}

var _ = Describe("a client of the Go SDK", func() {
	It("sees the same server as directly", storyTimeout, func(ctx SpecContext) {
		direct, through := connect(ctx, everything.URL()), connect(ctx, gatewayURL+"/mcp")
		directTools, err := direct.ListTools(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		throughTools, err := through.ListTools(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(throughTools).To(Equal(directTools))
		directPrompts, err := direct.ListPrompts(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(through.ListPrompts(ctx, nil)).To(Equal(directPrompts))
		directResources, err := direct.ListResources(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(directResources.Resources).NotTo(BeEmpty())
		Expect(through.ListResources(ctx, nil)).To(Equal(directResources))
		uri := &mcp.ReadResourceParams{URI: directResources.Resources[0].URI}
		directContents, err := direct.ReadResource(ctx, uri)
		Expect(err).NotTo(HaveOccurred())
		Expect(through.ReadResource(ctx, uri)).To(Equal(directContents))

		Expect(through.InitializeResult().ServerInfo.Name).To(Equal("mcp-virtual-server"))
		capabilities := through.InitializeResult().Capabilities
		Expect(capabilities.Tools.ListChanged).To(BeTrue())
		Expect(capabilities.Prompts.ListChanged).To(BeTrue())
		Expect(capabilities.Resources.ListChanged).To(BeTrue())

		Expect(through.echo(ctx, "Hello, world!")).To(Equal("Echo: Hello, world!"))
	})

	It("is told of progress", storyTimeout, func(ctx SpecContext) {
		c := connect(ctx, gatewayURL+"/mcp")
		parameters := &mcp.CallToolParams{
			Name:      "trigger-long-running-operation",
			Arguments: map[string]any{"duration": 0.3, "steps": 3},
		}
		parameters.SetProgressToken("a token of the client's own")
		_, err := c.CallTool(ctx, parameters)
		Expect(err).NotTo(HaveOccurred())
		Eventually(c.seen.progressOf).WithArguments("a token of the client's own").Should(Equal([]float64{1, 2, 3}))
	})

	It("answers what the server asks during a call", storyTimeout, func(ctx SpecContext) {
		c := connect(ctx, gatewayURL+"/mcp")
		sampled, err := c.call(ctx, "trigger-sampling-request", map[string]any{"prompt": "a prompt", "maxTokens": 5})
		Expect(err).NotTo(HaveOccurred())
		Expect(sampled).To(And(ContainSubstring("e2e-model"), ContainSubstring("context: a prompt")))
		elicited, err := c.call(ctx, "trigger-elicitation-request", map[string]any{})
		Expect(err).NotTo(HaveOccurred())
		Expect(elicited).To(ContainSubstring("declined"))
	})

	It("answers what the server asks on its own", storyTimeout, func(ctx SpecContext) {
		c := connect(ctx, gatewayURL+"/mcp")
		Eventually(func() (string, error) {
			return c.call(ctx, "get-roots-list", map[string]any{})
		}).Should(ContainSubstring(everythingRoot))
	})

	It("hears what the server says on its own", storyTimeout, func(ctx SpecContext) {
		c := connect(ctx, gatewayURL+"/mcp")
		Expect(c.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "debug"})).To(Succeed())
		_, err := c.call(ctx, "toggle-simulated-logging", map[string]any{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(c.seen.logged).Should(ContainElement(ContainSubstring("SessionId")))
	})

	It("ends the server's session with its own", storyTimeout, func(ctx SpecContext) {
		before := len(sessionsOpened(everything.Output()))
		c := connect(ctx, gatewayURL+"/mcp")
		Expect(c.echo(ctx, "x")).To(Equal("Echo: x"))
		opened := sessionsOpened(everything.Output())
		Expect(opened).To(HaveLen(before + 1))
		id := c.ID()

		Expect(c.Close()).To(Succeed())
		Eventually(everything.Output).Should(
			ContainSubstring("Received session termination request for session " + opened[before]))
		after := rawClient{url: gatewayURL + "/mcp", session: id, version: version}.mustSend(ctx, pingRequest)
		Expect(after.status).To(Equal(http.StatusNotFound))
	})

	It("cancels a call, and the server is told", storyTimeout, func(ctx SpecContext) {
		fixture := serveFixture(ctx)
		c := connect(ctx, gatewayURL+fixture.path)
		calling, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() {
			_, err := c.CallTool(calling, &mcp.CallToolParams{Name: "wait"})
			ended <- err
		}()
		Eventually(fixture.began).Should(Receive())
		cancel()
		Eventually(ended).Should(Receive(MatchError(context.Canceled)))
		Eventually(fixture.cancelled).Should(Receive())
		Expect(c.call(ctx, "add", map[string]any{"left": 1 << 40, "right": 2})).To(Equal("1099511627778"))
	})

	It("keeps quiet streams open", storyTimeout, func(ctx SpecContext) {
		session := openSession(ctx, gatewayURL+"/mcp")
		session.method, session.header = http.MethodGet, map[string]string{"Accept": "text/event-stream"}
		reading, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := session.open(reading, "")
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = stream.Body.Close() }()
		Expect(stream.StatusCode).To(Equal(http.StatusOK))
		Expect(stream.Header.Get("Content-Type")).To(HavePrefix("text/event-stream"))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			buffer := make([]byte, 1024)
			for {
				if _, err := stream.Body.Read(buffer); err != nil {
					return
				}
			}
		}()
		Consistently(ended).WithTimeout(2 * time.Second).ShouldNot(BeClosed())

		By("opening another one, which must not fail either")
		second, err := session.open(reading, "")
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = second.Body.Close() }()
		Expect(second.StatusCode).To(Equal(http.StatusOK))
	})
})

var _ = Describe("a server that answers with JSON", func() {
	It("is passed through unchanged", storyTimeout, func(ctx SpecContext) {
		fixture := serveFixture(ctx)
		session := openSession(ctx, gatewayURL+fixture.path)
		answer := session.mustSend(ctx, `{"jsonrpc":"2.0","id":"json","method":"tools/call","params":`+
			`{"name":"add","arguments":{"left":40,"right":2}}}`)
		Expect(answer.status).To(Equal(http.StatusOK))
		var message struct {
			ID     string             `json:"id"`
			Result mcp.CallToolResult `json:"result"`
		}
		Expect(json.Unmarshal([]byte(answer.message()), &message)).To(Succeed())
		Expect(message.ID).To(Equal("json"))
		Expect(message.Result.Content).To(HaveLen(1))
		Expect(strings.TrimSpace(message.Result.Content[0].(*mcp.TextContent).Text)).To(Equal("42"))
	})
})
