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
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

const notification = `{"zz":1,"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}`

// speaking makes a server's GET stream send events until the client goes.
func speaking(texts ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		write := events(w)
		for _, text := range texts {
			write("%s\n\n", text)
		}
		<-r.Context().Done()
	}
}

func TestStreamOfTheServerReachesTheClient(t *testing.T) {
	server := newFakeServer(t)
	server.get = speaking("id: e1\ndata: "+notification, `data: {"jsonrpc":"2.0","id":0,"method":"roots/list"}`)
	g := newGateway(t, server.targets())
	s := g.listen(g.open(), nil)
	if got := s.next(); got != notification {
		t.Errorf("got %s", got)
	}
	if id := <-s.ids; id == "e1" {
		t.Error("the event's id is the server's own")
	}
	if got := s.next(); !strings.Contains(got, `"method":"roots/list"`) || strings.Contains(got, `"id":0,`) {
		t.Errorf("got %s", got)
	}
	s.close()
}

func TestClientsStreamOutlivesTheServers(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, first := range map[string]func(http.ResponseWriter, *http.Request){
		"another stream is open": status(http.StatusConflict),
		"the server fails":       status(http.StatusServiceUnavailable),
		"the session is lost":    func(w http.ResponseWriter, _ *http.Request) { lostAsTypeScript(w) },
		"the stream ends":        func(w http.ResponseWriter, _ *http.Request) { events(w) },
		"the connection breaks":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFakeServer(t)
			var asked atomic.Int32
			server.get = func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					if name == "the session is lost" {
						server.forget()
					}
					first(w, r)
					return
				}
				speaking("data: "+notification)(w, r)
			}
			g := newGateway(t, server.targets())
			s := g.listen(g.open(), nil)
			got := s.next()
			if name == "the session is lost" {
				// What the server has may be different now.
				if got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` {
					t.Errorf("got %s", got)
				}
				got = s.next()
			}
			if got != notification {
				t.Errorf("got %s", got)
			}
			s.close()
		})
	}
}

func TestStreamIsContinuedWhereItBrokeOff(t *testing.T) {
	server := newFakeServer(t)
	var asked atomic.Int32
	server.get = func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			events(w)("id: e1\ndata: %s\n\n", notification)
			return
		}
		speaking(
			"data: {}", `data: {"jsonrpc":"2.0","id":1,"result":{}}`, // As server-everything replays.
			`data: {"jsonrpc":"2.0","method":"after/`+r.Header.Get("Last-Event-Id")+`"}`,
		)(w, r)
	}
	g := newGateway(t, server.targets())
	s := g.listen(g.open(), nil)
	if got := []string{s.next(), s.next()}; got[1] != `{"jsonrpc":"2.0","method":"after/e1"}` {
		t.Errorf("got %q", got)
	}
	s.close()
}

func TestClientResumesAStreamOfACall(t *testing.T) {
	server := newFakeServer(t)
	server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) { events(w)("id: call-1\ndata: \n\n") }
	server.get = func(w http.ResponseWriter, r *http.Request) {
		events(w)("id: call-2\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"after\":\"%s\"}}\n\n", r.Header.Get("Last-Event-Id"))
	}
	g := newGateway(t, server.targets())
	id := g.open()
	s := g.stream(call{body: callBody, session: id})
	s.ended()
	event := <-s.ids
	resumed := g.listen(id, map[string]string{"Last-Event-Id": event})
	if got := resumed.next(); got != `{"jsonrpc":"2.0","id":7,"result":{"after":"call-1"}}` {
		t.Errorf("got %s", got)
	}
	resumed.ended()

	t.Run("not with another session", func(t *testing.T) {
		before := len(server.requests(http.MethodGet))
		s := g.listen(g.open(), map[string]string{"Last-Event-Id": event})
		s.next()
		for _, asked := range server.requests(http.MethodGet)[before:] {
			if asked.header.Get("Last-Event-Id") != "" {
				t.Error("the server was asked to replay another session's events")
			}
		}
		s.close()
	})
}

// As server-everything replays: all that it has sent since, on whichever stream, and what is no message.
func TestAnswersThatAServerReplaysReachTheClientThatComesBack(t *testing.T) {
	const answer = `{"jsonrpc":"2.0","id":7,"result":{"missed":true}}`
	server := newFakeServer(t).withTools("A", "echo")
	var own string
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		own = string(m.ID)
		_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":{"tools":[]}}`, own)
	}
	var replays atomic.Int32
	server.get = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-Id") == "" {
			speaking("id: e1\ndata: "+notification)(w, r)
			return
		}
		write := events(w)
		write("id: e2\ndata: {}\n\n")
		write("id: e3\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"tools\":[]}}\n\n", own)
		write("id: e4\ndata: %s\n\n", answer)
		write("id: e5\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"after/%s\"}\n\n", r.Header.Get("Last-Event-Id"))
		if replays.Add(1) > 1 {
			<-r.Context().Done()
		}
	}
	other := newFakeServer(t)
	g := newGateway(t, []config.Target{server.named("a"), other.named("b")})
	id := g.open()
	g.do(call{body: listBody, session: id}) // By requests of the gateway's own.
	s := g.listen(id, nil)
	s.next()
	event := <-s.ids
	s.close()
	resumed := g.listen(id, map[string]string{"Last-Event-Id": event})
	for _, want := range []string{answer, `{"jsonrpc":"2.0","method":"after/e1"}`} {
		same(t, resumed.next(), want)
	}
	// When it is the server that broke off, answers have come, or failed, where they were waited for.
	same(t, resumed.next(), `{"jsonrpc":"2.0","method":"after/e5"}`)
	resumed.close()
}

