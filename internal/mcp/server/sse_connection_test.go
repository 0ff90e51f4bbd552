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
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// What the server says by itself goes to the client's own stream, also while it has requests.
func TestListenerHearsWhatTheServerSaysByItself(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	requests := server.hold()
	listening := g.listen(id, nil)
	conn := g.connection()
	eventually(t, "the gateway listens", func() bool { _, busy := conn.lastUse(); return busy })
	answer := answerOf(t, func() reply { return g.do(call{session: id, body: sseToolCall("1", "")}) })
	m := requests.next(t)
	server.stream().send(`{"jsonrpc":"2.0","id":5,"method":"roots/list"}`)
	var question message
	if err := json.Unmarshal([]byte(listening.next()), &question); err != nil || question.Method != "roots/list" {
		t.Fatalf("got %+v", question)
	}
	if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"roots":[]}}`}); got.status != http.StatusAccepted {
		t.Errorf("got %d %s", got.status, got.body)
	}
	posts := server.requests(http.MethodPost)
	if got := posts[len(posts)-1].body; got != `{"jsonrpc":"2.0","id":5,"result":{"roots":[]}}` {
		t.Errorf("the server got %s", got)
	}
	server.stream().send(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	if got := listening.next(); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` {
		t.Errorf("got %s", got)
	}
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	if got := answer(); got.message() != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("got %s", got.body)
	}
}

// connection waits for the one connection that is open.
func (g *gateway) connection() (found *sseConnection) {
	g.t.Helper()
	eventually(g.t, "one connection", func() bool {
		all := g.connections()
		if len(all) == 1 {
			found = all[0]
		}
		return found != nil
	})
	return found
}

func (g *gateway) connections() (all []*sseConnection) {
	g.mcp.sseConnections.mu.Lock()
	defer g.mcp.sseConnections.mu.Unlock()
	for _, c := range g.mcp.sseConnections.byID {
		all = append(all, c)
	}
	return all
}

// waiting returns how many messages wait for a listener.
func (c *sseConnection) waiting() int {
	c.standing.mu.Lock()
	defer c.standing.mu.Unlock()
	return len(c.standing.messages)
}

func TestListenerHearsWhatCameBefore(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	conn := g.connection()
	server.stream().send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x y"}}`)
	server.stream().send(`{"jsonrpc":"2.0","id":"ping","method":"ping"}`)
	server.stream().send(`{"jsonrpc":"2.0","id":"q","method":"roots/list"}`)
	eventually(t, "both wait", func() bool { return conn.waiting() == 2 })
	// In place of a client that does not listen the gateway answers the ping.
	server.wantMessage(`{"jsonrpc":"2.0","id":"ping","result":{}}`)
	listening := g.listen(id, nil)
	if got := listening.next(); !strings.Contains(got, `"x y"`) {
		t.Errorf("got %s", got)
	}
	if got := listening.next(); !strings.Contains(got, `"roots/list"`) {
		t.Errorf("got %s", got)
	}
	server.stream().send(`{"jsonrpc":"2.0","id":"again","method":"ping"}`)
	if got := listening.next(); !strings.Contains(got, `"ping"`) {
		t.Errorf("got %s", got)
	}
}

// There is room for so much; the oldest notifications go, and requests that find no room are answered.
func TestTooManyMessagesWaitForAListener(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.openSSE()
	conn := g.connection()
	note := func(data string) {
		server.stream().send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}`, data)
	}
	for i := range maxMail - 1 {
		server.stream().send(`{"jsonrpc":"2.0","id":%d,"method":"roots/list"}`, i)
	}
	note("first")
	eventually(t, "all wait", func() bool { return conn.waiting() == maxMail })
	note("second")
	eventually(t, "the log says it", func() bool {
		return strings.Contains(g.log.String(), "Messages of a target are dropped: too many wait for its client to listen")
	})
	server.stream().send(`{"jsonrpc":"2.0","id":"more","method":"roots/list"}`)
	server.stream().send(`{"jsonrpc":"2.0","id":"too many","method":"roots/list"}`)
	server.wantMessage(`"id":"too many","error":{"code":-32603,"message":"too many messages wait`)
	note("third")
	server.stream().send(`{"jsonrpc":"2.0","id":"after it","method":"ping"}`)
	server.wantMessage(`{"jsonrpc":"2.0","id":"after it","result":{}}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	response, err := g.callSSE(ctx, id, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer closeBody(response)
	events := sse.NewReader(response.Body, 1<<20)
	defer func() { _ = events.Close() }()
	var event sse.Event
	for i := range maxMail {
		want := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"roots/list"}`, i)
		if i == maxMail-1 {
			want = `{"jsonrpc":"2.0","id":"more","method":"roots/list"}`
		}
		if err := events.Next(&event); err != nil || string(event.Data) != want {
			t.Fatalf("got %v %s, want %s", err, event.Data, want)
		}
	}
	cancel()
	if err := events.Next(&event); err == nil {
		t.Errorf("got %s", event.Data)
	}
	if count := strings.Count(g.log.String(), "too many wait for its client"); count != 1 {
		t.Errorf("the log says it %d times", count)
	}
}

