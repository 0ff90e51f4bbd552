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
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// subscribe is a subscriptions/listen with that filter.
func subscribe(id, filter string) modernPost {
	return modernPost{id: id, method: methodListen, params: `"notifications":` + filter}
}

// acknowledged checks the first event of a listener.
func (s *stream) acknowledged(id, agreed string) {
	s.t.Helper()
	same(s.t, s.next(), `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"`+metaSubscriptionID+`":`+id+`},"notifications":`+agreed+`}}`)
}

func (g *gateway) listenTo(id, filter, agreed string) *stream {
	g.t.Helper()
	s := g.stream(subscribe(id, filter).call())
	s.acknowledged(id, agreed)
	return s
}

// updated checks that the next event says that a resource was updated.
func (s *stream) updated(id, uri string) {
	s.t.Helper()
	data := s.next()
	var n struct {
		Method string
		Params struct {
			URI  string
			Meta map[string]json.RawMessage `json:"_meta"`
		}
	}
	decode(s.t, data, &n)
	if n.Method != methodUpdated || n.Params.URI != uri || string(n.Params.Meta[metaSubscriptionID]) != id {
		s.t.Errorf("got %s", data)
	}
}

func changedLists(id string, lists ...string) (all []string) {
	for _, list := range lists {
		all = append(all, `{"jsonrpc":"2.0","method":"notifications/`+list+`/list_changed","params":{"_meta":{"`+metaSubscriptionID+`":`+id+`}}}`)
	}
	slices.Sort(all)
	return all
}

// several returns the next events, sorted.
func (s *stream) several(n int) (all []string) {
	s.t.Helper()
	for range n {
		all = append(all, s.next())
	}
	slices.Sort(all)
	return all
}

const allLists = `{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}`

// sayer makes a server's own stream say what it is told to.
func (f *fakeServer) sayer() chan<- string {
	say := make(chan string)
	f.set(func() {
		f.get = func(w http.ResponseWriter, r *http.Request) {
			write := events(w)
			for {
				select {
				case text := <-say:
					write("data: %s\n\n", text)
				case <-r.Context().Done():
					return
				}
			}
		}
	})
	return say
}

func TestListenerHearsWhatItHasAskedFor(t *testing.T) {
	for _, id := range []string{"9007199254740993", `"a\u0062"`, "0", `"9007199254740993"`} {
		server := newFakeServer(t).withTools("A", "echo")
		say := server.sayer()
		g := newGateway(t, server.targets())
		s := g.stream(subscribe(id, `{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["demo://x"]}`).call())
		same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"`+metaSubscriptionID+`":`+id+
			`},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["demo://x"]}}}`)
		for _, text := range []string{
			`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`,
			`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error"}}`,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}`,
			`{"jsonrpc":"2.0","method":"notifications/vendor"}`,
			`{"jsonrpc":"2.0","id":1,"method":"roots/list"}`,
			`{"jsonrpc":"2.0","id":1,"result":{}}`,
			`nonsense`,
			`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`,
			`{"zz":9007199254740993,"jsonrpc":"2.0","params":{"uri":"demo://x","_meta":{"a":1}},"method":"notifications/resources/updated"}`,
		} {
			say <- text
		}
		same(t, []string{s.next()}, changedLists(id, "tools"))
		same(t, s.next(), `{"zz":9007199254740993,"jsonrpc":"2.0","params":{"uri":"demo://x","_meta":{"a":1,"`+metaSubscriptionID+`":`+id+`}},"method":"notifications/resources/updated"}`)
		s.close()
		subscribed := server.requests("resources/subscribe")
		if len(subscribed) != 1 || !strings.Contains(subscribed[0].body, `"params":{"uri":"demo://x"}`) {
			t.Errorf("subscribed by %v", subscribed)
		}
		eventually(t, "the listener's session is ended", server.ended)
		eventually(t, "no session is left", func() bool { return server.open() == 0 })
	}
}

func TestListenersAreToldApart(t *testing.T) {
	server := newFakeModern(t, "A")
	g := newGateway(t, server.targets())
	one := g.listenTo("1", `{"toolsListChanged":true}`, `{"toolsListChanged":true}`)
	two := g.listenTo("2", `{"promptsListChanged":true,"resourceSubscriptions":["demo://x"]}`, `{"promptsListChanged":true,"resourceSubscriptions":["demo://x"]}`)
	other := g.listenTo("1", `{"promptsListChanged":true}`, `{"promptsListChanged":true}`) // Of another client, perhaps.
	filters := server.filters()
	slices.Sort(filters)
	if len(filters) != 3 || !strings.Contains(filters[0], `"promptsListChanged":true,"resourceSubscriptions":["demo://x"]`) {
		t.Errorf("it was asked for %s", filters)
	}
	server.tell("notifications/prompts/list_changed", "")
	same(t, []string{two.next()}, changedLists("2", "prompts"))
	same(t, []string{other.next()}, changedLists("1", "prompts"))
	server.tell("notifications/tools/list_changed", "")
	same(t, []string{one.next()}, changedLists("1", "tools"))
	server.tell("notifications/resources/updated", `"uri":"demo://x",`)
	two.updated("2", "demo://x")
	one.close()
	eventually(t, "the server is not asked any more", func() bool { return len(server.filters()) == 2 })
	two.close()
	other.close()
	eventually(t, "the server is not asked any more", func() bool { return len(server.filters()) == 0 })
}

