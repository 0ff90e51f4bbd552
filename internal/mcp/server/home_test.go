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
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// A session with a server of HTTP+SSE is served by the replica that holds the connection, whichever the client asks.
func TestReplicaThatHoldsTheConnectionServesTheSession(t *testing.T) {
	old, other := newFakeSSEServer(t), newFakeServer(t)
	replicas, _ := newSSEReplicas(t, []config.Target{
		old.withTools("ask").target(), other.withTools("other", "echo").named("other"),
	}, 2)
	id := replicas[0].open()
	for i := range 10 {
		g := replicas[i%2]
		if got := g.callTool(id, "ask"); got != "old "+params("ask") {
			t.Errorf("got %s", got)
		}
		if got := g.callTool(id, "echo"); got != "other "+params("echo") {
			t.Errorf("got %s", got)
		}
		if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`}); got.status != http.StatusAccepted {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"demo://x"}}`}); got.status != http.StatusOK {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := len(old.requests(http.MethodGet)); got != 1 {
		t.Errorf("%d connections were made", got)
	}
	if got := len(old.requests("notifications/roots/list_changed")); got != 10 {
		t.Errorf("the server got %d notifications", got)
	}

	// The question comes by one replica, the answer goes by the other, and so does the cancellation.
	requests := old.hold()
	streamed := answerOf(t, func() *stream { return replicas[1].stream(call{session: id, body: sseToolCall("1", "")}) })
	m := requests.next(t)
	old.stream().send(`{"jsonrpc":"2.0","id":1,"method":"roots/list"}`)
	answers := streamed()
	var question message
	_ = json.Unmarshal([]byte(answers.next()), &question)
	body := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"roots":[]}}`
	for _, g := range replicas {
		if got := g.do(call{session: id, body: body}); got.status != http.StatusAccepted {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	replicas[0].do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`})
	old.wantMessage(`"params":{"requestId":` + string(m.ID) + `}`)
	answers.ended()

	// The client's own stream may be at either.
	for i, g := range replicas {
		listening := g.listen(id, nil)
		conn := replicas[0].connection()
		eventually(t, "the gateway listens", func() bool { _, busy := conn.lastUse(); return busy })
		old.stream().send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":%d}}`, i)
		if got := listening.next(); !strings.Contains(got, fmt.Sprintf(`"data":%d`, i)) {
			t.Errorf("got %s", got)
		}
		listening.close()
		eventually(t, "nobody listens", func() bool { _, busy := conn.lastUse(); return !busy })
	}

	if got := replicas[1].do(call{method: http.MethodDelete, session: id}); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
	old.wantStreams(0)
	for _, g := range replicas {
		if got := g.do(call{session: id, body: sseToolCall("1", "")}); got.status != http.StatusNotFound {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := len(other.requests(http.MethodDelete)); got != 1 {
		t.Errorf("the other server was told %d times", got)
	}
}

// A batch is served where its session is.
func TestBatchOfASessionOfAnotherReplica(t *testing.T) {
	server := newFakeSSEServer(t)
	replicas, _ := newSSEReplicas(t, server.targets(), 2)
	answer := replicas[0].do(call{body: strings.Replace(initializeBody, "2025-11-25", "2025-03-26", 1)})
	id := answer.header.Get("Mcp-Session-Id")
	for _, g := range replicas {
		events := g.stream(call{session: id, body: `[{"jsonrpc":"2.0","id":1,"method":"x/y","params":{}},{"jsonrpc":"2.0","method":"notifications/x"}]`})
		if got := events.next(); got != `{"result":{},"jsonrpc":"2.0","id":1}` {
			t.Errorf("got %s", got)
		}
	}
	if got := len(server.requests(http.MethodGet)); got != 1 {
		t.Errorf("%d connections were made", got)
	}
}

// When the replica is gone, so is its connection; the session goes on.
func TestReplicaThatHeldTheConnectionIsGone(t *testing.T) {
	server := newFakeSSEServer(t)
	replicas, ports := newSSEReplicas(t, server.targets(), 3)
	id := replicas[0].open()
	listening := replicas[1].listen(id, nil)
	replicas[0].mcp.Drain() // Streams are detached from the port.
	ports[0].Close()
	listening.ended()
	for i := range 4 {
		replicas[1+i%2].wantCall(id, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
	}
	if got := len(server.requests(http.MethodGet)); got != 3 {
		t.Errorf("%d connections were made", got)
	}
	// DELETE reaches all of those that live.
	if got := replicas[1].do(call{method: http.MethodDelete, session: id}); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
	server.wantStreams(1)
}

// Only what one replica alone can hold is forwarded.
func TestSessionsOfOtherServersAreServedAnywhere(t *testing.T) {
	server := newFakeServer(t)
	replicas, ports := newSSEReplicas(t, server.targets(), 2)
	id := replicas[0].open()
	ports[0].Close()
	if got := replicas[1].do(call{session: id, body: listBody}); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if strings.Contains(replicas[1].log.String(), "can't be reached") {
		t.Errorf("it was tried: %s", replicas[1].log)
	}
}

// A replica that drains ends the streams that it relays as well.
func TestDrainEndsStreamsOfAnotherReplicasSessions(t *testing.T) {
	server := newFakeSSEServer(t)
	replicas, _ := newSSEReplicas(t, server.targets(), 2)
	id := replicas[0].open()
	listening := replicas[1].listen(id, nil)
	replicas[1].mcp.Drain()
	listening.ended()
	replicas[1].wantCall(id, `{"jsonrpc":"2.0","id":2,"method":"x/y","params":{}}`, `{"result":{},"jsonrpc":"2.0","id":2}`)
}

// A session from before the server joined has no home: each replica connects by itself, and answers go where the question came
// from.
func TestServerOfHTTPSSEThatJoinsLater(t *testing.T) {
	server, other := newFakeSSEServer(t), newFakeServer(t)
	replicas, _ := newSSEReplicas(t, other.targets(), 2)
	id := replicas[0].open()
	for _, g := range replicas {
		g.update(testBackend([]config.Target{other.target(), server.withTools("ask").target()}))
		if got := g.callTool(id, "old_ask"); got != "old "+params("ask") {
			t.Errorf("got %s", got)
		}
	}
	server.wantStreams(2)
	requests := server.hold()
	streamed := answerOf(t, func() *stream {
		return replicas[0].stream(call{session: id, body: strings.Replace(sseToolCall("1", ""), "ask", "old_ask", 1)})
	})
	requests.next(t)
	for _, c := range server.streams() {
		c.send(`{"jsonrpc":"2.0","id":7,"method":"roots/list"}`)
	}
	var question message
	_ = json.Unmarshal([]byte(streamed().next()), &question)
	if got := replicas[1].do(call{session: id, body: `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"roots":[]}}`}); got.status != http.StatusAccepted {
		t.Errorf("got %d %s", got.status, got.body)
	}
	server.wantMessage(`{"jsonrpc":"2.0","id":7,"result":{"roots":[]}}`)
	if got := replicas[1].do(call{method: http.MethodDelete, session: id}); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
	server.wantStreams(0)
}