func TestServerWithoutAStreamIsNotAskedAgain(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.KeepAlive = 10 * time.Millisecond }))
	s := g.listen(g.open(), nil)
	eventually(t, "the server is asked", func() bool { return len(server.requests(http.MethodGet)) == 1 })
	s.close()
}

func TestListenersAreToldOfTargetsThatComeAndGo(t *testing.T) {
	server, other := newFakeServer(t), newFakeServer(t)
	server.get = speaking("data: one")
	other.get = speaking("data: two")
	g := newGateway(t, server.targets())
	s := g.listen(g.open(), nil)
	if got := s.next(); got != "one" {
		t.Fatalf("got %s", got)
	}
	changed := func(want ...string) {
		t.Helper()
		want = append(want, `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`) // All that the servers have.
		var got []string
		for range want {
			got = append(got, s.next())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	g.update(testBackend(nil))
	changed()
	replaced := other.target()
	replaced.Service = "svc-2:80"
	g.update(testBackend([]config.Target{replaced}))
	changed("two")
	g.update(testBackend([]config.Target{replaced})) // Nothing changes.
	replaced.Unready = "down"
	g.update(testBackend([]config.Target{replaced}))
	changed()
	s.close()
}

func TestStreamGoesOnWhenTheTargetScales(t *testing.T) {
	server := newFakeServer(t)
	server.get = speaking("data: one")
	g := newGateway(t, server.targets())
	s := g.listen(g.open(), nil)
	s.next()
	scaled := server.target()
	scaled.Endpoints = append(scaled.Endpoints, "192.0.2.1:80")
	g.update(testBackend([]config.Target{scaled}))
	g.update(testBackend(server.targets()))
	g.update(testBackend(nil))
	s.next() // list_changed of the last one: had a stream been opened anew, "one" would have come again.
	if n := len(server.requests(http.MethodGet)); n != 1 {
		t.Errorf("%d streams were opened", n)
	}
	s.close()
}

func TestDrainEndsStreams(t *testing.T) {
	g := newGateway(t, newFakeServer(t).targets())
	s := g.listen(g.open(), nil)
	g.mcp.Drain()
	s.ended()
}

func TestStreamEndsWithItsBackend(t *testing.T) {
	g := newGateway(t, newFakeServer(t).targets())
	s := g.listen(g.open(), nil)
	b := testBackend(nil)
	b.ID = "uid-9" // Deleted, and created again.
	g.update(b)
	s.ended()
}

func TestResumedStreamHearsAllThatAnyStreamHears(t *testing.T) {
	server, other := newFakeServer(t), newFakeServer(t)
	server.get = speaking("id: e1\ndata: " + notification)
	g := newGateway(t, server.targets())
	id := g.open()
	s := g.listen(id, nil)
	s.next()
	event := <-s.ids
	s.close()
	resumed := g.listen(id, map[string]string{"Last-Event-Id": event})
	resumed.next()
	asked := server.requests(http.MethodGet)
	if got := asked[len(asked)-1].header.Get("Last-Event-Id"); got != "e1" {
		t.Errorf("the server was asked to continue after %q", got)
	}
	added := other.target()
	added.Name, added.Service = "other", "svc-2:80"
	g.update(testBackend(append(server.targets(), added)))
	if got := resumed.next(); !strings.Contains(got, "tools/list_changed") {
		t.Errorf("got %s", got)
	}
	resumed.close()
}

func TestServerThatHasNoStreamKeepsItsSession(t *testing.T) {
	for name, body := range map[string]string{
		"no word": "", "the word that there is no such method": `{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			server.get = func(w http.ResponseWriter, _ *http.Request) {
				contentJSON(w).WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(body))
			}
			g := newGateway(t, server.targets())
			id := g.open()
			s := g.listen(id, nil)
			eventually(t, "the server is asked whether it lives", func() bool { return len(server.requests("ping")) == 1 })
			g.do(call{body: listBody, session: id})
			if n := len(server.requests("initialize")); n != 1 {
				t.Errorf("%d times initialized", n)
			}
			s.close()
		})
	}
}

func TestServerThatBreaksOffItsRefusalIsAskedAgain(t *testing.T) {
	server := newFakeServer(t)
	var asked atomic.Int32
	server.get = func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusBadRequest)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.ListTimeout = 50 * time.Millisecond }))
	s := g.listen(g.open(), nil)
	eventually(t, "the server is asked again", func() bool { return asked.Load() > 1 })
	s.close()
}
