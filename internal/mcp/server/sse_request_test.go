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
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// held are requests that a fake server has not answered yet.
type held chan *message

// hold has the server answer requests only when it is told to.
func (f *fakeSSEServer) hold() held {
	h := make(held, 1000)
	f.set(func() { f.answer = func(_ *fakeSSEStream, m *message) { h <- m } })
	return h
}

// next waits for a request.
func (h held) next(t *testing.T) *message {
	t.Helper()
	select {
	case m := <-h:
		return m
	case <-time.After(patience):
		t.Fatal("no request")
		return nil
	}
}

// isEither returns whether one of the texts is in what happened. An answer is a stream if nothing comes at once.
func isEither(got string, texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(got, text) })
}

// toolCall is the body of a request of a client.
func sseToolCall(id, more string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"ask"` + more + `}}`
}

// answerOf waits for what a function returns.
func answerOf[T any](t *testing.T, f func() T) func() T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- f() }()
	return func() T {
		t.Helper()
		select {
		case got := <-done:
			return got
		case <-time.After(patience):
			t.Fatal("no answer")
			panic("unreachable")
		}
	}
}

// Clients may use any ids, and the gateway has requests of its own: to the server each is another one.
func TestAnswersFindTheirRequests(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	requests := server.hold()
	ids := []string{`1`, `"1"`, `2`, `9007199254740993`, `"a\u0062"`, `"ab"`, `-3`}
	var answers []func() reply
	var asked []*message
	for _, own := range ids {
		answers = append(answers, answerOf(t, func() reply { return g.do(call{session: id, body: sseToolCall(own, "")}) }))
		asked = append(asked, requests.next(t))
	}
	known := map[string]bool{}
	for _, m := range asked {
		known[string(m.ID)] = true
	}
	if len(known) != len(ids) {
		t.Fatalf("the server got the ids %v", known)
	}
	c := server.stream()
	c.write("event: message\ndata: {\n\nevent: message\ndata: [1]\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":12345,\"result\":{}}\n\n")
	c.write("event: other\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"no\":1}}\n\n: comment\n\nid: 7\nretry: 1\n\n")
	for i := len(asked) - 1; i >= 0; i-- {
		c.send(`{"jsonrpc":"2.0","result":{"n":%d, "big":1.0e+2},"id":%s,"x":1}`, i, asked[i].ID)
	}
	for i, own := range ids {
		want := fmt.Sprintf(`{"jsonrpc":"2.0","result":{"n":%d, "big":1.0e+2},"id":%s,"x":1}`, i, own)
		if got := answers[i](); got.message() != want {
			t.Errorf("got %s, want %s", got.body, want)
		}
	}
}

// Each request has its own progress, whatever tokens the client gave.
func TestProgressFindsItsRequest(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	requests := server.hold()
	var streams []*stream
	var asked []*message
	for i, token := range []string{`"same"`, `"same"`, `7`} {
		answer := answerOf(t, func() *stream {
			return g.stream(call{session: id, body: sseToolCall(fmt.Sprint(i), `,"_meta":{"x":1,"progressToken":`+token+`}`)})
		})
		m := requests.next(t)
		asked = append(asked, m)
		server.stream().send(`{"method":"notifications/progress","params":{"progressToken":%s,"progress":%d},"jsonrpc":"2.0"}`, tokenOf(t, m), i)
		streams = append(streams, answer())
	}
	if a, b := tokenOf(t, asked[0]), tokenOf(t, asked[1]); string(a) == string(b) {
		t.Errorf("two requests have the token %s", a)
	}
	for i, token := range []string{`"same"`, `"same"`, `7`} {
		want := fmt.Sprintf(`{"method":"notifications/progress","params":{"progressToken":%s,"progress":%d},"jsonrpc":"2.0"}`, token, i)
		if got := streams[i].next(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, asked[i].ID)
		if got := streams[i].next(); got != fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, i) {
			t.Errorf("got %s", got)
		}
		streams[i].ended()
	}
	// What comes late, or never belonged to anything, is nobody's.
	server.stream().send(`{"method":"notifications/progress","params":{"progressToken":%s,"progress":9},"jsonrpc":"2.0"}`, tokenOf(t, asked[0]))
	server.stream().send(`{"method":"notifications/progress","params":{},"jsonrpc":"2.0"}`)
	answer := answerOf(t, func() reply { return g.do(call{session: id, body: sseToolCall("4", "")}) })
	m := requests.next(t)
	server.stream().send(`{"method":"notifications/progress","params":{"progressToken":%s,"progress":1},"jsonrpc":"2.0"}`, m.ID)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	if got := answer().message(); got != `{"jsonrpc":"2.0","id":4,"result":{}}` {
		t.Errorf("a request that asked for no progress got %s", got)
	}
}

func tokenOf(t *testing.T, m *message) json.RawMessage {
	t.Helper()
	var params struct {
		Meta struct {
			X             int             `json:"x"`
			ProgressToken json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	}
	if err := json.Unmarshal(m.Params, &params); err != nil || params.Meta.X != 1 {
		t.Fatalf("got params %s", m.Params)
	}
	return params.Meta.ProgressToken
}

// The server knows the request by another id than the client.
func TestCancellationNamesTheServersRequest(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	requests := server.hold()
	for _, own := range []string{`"x"`, `1`, `5`} {
		answer := answerOf(t, func() reply { return g.do(call{session: id, body: sseToolCall(own, "")}) })
		m := requests.next(t)
		if string(m.ID) == own {
			t.Errorf("the server got the client's id")
		}
		before := len(server.requests("notifications/cancelled"))
		g.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"r","requestId":` + own + `}}`})
		answer()
		got := server.requests("notifications/cancelled")[before:]
		want := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"r","requestId":` + string(m.ID) + `}}`
		if len(got) != 1 || got[0].body != want {
			t.Errorf("the server got %v, want %s", got, want)
		}
		server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{"late":1}}`, m.ID)
	}
	// What is not known is not told: to the server the id is that of another request.
	for _, body := range []string{
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}`,
	} {
		if got := g.do(call{session: id, body: body}); got.status != http.StatusAccepted {
			t.Errorf("got %d", got.status)
		}
	}
	if got := len(server.requests("notifications/cancelled")); got != 3 {
		t.Errorf("the server got %d cancellations", got)
	}
}

// Without a stream of its own the client is asked by the answer to the oldest of its requests.
func TestServerAsksByTheAnswerToARequest(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	requests := server.hold()
	list := answerOf(t, func() reply { return g.do(call{session: id, body: listBody}) })
	listed := requests.next(t)
	first := answerOf(t, func() *stream { return g.stream(call{session: id, body: sseToolCall("1", "")}) })
	asked := requests.next(t)
	second := answerOf(t, func() reply { return g.do(call{session: id, body: sseToolCall("2", "")}) })
	other := requests.next(t)
	server.stream().send(`{"method":"elicitation/create","id":"%s","params":{"message":"who?"},"jsonrpc":"2.0"}`, `q\u0001`)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{"n":2}}`, other.ID)
	answers := first()
	var question message
	if err := json.Unmarshal([]byte(answers.next()), &question); err != nil || question.Method != "elicitation/create" {
		t.Fatalf("got %+v", question)
	}
	if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","result":{"action":"accept"},"id":` + string(question.ID) + `}`}); got.status != http.StatusAccepted {
		t.Errorf("answer: got %d %s", got.status, got.body)
	}
	answered := server.requests(http.MethodPost)
	if got := answered[len(answered)-1].body; got != `{"jsonrpc":"2.0","result":{"action":"accept"},"id":"q\u0001"}` {
		t.Errorf("the server got %s", got)
	}
	server.stream().send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{"n":1}}`, asked.ID)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[]}}`, listed.ID)
	for _, want := range []string{
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`, `{"jsonrpc":"2.0","id":1,"result":{"n":1}}`,
	} {
		if got := answers.next(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	answers.ended()
	if got := second().message(); got != `{"jsonrpc":"2.0","id":2,"result":{"n":2}}` {
		t.Errorf("got %s", got)
	}
	if got := list().message(); got != `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}` {
		t.Errorf("got %s", got)
	}
}

// Some servers work on a message before they answer the POST.
func TestServerThatAnswersThePOSTLast(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	answered := make(chan struct{})
	server.set(func() {
		server.post = func(w http.ResponseWriter, c *fakeSSEStream, m *message) bool {
			switch m.Method {
			case "":
				close(answered)
				w.WriteHeader(http.StatusOK)
			case "tools/call":
				c.send(`{"jsonrpc":"2.0","id":"q","method":"roots/list"}`)
				<-answered
				c.send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
				w.WriteHeader(http.StatusNoContent)
			default:
				return false
			}
			return true
		}
	})
	answers := g.stream(call{session: id, body: sseToolCall("1", "")})
	var question message
	_ = json.Unmarshal([]byte(answers.next()), &question)
	if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"roots":[]}}`}); got.status != http.StatusAccepted {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if got := answers.next(); got != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("got %s", got)
	}
	answers.ended()
}

