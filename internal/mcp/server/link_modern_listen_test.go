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
	"slices"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const subscriptionMeta = `"_meta":{"io.modelcontextprotocol/subscriptionId":%s}`

// until waits for a notification, and returns those before it.
func (s *stream) until(want string) (before []string) {
	s.t.Helper()
	for {
		got := s.next()
		if got == want {
			return before
		}
		before = append(before, got)
	}
}

func listChanged(list string) string {
	return `{"jsonrpc":"2.0","method":"notifications/` + list + `/list_changed"}`
}

func (g *gateway) subscribe(session, method, uri string) {
	g.t.Helper()
	if got := g.do(call{session: session, body: `{"jsonrpc":"2.0","id":1,"method":"resources/` + method + `","params":{"uri":"` + uri + `"}}`}); got.body != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		g.t.Errorf("%s: %d %s", method, got.status, got.body)
	}
}

func TestClientHearsWhatAModernServerTells(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	s := g.listen(g.open(), nil)
	eventually(t, "somebody listens", func() bool { return server.listening() == 1 })
	if got := server.filters()[0]; got != `{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}` {
		t.Errorf("the server is asked for %s", got)
	}
	for told, want := range map[string]string{
		`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{` + subscriptionMeta + `}}`:          listChanged("tools"),
		`{"params":{` + subscriptionMeta + `},"zz":9007199254740993,"jsonrpc":"2.0","method":"x/1"}`:                 `{"zz":9007199254740993,"jsonrpc":"2.0","method":"x/1"}`,
		`{"jsonrpc":"2.0","method":"x/2","params":{"b":1,` + subscriptionMeta + `,"a":[1, 2]}}`:                      `{"jsonrpc":"2.0","method":"x/2","params":{"b":1,"a":[1, 2]}}`,
		`{"jsonrpc":"2.0","method":"x/3","params":{"_meta":{"a/b":1, "io.modelcontextprotocol/subscriptionId":%s}}}`: `{"jsonrpc":"2.0","method":"x/3","params":{"_meta":{"a/b":1}}}`,
		`{"jsonrpc":"2.0","method":"x/4","params":{"a": 1}}`:                                                         `{"jsonrpc":"2.0","method":"x/4","params":{"a": 1}}`,
		`{"jsonrpc":"2.0","method":"x/5"}`: `{"jsonrpc":"2.0","method":"x/5"}`,
		`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://\u0078",` + subscriptionMeta + `,"t":1e2}}`: `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://\u0078","t":1e2}}`,
	} {
		server.tell(told)
		if got := s.next(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	// What has no place on the stream of a legacy client is dropped.
	server.tell(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}`)
	server.tell(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`)
	server.tell(`{"jsonrpc":"2.0","id":1,"method":"roots/list"}`)
	server.tell(`[]`)
	server.tell(`{"jsonrpc":"2.0","method":"x/last"}`)
	if before := s.until(`{"jsonrpc":"2.0","method":"x/last"}`); before != nil {
		t.Errorf("got %q", before)
	}
	s.close()
	eventually(t, "nobody listens", func() bool { return server.listening() == 0 })
}

func TestListOfAServerIsAskedForAgainWhenItHasChanged(t *testing.T) {
	server, other := newModernServer(t), newFakeServer(t).withTools("other", "echo")
	server.tools = []string{`{"x":9007199254740993,"name":"one"}`}
	g := newGateway(t, []config.Target{other.named("other"), server.named("modern")})
	id := g.open()
	s := g.listen(id, nil)
	eventually(t, "somebody listens", func() bool { return server.listening() == 1 })
	if got := fmt.Sprint(g.toolNames(id)); got != "[echo one]" {
		t.Errorf("got %s", got)
	}
	server.set(func() { server.tools = []string{`{"x":9007199254740993,"name":"two"}`} })
	server.tell(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{` + subscriptionMeta + `}}`)
	s.until(listChanged("tools"))
	if got := g.callTool(id, "two"); got == "" || strings.Contains(got, "Unknown") {
		t.Errorf("got %s", got)
	}
	s.close()
}

func TestSubscriptionsAreListenedForWithoutAGap(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	g.subscribe(id, "subscribe", "demo://early") // Before anybody listens.
	s := g.listen(id, nil)
	eventually(t, "somebody listens", func() bool { return server.listening() == 1 })
	const lists = `{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true`
	var want []string
	expect := func(uris string) {
		t.Helper()
		filter := lists + "}"
		if uris != "" {
			filter = `{"resourceSubscriptions":[` + uris + `],` + lists[1:] + "}"
		}
		want = append(want, filter)
		// Subscribing has waited for the server: no more waiting is needed.
		if got := server.filters(); !slices.Equal(got, want) {
			t.Errorf("the server was asked for\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	expect(`"demo://early"`)
	g.subscribe(id, "subscribe", "demo://a")
	expect(`"demo://a","demo://early"`)
	server.tell(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://a",` + subscriptionMeta + `}}`)
	const updated = `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://a"}}`
	s.until(updated)
	eventually(t, "the older stream is closed", func() bool { return server.listening() == 1 })
	g.subscribe(id, "unsubscribe", "demo://a")
	expect(`"demo://early"`)
	g.subscribe(id, "unsubscribe", "demo://early")
	expect("")
	g.subscribe(id, "unsubscribe", "demo://early") // Changes nothing.
	eventually(t, "the older streams are closed", func() bool { return server.listening() == 1 })
	server.tell(`{"jsonrpc":"2.0","method":"x/last"}`)
	if before := s.until(`{"jsonrpc":"2.0","method":"x/last"}`); slices.ContainsFunc(before, func(other string) bool { return other != updated }) {
		t.Errorf("got %q", before) // Both of two streams that overlap may have told of the update, but nothing has begun anew.
	}
	if got := server.filters(); len(got) != len(want) {
		t.Errorf("asked %d times", len(got))
	}
	s.close()
	eventually(t, "nobody listens", func() bool { return server.listening() == 0 })
}

func TestUpdatesOfServersOfSeveralHaveTheClientsNames(t *testing.T) {
	server, other := newModernServer(t), newFakeServer(t).withTools("other", "echo")
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
		modernResult(w, m, `{"resources":[{"uri":"demo://x"}],"tools":[],"prompts":[],"resourceTemplates":[]}`)
	}
	g := newGateway(t, []config.Target{other.named("other"), server.named("modern")})
	id := g.open()
	s := g.listen(id, nil)
	eventually(t, "somebody listens", func() bool { return server.listening() == 1 })
	g.subscribe(id, "subscribe", "modern+demo://x")
	filters := server.filters()
	if got := filters[len(filters)-1]; !strings.HasPrefix(got, `{"resourceSubscriptions":["demo://x"],`) {
		t.Errorf("the server is asked for %s", got)
	}
	server.tell(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://x",` + subscriptionMeta + `}}`)
	s.until(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"modern+demo://x"}}`)
	if n := len(other.requests("resources/subscribe")); n != 0 {
		t.Errorf("the other server got %d subscriptions", n)
	}
	s.close()
}

func TestStreamOfAModernServerIsOpenedAgain(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	s := g.listen(g.open(), nil)
	eventually(t, "somebody listens", func() bool { return server.listening() == 1 })
	server.hangUp()
	// What was told meanwhile is not known: all lists may be others.
	for _, list := range []string{"tools", "prompts", "resources"} {
		if got := s.next(); got != listChanged(list) {
			t.Errorf("got %s", got)
		}
	}
	eventually(t, "somebody listens again", func() bool { return server.listening() == 1 })
	server.tell(`{"jsonrpc":"2.0","method":"x/1"}`)
	s.until(`{"jsonrpc":"2.0","method":"x/1"}`)
	s.close()
}

func TestServersThatNobodyCanListenTo(t *testing.T) {
	for name, listen := range map[string]func(w http.ResponseWriter, r *http.Request, m *modernMessage){
		"an unknown method": func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			modernError(w, http.StatusNotFound, m, jsonrpc.CodeMethodNotFound, "no", "")
		},
		"an unknown method, in a stream": func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			events(w)("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32601,\"message\":\"no\"}}\n\n", m.ID)
		},
		"an answer at once":       func(w http.ResponseWriter, _ *http.Request, m *modernMessage) { modernResult(w, m, `{}`) },
		"a status without a word": func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) { w.WriteHeader(http.StatusNotFound) },
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.listen = listen
			g := newGateway(t, server.targets())
			id := g.open()
			s := g.listen(id, nil)
			eventually(t, "the server is asked", func() bool { return len(server.requests(methodListen)) == 1 })
			g.subscribe(id, "subscribe", "demo://x")
			if got := g.do(call{session: id, body: callBody}); !strings.HasPrefix(got.body, `{"result":`) {
				t.Errorf("got %s", got.body)
			}
			s.close()
			if n := len(server.requests(methodListen)); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Run("one that has nothing to tell", func(t *testing.T) {
		server := newModernServer(t)
		server.discovered = `{"supportedVersions":["2026-07-28"],"capabilities":{}}`
		c := &upstreamCall{method: http.MethodGet, session: newClientSession(&session.Session{}), upstream: upstreamSession{version: modernVersion}}
		g := newGateway(t, server.targets())
		c.target = g.snapshot.backends[testKey].targets[0]
		response, _, err := g.mcp.do(t.Context(), c)
		if err != nil || response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("got %v, %v", response, err)
		}
	})
}

func TestServerThatAgreesToNothingIsAskedAgainWhenThereIsSomethingElse(t *testing.T) {
	server := newModernServer(t)
	server.discovered = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"resources":{"subscribe":true}}}`
	server.listen = func(w http.ResponseWriter, r *http.Request, m *modernMessage) {
		if strings.Contains(string(m.Params.Notifications), "demo://") {
			server.agree(w, r, m)
			return
		}
		write := events(w)
		write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{}}}\n\n")
		write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
	}
	g := newGateway(t, server.targets())
	id := g.open()
	s := g.listen(id, nil)
	eventually(t, "the server is asked", func() bool { return len(server.requests(methodListen)) == 1 })
	eventually(t, "the stream is open", func() bool { return g.listeners(id) == 1 })
	g.subscribe(id, "subscribe", "demo://x")
	eventually(t, "somebody listens", func() bool { return server.listening() == 1 })
	server.tell(`{"jsonrpc":"2.0","method":"x/1"}`)
	if got := s.next(); got != `{"jsonrpc":"2.0","method":"x/1"}` {
		t.Errorf("got %s", got)
	}
	s.close()
	if n := len(server.requests(methodListen)); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// listeners returns how many listen to modern servers for a session.
func (g *gateway) listeners(id string) int {
	cs, e := g.mcp.openSession(http.Header{headerSessionID: {id}}, g.snapshot.backends[testKey])
	if e != nil {
		g.t.Fatal(e)
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.listeners)
}

func TestNotificationBeforeTheAcknowledgementIsNotLost(t *testing.T) {
	server := newModernServer(t)
	server.listen = func(w http.ResponseWriter, r *http.Request, _ *modernMessage) {
		events(w)("data: {}\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x/1\"}\n\n")
		<-r.Context().Done()
	}
	g := newGateway(t, server.targets())
	s := g.listen(g.open(), nil)
	if got := s.next(); got != `{"jsonrpc":"2.0","method":"x/1"}` {
		t.Errorf("got %s", got)
	}
	s.close()
}

func TestOnlySubscriptionsAreListenedForWhereThereIsNothingElse(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	cs := newClientSession(&session.Session{Initialize: []byte(`"capabilities":{},"clientInfo":{"name":"x","version":"1"}`)})
	b := g.snapshot.backends[testKey]
	c := &upstreamCall{
		target: b.targets[0], method: http.MethodGet, session: cs,
		upstream: upstreamSession{version: modernVersion, capabilities: session.CapabilitySubscribe},
	}
	response, _, err := g.mcp.do(t.Context(), c)
	if err != nil || response.StatusCode != http.StatusOK || !isEventStream(response.Header) {
		t.Fatalf("got %v, %v", response, err)
	}
	defer func() { _ = response.Body.Close() }()
	cs.subscribe(subscription{c.target.hash, "demo://x"}, "x")
	cs.listenAnew(t.Context(), c.target, patience)
	if got := server.filters(); !slices.Equal(got, []string{`{"resourceSubscriptions":["demo://x"]}`}) {
		t.Errorf("the server was asked for %q", got)
	}
	cs.unsubscribe(subscription{c.target.hash, "demo://x"})
	cs.listenAnew(t.Context(), c.target, patience)
	eventually(t, "nobody listens", func() bool { return server.listening() == 0 })
}

func TestFilterOfAListenerPassesButForResources(t *testing.T) {
	server := newModernServer(t)
	g := newGateway(t, server.targets())
	t1 := g.snapshot.backends[testKey].targets[0]
	for filter, want := range map[string]string{
		`{"com.example/x":9007199254740993, "resourceSubscriptions":["modern+demo://x","other"] ,"toolsListChanged":false}`: `{"com.example/x":9007199254740993, "resourceSubscriptions":["demo://x"] ,"toolsListChanged":false}`,
		`{"toolsListChanged":true}`: `{"toolsListChanged":true,"resourceSubscriptions":["demo://x"]}`,
	} {
		cs := newClientSession(&session.Session{Initialize: []byte(`"capabilities":{},"clientInfo":{"name":"x","version":"1"}`)})
		cs.listenFilter = []byte(filter)
		cs.subscribe(subscription{t1.hash, "demo://x"}, "modern+demo://x")
		cs.subscribe(subscription{99, "other"}, "other")
		response, _, err := g.mcp.do(t.Context(), &upstreamCall{
			target: t1, method: http.MethodGet, session: cs, upstream: upstreamSession{version: modernVersion},
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		asked := server.filters()
		if got := asked[len(asked)-1]; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestListenerHearsOnWhenTheServersEraChanges(t *testing.T) {
	modern, legacy := newModernServer(t), newFakeServer(t)
	legacy.lost = func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) }
	heard := make(chan struct{})
	legacy.get = func(w http.ResponseWriter, r *http.Request) {
		events(w)("data: %s\n\n", notification)
		select {
		case <-heard:
		case <-r.Context().Done():
		}
	}
	g := newGateway(t, modern.targets())
	id := g.open()
	s := g.listen(id, nil)
	eventually(t, "somebody listens", func() bool { return modern.listening() == 1 })
	modern.withServer(legacy)
	modern.hangUp()
	s.until(notification)
	modern.withServer(nil)
	close(heard)
	eventually(t, "somebody listens again", func() bool { return modern.listening() == 1 })
	modern.tell(`{"jsonrpc":"2.0","method":"x/1"}`)
	s.until(`{"jsonrpc":"2.0","method":"x/1"}`)
	s.close()
}

func TestListenerOfALegacyServerWithoutAStreamHearsAModernOne(t *testing.T) {
	modern, legacy := newModernServer(t), newFakeServer(t)
	modern.withServer(legacy)
	g := newGateway(t, modern.targets())
	id := g.open()
	s := g.listen(id, nil)
	eventually(t, "the server is asked", func() bool { return len(legacy.requests(http.MethodGet)) == 1 })
	modern.withServer(nil)
	g.do(call{session: id, body: callBody}) // Which finds out.
	eventually(t, "somebody listens", func() bool { return modern.listening() == 1 })
	s.until(listChanged("tools"))
	s.close()
}