func TestMailboxIsBoundedByBytes(t *testing.T) {
	var b mailbox
	large := &mail{data: make([]byte, 2*maxMailBytes), kind: 2}
	if dropped, taken := b.offer(large); dropped != 0 || !taken {
		t.Errorf("a large message that is alone: %d dropped, taken %v", dropped, taken)
	}
	if err := b.put(t.Context(), &mail{data: []byte("x")}, time.Millisecond); err != errNotRead { //nolint:errorlint // As it is.
		t.Errorf("got %v", err)
	}
	if dropped, taken := b.offer(&mail{data: []byte("x")}); dropped != 1 || !taken || b.size != 1 {
		t.Errorf("%d dropped, taken %v, %d bytes", dropped, taken, b.size)
	}
	b.end(io.EOF)
	if err := b.put(t.Context(), &mail{data: []byte("y")}, time.Millisecond); err != io.EOF { //nolint:errorlint // As it is.
		t.Errorf("got %v", err)
	}
	if m, err := b.next(t.Context()); err != nil || string(m.data) != "x" {
		t.Errorf("got %s %v", m.data, err)
	}
}

func TestSecondListenerIsRefused(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.openSSE()
	first, err := g.callSSE(t.Context(), id, http.MethodGet, "")
	if err != nil || first.StatusCode != http.StatusOK || !isEventStream(first.Header) {
		t.Fatalf("got %v %v", first, err)
	}
	second, err := g.callSSE(t.Context(), id, http.MethodGet, "")
	if err != nil || second.StatusCode != http.StatusConflict {
		t.Errorf("got %v %v", second, err)
	}
	closeBody(second)
	_ = first.Body.Close()
	third, err := g.callSSE(t.Context(), id, http.MethodGet, "")
	if err != nil || third.StatusCode != http.StatusOK {
		t.Errorf("got %v %v", third, err)
	}
	server.stream().end()
	if _, err := io.ReadAll(third.Body); err == nil || !strings.Contains(err.Error(), "its event stream broke off") {
		t.Errorf("got %v", err)
	}
	closeBody(third)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		gone, err := g.callSSE(t.Context(), id, method, "")
		if err != nil || gone.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %v %v", method, gone, err)
		}
		closeBody(gone)
	}
}

