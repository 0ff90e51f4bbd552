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
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

const toolCall = "tools/call"

var callEcho = modernPost{method: toolCall, params: `"name":"echo"`}

// calledIn returns the sessions that the server was called in.
func (f *fakeServer) calledIn(method string) (ids []string) {
	for _, s := range f.requests(method) {
		ids = append(ids, s.header.Get("Mcp-Session-Id"))
	}
	return ids
}

// open returns how many sessions the server has.
func (f *fakeServer) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sessions)
}

func TestCallsToALegacyServerHaveSessionsOfTheirOwn(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	g := newGateway(t, server.targets())
	same(t, g.result(callEcho), `{"resultType":"complete","_meta":{"`+metaServerInfo+`":{"name":"virtual","version":"test"}},`+
		`"by":"A","params":{"name":"echo","_meta":{}}}`)
	g.result(callEcho)
	called, listed := server.calledIn(toolCall), server.calledIn("tools/list")
	if len(called) != 2 || called[0] == called[1] || len(listed) != 1 || listed[0] == called[0] || listed[0] == called[1] {
		t.Errorf("called in %v, listed in %v", called, listed)
	}
	eventually(t, "the sessions of the calls are ended", func() bool { return len(server.requests(http.MethodDelete)) == 2 })
	for _, ended := range server.requests(http.MethodDelete) {
		if id := ended.header.Get("Mcp-Session-Id"); id != called[0] && id != called[1] {
			t.Errorf("the session %s was ended", id)
		}
	}
	initialized := server.requests("initialize")
	for _, seen := range initialized {
		if !strings.Contains(seen.body, `"clientInfo":`+modernClientInfo) || !strings.Contains(seen.body, `"capabilities":{}`) {
			t.Errorf("initialized by %s", seen.body)
		}
	}
	g.result(modernPost{method: "tools/list"})
	g.result(modernPost{method: "tools/list"})
	if n := len(server.requests("initialize")); n != len(initialized) {
		t.Error("a list has a session of its own")
	}
	t.Run("clients of other capabilities have other sessions to list in", func(t *testing.T) {
		g.result(modernPost{method: "tools/list", capabilities: `{"roots":{}}`})
		last := server.requests("initialize")
		if len(last) != len(initialized)+1 || !strings.Contains(last[len(last)-1].body, `"capabilities":{"roots":{}}`) {
			t.Errorf("initialized by %v", last)
		}
	})
}

func TestStatelessServerIsInitializedOnce(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	server.stateless = true
	g := newGateway(t, server.targets())
	for range 3 {
		g.result(modernPost{method: "prompts/get", params: `"name":"ask"`})
		g.result(callEcho)
		g.result(modernPost{method: "tools/list"})
	}
	if n := len(server.requests("initialize")); n != 1 {
		t.Errorf("%d times initialized", n)
	}
	if n := len(server.requests(http.MethodDelete)); n != 0 {
		t.Errorf("%d sessions ended that there are not", n)
	}
	t.Run("and its calls can be told apart", func(t *testing.T) {
		ids := map[string]bool{}
		for _, seen := range server.requests(toolCall) {
			var m message
			decode(t, seen.body, &m)
			ids[string(m.ID)] = true
		}
		if len(ids) != 3 {
			t.Errorf("the ids of three calls are %v", ids)
		}
	})
	t.Run("and may refuse a method as if it missed a session", func(t *testing.T) {
		usual := server.answer
		server.set(func() {
			server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
				if m.Method != "vendor/x" {
					usual(w, r, m)
					return
				}
				w.WriteHeader(http.StatusNotFound)
			}
		})
		refused(t, g.modern(modernPost{method: "vendor/x"}), 404, -32601, "vendor/x")
		same(t, len(server.requests("vendor/x")), 1)
	})
	t.Run("until it keeps sessions", func(t *testing.T) {
		server.set(func() { server.stateless = false })
		g.result(callEcho)
		if ids := server.calledIn(toolCall); ids[len(ids)-1] == "" {
			t.Error("it was called without a session")
		}
	})
}

