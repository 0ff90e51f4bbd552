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
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// alone makes the Backend one static server's, which keeps its own capabilities.
func alone(b *config.Backend) { b.Dynamic = false }

func TestInitializeIsAnsweredByDiscovery(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets(), withBackend(alone))
	t.Run("with what the server says of itself", func(t *testing.T) {
		got := g.do(call{body: initializeBody})
		want := `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{},` +
			`"resources":{"subscribe":true,"listChanged":true},"logging":{},"extensions":{"com.example/x":{"b":1,"a":2}}},` +
			`"serverInfo":{"name":"virtual","version":"2","zz":9007199254740993},"instructions":"Be \u0062rief."}}`
		if got.body != want || got.header.Get("Mcp-Session-Id") == "" {
			t.Errorf("got  %s\nwant %s", got.body, want)
		}
		asked := server.requests(methodDiscover)
		if len(asked) != 1 || string(asked[0].ID) != "0" ||
			string(asked[0].Params.Meta[metaClientCapabilities]) != `{"roots":{"listChanged":true}}` ||
			string(asked[0].Params.Meta[metaClientInfo]) != `{"name":"test","version":"1"}` {
			t.Errorf("the server got %+v", asked)
		}
	})
	t.Run("the client's revision is kept", func(t *testing.T) {
		for asked, want := range map[string]string{"2025-03-26": "2025-03-26", "2025-06-18": "2025-06-18", "1999-01-01": "2025-11-25"} {
			got := g.do(call{body: strings.Replace(initializeBody, "2025-11-25", asked, 1)})
			if !strings.Contains(got.body, `"result":{"protocolVersion":"`+want+`"`) {
				t.Errorf("%s: got %s", asked, got.body)
			}
		}
	})
	t.Run("tasks of the client are hidden, all else passes byte for byte", func(t *testing.T) {
		const capabilities = `{"zz":9007199254740993, "tasks":{"list":{}},"elicitation":{ },"extensions":{"b/b":{}, "io.modelcontextprotocol/tasks":{}}}`
		g.openWith(capabilities)
		asked := server.requests(methodDiscover)
		got := string(asked[len(asked)-1].Params.Meta[metaClientCapabilities])
		if want := `{"zz":9007199254740993,"elicitation":{ },"extensions":{"b/b":{}}}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	for name, c := range map[string]struct{ discovered, want string }{
		"in the result, as drafts of the revision have it": {
			`{"supportedVersions":["2026-07-28"],"capabilities":{},"serverInfo":{"name":"draft","version":"3"}}`,
			`"capabilities":{},"serverInfo":{"name":"virtual","version":"3"}}`,
		},
		"of nobody": {
			`{"supportedVersions":["2026-07-28"],"capabilities":{}}`, `"capabilities":{},"serverInfo":{"name":"virtual","version":"unknown"}}`,
		},
	} {
		t.Run("serverInfo "+name, func(t *testing.T) {
			server := newModernServer(t)
			server.discovered = c.discovered
			got := newGateway(t, server.targets(), withBackend(alone)).do(call{body: initializeBody})
			if !strings.Contains(got.body, c.want) {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

func TestDiscoveryThatFailsNamesTheServer(t *testing.T) {
	discover := func(answer func(w http.ResponseWriter, m *modernMessage)) http.HandlerFunc {
		probed := false
		return func(w http.ResponseWriter, r *http.Request) {
			m := &modernMessage{ID: []byte("0")}
			if !probed {
				probed = true
				m.ID = []byte(`"probe"`)
				modernResult(w, m, `{"supportedVersions":["2026-07-28"],"capabilities":{}}`)
				return
			}
			_ = r
			answer(w, m)
		}
	}
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, m *modernMessage)
		want   string
	}{
		"a status": {
			func(w http.ResponseWriter, _ *modernMessage) { w.WriteHeader(http.StatusServiceUnavailable) }, "it answered HTTP status 503",
		},
		"a refusal": {
			func(w http.ResponseWriter, m *modernMessage) {
				modernError(w, http.StatusBadRequest, m, jsonrpc.CodeMissingClientCapability, "sampling is needed", "")
			}, "it refused server/discover: sampling is needed",
		},
		"nothing that is JSON": {
			func(w http.ResponseWriter, _ *modernMessage) { _, _ = w.Write([]byte("hello")) }, "its answer is neither JSON nor an event stream",
		},
		"no message": {
			func(w http.ResponseWriter, _ *modernMessage) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{}`))
			}, "its answer to server/discover is no JSON-RPC response",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.instead = discover(c.answer)
			got := newGateway(t, server.targets(), withBackend(alone)).do(call{body: initializeBody})
			if !strings.Contains(got.body, `target \"modern\" is unavailable: `+c.want) {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

func TestWhatServersWithoutSessionsAreNotAskedIsAnsweredHere(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	before := len(server.requests(methodDiscover))
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"warning"}}`:             `{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":"s","method":"resources/subscribe","params":{"uri":"demo://x"}}`:         `{"jsonrpc":"2.0","id":"s","result":{}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/unsubscribe","params":{"uri":"demo://x"}}`:         `{"jsonrpc":"2.0","id":3,"result":{}}`,
		`{"jsonrpc":"2.0","id":4,"method":"ping"}`:                                                      `{"jsonrpc":"2.0","id":4,"result":{}}`,
		`{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":5}}`:                    `"code":-32602`,
		`{"jsonrpc":"2.0","id":6,"method":"resources/subscribe"}`:                                       `"code":-32602`,
		`{"jsonrpc":"2.0","id":7,"method":"a\nb"}`:                                                      `"code":-32601`,
		`{"jsonrpc":"2.0","id":8,"method":"logging/setLevel","params":{"level":"loud"}}`:                `level must be one of debug, info`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:                                        ``,
		`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`:                                 ``,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`: ``,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}`:                ``,
	} {
		got := g.do(call{body: body, session: id})
		if want == "" && got.status != http.StatusAccepted || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d %s", body, got.status, got.body)
		}
	}
	if got := g.do(call{method: http.MethodDelete, session: id}); got.status != http.StatusNoContent {
		t.Errorf("DELETE: got %d", got.status)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if n := len(server.seen); n != before+1 { // And the probe.
		t.Errorf("the server got %d requests", n)
	}
}

