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
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// odd is a message that a decoder would change: unsorted keys, an integer beyond 2^53, escapes, unknown fields, space.
const odd = `{ "zz" : 9007199254740993123, "a":"\u00e9\/", "m": [1.0, 1e2 ,{}], "z":null }`

func TestAnswersPassByteForByte(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	body := `{"method":"tools/call","params":{"arguments":` + odd + `,"name":"x","_meta":{"progressToken":18446744073709551615}},"id":"a long \u0069d","jsonrpc":"2.0","vendor":1}`
	answer := ` {"result":` + odd + `,"x":[ ],"jsonrpc":"2.0","id":"a long id"} `

	t.Run("JSON", func(t *testing.T) {
		server.set(func() {
			server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
				w.Header().Set("Content-Type", "application/json; vendor=1")
				w.Header().Set("Set-Cookie", "a=b")
				w.Header().Set("Mcp-Session-Id", "leak")
				_, _ = w.Write([]byte(answer))
			}
		})
		got := g.do(call{body: body, session: id})
		if got.body != answer || got.header.Get("Content-Type") != "application/json; vendor=1" {
			t.Errorf("got %v %q", got.header, got.body)
		}
		if got.header.Get("Set-Cookie") != "" || got.header.Get("Mcp-Session-Id") != "" {
			t.Errorf("headers of the server reached the client: %v", got.header)
		}
		if sent := server.requests("tools/call"); sent[0].body != body {
			t.Errorf("the server got %q", sent[0].body)
		}
	})
	t.Run("a large answer", func(t *testing.T) {
		large := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("ä", 1<<20) + `"}`
		server.set(func() {
			server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(large))
			}
		})
		if got := g.do(call{body: body, session: id}); got.body != large {
			t.Errorf("got %d bytes, want %d", len(got.body), len(large))
		}
	})
	t.Run("a stream", func(t *testing.T) {
		server.set(func() {
			server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
				write := events(w)
				write("id: 1\ndata: \n\n")
				write(": comment\n\nevent: message\ndata: %s\n\n", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":18446744073709551615,"progress":1}}`)
				write("event: message\nid: 2\ndata: %s\n\n", answer)
			}
		})
		s := g.stream(call{body: body, session: id})
		if got := []string{s.next(), s.next(), s.next()}; got[0] != "" ||
			got[1] != `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":18446744073709551615,"progress":1}}` ||
			got[2] != strings.TrimPrefix(answer, " ") && got[2] != answer {
			t.Errorf("got %q", got)
		}
		s.ended()
		if first := <-s.ids; first == "1" || len(first) < 20 {
			t.Errorf("the event's id is not sealed: %q", first)
		}
	})
	t.Run("an error with its status", func(t *testing.T) {
		const failure = `{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"no","data":{"zz":1,"a":2}}}`
		server.set(func() {
			server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(failure))
			}
		})
		if got := g.do(call{body: body, session: id}); got.status != http.StatusBadRequest || got.body != failure {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

func TestOnlyWhatIsTheServersReachesIt(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	g.do(call{body: listBody, session: id, header: map[string]string{
		"Authorization": "Bearer secret", "Cookie": "a=b", "X-Custom": "1", "Last-Event-Id": "1", "Origin": "http://localhost",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Mcp-Param-Region": "eu",
		"Mcp-Protocol-Version": "2025-03-26",
	}})
	got := server.requests("tools/list")[0].header
	for name, want := range map[string]string{
		"Authorization": "", "Cookie": "", "X-Custom": "", "Last-Event-Id": "", "Origin": "",
		"Traceparent":      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Mcp-Param-Region": "eu",
		// What the server and the gateway agreed on, not what the client says.
		"Mcp-Protocol-Version": "2025-11-25",
		"Mcp-Session-Id":       "upstream-session-1",
		"Accept":               "application/json, text/event-stream",
		"Accept-Encoding":      "identity",
		"Content-Type":         "application/json",
		"User-Agent":           "dynamic-mcp/test",
		"Host":                 fmt.Sprintf("everything.default.svc.cluster.local:%d", server.target().Port),
	} {
		if got.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestInitializeShowsTheBackend(t *testing.T) {
	server := newFakeServer(t)
	t.Run("a dynamic Backend offers what may come", func(t *testing.T) {
		g := newGateway(t, server.targets())
		got := g.do(call{body: initializeBody})
		want := `{"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"x":1,` +
			`"prompts":{"listChanged":true},"resources":{"listChanged":true}},"serverInfo":{"name":"virtual","version":"1"},"zz":true},"jsonrpc":"2.0","id":0}`
		if got.body != want {
			t.Errorf("got  %s\nwant %s", got.body, want)
		}
	})
	t.Run("one static server keeps its own capabilities", func(t *testing.T) {
		g := newGateway(t, server.targets(), withBackend(func(b *config.Backend) { b.Dynamic = false }))
		if got := g.do(call{body: initializeBody}); !strings.Contains(got.body, `"capabilities":{"tools":{},"x":1}`) {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("listChanged that a server denies is the gateway's promise all the same", func(t *testing.T) {
		server := newFakeServer(t)
		server.initializeResult = `{"protocolVersion":"2025-06-18","capabilities":{ "resources" : {"subscribe":true , "listChanged" : false } , "prompts":{ } },"serverInfo":{"name":"n"}}`
		got := newGateway(t, server.targets()).do(call{body: initializeBody})
		want := `"capabilities":{ "resources" : {"subscribe":true , "listChanged" : true } , "prompts":{ "listChanged":true} ,"tools":{"listChanged":true}}`
		if !strings.Contains(got.body, want) {
			t.Errorf("got %s\nwant %s", got.body, want)
		}
	})
	t.Run("no server at all", func(t *testing.T) {
		g := newGateway(t, nil)
		got := g.do(call{body: initializeBody})
		want := `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}},"serverInfo":{"name":"virtual","version":"test"}}}`
		if got.body != want {
			t.Errorf("got  %s\nwant %s", got.body, want)
		}
		id := got.header.Get("Mcp-Session-Id")
		if got := g.do(call{body: listBody, session: id}); got.body != `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}` {
			t.Errorf("got %s", got.body)
		}
		got = g.do(call{body: `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}`, session: id})
		if !strings.Contains(got.body, "Backend default/tools has no MCP server") {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("a server that refuses is quoted", func(t *testing.T) {
		server := newFakeServer(t)
		server.initializeError = `{"code":-32602,"message":"never"}`
		got := newGateway(t, server.targets()).do(call{body: initializeBody})
		if got.body != `{"error":{"code":-32602,"message":"never"},"jsonrpc":"2.0","id":0}` || got.header.Get("Mcp-Session-Id") != "" {
			t.Errorf("got %v %s", got.header, got.body)
		}
	})
}

func TestPingIsTheGatewaysToAnswer(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	server.server.CloseClientConnections()
	got := g.do(call{body: `{"jsonrpc":"2.0","id":"p","method":"ping"}`, session: id})
	if got.body != `{"jsonrpc":"2.0","id":"p","result":{}}` || len(server.requests("ping")) != 0 {
		t.Errorf("got %s", got.body)
	}
}