func TestResultsOfALegacyServerGetWhatTheModernEraDemands(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	usual := server.answer
	results := map[string]string{
		"tools/list": `{"tools":[{"name":"echo"}],"nextCursor":"c","zz":9007199254740993}`, "resources/read": `{"contents":[],"_meta":{"a":1}}`,
		"prompts/get": `{}`, "completion/complete": `{"resultType":"odd"}`, toolCall: `{ "content" : [] }`,
	}
	server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
		if result, ok := results[m.Method]; ok {
			_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
			return
		}
		usual(w, r, m)
	}
	g := newGateway(t, server.targets())
	const info = `"_meta":{"` + metaServerInfo + `":{"name":"virtual","version":"test"}}`
	for method, test := range map[string]struct{ params, want string }{
		"tools/list":          {`"cursor":"b"`, `{"resultType":"complete","ttlMs":0,"cacheScope":"private",` + info + `,"tools":[{"name":"echo"}],"nextCursor":"c","zz":9007199254740993}`},
		"resources/read":      {`"uri":"demo://x"`, `{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[],"_meta":{"a":1}}`},
		"prompts/get":         {`"name":"ask"`, `{"resultType":"complete",` + info + `}`},
		"completion/complete": {`"ref":{"type":"ref/prompt","name":"ask"}`, `{` + info + `,"resultType":"odd"}`},
		toolCall:              {`"name":"echo"`, `{"resultType":"complete",` + info + `, "content" : [] }`},
	} {
		same(t, g.result(modernPost{id: `"abc"`, method: method, params: test.params}), test.want)
		got := server.requests(method)
		if sent := got[len(got)-1].body; strings.Contains(sent, "io.modelcontextprotocol") || !strings.Contains(sent, test.params) {
			t.Errorf("the server got %s", sent)
		}
	}
}

func TestErrorsOfALegacyServerBecomeThoseOfTheModernEra(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.CallTimeout = 2 * time.Second }))
	usual := server.answer
	for name, test := range map[string]struct {
		status      int    // Of the server.
		answer      string // %s is the request's id.
		contentType string
		want        int
		wantBody    string
	}{
		"resource not found": {200, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32002,"message":"nope","data":{"uri":"x"}}}`, "", 400,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32602,"message":"nope","data":{"uri":"x"}}}`},
		"bad params": {200, `{"error":{"message":"bad","code":-32602},"id":%s,"jsonrpc":"2.0"}`, "", 400,
			`{"error":{"message":"bad","code":-32602},"id":"q","jsonrpc":"2.0"}`},
		"its own code": {200, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32050,"message":"own"}}`, "", 200,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32050,"message":"own"}}`},
		"internal": {200, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32603,"message":"own"}}`, "", 200,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"own"}}`},
		"an unknown method": {404, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"what"}}`, "", 404,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32601,"message":"what"}}`},
		"a refusal without an id": {400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"what"}}`, "", 400,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32600,"message":"what"}}`},
		"a refusal with an id of its own": {400, `{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"what"}}`, "", 400,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32600,"message":"what"}}`},
		"another request's result": {200, `{"jsonrpc":"2.0","id":"other","result":{}}`, "", 200,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"target \"everything\" is unavailable: its answer is for another request","data":{"target":"everything","reason":"its answer is for another request"}}}`},
		"no message": {200, `[]`, "", 200,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"target \"everything\" is unavailable: its answer is no JSON-RPC response","data":{"target":"everything","reason":"its answer is no JSON-RPC response"}}}`},
		"a page": {502, `<html>`, "text/html", 200,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"target \"everything\" is unavailable: it answered HTTP status 502","data":{"target":"everything","reason":"it answered HTTP status 502"}}}`},
		"silence": {0, ``, "", 200,
			`{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"target \"everything\" is unavailable: it was silent for 2s","data":{"target":"everything","reason":"it was silent for 2s"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			server.set(func() {
				server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
					if m.Method != "resources/read" {
						usual(w, r, m)
						return
					}
					if test.status == 0 {
						<-r.Context().Done()
						return
					}
					w.Header().Set("Content-Type", "application/json")
					if test.contentType != "" {
						w.Header().Set("Content-Type", test.contentType)
					}
					w.WriteHeader(test.status)
					_, _ = w.Write([]byte(strings.Replace(test.answer, "%s", string(m.ID), 1)))
				}
			})
			got := g.modern(modernPost{id: `"q"`, method: "resources/read", params: `"uri":"demo://x"`})
			if got.status != test.want || got.body != test.wantBody {
				t.Errorf("got  %d %s\nwant %d %s", got.status, got.body, test.want, test.wantBody)
			}
		})
	}
	t.Run("a method without a meaning, refused by HTTP alone", func(t *testing.T) {
		g.t = t
		server.set(func() {
			server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) { w.WriteHeader(http.StatusBadRequest) }
		})
		refused(t, g.modern(modernPost{method: "vendor/x"}), 404, -32601, "vendor/x")
	})
	eventually(t, "no session is left but the one that lists", func() bool { return server.open() <= 1 })
}

func TestIDsThatAServerCannotHoldComeBackAsTheyWere(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		var id any
		_ = json.Unmarshal(m.ID, &id) // As JavaScript does: with the precision of a float.
		if m.Method == "tools/list" {
			_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":{"tools":[]}}`, m.ID)
			return
		}
		var params struct {
			Meta struct{ ProgressToken any } `json:"_meta"`
		}
		_ = json.Unmarshal(m.Params, &params)
		answered, _ := json.Marshal(id)
		token, _ := json.Marshal(params.Meta.ProgressToken)
		write := events(w)
		write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,\"progress\":1}}\n\n", token)
		write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", answered)
	}
	g := newGateway(t, server.targets())
	for _, id := range []string{"9007199254740993", `"a\u0062"`, "-1", `""`} {
		p := callEcho
		p.id, p.meta = id, `"progressToken":`+id
		s := g.stream(p.call())
		same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`+id+`,"progress":1}}`)
		if got := s.next(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":`+id+`,"result":{`) {
			t.Errorf("got %s", got)
		}
		s.ended()
	}
}