func TestServerWithoutSubscriptionsHasNoMethodForThem(t *testing.T) {
	server := newModernServer(t)
	server.discovered = `{"supportedVersions":["2026-07-28"],"capabilities":{"resources":{}}}`
	g := newGateway(t, server.targets())
	got := g.do(call{session: g.open(), body: `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"demo://x"}}`})
	if !strings.Contains(got.body, `"code":-32601`) {
		t.Errorf("got %s", got.body)
	}
}

func TestRequestsPassByteForByteWithWhatTheRevisionDemands(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	body := `{"method":"tools/call","params":{"arguments":` + odd + `,"name":"é x","_meta":{"progressToken":18446744073709551615,` +
		`"com.example/a":[1, 2],"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},"id":"a long \u0069d","jsonrpc":"2.0","vendor":1}`
	answer := ` {"result":{"resultType":"complete","x":` + odd + `},"x":[ ],"jsonrpc":"2.0","id":"a long id"} `
	want := strings.Replace(body, `-01"}}`, `-01","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":`+
		`{"roots":{"listChanged":true}},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}}`, 1)
	for name, reply := range map[string]func(w http.ResponseWriter){
		"JSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json; vendor=1")
			w.Header().Set("Mcp-Session-Id", "leak")
			_, _ = w.Write([]byte(answer))
		},
		"a stream": func(w http.ResponseWriter) {
			write := events(w)
			write(": comment\n\nid: 7\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n")
			write("event: message\ndata: %s\n\n", progressNotification)
			write("event: message\nid: 2\ndata: %s\n\n", answer)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server.set(func() {
				server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
					if m.Method == "tools/call" {
						reply(w)
						return
					}
					modernResult(w, m, `{"tools":[]}`)
				}
			})
			c := call{body: body, session: id, header: map[string]string{
				"Mcp-Name": "another", "Mcp-Method": "another", "Mcp-Param-Region": "eu", "Last-Event-Id": "7",
				"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			}}
			if name == "JSON" {
				got := g.do(c)
				if !strings.Contains(got.body, odd) || got.header.Get("Mcp-Session-Id") != "" || got.header.Get("Content-Type") != "application/json; vendor=1" {
					t.Errorf("got %v %q", got.header, got.body)
				}
			} else {
				s := g.stream(c)
				if got := s.next(); got != progressNotification {
					t.Errorf("got %s", got)
				}
				if got := s.next(); !strings.Contains(got, odd) {
					t.Errorf("got %s", got)
				}
				s.ended()
				if len(s.ids) > 0 {
					t.Errorf("the event has the id %q", <-s.ids)
				}
			}
			calls := server.requests("tools/call")
			got := calls[len(calls)-1]
			if got.body != want {
				t.Errorf("the server got\n%s\nwant\n%s", got.body, want)
			}
			if got.header.Get("Mcp-Name") != "=?base64?w6kgeA==?=" || got.header.Get("Traceparent") == "" {
				t.Errorf("the server got %v", got.header)
			}
		})
	}
	t.Run("without params", func(t *testing.T) {
		g.do(call{session: id, body: `{"jsonrpc":"2.0","id":4,"method":"prompts/list"}`})
		if got := server.requests("prompts/list"); len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
}

const progressNotification = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":18446744073709551615,"progress":1}}`

func TestLogLevelGoesWithEveryRequest(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	level := func() string {
		g.do(call{session: id, body: callBody})
		calls := server.requests("tools/call")
		return string(calls[len(calls)-1].Params.Meta[metaLogLevel])
	}
	if got := level(); got != "" {
		t.Errorf("before it is set: %s", got)
	}
	g.do(call{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"warning"}}`})
	if got := level(); got != `"warning"` {
		t.Errorf("got %s", got)
	}
}

func TestErrorsReachTheClientAsItsRevisionsHaveThem(t *testing.T) {
	read := `{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"demo://x"}}`
	for name, c := range map[string]struct {
		body   string
		status int
		id     string // Instead of the request's.
		code   jsonrpc.Code
		data   string
		want   string
	}{
		"an unknown method":            {`{"jsonrpc":"2.0","id":5,"method":"x/y"}`, 404, "", -32601, "", `{"jsonrpc":"2.0","id":5,"error":{"message":"no","code":-32601}}`},
		"wrong params":                 {callBody, 400, "", -32602, "", `{"jsonrpc":"2.0","id":7,"error":{"message":"no","code":-32602}}`},
		"a capability that is missing": {callBody, 400, "", -32021, `{"z":1}`, `{"jsonrpc":"2.0","id":7,"error":{"message":"no","code":-32021,"data":{"z":1}}}`},
		"of an intermediary":           {callBody, 400, "null", -32020, "", `{"jsonrpc":"2.0","id":7,"error":{"message":"no","code":-32020}}`},
		"an unknown resource":          {read, 400, "", -32602, `{"uri":"demo:\/\/x"}`, `{"jsonrpc":"2.0","id":5,"error":{"message":"no","code":-32002,"data":{"uri":"demo:\/\/x"}}}`},
		"with status 200":              {read, 200, "", -32602, `{"uri":"demo://x"}`, `{"jsonrpc":"2.0","id":5,"error":{"message":"no","code":-32002,"data":{"uri":"demo://x"}}}`},
		"of another resource":          {read, 400, "", -32602, `{"uri":"demo://y"}`, `{"jsonrpc":"2.0","id":5,"error":{"message":"no","code":-32602,"data":{"uri":"demo://y"}}}`},
		"that may be anything":         {read, 400, "", -32602, "", `{"jsonrpc":"2.0","id":5,"error":{"message":"no","code":-32602}}`},
		"of the server's own":          {callBody, 200, "", 17, "", `{"jsonrpc":"2.0","id":7,"error":{"message":"no","code":17}}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
				if c.id != "" {
					m.ID = []byte(c.id)
				}
				modernError(w, c.status, m, c.code, "no", c.data)
			}
			g := newGateway(t, server.targets())
			if got := g.do(call{session: g.open(), body: c.body}); got.status != http.StatusOK || got.body != c.want {
				t.Errorf("got  %d %s\nwant %s", got.status, got.body, c.want)
			}
		})
	}
}

func TestAnswersWithoutAMeaningAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ result, want string }{
		"an unknown type":           {`{"resultType":"task","task":{}}`, `it answered tools/call with resultType \"task\", which has no meaning there`},
		"a type that is no string":  {`{"resultType":7}`, "the resultType of its answer is no string"},
		"two types":                 {`{"resultType":"complete","resultType":"task"}`, "its answer has more than one resultType"},
		"questions without methods": {ask("", `"a":{}`), "one of inputRequests has no method"},
		"questions of one name":     {ask("", `"a":{"method":"roots/list"}`, `"\u0061":{"method":"roots/list"}`), "two of inputRequests have the same key"},
		"questions that are none":   {`{"resultType":"input_required","inputRequests":[1]}`, "what it asks the client for can't be read"},
		"a question of another era": {ask("", `"a":{"method":"ping"}`), `it asks the client for \"ping\", which no client can be asked for`},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.asking(c.result)
			g := newGateway(t, server.targets())
			got := g.do(call{session: g.openWith(everyCapability), body: callBody})
			if !strings.Contains(got.body, `target \"modern\" is unavailable: `) || !strings.Contains(got.body, `"id":7`) ||
				!strings.Contains(strings.ReplaceAll(got.body, `\\\"`, `\"`), c.want) {
				t.Errorf("got %s", got.body)
			}
		})
	}
	t.Run("input for a method that has none", func(t *testing.T) {
		server := newModernServer(t)
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) { modernResult(w, m, ask(`"s"`)) }
		g := newGateway(t, server.targets())
		got := g.do(call{session: g.open(), body: `{"jsonrpc":"2.0","id":5,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"x"}}}`})
		if !strings.Contains(got.body, "which has no meaning there") {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("no result type, as of an older server, is an answer", func(t *testing.T) {
		server := newModernServer(t)
		server.asking(`{"zz":1}`)
		g := newGateway(t, server.targets())
		if got := g.do(call{session: g.open(), body: callBody}); got.body != `{"result":{"zz":1},"jsonrpc":"2.0","id":7}` {
			t.Errorf("got %s", got.body)
		}
	})
}

func TestModernServerThatFailsIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, m *modernMessage)
		want   string
	}{
		"HTTP 500": {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) { w.WriteHeader(500) }, "it answered HTTP status 500"},
		"a credential refused": {func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			modernError(w, 401, m, -32000, "who", "")
		}, "it answered HTTP status 401"},
		"no answer at all":      {func(http.ResponseWriter, *http.Request, *modernMessage) { panic(http.ErrAbortHandler) }, "it closed the connection without an answer"},
		"silence":               {func(_ http.ResponseWriter, r *http.Request, _ *modernMessage) { <-r.Context().Done() }, "it was silent for 300ms"},
		"a stream that is cut":  {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) { events(w); panic(http.ErrAbortHandler) }, "its answer broke off"},
		"a stream without more": {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) { events(w)("id: 1\ndata:\n\n") }, "its answer broke off"},
		"a silent stream": {func(w http.ResponseWriter, r *http.Request, _ *modernMessage) {
			events(w)
			<-r.Context().Done()
		}, "it was silent for 300ms"},
		"half of an answer": {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"jsonrpc"`))
		}, "its answer broke off"},
		"an answer that is too large": {func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			modernResult(w, m, `"`+strings.Repeat("x", 2000001)+`"`)
		}, "its answer is larger than 2000000 bytes"},
		"an event that is too large": {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) {
			events(w)("data: %s\n\n", strings.Repeat("x", 2000001))
		}, "its answer broke off"},
		"no message": {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{}`))
		}, "its answer is no JSON-RPC response"},
		"another's answer": {func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			m.ID = []byte("99")
			modernResult(w, m, `{}`)
		}, "its answer has another id than the request"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			g := newGateway(t, server.targets(), withLimits(impatient(c.want)))
			id := g.open()
			server.tools = []string{}
			server.set(func() { server.answer = c.answer })
			got := g.do(call{body: callBody, session: id})
			if !strings.Contains(got.body, `"id":7`) || !strings.Contains(got.body, `target \"modern\" is unavailable: `+c.want) {
				t.Errorf("got %s", got.body)
			}
			server.set(func() { server.answer = nil })
			// With another id: the server may not have seen yet that the first request has ended.
			if got := g.do(call{body: strings.Replace(callBody, `"id":7`, `"id":8`, 1), session: id}); !strings.HasPrefix(got.body, `{"result":`) {
				t.Errorf("it does not work again: %s", got.body)
			}
		})
	}
}

