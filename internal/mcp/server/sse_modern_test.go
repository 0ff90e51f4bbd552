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

package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// callModern is a client's request of revision 2026-07-28.
func callModern(method, name, capabilities, more string) call {
	header := map[string]string{"Mcp-Protocol-Version": modernVersion, "Mcp-Method": method}
	params := ""
	if name != "" {
		header["Mcp-Name"] = name
		params = `"name":"` + name + `",`
	}
	return call{header: header, body: `{"jsonrpc":"2.0","id":"m","method":"` + method + `","params":{` + params + more + `"_meta":{` +
		`"progressToken":"p","` + metaProtocolVersion + `":"` + modernVersion + `","` + metaClientCapabilities + `":` + capabilities + `}}}`}
}

// Each call of a modern client has a connection of its own.
func TestModernClientCallsAServerOfHTTPSSE(t *testing.T) {
	server := newFakeSSEServer(t).withTools("ask")
	g := newGateway(t, server.targets())
	for range 2 {
		if got := g.do(callModern("tools/list", "", `{}`, "")); got.status != http.StatusOK || !strings.Contains(got.body, `"name":"ask"`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	server.wantStreams(1) // Of the session that lists.
	for range 3 {
		got := g.do(callModern("tools/call", "ask", `{}`, ""))
		if got.status != http.StatusOK || !strings.Contains(got.body, `"by":"old"`) || !strings.Contains(got.body, `"resultType":"complete"`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		server.wantStreams(1)
	}
	if got := len(server.requests(http.MethodGet)); got != 4 {
		t.Errorf("%d connections were made", got)
	}
}

func TestModernClientIsAskedByAServerOfHTTPSSE(t *testing.T) {
	server := newFakeSSEServer(t).withTools("ask")
	g := newGateway(t, server.targets())
	calls := make(chan *message, 1)
	lists := server.answer
	server.set(func() {
		server.answer = func(c *fakeSSEStream, m *message) {
			if m.Method != "tools/call" {
				lists(c, m)
				return
			}
			calls <- m
			c.send(`{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"who?"}}`)
		}
		server.post = func(_ http.ResponseWriter, c *fakeSSEStream, m *message) bool {
			if m.Method == "" {
				c.send(`{"jsonrpc":"2.0","id":%s,"result":{"said":%s}}`, (<-calls).ID, m.Result)
			}
			return false
		}
	})
	var asked struct {
		Result struct {
			ResultType    string                     `json:"resultType"`
			InputRequests map[string]json.RawMessage `json:"inputRequests"`
			RequestState  string                     `json:"requestState"`
		} `json:"result"`
	}
	got := g.do(callModern("tools/call", "ask", `{"elicitation":{}}`, ""))
	if err := json.Unmarshal([]byte(got.body), &asked); err != nil || asked.Result.ResultType != "input_required" || len(asked.Result.InputRequests) != 1 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	for key, request := range asked.Result.InputRequests {
		if string(request) != `{"method":"elicitation/create","params":{"message":"who?"}}` {
			t.Errorf("got %s", request)
		}
		got = g.do(callModern("tools/call", "ask", `{"elicitation":{}}`,
			`"requestState":"`+asked.Result.RequestState+`","inputResponses":{"`+key+`":{"action":"accept","content":{"name":"Ada"}}},`))
	}
	if got.status != http.StatusOK || !strings.Contains(got.body, `"said":{"action":"accept","content":{"name":"Ada"}}`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	server.wantStreams(1) // Of the session that lists: it was asked whether the tool wants headers.
}

func TestModernClientThatGoesAwayCancels(t *testing.T) {
	server := newFakeSSEServer(t).withTools("ask")
	g := newGateway(t, server.targets())
	g.do(callModern("tools/list", "", `{}`, ""))
	lists := server.answer
	calls := make(chan *message, 1)
	server.set(func() {
		server.answer = func(c *fakeSSEStream, m *message) {
			if m.Method != "tools/call" {
				lists(c, m)
				return
			}
			var params struct {
				Meta struct {
					ProgressToken json.RawMessage `json:"progressToken"`
				} `json:"_meta"`
			}
			_ = json.Unmarshal(m.Params, &params)
			c.send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, params.Meta.ProgressToken)
			calls <- m
		}
	})
	answers := g.stream(callModern("tools/call", "ask", `{}`, ""))
	if got := answers.next(); got != `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}` {
		t.Errorf("got %s", got)
	}
	m := <-calls
	answers.close()
	server.wantMessage(`"notifications/cancelled","params":{"requestId":` + string(m.ID) + `}`)
	server.wantStreams(1)
}
