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
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// rawClient sends bodies as they are, in one session.
type rawClient struct {
	t       *testing.T
	url     string
	session string
	http    *http.Client
}

func newRawClient(t *testing.T, url string) *rawClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &rawClient{t: t, url: url, http: &http.Client{Transport: transport}}
	response := c.do(http.MethodPost, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`)
	defer func() { _ = response.Body.Close() }()
	c.session = response.Header.Get("Mcp-Session-Id")
	NewWithT(t).Expect(c.session).NotTo(BeEmpty())
	return c
}

func (c *rawClient) do(method, body string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(within(c.t), method, c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	if c.session != "" {
		r.Header.Set("Mcp-Session-Id", c.session)
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return response
}

// post returns the Content-Type of the answer, and all of it.
func (c *rawClient) post(body string) (contentType, answer string) {
	c.t.Helper()
	response := c.do(http.MethodPost, body)
	defer func() { _ = response.Body.Close() }()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.Header.Get("Content-Type"), string(all)
}

// events posts a request whose answer is a stream, and hands each event's data to what is to be done with it.
func (c *rawClient) events(body string, each func(data string)) {
	c.t.Helper()
	response := c.do(http.MethodPost, body)
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			each(data)
		}
	}
}

// odd is what a decoder and an encoder would change: unsorted keys, unknown fields, an integer beyond 2^53, escapes, white
// space, a content type of a vendor.
const odd = `{ "zz" : 9007199254740993123, "content":[ {"type":"com.example/hologram","b":1e2,"a":[1.0,{}]} ],"\u0061bc":"\u00e9\/","_meta":{"z":-0,"a":18446744073709551616} }`

// longID is longer than any counter.
var longID = `"` + strings.Repeat("long-ïd/", 200) + `"`

func TestBytesPassUnchanged(t *testing.T) {
	for name, targets := range map[string]func(raw *rawServer, s *sample) []config.Target{
		"one target":               func(raw *rawServer, _ *sample) []config.Target { return []config.Target{raw.target()} },
		"two targets, the elder":   func(raw *rawServer, s *sample) []config.Target { return []config.Target{raw.target(), s.target()} },
		"two targets, the younger": func(raw *rawServer, s *sample) []config.Target { return []config.Target{s.target(), raw.target()} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, s := newRawServer(t, "raw"), newSample(t, "sample")
			const tool = `{ "zz":9007199254740993123, "inputSchema":{"type":"object","x-vendor":[1.0]},"name":"odd","\u0061bc":"\u00e9\/" }`
			raw.answer("tools/list", `{"result":{"x":1,"tools":[`+tool+`]},"jsonrpc":"2.0","id":"list"}`)
			c := newRawClient(t, newGateway(t, targets(raw, s)).url)

			t.Run("an entry of a list", func(t *testing.T) {
				g := NewWithT(t)
				raw.answer("tools/list", `{"result":{"x":1,"tools":[`+tool+`]},"jsonrpc":"2.0","id":"list"}`)
				_, got := c.post(`{"jsonrpc":"2.0","id":"list","method":"tools/list"}`)
				g.Expect(got).To(ContainSubstring(tool))
			})
			t.Run("a call and its answer", func(t *testing.T) {
				g := NewWithT(t)
				body := `{"method":"tools/call","vendor":[1.0 , 1e2],"params":{"arguments":` + odd + `,"name":"odd"},"id":` + longID + `,"jsonrpc":"2.0"}`
				answer := ` {"result":` + odd + `,"x":[ ],"jsonrpc":"2.0","id":` + longID + `} `
				raw.answerAs("tools/call", `application/json; vendor="1"`, answer)
				contentType, got := c.post(body)
				g.Expect(got).To(Equal(answer))
				g.Expect(contentType).To(Equal(`application/json; vendor="1"`))
				g.Expect(last(raw.bodies("tools/call"))).To(Equal(body))
			})
			t.Run("an id that is a large integer", func(t *testing.T) {
				g := NewWithT(t)
				answer := `{"jsonrpc":"2.0","id":123456789012345678901234567890,"error":{"code":-1,"message":"no","data":` + odd + `}}`
				raw.answer("tools/call", answer)
				_, got := c.post(`{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"tools/call","params":{"name":"odd"}}`)
				g.Expect(got).To(Equal(answer))
			})
			t.Run("a qualified name is all that is changed", func(t *testing.T) {
				g := NewWithT(t)
				raw.answer("tools/call", `{"jsonrpc":"2.0","id":1,"result":`+odd+`}`)
				_, got := c.post(`{"id":1,"method":"tools/call","params":{ "arguments":` + odd + `, "name" : "raw_odd" },"jsonrpc":"2.0"}`)
				g.Expect(got).To(Equal(`{"jsonrpc":"2.0","id":1,"result":` + odd + `}`))
				g.Expect(last(raw.bodies("tools/call"))).To(
					Equal(`{"id":1,"method":"tools/call","params":{ "arguments":` + odd + `, "name" : "odd" },"jsonrpc":"2.0"}`))
			})
			t.Run("a stream, and a question of the server with a long id", func(t *testing.T) {
				askAndAnswer(t, raw, c)
			})
		})
	}
}

// askAndAnswer: the server asks something within a call. All passes unchanged but the id of its question, and that is the
// server's own again in the client's answer.
func askAndAnswer(t *testing.T, raw *rawServer, c *rawClient) {
	g := NewWithT(t)
	notification := `{"method":"notifications/com.example","params":` + odd + `,"jsonrpc":"2.0"}`
	question := func(id string) string {
		return `{"params":` + odd + `,"method":"sampling/createMessage","id":` + id + `,"jsonrpc":"2.0"}`
	}
	answer := `{"result":` + odd + `,"jsonrpc":"2.0","id":2}`
	for _, id := range []string{longID, "9007199254740993123", "0"} {
		raw.answer("tools/call", notification, question(id), answer)
		var got []string
		c.events(`{"id":2,"method":"tools/call","params":{"name":"odd"},"jsonrpc":"2.0"}`, func(data string) { got = append(got, data) })
		g.Expect(got).To(HaveLen(3))
		g.Expect(got[0]).To(Equal(notification))
		g.Expect(got[2]).To(Equal(answer))
		before, after, _ := strings.Cut(question("\x00"), "\x00")
		sealed := strings.TrimSuffix(strings.TrimPrefix(got[1], before), after)
		g.Expect(got[1]).To(Equal(question(sealed)))
		g.Expect(sealed).NotTo(Equal(id))

		_, refused := c.post(`{"result":` + odd + `,"id":` + sealed + `,"jsonrpc":"2.0"}`)
		g.Expect(refused).To(BeEmpty())
		g.Expect(last(raw.bodies(""))).To(Equal(`{"result":` + odd + `,"id":` + id + `,"jsonrpc":"2.0"}`))
	}
}

func last(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}
