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
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// lostAsTypeScript is how servers on the TypeScript SDK answer an unknown session.
func lostAsTypeScript(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte(`{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}`))
}

func TestServerThatLostItsSessionsIsInitializedAnew(t *testing.T) {
	for name, lost := range map[string]func(http.ResponseWriter){"404": nil, "400 and -32000": lostAsTypeScript} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			server.lost = lost
			g := newGateway(t, server.targets())
			id := g.open()
			server.forget()
			for range 2 {
				if got := g.do(call{body: listBody, session: id}); got.body != `{"result":{},"jsonrpc":"2.0","id":1}` {
					t.Fatalf("got %d %s", got.status, got.body)
				}
			}
			initialized := server.requests("initialize")
			if len(initialized) != 2 {
				t.Fatalf("%d times initialized", len(initialized))
			}
			if want := `{"jsonrpc":"2.0","id":"initialize","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"test","version":"1"}}}`; initialized[1].body != want {
				t.Errorf("got  %s\nwant %s", initialized[1].body, want)
			}
			var order []string
			for _, s := range server.requests(http.MethodPost) {
				var m message
				_ = json.Unmarshal([]byte(s.body), &m)
				order = append(order, m.Method+" "+s.header.Get("Mcp-Session-Id"))
			}
			want := "initialize ,tools/list upstream-session-1,initialize ,notifications/initialized upstream-session-2," +
				"tools/list upstream-session-2,tools/list upstream-session-2"
			if got := strings.Join(order, ","); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestServerThatForgetsEverySessionIsNotAskedForEver(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) { w.WriteHeader(http.StatusNotFound) }
	})
	got := g.do(call{body: listBody, session: id})
	if got.status != http.StatusOK || !strings.Contains(got.body, `target \"everything\" is unavailable: it answered HTTP status 404`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if n := len(server.requests("initialize")); n != maxRoundTrips {
		t.Errorf("%d times initialized", n)
	}
}

func TestManyRequestsThatFindTheSessionLostInitializeOnce(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	server.forget()
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/list","params":{}}`, i)
			if got := g.do(call{body: body, session: id}); got.body != fmt.Sprintf(`{"result":{},"jsonrpc":"2.0","id":%d}`, i) {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	clients.Wait()
	if n := len(server.requests("initialize")); n != 2 {
		t.Errorf("%d times initialized", n)
	}
}

func TestServerThatComesLaterIsInitializedOnFirstUse(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, nil)
	id := g.open()
	g.update(testBackend(server.targets()))
	if got := g.do(call{body: listBody, session: id}); got.body != `{"result":{},"jsonrpc":"2.0","id":1}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestServerThatIsReplacedNeverSeesTheOthersSession(t *testing.T) {
	old, fresh := newFakeServer(t), newFakeServer(t)
	g := newGateway(t, old.targets())
	id := g.open()
	target := fresh.target()
	target.Service = "svc-2:80" // Another Service of the same name.
	g.update(testBackend([]config.Target{target}))
	g.do(call{body: listBody, session: id})
	first := fresh.requests(http.MethodPost)[0]
	if !strings.Contains(first.body, `"method":"initialize"`) || first.header.Get("Mcp-Session-Id") != "" {
		t.Errorf("the new server first got %s with %v", first.body, first.header)
	}
}

func TestPinnedEndpointThatIsGoneIsReplaced(t *testing.T) {
	first, second := newFakeServer(t), newFakeServer(t)
	g := newGateway(t, first.targets())
	id := g.open()
	target := first.target()
	target.Endpoints = second.target().Endpoints
	g.update(testBackend([]config.Target{target}))
	if got := g.do(call{body: listBody, session: id}); got.body != `{"result":{},"jsonrpc":"2.0","id":1}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if len(first.requests("tools/list")) != 0 || len(second.requests("tools/list")) != 1 {
		t.Error("an endpoint was used that the snapshot does not list")
	}
}

func TestSessionStaysWithTheEndpointThatHoldsIt(t *testing.T) {
	first, second := newFakeServer(t), newFakeServer(t)
	target := first.target()
	g := newGateway(t, []config.Target{target})
	id := g.open()
	target.Endpoints = append(second.target().Endpoints, target.Endpoints...)
	g.update(testBackend([]config.Target{target}))
	for range 10 {
		g.do(call{body: listBody, session: id})
	}
	if len(second.requests("tools/list")) != 0 {
		t.Error("another endpoint got requests of the session")
	}
}