func TestCommentsOfAServerAreALifeSign(t *testing.T) {
	server := newModernServer(t)
	server.tools = []string{}
	server.answer = func(w http.ResponseWriter, r *http.Request, m *modernMessage) {
		write := events(w)
		for range 30 {
			write(": still there\n\n")
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
	}
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.CallTimeout = time.Second }))
	s := g.stream(call{session: g.open(), body: callBody})
	if got := s.next(); got != `{"jsonrpc":"2.0","id":7,"result":{}}` {
		t.Errorf("got %s", got)
	}
}

const (
	regional = `{"zz":1,"name":"regional","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},` +
		`"deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}}`
	invalidTool = `{"name":"invalid","inputSchema":{"type":"object","properties":{"x":{"type":"number","x-mcp-header":"X"}}}}`
)

func TestParametersAreMirroredInHeaders(t *testing.T) {
	server := newModernServer(t)
	server.tools = []string{regional}
	server.answer = func(w http.ResponseWriter, r *http.Request, m *modernMessage) {
		if !server.paramsMismatch(w, r, m) {
			modernResult(w, m, `{}`)
		}
	}
	g := newGateway(t, server.targets())
	id := g.open()
	invoke := func(tool, arguments string) reply {
		return g.do(call{session: id, body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + arguments + `}}`})
	}
	const done = `{"result":{},"jsonrpc":"2.0","id":7}`
	if got := invoke("regional", `{"region":"Süd","deep":{"n":42}}`); got.body != done {
		t.Errorf("got %s", got.body)
	}
	invoke("regional", `{"region":null}`)
	invoke("regional", `{"region":"eu"}`)
	invoke("unknown", `{}`)
	invoke("unknown", `{}`)
	calls := server.requests("tools/call")
	if h := calls[0].header; h.Get("Mcp-Param-Region") != "=?base64?U8O8ZA==?=" || h.Get("Mcp-Param-N") != "42" {
		t.Errorf("got %v", h)
	}
	if n := len(server.requests("tools/list")); n != 1 {
		t.Errorf("%d times listed", n)
	}
	if got := invoke("regional", `{"deep":{"n":9007199254740993}}`); !strings.Contains(got.body, `"code":-32602`) || !strings.Contains(got.body, "Mcp-Param-N") {
		t.Errorf("a number that no header can mirror: got %s", got.body)
	}

	// The tool changes, and the gateway has not heard of it.
	server.set(func() {
		server.tools, server.formerly = []string{strings.Replace(regional, `"Region"`, `"Zone"`, 1)}, server.tools
	})
	before := len(server.requests("tools/call"))
	if got := invoke("regional", `{"region":"eu"}`); got.body != done {
		t.Errorf("got %s", got.body)
	}
	if calls := server.requests("tools/call")[before:]; len(calls) != 2 || calls[1].header.Get("Mcp-Param-Zone") != "eu" {
		t.Errorf("got %v", calls)
	}
	// A server that is never content is asked twice, and quoted.
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			modernError(w, http.StatusBadRequest, m, jsonrpc.CodeHeaderMismatch, "never", "")
		}
	})
	before = len(server.requests("tools/call"))
	if got := invoke("regional", `{}`); got.status != http.StatusOK || !strings.Contains(got.body, `"code":-32020`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if n := len(server.requests("tools/call")) - before; n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestServerThatDoesNotListIsCalledAllTheSame(t *testing.T) {
	server := newModernServer(t)
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
		if m.Method == "tools/list" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		modernResult(w, m, `{}`)
	}
	g := newGateway(t, server.targets())
	if got := g.do(call{session: g.open(), body: callBody}); got.body != `{"result":{},"jsonrpc":"2.0","id":7}` {
		t.Errorf("got %s", got.body)
	}
}

func TestToolsWithoutAMeaningAreLeftOut(t *testing.T) {
	server := newModernServer(t)
	other := `{ "name":"other" , "zz":9007199254740993}`
	server.tools = []string{invalidTool, regional, other}
	g := newGateway(t, server.targets())
	id := g.open()
	for range 2 {
		got := g.do(call{session: id, body: listBody})
		if want := `"tools":[` + regional + `,` + other + `]}`; !strings.Contains(got.body, want) || strings.Contains(got.body, "invalid") {
			t.Errorf("got %s", got.body)
		}
	}
	if log := g.log.String(); strings.Count(log, "Tool is left out of lists") != 1 || !strings.Contains(log, "tool=invalid") ||
		!strings.Contains(log, "x-mcp-header needs type string, integer or boolean") {
		t.Errorf("the log has %s", log)
	}
	server.set(func() { server.tools = []string{regional, other} })
	if got := g.do(call{session: id, body: listBody}); !strings.Contains(got.body, `"tools":[`+regional+` , `+other+`]}`) {
		t.Errorf("got %s", got.body)
	}
}