func TestServerRefusesAMessage(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string // {id} is the request's.
		want   string
	}{
		"with an error":       {http.StatusBadRequest, `{"jsonrpc":"2.0","id":{id},"error":{"code":-32602,"message":"no"}}`, `{"jsonrpc":"2.0","id":"own","error":{"code":-32602,"message":"no"}}`},
		"without one":         {http.StatusBadRequest, `Invalid message`, `it answered HTTP status 400`},
		"because it is ill":   {http.StatusInternalServerError, `SSE connection not established`, `it answered HTTP status 500`},
		"because it is asked": {http.StatusUnauthorized, `{"jsonrpc":"2.0","id":{id},"error":{"code":1,"message":"no"}}`, `it answered HTTP status 401`},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeSSEServer(t)
			g := newGateway(t, server.targets())
			id := g.open()
			server.set(func() {
				server.post = func(w http.ResponseWriter, _ *fakeSSEStream, m *message) bool {
					if strings.HasPrefix(test.body, "{") {
						w.Header().Set("Content-Type", "application/json")
					}
					w.WriteHeader(test.status)
					_, _ = io.WriteString(w, strings.ReplaceAll(test.body, "{id}", string(m.ID)))
					return true
				}
			})
			if got := g.do(call{session: id, body: sseToolCall(`"own"`, "")}); !strings.Contains(got.body, test.want) {
				t.Errorf("got %d %s", got.status, got.body)
			}
			server.set(func() { server.post = nil })
			g.wantCall(id, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
			if got := len(server.requests(http.MethodGet)); got != 1 {
				t.Errorf("%d connections were made", got)
			}
		})
	}
}

