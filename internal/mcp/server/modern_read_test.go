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
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// answering makes a server answer tools/call so.
func (f *fakeServer) answering(answer func(w http.ResponseWriter, r *http.Request, m *message)) *fakeServer {
	f.withTools("A", "echo")
	usual := f.answer
	f.set(func() {
		f.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
			if m.Method == toolCall {
				answer(w, r, m)
				return
			}
			usual(w, r, m)
		}
	})
	return f
}

func TestStreamThatAServerClosesForItsClientToComeBackIsResumed(t *testing.T) {
	var id atomic.Value
	server := newFakeServer(t).answering(func(w http.ResponseWriter, _ *http.Request, m *message) {
		id.Store(string(m.ID))
		events(w)("id: e1\nretry: 1\ndata: \n\n")
	})
	var asked atomic.Int32
	server.get = func(w http.ResponseWriter, r *http.Request) {
		last := r.Header.Get("Last-Event-Id")
		switch asked.Add(1) {
		case 1:
			same(t, last, "e1")
			events(w)("id: e2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/vendor\"}\n\n")
		case 2:
			same(t, last, "e2")
			events(w)("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"resumed\":true}}\n\n", id.Load())
		}
	}
	g := newGateway(t, server.targets())
	s := g.stream(callEcho.call())
	same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/vendor"}`)
	if got := s.next(); !strings.Contains(got, `"resumed":true`) || !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":1,`) {
		t.Errorf("got %s", got)
	}
	s.ended()
	for _, seen := range server.requests(http.MethodGet) {
		same(t, seen.header.Get("Mcp-Session-Id"), server.calledIn(toolCall)[0])
	}
	t.Run("by a server that does not know how", func(t *testing.T) {
		server.set(func() { server.get = nil })
		refused(t, g.modern(callEcho), 200, -32603, "it closed its stream, and does not resume it")
	})
	t.Run("not for a client that is gone", func(t *testing.T) {
		closed := make(chan struct{})
		server.answering(func(w http.ResponseWriter, _ *http.Request, _ *message) {
			events(w)("id: e1\nretry: 3600000\ndata: \n\n")
			close(closed)
		})
		ended := len(server.requests(http.MethodDelete))
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() {
			defer close(served)
			g.mcp.Serve(httptest.NewRecorder(), g.request(callEcho.call()).WithContext(ctx), g.snapshot, testKey, Site{})
		}()
		<-closed
		cancel()
		<-served
		eventually(t, "the session is ended", func() bool { return len(server.requests(http.MethodDelete)) > ended })
	})
}

func TestNotificationsOfALegacyCall(t *testing.T) {
	server := newFakeServer(t).answering(func(w http.ResponseWriter, _ *http.Request, m *message) {
		write := events(w)
		for _, method := range []string{"tools/list_changed", "resources/updated", "elicitation/complete", "vendor"} {
			write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/%s\"}\n\n", method)
		}
		write("event: other\ndata: {}\n\ndata: nonsense\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"other\",\"result\":{}}\n\n")
		write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
	})
	g := newGateway(t, server.targets())
	s := g.stream(callEcho.call())
	same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/vendor"}`) // The others are for listeners.
	if got := s.next(); !strings.Contains(got, `"result":`) {
		t.Errorf("got %s", got)
	}
	s.ended()
	lists := len(server.requests("tools/list"))
	g.stream(callEcho.call()).ended()
	if n := len(server.requests("tools/list")); n != lists+1 {
		t.Error("the list that has changed was not asked for again")
	}
}

func TestLongSilenceOfALegacyServerKeepsTheConnectionInUse(t *testing.T) {
	proceed := make(chan struct{})
	server := newFakeServer(t).answering(func(w http.ResponseWriter, _ *http.Request, m *message) {
		<-proceed
		_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"error":{"code":-32002,"message":"m"}}`, m.ID)
	})
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.KeepAlive = 10 * time.Millisecond }))
	s := g.stream(callEcho.call()) // The header comes before the answer.
	close(proceed)
	same(t, s.next(), `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m"}}`)
	s.ended()
}

func TestAnswersOfALegacyServerAreBounded(t *testing.T) {
	var stream atomic.Bool
	server := newFakeServer(t).answering(func(w http.ResponseWriter, _ *http.Request, m *message) {
		answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"x":"%s"}}`, m.ID, strings.Repeat("x", 100_000))
		if stream.Load() {
			events(w)("data: %s\n\n", answer)
			return
		}
		_, _ = contentJSON(w).Write([]byte(answer))
	})
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.MaxMessage = 100_000 }))
	refused(t, g.modern(callEcho), 200, -32603, "its answer is larger than 100000 bytes")
	stream.Store(true)
	refused(t, g.modern(callEcho), 200, -32603, "its answer broke off")
}

func TestServerMayAskOnlySoMuchAtOnce(t *testing.T) {
	server := newFakeServer(t).asking()
	server.ask = func(w http.ResponseWriter, r *http.Request, m *message, a *asker) {
		write := events(w)
		var all strings.Builder
		for i := range maxAsked + 1 {
			_, _ = fmt.Fprintf(&all, "data: {\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"roots/list\"}\n\n", i)
		}
		write("%s", all.String())
		a.finish(write, r, m, maxAsked+1)
	}
	g := newGateway(t, server.targets())
	a := g.asks(callAsked)
	same(t, len(a.InputRequests), maxAsked)
	var responses []string
	for key := range a.InputRequests {
		responses = append(responses, `"`+key+`":{}`)
	}
	result := g.result(callAsked.retry(a.RequestState, strings.Join(responses, ",")))
	if !strings.Contains(result, fmt.Sprintf(`"%d {\"code\":-32603`, maxAsked)) {
		t.Errorf("got %s", result)
	}
}

func TestListsOfALegacyServerThatFail(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	g := newGateway(t, server.targets())
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) { fail(w, 200, m.ID, -32602, "") }
	})
	refused(t, g.modern(modernPost{method: "tools/list", params: `"cursor":"x"`}), 400, -32602, "as told")
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	if got := g.result(modernPost{method: "tools/list"}); !strings.Contains(got, `"tools":[]`) || !strings.Contains(got, `"ttlMs":0`) {
		t.Errorf("got %s", got)
	}
	closed := newGateway(t, server.targets(), withBackend(func(b *config.Backend) { b.FailureMode = config.FailClosed }))
	refused(t, closed.modern(modernPost{method: "tools/list"}), 200, -32603, "HTTP status 500")
}
