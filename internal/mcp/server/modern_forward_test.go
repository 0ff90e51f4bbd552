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
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

func TestModernMessagesArePassedOnAsTheyAre(t *testing.T) {
	const meta = `"_meta":{"z":9007199254740993,"io.modelcontextprotocol/clientCapabilities":{ "roots" : {} },"a":"\u00e9\/","io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	server := newFakeModern(t, "one")
	g := newGateway(t, server.targets())
	for name, test := range map[string]struct{ body, contentType, answer string }{
		"an integer beyond 2^53": {`{"params":{"name":"echo","arguments":{"n":1e400},` + meta + `},"id":9007199254740993,"method":"tools/call","jsonrpc":"2.0"}`, "application/json",
			` {"zz":[1, 2],"id":9007199254740993,"result":{"resultType":"complete","content":[],"n":9007199254740993},"jsonrpc":"2.0"}` + "\n"},
		"escapes": {`{"jsonrpc":"2.0","id":"\u0061\/b","method":"tools\/call","params":{` + meta + `,"name":"ec\u0068o"}}`, "application/json; charset=utf-8",
			`{"jsonrpc":"2.0","id":"a/b","result":{"resultType":"complete","text":"\u00e9\ud83d\ude00 é"}}`},
		"white space":             {"{\"jsonrpc\" : \"2.0\",\r\n\t\"id\":0 , \"method\":\"tools/call\",\"params\": { \"name\":\"echo\" ," + meta + "} }\n\n", "application/json", `{"jsonrpc":"2.0","id":0,"result":{}}`},
		"another type of content": {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",` + meta + `}}`, "application/vnd.example+json", `{"jsonrpc":"2.0","id":1,"result":{}}`},
		"a type of result of an extension": {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",` + meta + `}}`, "application/json",
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","task":{"id":"t"}}}`},
		"input that is required": {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",` + meta + `,"requestState":"\u0061\/=","inputResponses":{"k":{"z":1,"a":2}}}}`, "application/json",
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"user_name":{"method":"elicitation/create","params":{}}},"requestState":"a\u002fb+\/="}}`},
		"a large one": {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",` + meta + `}}`, "application/json",
			`{"jsonrpc":"2.0","id":1,"result":{"large":"` + strings.Repeat("x", 3*wholeAnswer) + `"}}`},
		"an error": {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",` + meta + `}}`, "application/json",
			`{"jsonrpc":"2.0","id":1,"error":{"data":{"z":1},"code":-32099,"message":"m"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			server.set(func() {
				server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
					w.Header().Set("Content-Type", test.contentType)
					w.Header().Set("Mcp-Session-Id", "not in this era")
					_, _ = w.Write([]byte(test.answer))
				}
			})
			got := g.do(call{body: test.body, header: map[string]string{
				"Mcp-Protocol-Version": modernVersion, "Mcp-Method": toolCall, "Mcp-Name": "echo", "Mcp-Vendor": "x", "Cookie": "c", "Authorization": "a", "Last-Event-Id": "1",
			}})
			if got.status != http.StatusOK || got.body != test.answer || got.header.Get("Content-Type") != test.contentType || got.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("got %d %v %.300s", got.status, got.header, got.body)
			}
			sent := server.requests(toolCall)
			if last := sent[len(sent)-1]; last.body != test.body || last.header.Get("Mcp-Vendor") != "x" {
				t.Errorf("the server got %v %s", last.header, last.body)
			}
		})
	}
	same(t, server.probes(), 1)
}

func TestRefusalsOfAModernServerAreTheClients(t *testing.T) {
	server := newFakeModern(t, "one")
	g := newGateway(t, server.targets())
	for _, test := range []struct {
		status, code int
		data         string
		want         int
	}{
		{400, -32020, "", 400}, {400, -32021, `{"requiredCapabilities":{"roots":{}}}`, 400}, {400, -32602, "", 400},
		{404, -32601, "", 404}, {400, -32022, `{"supported":["2026-07-28"],"requested":"x"}`, 400}, {403, -32600, "", 0}, {500, -32603, "", 0},
	} {
		server.set(func() {
			server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
				fail(w, test.status, m.ID, test.code, test.data)
			}
		})
		got := g.modern(callEcho)
		if test.want == 0 {
			refused(t, got, 200, -32603, fmt.Sprintf("it answered HTTP status %d", test.status))
			continue
		}
		if data := `"message":"as told"`; got.status != test.want || !strings.Contains(got.body, fmt.Sprintf(`"code":%d,%s`, test.code, data)) ||
			!strings.Contains(got.body, test.data) {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	same(t, len(server.requests(toolCall)), 7) // None of them was sent again.
	same(t, server.probes(), 1)
}

func TestStreamOfAModernServer(t *testing.T) {
	server := newFakeModern(t, "one")
	g := newGateway(t, server.targets())
	const progress = `{"zz":9007199254740993,"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}`
	server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
		write := events(w)
		write(": hello\n\n")
		write("data: %s\n\n", progress)
		write("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\"}\n\n") // Which no server of this era may.
		write("data: {\"jsonrpc\":\"2.0\",\ndata: \"id\":%s,\"result\":{\"resultType\":\"complete\"}}\n\n", m.ID)
		<-r.Context().Done() // It should end the stream, and does not.
	}
	s := g.stream(callEcho.call())
	same(t, s.next(), progress)
	same(t, s.next()+s.next(), `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
	s.ended()

	t.Run("that breaks off", func(t *testing.T) {
		server.set(func() {
			server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) { events(w)("data: %s\n\n", progress) }
		})
		s := g.stream(callEcho.call())
		same(t, s.next(), progress)
		var o outcome
		decode(t, s.next(), &o)
		if o.Error == nil || o.Error.Code != -32603 || !strings.Contains(o.Error.Message, `"one" is unavailable: its answer broke off`) {
			t.Errorf("got %+v", o)
		}
		s.ended()
	})
}

func TestClientThatGoesEndsItsRequestToAModernServer(t *testing.T) {
	for _, streams := range []bool{false, true} {
		server := newFakeModern(t, "one")
		working := make(chan struct{})
		server.answer = func(w http.ResponseWriter, r *http.Request, _ *message) {
			if streams {
				events(w)(": hello\n\n")
			}
			close(working)
			<-r.Context().Done()
		}
		g := newGateway(t, server.targets())
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() {
			defer close(served)
			g.mcp.Serve(httptest.NewRecorder(), g.request(callEcho.call()).WithContext(ctx), g.snapshot, testKey, Site{})
		}()
		<-working
		cancel()
		<-served
		eventually(t, "the server's request ends", func() bool {
			server.mu.Lock()
			defer server.mu.Unlock()
			return len(server.quit) == 1
		})
	}
}

func TestNamesAreRewrittenForModernServers(t *testing.T) {
	a, b := newFakeModern(t, "A"), newFakeModern(t, "B")
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	var listed struct {
		Tools []struct {
			Name string
			X    json.RawMessage
		}
	}
	decode(t, g.result(modernPost{method: "tools/list"}), &listed)
	if len(listed.Tools) != 2 || listed.Tools[0].Name != "echo" || listed.Tools[1].Name != "b_echo" || string(listed.Tools[1].X) != "9007199254740993" {
		t.Errorf("got %+v", listed)
	}
	p := modernPost{id: "9007199254740993", method: toolCall, params: `"z":9007199254740993,"name":"b_echo","requestState":"\u0061\/"`}
	if got := g.result(p); !strings.HasPrefix(got, `{"resultType":"complete","by":"B","params":{"z":9007199254740993,"name":"echo","requestState":"\u0061\/","_meta":{`) {
		t.Errorf("got %s", got)
	}
	sent := b.requests(toolCall)[0]
	same(t, sent.body, strings.Replace(p.body(), `"b_echo"`, `"echo"`, 1))
	same(t, sent.header["Mcp-Name"], []string{"echo"})
	if got := g.result(callEcho); !strings.Contains(got, `"by":"A"`) {
		t.Errorf("got %s", got)
	}
	if got := g.result(modernPost{method: "prompts/get", params: `"name":"b_ask"`}); !strings.Contains(got, `"by":"B"`) || !strings.Contains(got, `"name":"ask"`) {
		t.Errorf("got %s", got)
	}
	t.Run("resources come back with their client's URI", func(t *testing.T) {
		g.t = t
		for _, server := range []*fakeModern{a, b} {
			server.set(func() {
				server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
					if list, ok := server.lists[m.Method]; ok {
						answerModern(w, m.ID, list)
						return
					}
					answerModern(w, m.ID, `{"resultType":"complete","contents":[{"uri":"demo://x","text":"`+server.name+`"}],"ttlMs":5,"cacheScope":"public"}`)
				}
			})
		}
		var resources struct{ Resources []struct{ URI string } }
		decode(t, g.result(modernPost{method: "resources/list"}), &resources)
		if len(resources.Resources) != 2 {
			t.Fatalf("got %v", resources)
		}
		for i, name := range []string{"A", "B"} {
			uri := resources.Resources[i].URI
			same(t, g.result(modernPost{method: "resources/read", params: `"uri":"` + uri + `"`}),
				`{"resultType":"complete","contents":[{"uri":"`+uri+`","text":"`+name+`"}],"ttlMs":5,"cacheScope":"public"}`)
		}
	})
	t.Run("names that nobody has", func(t *testing.T) {
		g.t = t
		refused(t, g.modern(modernPost{method: toolCall, params: `"name":"nope"`}), 400, -32602, "Unknown tool: nope")
		refused(t, g.modern(modernPost{method: "resources/read", params: `"uri":"demo://nope"`}), 400, -32602, "Resource not found")
		refused(t, g.modern(modernPost{method: toolCall}), 400, -32602, "name is missing")
	})
}

func TestListsOfModernServersAreMergedWithTheirHints(t *testing.T) {
	a, b := newFakeModern(t, "A"), newFakeModern(t, "B")
	list := func(f *fakeModern, hints string) {
		f.set(func() {
			f.lists["tools/list"] = `{"resultType":"complete","tools":[{"name":"` + f.name + `"}]` + hints + `}`
		})
	}
	for name, test := range map[string]struct {
		a, b  string
		ttl   float64 // At most.
		scope string
	}{
		"the smaller one":   {`,"ttlMs":60000,"cacheScope":"public"`, `,"ttlMs":5000,"cacheScope":"public"`, 5000, "public"},
		"private wins":      {`,"ttlMs":60000,"cacheScope":"private"`, `,"ttlMs":60000,"cacheScope":"public"`, 60000, "private"},
		"none":              {`,"ttlMs":60000,"cacheScope":"public"`, ``, 0, "private"},
		"negative":          {`,"ttlMs":-1,"cacheScope":"public"`, `,"ttlMs":5000,"cacheScope":"public"`, 0, "public"},
		"longer than known": {`,"ttlMs":1e300,"cacheScope":"public"`, `,"ttlMs":86400000,"cacheScope":"public"`, float64(listingLifetime.Milliseconds()), "public"},
		"nonsense":          {`,"ttlMs":"60000","cacheScope":"x"`, `,"ttlMs":86400000,"cacheScope":"public"`, 0, "private"},
	} {
		t.Run(name, func(t *testing.T) {
			list(a, test.a)
			list(b, test.b)
			g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
			var got struct {
				ResultType, CacheScope string
				TTLMs                  float64
				Tools                  []struct{ Name string }
				Meta                   map[string]json.RawMessage `json:"_meta"`
			}
			decode(t, g.result(modernPost{method: "tools/list"}), &got)
			if got.ResultType != "complete" || got.CacheScope != test.scope || got.TTLMs > test.ttl || got.TTLMs < test.ttl-2000 || len(got.Tools) != 2 ||
				string(got.Meta[metaServerInfo]) != `{"name":"virtual","version":"test"}` {
				t.Errorf("got %+v", got)
			}
		})
	}
	t.Run("what is left of the time that the parts may be kept", func(t *testing.T) {
		x := &exchange{backend: &backend{Backend: testBackend(nil), memory: newBackendMemory(), targets: []*target{{hash: 1}, {hash: 2}}}, session: newClientSession(&session.Session{})}
		for i, hints := range []cacheHints{{time.Minute, true}, {time.Hour, true}} {
			x.session.remember(x.backend, x.backend.targets[i], upstreamSession{id: "s"}, federation.Tools, &listing{at: time.Now().Add(-50 * time.Second), hints: hints})
		}
		if got := x.listHints(federation.Tools, nil); got.ttl <= 0 || got.ttl > 10*time.Second || !got.public {
			t.Errorf("got %+v", got)
		}
		if got := x.listHints(federation.Tools, []targetError{{}}); got != (cacheHints{}) {
			t.Errorf("with a part missing: got %+v", got)
		}
		if got := x.listHints(federation.Prompts, nil); got != (cacheHints{}) {
			t.Errorf("with a part unknown: got %+v", got)
		}
	})
	t.Run("with a part of a legacy server nothing may be kept", func(t *testing.T) {
		list(a, `,"ttlMs":60000,"cacheScope":"public"`)
		g := newGateway(t, []config.Target{a.named("a"), newFakeServer(t).withTools("L", "old").named("l")})
		if got := g.result(modernPost{method: "tools/list"}); !strings.Contains(got, `"ttlMs":0,"cacheScope":"private"`) || !strings.Contains(got, `"name":"old"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("of nobody", func(t *testing.T) {
		g := newGateway(t, nil)
		if got := g.result(modernPost{method: "tools/list"}); !strings.Contains(got, `"ttlMs":0`) || !strings.Contains(got, `"tools":[]`) {
			t.Errorf("got %s", got)
		}
	})
}

func TestModernServerThatIsDown(t *testing.T) {
	closed := withBackend(func(b *config.Backend) { b.FailureMode = config.FailClosed })
	static := withBackend(func(b *config.Backend) { b.Dynamic = false })
	down := func(name string) config.Target {
		f := newFakeModern(t, name)
		defer f.server.Close()
		return f.named(name)
	}
	up := newFakeModern(t, "up")
	const discover = methodDiscover
	t.Run("alone", func(t *testing.T) {
		g := newGateway(t, []config.Target{down("one")})
		refused(t, g.modern(callEcho), 200, -32603, `"one" is unavailable: it refuses connections`)
		if got := g.result(modernPost{method: "tools/list"}); !strings.Contains(got, `"tools":[]`) || !strings.Contains(got, `"ttlMs":0,"cacheScope":"private"`) {
			t.Errorf("got %s", got)
		}
		if got := g.result(modernPost{method: discover}); !strings.Contains(got, `"ttlMs":0`) || !strings.Contains(got, `"supportedVersions":["2026-07-28"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("alone, and fails closed", func(t *testing.T) {
		g := newGateway(t, []config.Target{down("one")}, closed)
		for _, method := range []string{"tools/list", discover} {
			refused(t, g.modern(modernPost{method: method}), 200, -32603, `"one" is unavailable`)
		}
	})
	t.Run("alone in a static Backend", func(t *testing.T) {
		g := newGateway(t, []config.Target{down("one")}, static)
		refused(t, g.modern(modernPost{method: discover}), 200, -32603, `"one" is unavailable`)
	})
	t.Run("one of two", func(t *testing.T) {
		g := newGateway(t, []config.Target{up.named("up"), down("one")})
		if got := g.result(modernPost{method: "tools/list"}); !strings.Contains(got, `"name":"echo"`) || !strings.Contains(got, `"ttlMs":0,"cacheScope":"private"`) {
			t.Errorf("got %s", got)
		}
		if got := g.result(callEcho); !strings.Contains(got, `"by":"up"`) {
			t.Errorf("got %s", got)
		}
		refused(t, g.modern(modernPost{method: toolCall, params: `"name":"one_echo"`}), 200, -32603, `"one" is unavailable`)
		if got := g.result(modernPost{method: discover}); !strings.Contains(got, `"ttlMs":0`) || !strings.Contains(got, "Use up.") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("one of two, and fails closed", func(t *testing.T) {
		g := newGateway(t, []config.Target{up.named("up"), down("one")}, closed)
		for _, method := range []string{"tools/list", discover} {
			refused(t, g.modern(modernPost{method: method}), 200, -32603, `"one" is unavailable`)
		}
		if got := g.result(callEcho); !strings.Contains(got, `"by":"up"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("not ready", func(t *testing.T) {
		target := up.named("up")
		target.Unready = "its pods are not"
		g := newGateway(t, []config.Target{target})
		refused(t, g.modern(callEcho), 200, -32603, "its pods are not")
	})
	t.Run("slow", func(t *testing.T) {
		slow := newFakeModern(t, "slow")
		g := newGateway(t, slow.targets(), withLimits(func(l *config.Limits) { l.CallTimeout = 200 * time.Millisecond }))
		slow.answer = func(_ http.ResponseWriter, r *http.Request, _ *message) { <-r.Context().Done() }
		refused(t, g.modern(callEcho), 200, -32603, "it was silent for 200ms")
	})
}

func TestRefusalThatALegacyServerMightGiveIsTheClientsToo(t *testing.T) {
	server := newFakeModern(t, "one")
	g := newGateway(t, server.targets())
	g.result(callEcho)
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) { fail(w, 400, m.ID, -32000, `{"its":"own"}`) }
	})
	got := g.modern(callEcho)
	if got.status != 400 || got.body != `{"error":{"code":-32000,"message":"as told","data":{"its":"own"}},"jsonrpc":"2.0","id":1}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) { w.WriteHeader(http.StatusNotFound) }
	})
	refused(t, g.modern(callEcho), 200, -32603, "it answered HTTP status 404")
	same(t, len(server.requests(toolCall)), 3) // None was sent twice.
}
