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
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// JSON-RPC error codes.
const (
	parseError     = -32700
	invalidRequest = -32600
)

var _ = Describe("bad requests", func() {
	const ping = pingRequest

	DescribeTable("are refused",
		func(ctx SpecContext, change func(*rawClient), body string, status, code int) {
			session := openSession(ctx, gatewayURL+"/mcp")
			c := session
			change(&c)
			refused := c.mustSend(ctx, body)
			Expect(refused.status).To(Equal(status), refused.body)
			if code != 0 {
				Expect(refused.code()).To(Equal(code), refused.body)
			}
			if status == http.StatusMethodNotAllowed {
				Expect(refused.header.Get("Allow")).To(And(
					ContainSubstring("GET"), ContainSubstring("POST"), ContainSubstring("DELETE")))
			}
			By("leaving the session as it was")
			Expect(session.mustSend(ctx, ping).status).To(Equal(http.StatusOK))
		},
		badRequest("not JSON", unchanged, `nope`, 400, parseError),
		badRequest("nothing", unchanged, ``, 400, parseError),
		badRequest("more than one message", unchanged, ping+ping, 400, parseError),
		badRequest("too large", unchanged,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"`+
				strings.Repeat("x", 5<<20)+`"}}}`, 413, 0),
		badRequest("a batch", unchanged, `[`+ping+`,`+ping+`]`, 400, invalidRequest),
		badRequest("a duplicate method", unchanged,
			`{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"ping"}`, 400, invalidRequest),
		badRequest("a duplicate name, escaped", unchanged,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"get-env"}}`,
			400, invalidRequest),
		badRequest("another version of JSON-RPC", unchanged, `{"jsonrpc":"1.0","id":1,"method":"ping"}`, 400, invalidRequest),

		badRequest("no session", func(c *rawClient) { c.session = "" }, ping, 400, 0),
		badRequest("an unknown session", func(c *rawClient) { c.session = "3f2a" }, ping, 404, 0),
		badRequest("a forged session", func(c *rawClient) { c.session = forged(c.session) }, ping, 404, 0),
		badRequest("a stream of an unknown session", func(c *rawClient) {
			c.session, c.method = "3f2a", http.MethodGet
			c.header = map[string]string{"Accept": "text/event-stream"}
		}, ``, 404, 0),
		badRequest("a stream of no session", func(c *rawClient) {
			c.session, c.method = "", http.MethodGet
			c.header = map[string]string{"Accept": "text/event-stream"}
		}, ``, 400, 0),
		badRequest("the end of an unknown session", func(c *rawClient) {
			c.session, c.method = "3f2a", http.MethodDelete
		}, ``, 404, 0),
		badRequest("an unsupported version", func(c *rawClient) { c.version = "1999-01-01" }, ping, 400, 0),

		badRequest("another origin", func(c *rawClient) {
			c.header = map[string]string{"Origin": "http://evil.example"}
		}, ping, 403, 0),
		badRequest("another host", func(c *rawClient) { c.host = "evil.example" }, ping, 403, 0),
		badRequest("another method", func(c *rawClient) { c.method = http.MethodPut }, ping, 405, 0),
		badRequest("accepts nothing that there is", func(c *rawClient) {
			c.header = map[string]string{"Accept": "text/html"}
		}, ping, 406, 0),
		badRequest("a stream that may not be one", func(c *rawClient) {
			c.method, c.header = http.MethodGet, map[string]string{"Accept": "application/json"}
		}, ``, 406, 0),
		badRequest("another content type", func(c *rawClient) {
			c.header = map[string]string{"Content-Type": "text/plain"}
		}, ping, 415, 0),
	)

	It("include a session of another Backend", storyTimeout, func(ctx SpecContext) {
		api.apply(ctx, `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: other, namespace: default}
spec:
  type: MCP
  mcp:
    targets: [{name: tools, selector: {service: {matchLabels: {app: mcp-server-everything}}}}]
---
`+routeTo("other"))
		expectServes(ctx, gatewayURL+"/other", "echo")
		foreign := openSession(ctx, gatewayURL+"/other")
		Expect(foreign.mustSend(ctx, ping).status).To(Equal(http.StatusOK))
		foreign.url = gatewayURL + "/mcp"
		Expect(foreign.mustSend(ctx, ping).status).To(Equal(http.StatusNotFound))
	})

	It("do not include requests of pages on this machine", storyTimeout, func(ctx SpecContext) {
		session := openSession(ctx, gatewayURL+"/mcp")
		session.header = map[string]string{"Origin": "http://localhost:6274"}
		allowed := session.mustSend(ctx, ping)
		Expect(allowed.status).To(Equal(http.StatusOK))
		Expect(allowed.header.Get("Access-Control-Allow-Origin")).To(Equal("http://localhost:6274"))
		Expect(allowed.header.Get("Access-Control-Expose-Headers")).To(ContainSubstring(headerSession))
	})
})

// badRequest is an Entry: a request, made bad by change or by its body, and the answer to it. Code 0: any.
func badRequest(description string, change func(*rawClient), body string, status, code int) TableEntry {
	return Entry(description, storyTimeout, change, body, status, code)
}

func unchanged(*rawClient) {}

// forged returns the session with one character changed in its middle.
func forged(session string) string {
	changed := []byte(session)
	middle := len(changed) / 2
	if changed[middle] == 'A' {
		changed[middle] = 'B'
	} else {
		changed[middle] = 'A'
	}
	return string(changed)
}