func TestAnyReplicaServesASession(t *testing.T) {
	server := newFakeServer(t)
	one := newGateway(t, server.targets())
	two := newGateway(t, server.targets(), withKeys(one.mcp.keys.Load()))
	id := one.open()
	if got := two.do(call{body: listBody, session: id}); got.body != `{"result":{},"jsonrpc":"2.0","id":1}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if n := len(server.requests("initialize")); n != 1 {
		t.Errorf("%d times initialized", n)
	}

	asked := make(chan struct{})
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
			write := events(w)
			write("data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"roots/list\"}\n\n")
			<-asked
			write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
		}
	})
	s := one.stream(call{body: listBody, session: id})
	var question message
	if err := json.Unmarshal([]byte(s.next()), &question); err != nil {
		t.Fatal(err)
	}
	answer := fmt.Sprintf(`{"result":{"roots":[]},"id":%s,"jsonrpc":"2.0"}`, question.ID)
	if got := two.do(call{body: answer, session: id}); got.status != http.StatusAccepted {
		t.Errorf("got %d %s", got.status, got.body)
	}
	close(asked)
	s.next()
	sent := server.requests(http.MethodPost)
	if got := sent[len(sent)-1].body; got != `{"result":{"roots":[]},"id":0,"jsonrpc":"2.0"}` {
		t.Errorf("the server got %s", got)
	}
}

func TestServersQuestions(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	release := make(chan struct{})
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
			write := events(w)
			write("data: {\"params\":{\"z\":9007199254740993},\"jsonrpc\":\"2.0\",\"id\":\"q/1\",\"method\":\"sampling/createMessage\"}\n\n")
			write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"reason\":\"r\",\"requestId\":\"q/1\"}}\n\n")
			<-release
			write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
		}
	})
	s := g.stream(call{body: listBody, session: id})
	var question, cancellation message
	if err := json.Unmarshal([]byte(s.next()), &question); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(s.next()), &cancellation); err != nil {
		t.Fatal(err)
	}
	if string(question.Params) != `{"z":9007199254740993}` || !strings.HasPrefix(string(question.ID), `"`) || string(question.ID) == `"q/1"` {
		t.Errorf("got %s %s", question.ID, question.Params)
	}
	if want := `{"reason":"r","requestId":` + string(question.ID) + `}`; string(cancellation.Params) != want {
		t.Errorf("the cancellation names another request: %s, want %s", cancellation.Params, want)
	}
	answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, question.ID)
	t.Run("another session can't answer", func(t *testing.T) {
		if got := g.do(call{body: answer, session: g.open()}); got.status != http.StatusBadRequest {
			t.Errorf("got %d", got.status)
		}
	})
	t.Run("an answer never reaches a later session of the server", func(t *testing.T) {
		close(release)
		s.ended()
		server.set(func() { server.answer = nil })
		server.forget()
		g.do(call{body: listBody, session: id})
		if got := g.do(call{body: answer, session: id}); got.status != http.StatusBadRequest {
			t.Errorf("got %d", got.status)
		}
	})
}

func TestDeleteEndsTheSessionEverywhere(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	s := g.listen(id, nil)
	if got := g.do(call{method: http.MethodDelete, session: id}); got.status != http.StatusNoContent {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	s.ended()
	if ended := server.requests(http.MethodDelete); len(ended) != 1 || ended[0].header.Get("Mcp-Session-Id") != "upstream-session-1" {
		t.Errorf("the server got %v", ended)
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		if got := g.do(call{method: method, body: listBody, session: id}); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d", method, got.status)
		}
	}
}

func TestStatelessServerNeedsNoInitializeAgain(t *testing.T) {
	server := newFakeServer(t)
	server.stateless = true
	g := newGateway(t, server.targets())
	id := g.open()
	g.do(call{body: listBody, session: id})
	if got := server.requests("tools/list")[0].header; got.Get("Mcp-Session-Id") != "" || got.Get("Mcp-Protocol-Version") != "2025-11-25" {
		t.Errorf("got %v", got)
	}
	g.do(call{method: http.MethodDelete, session: id})
	if len(server.requests("initialize")) != 1 || len(server.requests(http.MethodDelete)) != 0 {
		t.Error("a server without sessions was asked for one")
	}
}

