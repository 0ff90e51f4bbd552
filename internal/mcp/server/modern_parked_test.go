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
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

func TestStateThatIsNotOfTheRequestIsRefused(t *testing.T) {
	server := newFakeServer(t).asking(askRoots)
	g := newGateway(t, server.targets())
	a := g.asks(callAsked)
	flipped := []byte(a.RequestState)
	flipped[len(flipped)/2] ^= 1
	other := callAsked
	other.params = `"name":"other"`
	read := modernPost{method: "resources/read", params: `"uri":"echo"`}
	prompt := modernPost{method: "prompts/get", params: `"name":"echo"`}
	raw := callAsked
	raw.params += `,"requestState":7`
	twice := callAsked.retry(a.RequestState, `"input-1":{}`)
	twice.params += `,"requestState":"x"`
	sealed := func(change func(*session.RequestState)) modernPost {
		opened, err := g.mcp.keys.Load().OpenRequestState(a.RequestState, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		change(&opened)
		token, err := g.mcp.keys.Load().SealRequestState(opened)
		if err != nil {
			t.Fatal(err)
		}
		return callAsked.retry(token, `"input-1":{}`)
	}
	for name, test := range map[string]struct {
		post modernPost
		code int
	}{
		"forged":            {callAsked.retry(string(flipped), `"input-1":{}`), -32602},
		"nonsense":          {callAsked.retry("x", `"input-1":{}`), -32602},
		"empty":             {callAsked.retry("", `"input-1":{}`), -32602},
		"no string":         {raw, -32602},
		"two":               {twice, -32600},
		"another tool's":    {other.retry(a.RequestState, `"input-1":{}`), -32602},
		"another kind's":    {read.retry(a.RequestState, `"input-1":{}`), -32602},
		"another method's":  {prompt.retry(a.RequestState, `"input-1":{}`), -32602},
		"expired":           {sealed(func(s *session.RequestState) { s.Expires = time.Now().Add(-time.Second) }), -32602},
		"another server's":  {sealed(func(s *session.RequestState) { s.Service++ }), -32602},
		"another client's":  {sealed(func(s *session.RequestState) { s.Principal = "somebody" }), -32602},
		"another replica's": {sealed(func(s *session.RequestState) { s.Home = "10.0.0.1:1" }), -32602},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			refused(t, g.modern(test.post), 400, test.code, "requestState")
		})
	}
	g.t = t
	got(t, g.result(callAsked.retry(a.RequestState, `"input-1":{"roots":[]}`)), `0 {"roots":[]}`) // It waits still.
	if n := len(server.requests(toolCall)); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestCallThatNobodyComesBackForIsCancelled(t *testing.T) {
	server := newFakeServer(t).asking(askRoots)
	g := newGateway(t, server.targets())
	g.mcp.inputTimeout = time.Millisecond
	a := g.asks(callAsked)
	eventually(t, "the session is ended", server.ended)
	var m message
	called := server.requests(toolCall)[0]
	decode(t, called.body, &m)
	cancelled := server.requests("notifications/cancelled")
	if len(cancelled) != 1 || !strings.Contains(cancelled[0].body, `{"requestId":`+string(m.ID)+`}`) {
		t.Errorf("got %v", cancelled)
	}
	same(t, server.requests(http.MethodDelete)[0].header.Get("Mcp-Session-Id"), called.header.Get("Mcp-Session-Id"))
	refused(t, g.modern(callAsked.retry(a.RequestState, `"input-1":{}`)), 400, -32602, "requestState")
}

func TestOnlySoManyCallsWait(t *testing.T) {
	server := newFakeServer(t).asking(askRoots)
	g := newGateway(t, server.targets())
	g.mcp.parked.mu.Lock()
	g.mcp.parked.calls = map[string]*parkedCall{}
	for i := range maxParked {
		g.mcp.parked.calls[strconv.Itoa(i)] = nil
	}
	g.mcp.parked.mu.Unlock()
	refused(t, g.modern(callAsked), 200, -32603, "too many requests wait")
	eventually(t, "the session is ended", server.ended)
}

