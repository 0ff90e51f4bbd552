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
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// callSSE begins a request on a connection, and returns what do returns.
func (g *gateway) callSSE(ctx context.Context, id session.UpstreamSessionID, method, body string) (*http.Response, error) {
	t := g.mcp.current.Load().backends[testKey].targets[0]
	us := upstreamSession{id: id, version: oldestVersion}
	header := http.Header{}
	g.mcp.setOwnHeaders(header, us)
	response, _, err := g.mcp.do(ctx, &upstreamCall{target: t, upstream: us, method: method, header: header, body: []byte(body)})
	return response, err
}

// openSSE makes a connection by itself.
func (g *gateway) openSSE() session.UpstreamSessionID {
	g.t.Helper()
	response, err := g.callSSE(g.t.Context(), "", http.MethodPost, initializeBody)
	if err != nil || response.Header.Get("Mcp-Session-Id") == "" || !isJSON(response.Header) {
		g.t.Fatalf("got %v %v", response, err)
	}
	closeBody(response)
	return session.UpstreamSessionID(response.Header.Get("Mcp-Session-Id"))
}

// A request whose messages nobody reads does not hold up others for ever.
func TestRequestThatIsNotReadIsGivenUp(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.WriteTimeout = 100 * time.Millisecond }))
	id := g.openSSE()
	requests := server.hold()
	begin := func(own string) func() *http.Response {
		return answerOf(t, func() *http.Response {
			response, err := g.callSSE(t.Context(), id, http.MethodPost, sseToolCall(own, ""))
			if err != nil {
				t.Error(err)
			}
			return response
		})
	}
	slow := begin("1")
	m := requests.next(t)
	other := begin("2")
	asked := requests.next(t)
	for i := range maxMail + 10 {
		server.stream().send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":%d}}`, i)
	}
	stuck := slow()
	defer closeBody(stuck)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, asked.ID)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	// What the first could not take came with the second.
	got := other()
	defer closeBody(got)
	body, err := io.ReadAll(got.Body)
	if err != nil || !strings.Contains(string(body), `"data":265}`) || !strings.Contains(string(body), `{"jsonrpc":"2.0","id":2,"result":{}}`) {
		t.Errorf("got %v %s", err, body)
	}
	if !strings.Contains(g.log.String(), "Answer of a target is given up") {
		t.Errorf("the log does not say it: %s", g.log)
	}
	if body, err = io.ReadAll(stuck.Body); err == nil || !strings.Contains(string(body), `"data":255}`) || strings.Contains(string(body), `"data":257}`) {
		t.Errorf("got %v %s", err, body)
	}
}

// News of progress that is not read makes room for newer news.
func TestProgressThatIsNotReadHoldsUpNobody(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.openSSE()
	requests := server.hold()
	answer := answerOf(t, func() *http.Response {
		response, err := g.callSSE(t.Context(), id, http.MethodPost, sseToolCall("1", `,"_meta":{"x":1,"progressToken":1}`))
		if err != nil {
			t.Error(err)
		}
		return response
	})
	m := requests.next(t)
	for i := range 10 * maxMail {
		server.stream().send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, tokenOf(t, m), i)
	}
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	response := answer()
	defer closeBody(response)
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(body), `"progress":2559}`) || !strings.Contains(string(body), `"result":{}`) {
		t.Errorf("got %v %s", err, body)
	}
}

// What came with an answer that nobody waits for any more goes another way.
func TestMessagesForTheClientOutliveTheRequestTheyCameWith(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.openSSE()
	requests := server.hold()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begin := func(ctx context.Context, own string) func() *http.Response {
		return answerOf(t, func() *http.Response {
			response, err := g.callSSE(ctx, id, http.MethodPost, sseToolCall(own, ""))
			if err != nil {
				t.Error(err)
			}
			return response
		})
	}
	first := begin(ctx, "1")
	requests.next(t)
	second := begin(t.Context(), "2")
	m := requests.next(t)
	server.stream().send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"one"}}`)
	server.stream().send(`{"jsonrpc":"2.0","id":"q","method":"roots/list"}`)
	response := first()
	conn := g.mcp.sseConnections.find(string(id))
	eventually(t, "the question waits", func() bool {
		conn.inFlight[0].box.mu.Lock()
		defer conn.inFlight[0].box.mu.Unlock()
		return len(conn.inFlight[0].box.messages) == 1
	})
	cancel()
	closeBody(response)
	got := second()
	defer closeBody(got)
	server.stream().send(`{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	body, err := io.ReadAll(got.Body)
	if err != nil || !strings.Contains(string(body), `{"jsonrpc":"2.0","id":"q","method":"roots/list"}`) {
		t.Errorf("got %v %s", err, body)
	}
}

func TestTooManyRequestsAtOnceAreRefused(t *testing.T) {
	server := newFakeSSEServer(t)
	g := newGateway(t, server.targets())
	id := g.openSSE()
	requests := server.hold()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, maxSSERequests)
	for i := range maxSSERequests {
		go func() {
			response, err := g.callSSE(ctx, id, http.MethodPost, sseToolCall(fmt.Sprint(i), ""))
			if err == nil {
				defer closeBody(response)
				_, err = io.ReadAll(response.Body)
			}
			done <- err
		}()
	}
	for range maxSSERequests {
		requests.next(t)
	}
	_, err := g.callSSE(ctx, id, http.MethodPost, sseToolCall(`"x"`, ""))
	if err == nil || !strings.Contains(err.Error(), "too many requests wait for its answers") {
		t.Errorf("got %v", err)
	}
	cancel()
	for range maxSSERequests {
		if err := <-done; err == nil || !isEither(err.Error(), "the request was cancelled", "context canceled") {
			t.Errorf("got %v", err)
		}
	}
}