func TestCancellationEndsTheCallsStream(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	server.set(func() {
		server.answer = func(w http.ResponseWriter, r *http.Request, _ *message) {
			events(w)("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n")
			<-r.Context().Done() // As server-everything: no answer, and no end.
		}
	})
	s := g.stream(call{body: `{"jsonrpc":"2.0","id":"c1","method":"tools/call","params":{"name":"slow"}}`, session: id})
	s.next()
	cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c1"}}`
	if got := g.do(call{body: cancel, session: id}); got.status != http.StatusAccepted {
		t.Errorf("got %d", got.status)
	}
	s.ended()
	if got := server.requests("notifications/cancelled"); len(got) != 1 || got[0].body != cancel {
		t.Errorf("the server got %v", got)
	}
}

// A request that is cancelled is not to be answered; nor is it the target's failure, or clients could have a healthy server passed
// over.
func TestCancelledCallIsNotAnswered(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	begins := func(w http.ResponseWriter, r *http.Request, status int, length string) {
		w.Header().Set("Content-Length", length)
		contentJSON(w).WriteHeader(status)
		_, _ = w.Write([]byte(`{"jsonrpc":`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	legacy := func(answer func(http.ResponseWriter, *http.Request)) func(*testing.T) ([]config.Target, func() int) {
		return func(t *testing.T) ([]config.Target, func() int) {
			server := newFakeServer(t)
			server.answer = func(w http.ResponseWriter, r *http.Request, _ *message) { answer(w, r) }
			return server.targets(), func() int { return len(server.requests("tools/call")) }
		}
	}
	modern := func(answer func(http.ResponseWriter, *http.Request)) func(*testing.T) ([]config.Target, func() int) {
		return func(t *testing.T) ([]config.Target, func() int) {
			server := newModernServer(t)
			server.tools = []string{`{"name":"slow","inputSchema":{"type":"object"}}`}
			server.answer = func(w http.ResponseWriter, r *http.Request, _ *modernMessage) { answer(w, r) }
			return server.targets(), func() int { return len(server.requests("tools/call")) }
		}
	}
	for name, test := range map[string]func(*testing.T) ([]config.Target, func() int){
		"legacy server, silent":                  legacy(silent),
		"legacy server, in the middle of JSON":   legacy(func(w http.ResponseWriter, r *http.Request) { begins(w, r, http.StatusOK, "100") }),
		"legacy server, in the middle of a 400":  legacy(func(w http.ResponseWriter, r *http.Request) { begins(w, r, http.StatusBadRequest, "100") }),
		"legacy server, stream without an event": legacy(func(w http.ResponseWriter, r *http.Request) { events(w)(":\n\n"); <-r.Context().Done() }),
		"modern server, silent":                  modern(silent),
		"modern server, in the middle of JSON":   modern(func(w http.ResponseWriter, r *http.Request) { begins(w, r, http.StatusOK, "100") }),
		"modern server, stream without an event": modern(func(w http.ResponseWriter, r *http.Request) { events(w)(":\n\n"); <-r.Context().Done() }),
	} {
		t.Run(name, func(t *testing.T) {
			targets, calls := test(t)
			g := newGateway(t, targets)
			id := g.open()
			answered := make(chan reply, 1)
			go func() {
				answered <- g.do(call{body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"slow"}}`, session: id})
			}()
			eventually(t, "the server has the call", func() bool { return calls() == 1 })
			g.do(call{body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, session: id})
			got := <-answered
			if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/event-stream" || strings.Contains(got.body, "data:") {
				t.Errorf("got %d %s %q", got.status, got.header.Get("Content-Type"), got.body)
			}
			if log := g.log.String(); strings.Contains(log, "WARN") {
				t.Errorf("the target is blamed: %s", log)
			}
		})
	}
	for _, err := range []error{errCancelledByClient, errClientGone} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("mcp/upstream takes %q for a failure", err)
		}
	}
}

func TestSessionEndsWithItsLifetime(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.SessionLifetime = 2 * time.Second }))
	id := g.open()
	g.listen(id, nil).ended()
	eventually(t, "the session expires", func() bool {
		return g.do(call{body: listBody, session: id}).status == http.StatusNotFound
	})
}

// Servers of both eras may have one status for methods that they don't know.
func TestMethodThatIsNotFoundIsNoSessionThatIsLost(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	const refusal = `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}`
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
			contentJSON(w).WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(refusal))
		}
	})
	got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"vendor/unknown"}`})
	if got.status != http.StatusOK || got.body != refusal {
		t.Errorf("got %d %s", got.status, got.body)
	}
	same(t, len(server.requests("initialize")), 1)
	same(t, len(server.requests("vendor/unknown")), 1)
}

func TestCallThatAServerHasTakenIsNotSentTwice(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	const refusal = `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"done that"}}`
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(refusal))
		}
	})
	if got := g.do(call{body: listBody, session: id}); got.body != refusal {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if n := len(server.requests("tools/list")); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

func TestSessionsForgetTheOldestWhenTheyWeighTooMuch(t *testing.T) {
	s := newSessions()
	first := s.find(&session.Session{SID: session.NewSID()})
	second := s.find(&session.Session{SID: session.NewSID()})
	s.weigh(first, maxWeight)
	same(t, s.known.Len(), 2)
	s.weigh(second, 1)
	same(t, s.known.Len(), 1)
	same(t, s.weight, 1)
	s.weigh(first, 5) // Of a request that is still going on.
	s.end(second.SID)
	same(t, s.weight, 0)
}

func TestCallThatIsCancelledWhileItsServerIsLookedForReachesNone(t *testing.T) {
	server, slow := newFakeServer(t).withTools("A", "delete"), newFakeServer(t).withTools("B", "echo")
	asked, listed := make(chan struct{}, 1), make(chan struct{})
	slow.set(func() {
		slow.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
			asked <- struct{}{}
			<-listed
			slow.answerLists(w, r, m)
		}
	})
	g := newGateway(t, []config.Target{server.named("a"), slow.named("b")}, withLimits(func(l *config.Limits) { l.StragglerTimeout = patience }))
	id := g.open()
	answered := make(chan reply, 1)
	go func() {
		answered <- g.do(call{body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"delete"}}`, session: id})
	}()
	<-asked
	if got := g.do(call{body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, session: id}); got.status != http.StatusAccepted {
		t.Errorf("got %d", got.status)
	}
	close(listed)
	if got := <-answered; got.header.Get("Content-Type") != "text/event-stream" || strings.Contains(got.body, "data:") {
		t.Errorf("got %v %s", got.header, got.body)
	}
	same(t, len(server.requests(toolCall)), 0)
	same(t, g.callTool(id, "delete"), "A "+params("delete"))
}

func TestCancelledCallsOfAConnectionAndOfABatchAreNotAnswered(t *testing.T) {
	const slow = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"slow"}}`
	const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
	server := newFakeServer(t)
	server.initializeResult = `{"protocolVersion":"2025-03-26","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}`
	server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
		if string(m.ID) == "7" {
			<-r.Context().Done()
			return
		}
		_, _ = fmt.Fprintf(contentJSON(w), `{"result":{},"jsonrpc":"2.0","id":%s}`, m.ID)
	}
	g := newGateway(t, server.targets())
	t.Run("HTTP+SSE", func(t *testing.T) {
		c := g.connect()
		c.send(strings.Replace(initializeBody, "2025-11-25", oldestVersion, 1))
		c.next()
		c.send(slow)
		eventually(t, "the server has the call", func() bool { return len(server.requests(toolCall)) == 1 })
		c.send(cancel)
		c.send(strings.Replace(slow, "7", "8", 1))
		same(t, c.next(), `{"result":{},"jsonrpc":"2.0","id":8}`)
		c.close()
	})
	t.Run("batch", func(t *testing.T) {
		id := g.open()
		s := g.stream(call{session: id, body: "[" + slow + "," + strings.Replace(slow, "7", "8", 1) + "]"})
		same(t, s.next(), `{"result":{},"jsonrpc":"2.0","id":8}`)
		eventually(t, "the server has the call", func() bool { return len(server.requests(toolCall)) == 4 })
		g.do(call{session: id, body: cancel})
		if left := s.all(); len(left) != 0 {
			t.Errorf("got %q", left)
		}
	})
}

func TestCallIsCancelledWhileTheClientIsAsked(t *testing.T) {
	server := newModernServer(t)
	server.asking(ask(`"s"`, `"a":{"method":"roots/list"}`))
	g := newGateway(t, server.targets())
	id := g.openWith(everyCapability)
	s := g.stream(call{body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}`, session: id})
	question := s.nextRequest()
	g.do(call{body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, session: id})
	if left := s.all(); len(left) != 0 {
		t.Errorf("got %q", left)
	}
	// Its answer comes too late.
	g.do(call{session: id, body: `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"roots":[]}}`})
	same(t, len(server.requests(toolCall)), 1)
}