func TestDELETEClosesTheConnection(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id, other := g.open(), g.open()
	server.wantStreams(2)
	requests := server.hold()
	answer := answerOf(t, func() reply { return g.do(call{session: id, body: sseToolCall("1", "")}) })
	requests.next(t)
	if got := g.do(call{method: http.MethodDelete, session: id}); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := answer().message(); !isEither(got, "its session was ended", "its answer broke off") {
		t.Errorf("got %s", got)
	}
	server.wantStreams(1)
	server.set(func() { server.answer = nil })
	g.wantCall(other, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
	if got := g.do(call{session: id, body: sseToolCall("1", "")}); got.status != http.StatusNotFound {
		t.Errorf("got %d", got.status)
	}
}

func TestConnectionThatNobodyUsesIsClosed(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id, listener := g.openSSE(), g.openSSE()
	response, err := g.callSSE(t.Context(), listener, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	g.mcp.sseConnections.idle = 50 * time.Millisecond
	g.mcp.sseConnections.find(string(id)).touch()
	g.mcp.sseConnections.find(string(listener)).touch()
	server.wantStreams(1)
	if known := g.mcp.sseConnections.find(string(id)); known != nil {
		t.Error("it is still known")
	}
	// Who listens or waits uses it.
	requests := server.hold()
	answer := answerOf(t, func() *http.Response {
		response, err := g.callSSE(t.Context(), listener, http.MethodPost, sseToolCall("1", ""))
		if err != nil {
			t.Error(err)
		}
		return response
	})
	m := requests.next(t)
	closeBody(response)
	<-time.After(4 * g.mcp.sseConnections.idle)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	if got, err := g.mcp.readAnswer(answer()); err != nil || string(got) != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("got %s %v", got, err)
	}
	server.wantStreams(0)
}

func TestConnectionThatWasNotUsedForLongestMakesRoom(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	g.mcp.sseConnections.most = 2
	first, second := g.openSSE(), g.openSSE()
	listening, err := g.callSSE(t.Context(), first, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer closeBody(listening)
	third := g.openSSE()
	server.wantStreams(2)
	for id, want := range map[session.UpstreamSessionID]bool{first: true, second: false, third: true} {
		if got := g.mcp.sseConnections.find(string(id)) != nil; got != want {
			t.Errorf("known: %v, want %v", got, want)
		}
	}
	other, err := g.callSSE(t.Context(), third, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer closeBody(other)
	_, err = g.callSSE(t.Context(), "", http.MethodPost, initializeBody)
	if err == nil || !strings.Contains(err.Error(), "too many connections") {
		t.Errorf("got %v", err)
	}
	server.wantStreams(2)
}

// Another server may be there when the target is reached in another way.
func TestConnectionIsNotUsedForAnotherServer(t *testing.T) {
	server, other := newFakeSSEServer(t), newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	moved := server.target()
	moved.Path = "/elsewhere/sse"
	g.update(testBackend([]config.Target{moved}))
	g.wantCall(id, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
	gets := server.requests(http.MethodGet)
	if len(gets) != 2 || gets[1].header.Get("Uri") != "/elsewhere/sse" {
		t.Errorf("got %v", gets)
	}
	g.update(testBackend(other.targets()))
	g.wantCall(id, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
	if got := len(other.requests(http.MethodGet)); got != 1 {
		t.Errorf("the other server has %d connections", got)
	}
}

// Nothing is left of a client that initializes and does not get its session.
func TestSessionThatFailsLeavesNoConnection(t *testing.T) {
	server := newFakeSSEServer(t)
	dead := newFakeServer(t)
	dead.server.Close()
	g := newGateway(t, []config.Target{server.target(), dead.target()}, withBackend(func(b *config.Backend) {
		b.FailureMode = config.FailClosed
	}))
	if got := g.do(call{body: initializeBody}); !strings.Contains(got.body, "refuses connections") {
		t.Errorf("got %s", got.body)
	}
	server.wantStreams(0)
}

func TestCloseEndsConnections(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.openSSE()
	requests := server.hold()
	answer := answerOf(t, func() error {
		response, err := g.callSSE(context.Background(), id, http.MethodPost, sseToolCall("1", ""))
		if err == nil {
			defer closeBody(response)
			_, err = io.ReadAll(response.Body)
		}
		return err
	})
	requests.next(t)
	g.mcp.Close()
	if err := answer(); err == nil {
		t.Error("the request went on")
	}
	server.wantStreams(0)
}

// FuzzSSEMessages: whatever a server sends, the connection goes on, and a request gets the answer that is its own.
func FuzzSSEMessages(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":2,"result":{}}`, `{"jsonrpc":"2.0","id":"2","result":{}}`, `{"jsonrpc":"2.0","id":null,"error":{}}`,
		`{"jsonrpc":"2.0","error":{"code":1}}`, `{"method":"notifications/progress","jsonrpc":"2.0","params":{"progressToken":2}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progressToken":2}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"method":"roots/list"}`, `[{"jsonrpc":"2.0","id":2,"result":{}}]`,
		`{`, `null`, `{"id":1e0,"jsonrpc":"2.0","result":1}`,
	} {
		f.Add("", []byte(seed))
		f.Add("message", []byte(seed))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	address := server.Listener.Addr().String()
	limits := config.DefaultLimits()
	client := upstream.New(upstream.Options{Limits: limits, AllowLoopback: true})
	mcp := New(Options{Log: slog.New(slog.DiscardHandler), Limits: limits, Upstream: client})
	mcp.Update(map[string]*config.Backend{testKey: testBackend([]config.Target{{
		Name: "old", Service: "svc", Protocol: config.SSE, Host: "old", Port: 80, Path: "/", Endpoints: []string{address},
	}})})
	f.Cleanup(func() {
		mcp.Close()
		client.Close()
		server.Close()
	})
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		ctx, cancel := context.WithCancelCause(t.Context())
		conn := &sseConnection{
			Server: mcp, target: mcp.current.Load().backends[testKey].targets[0], ctx: ctx, cancel: cancel, path: "/",
			endpoint: address, answering: make(chan struct{}, maxSSEAnswers), idle: time.NewTimer(time.Hour),
		}
		defer conn.close(errSessionEnded)
		begin := func(id, method string) *sseRequest {
			call := &upstreamCall{
				target: conn.target, method: http.MethodPost, header: http.Header{},
				body: []byte(`{"jsonrpc":"2.0","id":"` + id + `","method":"` + method + `","params":{"_meta":{"progressToken":"t"}}}`),
			}
			r, err := conn.begin(ctx, call, mustScan(t, call.body), func() {})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		first, second := begin("a", "tools/call"), begin("b", "tools/list")
		conn.take(&sse.Event{Name: name, Data: slices.Clone(data), HasData: true})
		for i, r := range []*sseRequest{first, second} {
			conn.take(&sse.Event{Data: fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"result":{"mine":true}}`, i+1)})
			for {
				m, err := r.box.next(t.Context())
				if err != nil {
					break
				}
				if scanned := mustScan(t, m.data); m.response && string(scanned.ID.Of(m.data)) != string(r.original) {
					t.Errorf("the answer is %s", m.data)
				}
			}
			if !r.box.complete() {
				t.Error("the request has no answer")
			}
		}
	})
}

// mustScan reads a message that is one.
func mustScan(t *testing.T, data []byte) *jsonrpc.Message {
	t.Helper()
	var m jsonrpc.Message
	if err := jsonrpc.Scan(data, &m); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return &m
}