func TestLogMessagesOfALegacyServer(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	usual := server.answer
	server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
		if m.Method != toolCall {
			usual(w, r, m)
			return
		}
		write := events(w)
		for _, level := range []string{"debug", "info", "error", "odd"} {
			write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"%s\",\"data\":1}}\n\n", level)
		}
		write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
	}
	g := newGateway(t, server.targets())
	t.Run("are dropped unless asked for", func(t *testing.T) {
		g.t = t
		g.result(callEcho)
		if n := len(server.requests("logging/setLevel")); n != 0 {
			t.Errorf("%d levels set", n)
		}
	})
	t.Run("come from the level on that is asked for", func(t *testing.T) {
		g.t = t
		p := callEcho
		p.meta = `"` + metaLogLevel + `":"info"`
		s := g.stream(p.call())
		for _, level := range []string{"info", "error"} {
			same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"`+level+`","data":1}}`)
		}
		if got := s.next(); !strings.Contains(got, `"result":`) {
			t.Errorf("got %s", got)
		}
		set := server.requests("logging/setLevel")
		if len(set) != 1 || !strings.Contains(set[0].body, `"params":{"level":"info"}`) {
			t.Errorf("set by %v", set)
		}
		called := server.calledIn(toolCall)
		same(t, set[0].header.Get("Mcp-Session-Id"), called[len(called)-1])
	})
	t.Run("are not to be had from a level that there is not", func(t *testing.T) {
		g.t = t
		p := callEcho
		p.meta = `"` + metaLogLevel + `":"loud"`
		refused(t, g.modern(p), 400, -32602, "logLevel")
	})
}

func TestClientThatGoesCancelsItsCall(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	usual := server.answer
	var working atomic.Int32
	server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
		if m.Method == toolCall {
			working.Add(1)
			<-r.Context().Done()
			return
		}
		usual(w, r, m)
	}
	g := newGateway(t, server.targets())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the server works on it", func() bool { return working.Load() == 1 })
		cancel()
	}()
	if response, err := http.DefaultTransport.RoundTrip(g.request(callEcho.call()).WithContext(ctx)); err == nil {
		_ = response.Body.Close()
		t.Fatalf("got %d", response.StatusCode)
	}
	eventually(t, "the session is ended", server.ended)
	called := server.requests(toolCall)[0]
	var m message
	decode(t, called.body, &m)
	cancelled := server.requests("notifications/cancelled")
	if len(cancelled) != 1 || !strings.Contains(cancelled[0].body, `"params":{"requestId":`+string(m.ID)+`}`) ||
		cancelled[0].header.Get("Mcp-Session-Id") != called.header.Get("Mcp-Session-Id") {
		t.Errorf("got %v", cancelled)
	}
	same(t, server.requests(http.MethodDelete)[0].header.Get("Mcp-Session-Id"), called.header.Get("Mcp-Session-Id"))
}

func TestClientThatGoesBeforeItsCallLeavesNoSession(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	g := newGateway(t, server.targets())
	g.result(modernPost{method: "tools/list"})
	proceed := make(chan struct{})
	server.set(func() { server.beforeInitialize = func() { <-proceed } })
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		g.mcp.Serve(httptest.NewRecorder(), g.request(callEcho.call()).WithContext(ctx), g.snapshot, testKey, Site{})
	}()
	eventually(t, "the server is asked for a session", func() bool { return len(server.requests("initialize")) == 2 })
	cancel()
	close(proceed)
	<-served
	eventually(t, "the session is ended", server.ended)
	if n := len(server.requests(toolCall)); n != 0 {
		t.Errorf("%d calls", n)
	}
}