func TestListenerIsAcknowledgedOnceTheServersListen(t *testing.T) {
	legacy, modern := newFakeServer(t).withTools("L", "echo"), newFakeModern(t, "M")
	legacy.sayer()
	g := newGateway(t, []config.Target{legacy.named("l"), modern.named("m")})
	for range 20 {
		s := g.listenTo("1", allLists, allLists)
		if len(legacy.requests(http.MethodGet)) == 0 || len(modern.filters()) == 0 {
			t.Error("it was told before")
		}
		s.close()
		legacy.set(func() { legacy.seen = nil })
		eventually(t, "nobody listens", func() bool { return len(modern.filters()) == 0 })
	}
	t.Run("a slow one is not waited for", func(t *testing.T) {
		begun := make(chan struct{})
		legacy.set(func() {
			legacy.get = func(w http.ResponseWriter, r *http.Request) {
				<-begun
				speaking(`data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)(w, r)
			}
		})
		s := g.listenTo("1", allLists, allLists)
		close(begun)
		same(t, []string{s.next()}, changedLists("1", "tools"))
		s.close()
	})
	t.Run("nor one that is down", func(t *testing.T) {
		down := newFakeServer(t)
		down.server.Close()
		unready := modern.named("u")
		unready.Unready = "it is not"
		g := newGateway(t, []config.Target{down.named("d"), unready})
		g.listenTo("1", allLists, allLists).close()
	})
}

func TestFilterIsAgreedToAsFarAsItCanBeHeeded(t *testing.T) {
	server := newFakeServer(t)
	server.initializeResult = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"resources":{}},"serverInfo":{"name":"n","version":"1"}}`
	static := withBackend(func(b *config.Backend) { b.Dynamic = false })
	g := newGateway(t, server.targets(), static)
	g.listenTo("1", `{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["demo://x"],"resourcesListChanged":true}`,
		`{"toolsListChanged":true,"resourcesListChanged":true}`).close()
	dynamic := newGateway(t, server.targets())
	dynamic.listenTo("1", allLists, allLists).close()
	dynamic.listenTo("1", `{}`, `{}`).close()
	dynamic.listenTo("1", `{"toolsListChanged":1,"resourceSubscriptions":"demo://x"}`, `{}`).close()
	for name, params := range map[string]string{
		"no filter": ``, "null": `"notifications":null`, "a list": `"notifications":[]`, "two tools": `"notifications":{"toolsListChanged":true,"toolsListChanged":false}`,
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, dynamic.modern(modernPost{method: methodListen, params: params}), 400, -32602, "notifications")
		})
	}
	t.Run("with what extensions have", func(t *testing.T) {
		say := server.sayer()
		s := dynamic.listenTo("1", `{"vendor":true}`, `{}`)
		say <- `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
		say <- `{"jsonrpc":"2.0","method":"notifications/vendor"}`
		same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"_meta":{"`+metaSubscriptionID+`":1}}}`)
		s.close()
	})
	t.Run("many resources", func(t *testing.T) {
		server := newFakeModern(t, "A")
		var uris []string
		for i := range maxSubscriptions + 10 {
			uris = append(uris, fmt.Sprintf(`"demo://%d"`, i))
		}
		g := newGateway(t, server.targets())
		s := g.listenTo("1", `{"resourceSubscriptions":[`+strings.Join(uris, ",")+`]}`, `{"resourceSubscriptions":[`+strings.Join(uris[:maxSubscriptions], ",")+`]}`)
		s.close()
	})
}

func TestListenersHearOfTargetsThatComeAndGo(t *testing.T) {
	a, b := newFakeModern(t, "A"), newFakeServer(t).withTools("B", "echo")
	b.sayer()
	g := newGateway(t, a.targets())
	s := g.listenTo("1", allLists, allLists)
	three := changedLists("1", "tools", "prompts", "resources")
	g.update(testBackend(append(a.targets(), b.named("b"))))
	same(t, s.several(3), three)
	g.update(testBackend([]config.Target{b.named("b")}))
	same(t, s.several(3), three)
	eventually(t, "who has left is not asked any more", func() bool { return len(a.filters()) == 0 })
	replaced := b.named("b")
	replaced.Name = "other"
	g.update(testBackend([]config.Target{replaced}))
	same(t, s.several(3), three)
	a.set(func() { a.instead = nil })
	moved := a.named("b")
	moved.Name, moved.Service = "other", replaced.Service
	g.update(testBackend([]config.Target{moved})) // Another server of the other era at the same Service.
	eventually(t, "the new one is asked", func() bool { return len(a.filters()) == 1 })
	a.tell("notifications/tools/list_changed", "")
	for got := s.next(); got != changedLists("1", "tools")[0]; got = s.next() {
		if !slices.Contains(three, got) {
			t.Errorf("got %s", got)
		}
	}
	s.close()
	eventually(t, "nobody listens", func() bool { return len(a.filters()) == 0 })
}

func TestResourcesAreUpdatedByTheirClientsURIs(t *testing.T) {
	a, b := newFakeServer(t).withTools("A", "echo"), newFakeModern(t, "B")
	say := a.sayer()
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	var listed struct{ Resources []struct{ URI string } }
	decode(t, g.result(modernPost{method: "resources/list"}), &listed)
	if len(listed.Resources) != 2 {
		t.Fatalf("got %v", listed)
	}
	first, second := listed.Resources[0].URI, listed.Resources[1].URI
	uris := `{"resourceSubscriptions":["` + second + `","demo://nobody","` + first + `"]}`
	s := g.listenTo("1", uris, `{"resourceSubscriptions":["`+second+`","`+first+`"]}`)
	if got := b.filters(); len(got) != 1 || got[0] != `{"resourceSubscriptions":["demo://x"]}` {
		t.Errorf("b was asked for %s", got)
	}
	b.tell("notifications/resources/updated", `"uri":"demo://x",`)
	s.updated("1", second)
	say <- `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://x"}}`
	s.updated("1", first)
	s.close()
}

func TestListChangedThatAListenerHearsIsHeeded(t *testing.T) {
	a, b := newFakeModern(t, "A"), newFakeModern(t, "B")
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	s := g.listenTo("1", `{"toolsListChanged":true}`, `{"toolsListChanged":true}`)
	g.result(callEcho)
	lists := len(a.requests("tools/list"))
	b.withTools("new")
	b.tell("notifications/tools/list_changed", "")
	s.next()
	if got := g.result(modernPost{method: toolCall, params: `"name":"new"`}); !strings.Contains(got, `"by":"B"`) {
		t.Errorf("got %s", got)
	}
	same(t, len(a.requests("tools/list")), lists) // Its list is still good.
	s.close()
}

func TestSubscriptionEndsWithAResult(t *testing.T) {
	result := func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"result":{"resultType":"complete","_meta":{"` + metaSubscriptionID + `":` + id + `}}}`
	}
	for name, end := range map[string]func(g *gateway){
		"by a drain": func(g *gateway) { g.mcp.Drain() },
		"with its Backend": func(g *gateway) {
			b := testBackend(nil)
			b.ID = "uid-9"
			g.update(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t).withTools("A", "echo")
			server.sayer()
			g := newGateway(t, server.targets())
			s := g.listenTo(`"x"`, allLists, allLists)
			end(g)
			same(t, s.next(), result(`"x"`))
			s.ended()
			eventually(t, "the server's session is ended", func() bool { return server.open() == 0 })
		})
	}
	t.Run("that it gets after the acknowledgement", func(t *testing.T) {
		server := newFakeServer(t).withTools("A", "echo")
		g := newGateway(t, server.targets())
		g.mcp.Drain()
		s := g.listenTo("5", allLists, allLists)
		same(t, s.next(), result("5"))
		s.ended()
	})
}

func TestListenerThatGoesWhileItsServerIsSlowLeavesNoSession(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	proceed := make(chan struct{})
	var asked atomic.Bool
	server.beforeInitialize = func() {
		asked.Store(true)
		<-proceed
	}
	g := newGateway(t, server.targets())
	s := g.stream(subscribe("1", allLists).call())
	eventually(t, "the server is asked for a session", asked.Load)
	s.close()
	close(proceed)
	eventually(t, "the session is ended", server.ended)
	eventually(t, "no session is left", func() bool { return server.open() == 0 })
}

func TestListenerOfAServerThatComesBackHearsOn(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	say := server.sayer()
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.KeepAlive = 10 * time.Millisecond }))
	s := g.listenTo("1", `{"toolsListChanged":true}`, `{"toolsListChanged":true}`)
	server.forget()
	server.server.CloseClientConnections()
	same(t, []string{s.next()}, changedLists("1", "tools")) // It may have other tools now.
	say <- `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
	same(t, []string{s.next()}, changedLists("1", "tools"))
	s.close()
}