func TestServerThatGoesWhileItsQuestionWaits(t *testing.T) {
	server := newFakeServer(t).asking()
	server.ask = func(w http.ResponseWriter, _ *http.Request, _ *message, _ *asker) {
		events(w)("data: %s\n\n", askRoots)
	}
	g := newGateway(t, server.targets())
	// Its stream may end before the client has been asked, which is as good as never.
	answer := g.modern(callAsked)
	if !strings.Contains(answer.body, "input_required") {
		refused(t, answer, 200, -32603, "broke off")
		return
	}
	var o outcome
	var a askedFor
	decode(t, answer.body, &o)
	decode(t, string(o.Result), &a)
	refused(t, g.modern(callAsked.retry(a.RequestState, `"input-1":{}`)), 200, -32603, "broke off")
}

func TestAnswerThatCannotBeDeliveredEndsTheCall(t *testing.T) {
	server := newFakeServer(t).asking(askRoots)
	g := newGateway(t, server.targets())
	a := g.asks(callAsked)
	server.set(func() {
		server.taken = func(m *message) {
			if m.Method == "" {
				panic(http.ErrAbortHandler)
			}
		}
	})
	refused(t, g.modern(callAsked.retry(a.RequestState, `"input-1":{}`)), 200, -32603, "closed the connection")
	eventually(t, "the session is ended", server.ended)
}

func TestClientThatGoesDuringItsRetryCancelsTheCall(t *testing.T) {
	server := newFakeServer(t).asking()
	server.ask = func(w http.ResponseWriter, r *http.Request, _ *message, _ *asker) {
		events(w)("data: %s\n\n", askRoots)
		<-r.Context().Done()
	}
	g := newGateway(t, server.targets())
	a := g.asks(callAsked)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		r := g.request(callAsked.retry(a.RequestState, `"input-1":{}`).call()).WithContext(ctx)
		g.mcp.Serve(httptest.NewRecorder(), r, g.snapshot, testKey, Site{})
	}()
	same(t, <-server.answers, `0 {}`)
	cancel()
	<-served
	eventually(t, "the session is ended", server.ended)
	if n := len(server.requests("notifications/cancelled")); n != 1 {
		t.Errorf("%d times cancelled", n)
	}
}

func TestRetryComesBackToTheReplicaThatHoldsTheCall(t *testing.T) {
	server := newFakeServer(t).asking(askRoots)
	one, two := replicated(t, server.targets())
	a := one.asks(callAsked)
	opened, err := two.mcp.keys.Load().OpenRequestState(a.RequestState, time.Now())
	if err != nil || opened.Home != one.mcp.self() {
		t.Fatalf("got %+v, %v", opened, err)
	}
	retry := callAsked.retry(a.RequestState, `"input-1":{"roots":[]}`)
	got(t, two.result(retry), `0 {"roots":[]}`)
	refused(t, two.modern(retry), 400, -32602, "requestState")
	if n := len(server.requests(toolCall)); n != 1 {
		t.Errorf("%d calls", n)
	}
	t.Run("which may be gone", func(t *testing.T) {
		a := one.asks(callAsked)
		opened, _ := two.mcp.keys.Load().OpenRequestState(a.RequestState, time.Now())
		opened.Home = "127.0.0.1:1"
		gone, _ := two.mcp.keys.Load().SealRequestState(opened)
		refused(t, two.modern(callAsked.retry(gone, `"input-1":{}`)), 400, -32602, "requestState")
	})
}

// Whoever tests with -race sees what goes on while the server is closed.
func TestClosingEndsCallsThatWait(t *testing.T) {
	server := newFakeServer(t).asking(askRoots)
	g := newGateway(t, server.targets())
	for range 10 {
		g.asks(callAsked)
	}
}
