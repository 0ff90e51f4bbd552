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
	"sync/atomic"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

func TestServersOfBothErasBehindOneBackend(t *testing.T) {
	modern, legacy := newModernServer(t), newFakeServer(t).withTools("legacy", "echo", "old")
	modern.tools = []string{`{"x":9007199254740993,"name":"echo"}`, `{"x":9007199254740993,"name":"new"}`}
	modern.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
		modernResult(w, m, `{"resultType":"complete","by":"modern","params":{"name":"`+m.Params.Name+`"},"resources":[],"prompts":[],"resourceTemplates":[]}`)
	}
	g := newGateway(t, []config.Target{legacy.named("legacy"), modern.named("modern")})
	answer := g.do(call{body: initializeBody})
	if !strings.Contains(answer.body, `"resources":{"listChanged":true,"subscribe":true},"logging":{},"completions":{}`) ||
		!strings.Contains(answer.body, `# legacy\n\nUse legacy.\n\n# modern\n\nBe brief.`) {
		t.Errorf("got %s", answer.body)
	}
	id := answer.header.Get("Mcp-Session-Id")
	if got := fmt.Sprint(g.toolNames(id)); got != "[echo old modern_echo new]" {
		t.Errorf("got %s", got)
	}
	for tool, by := range map[string]string{"echo": "legacy", "old": "legacy", "modern_echo": "modern", "new": "modern"} {
		if got := g.callTool(id, tool); !strings.HasPrefix(got, by) {
			t.Errorf("%s: got %s", tool, got)
		}
	}
	if calls := modern.requests("tools/call"); len(calls) != 2 {
		t.Errorf("got %d calls", len(calls))
	}
	if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}`}); got.body != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("got %s", got.body)
	}
}

// withServer lets another server answer in the place of a modern one; nil gives it back its place.
func (f *modernServer) withServer(other *fakeServer) {
	f.set(func() {
		f.instead = nil
		if other != nil {
			f.instead = http.HandlerFunc(other.serve)
		}
	})
}

func TestSessionGoesOnWhenTheServersEraChanges(t *testing.T) {
	for name, stateless := range map[string]bool{"a server with sessions": false, "a server without": true} {
		t.Run(name, func(t *testing.T) {
			modern, legacy := newModernServer(t), newFakeServer(t)
			legacy.stateless = stateless
			// Of a version it does not know, such a server says so.
			legacy.lost = func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) }
			if stateless {
				legacy.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
					if r.Header.Get("Mcp-Protocol-Version") == modernVersion {
						lostAsTypeScript(w)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = fmt.Fprintf(w, `{"result":{},"jsonrpc":"2.0","id":%s}`, m.ID)
				}
			}
			g := newGateway(t, modern.targets())
			id := g.open()
			invoke := func(step string) {
				t.Helper()
				if got := g.do(call{session: id, body: callBody}); got.status != http.StatusOK || !strings.HasPrefix(got.body, `{"result":`) {
					t.Errorf("%s: got %d %s", step, got.status, got.body)
				}
			}
			invoke("modern")
			modern.withServer(legacy)
			invoke("legacy")
			invoke("legacy still")
			if n := len(legacy.requests("initialize")); n != 1 {
				t.Errorf("initialized %d times", n)
			}
			before := len(modern.requests("tools/call"))
			modern.withServer(nil)
			invoke("modern again")
			if n := len(modern.requests("tools/call")) - before; n != 1 {
				t.Errorf("called %d times", n)
			}
			// Both again: nothing has worn out.
			modern.withServer(legacy)
			invoke("legacy again")
		})
	}
}

func TestServerIsWhatItIsWhenTheClientComes(t *testing.T) {
	modern, legacy := newModernServer(t), newFakeServer(t)
	g := newGateway(t, modern.targets())
	g.open()
	modern.withServer(legacy)
	if got := g.do(call{session: g.open(), body: callBody}); !strings.HasPrefix(got.body, `{"result":`) {
		t.Errorf("got %s", got.body)
	}
	modern.withServer(nil)
	if got := g.do(call{session: g.open(), body: callBody}); !strings.HasPrefix(got.body, `{"result":`) {
		t.Errorf("got %s", got.body)
	}
	if n := len(modern.requests("tools/call")); n != 1 {
		t.Errorf("called %d times", n)
	}
}

func TestClientThatCancelsEndsTheRequestOfTheServer(t *testing.T) {
	for name, streams := range map[string]bool{"before the answer begins": false, "in a stream": true} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.tools = []string{}
			began, ended := make(chan struct{}), make(chan struct{})
			server.answer = func(w http.ResponseWriter, r *http.Request, _ *modernMessage) {
				if streams {
					events(w)("data: %s\n\n", progressNotification)
				}
				close(began)
				<-r.Context().Done()
				close(ended)
			}
			g := newGateway(t, server.targets())
			id := g.open()
			var answered atomic.Bool
			done := make(chan reply, 1)
			go func() {
				done <- g.do(call{session: id, body: callBody})
				answered.Store(true)
			}()
			<-began
			g.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`})
			<-ended
			<-done
			if n := len(server.requests("notifications/cancelled")); n != 0 {
				t.Errorf("the server got %d notifications", n)
			}
		})
	}
}