// What a server can't read it refuses without an id.
func TestErrorWithoutAnID(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	for _, own := range []string{`"id":null,`, ``} {
		server.set(func() {
			server.answer = func(c *fakeSSEStream, _ *message) {
				c.send(`{%s"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}`, own)
			}
		})
		g.wantCall(id, sseToolCall("7", ""), `{"id":7,"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}`)
	}
}

func TestConnectionThatTheServerForgotIsMadeAnew(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"404": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"400": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no session"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeSSEServer(t)
			g := newGateway(t, server.targets())
			id := g.open()
			first := server.stream()
			server.set(func() {
				server.post = func(w http.ResponseWriter, c *fakeSSEStream, _ *message) bool {
					if c == first {
						answer(w)
					}
					return c == first
				}
			})
			g.wantCall(id, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
			if got := len(server.requests(http.MethodGet)); got != 2 {
				t.Errorf("%d connections were made", got)
			}
			eventually(t, "the first stream is closed", func() bool { return !slices.Contains(server.streams(), first) })
			if got := server.requests("notifications/initialized"); len(got) != 1 {
				t.Errorf("the server was told %d times that it is initialized", len(got))
			}
		})
	}
}

// A server that has gone is an error for those who wait, and is initialized anew for those who come.
func TestServerDiesDuringACall(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	requests := server.hold()
	plain := answerOf(t, func() reply { return g.do(call{session: id, body: sseToolCall("1", "")}) })
	requests.next(t)
	streamed := answerOf(t, func() *stream {
		return g.stream(call{session: id, body: sseToolCall("2", `,"_meta":{"x":1,"progressToken":1}`)})
	})
	m := requests.next(t)
	server.stream().send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, tokenOf(t, m))
	answers := streamed()
	answers.next()
	listening := g.listen(id, nil)
	server.stream().end()
	if got := plain().message(); !strings.Contains(got, `target \"old\" is unavailable: its `) || !strings.Contains(got, `broke off`) {
		t.Errorf("got %s", got)
	}
	if got := answers.next(); !strings.Contains(got, `target \"old\" is unavailable: its answer broke off`) {
		t.Errorf("got %s", got)
	}
	server.set(func() { server.answer = nil })
	g.wantCall(id, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
	// The client's own stream outlives the connection.
	eventually(t, "the new connection is listened to", func() bool {
		server.stream().send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"back"}}`)
		select {
		case data := <-listening.events:
			return strings.Contains(data, "back")
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
}

func TestEndlessLineEndsItsConnectionOnly(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.MaxMessage = 64 << 10 }))
	id, other := g.open(), g.open()
	server.wantStreams(2)
	first := server.streams()[0]
	server.set(func() {
		server.answer = func(c *fakeSSEStream, m *message) {
			if c == first {
				c.write("data: " + strings.Repeat("x", 1<<20))
				return
			}
			c.send(`{"result":%s,"jsonrpc":"2.0","id":%s}`, m.Params, m.ID)
		}
	})
	if got := g.do(call{session: id, body: sseToolCall("1", "")}); !isEither(got.body, "a message of it is larger than 65536 bytes", "its answer broke off") {
		t.Errorf("got %s", got.body)
	}
	for _, session := range []string{other, id} {
		g.wantCall(session, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
	}
}
