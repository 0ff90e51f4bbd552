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
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// sseClient is a client over HTTP+SSE: its stream, and where it posts its messages.
type sseClient struct {
	*stream
	g        *gateway
	endpoint string
}

// atSSE is a request at the path at which such clients open their streams.
func (g *gateway) atSSE(c call, query string) *http.Request {
	g.t.Helper()
	r := g.request(c)
	r.URL.Path, r.URL.RawQuery = "/mcp/sse", query
	return r
}

// connect opens a client's stream.
func (g *gateway) connect() *sseClient {
	g.t.Helper()
	c := &sseClient{g: g, stream: g.streamOf(g.atSSE(call{method: http.MethodGet, header: onlyStreams}, ""))}
	c.endpoint = c.next()
	return c
}

var onlyStreams = map[string]string{"Accept": "text/event-stream", "Content-Type": ""}

// post posts a message, and returns the answer of HTTP.
func (c *sseClient) post(body string) reply {
	c.t.Helper()
	return c.postAt(c.g, body)
}

func (c *sseClient) postAt(g *gateway, body string) reply {
	c.t.Helper()
	u, err := url.Parse(c.endpoint)
	if err != nil {
		c.t.Fatal(err)
	}
	r := g.request(call{body: body, header: map[string]string{"Accept": "*/*"}})
	r.URL.Path, r.URL.RawQuery = u.Path, u.RawQuery
	return g.doRequest(r)
}

// send posts a message, which must be taken.
func (c *sseClient) send(body string) {
	c.t.Helper()
	if got := c.post(body); got.status != http.StatusAccepted || got.body != "" {
		c.t.Errorf("got %d %s", got.status, got.body)
	}
}

const oldInitialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05",` +
	`"capabilities":{"roots":{}},"clientInfo":{"name":"test","version":"1"}}}`

// initialize begins the client's session, and returns the answer.
func (c *sseClient) initialize() string {
	c.t.Helper()
	c.send(oldInitialize)
	answer := c.next()
	c.send(initializedBody)
	return answer
}

func TestSessionOverHTTPAndSSE(t *testing.T) {
	server := newFakeServer(t).inRevision("2024-11-05")
	server.get = speaking(`data: {"jsonrpc":"2.0","id":5,"method":"roots/list"}`, "event: other\ndata: not a message", "id: 7\ndata: "+notification)
	g := newGateway(t, server.targets())
	c := g.connect()
	if !strings.HasPrefix(c.endpoint, "/mcp/sse?sessionId=") {
		t.Fatalf("the endpoint is %s", c.endpoint)
	}
	same(t, c.initialize(), `{"result":{"protocolVersion":"2024-11-05","capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}},"serverInfo":{"name":"virtual","version":"1"}},"jsonrpc":"2.0","id":0}`)

	asked := c.next()
	if !strings.Contains(asked, `"method":"roots/list"`) {
		t.Fatalf("got %s", asked)
	}
	same(t, c.next(), notification)
	var request struct{ ID string }
	decode(t, asked, &request)
	c.send(`{"jsonrpc":"2.0","id":"` + request.ID + `","result":{"roots":[]}}`)
	answered := server.requests(http.MethodPost)
	same(t, answered[len(answered)-1].body, `{"jsonrpc":"2.0","id":5,"result":{"roots":[]}}`)

	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
			if m.Method == "tools/list" {
				_, _ = fmt.Fprintf(contentJSON(w), ` {"jsonrpc":"2.0","id":%s, "result":{"tools":[],"zz":9007199254740993}} `, m.ID)
				return
			}
			write := events(w)
			write("id: 1\nevent: message\ndata: %s\n\n", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}`)
			write("id: 2\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":%s,\"result\":{}}\n\n", m.ID)
		}
	})
	c.send(callBody)
	same(t, c.next(), `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}`)
	same(t, c.next()+c.next(), `{"jsonrpc":"2.0","id":7,"result":{}}`)
	c.send(`{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/list"}`)
	same(t, strings.TrimSpace(c.next()), `{"jsonrpc":"2.0","id":9007199254740993, "result":{"tools":[],"zz":9007199254740993}}`)
	c.send(`{"jsonrpc":"2.0","id":"p","method":"ping"}`)
	same(t, c.next(), `{"jsonrpc":"2.0","id":"p","result":{}}`)
	if len(c.ids) > 0 {
		t.Error("an event has an id, which can't be resumed after")
	}

	t.Run("its end is that of the session", func(t *testing.T) {
		if n := len(server.requests(http.MethodDelete)); n != 0 {
			t.Fatalf("%d sessions ended before", n)
		}
		c.close()
		eventually(t, "the server's session is ended", func() bool { return len(server.requests(http.MethodDelete)) == 1 })
		if got := c.post(callBody); got.status != http.StatusNotFound || !strings.Contains(got.body, "open the stream again") {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

func TestNotificationsAreThereBeforeWhatIsSentAfterThem(t *testing.T) {
	server := newFakeServer(t)
	taking, proceed := make(chan struct{}), make(chan struct{})
	server.taken = func(*message) {
		close(taking)
		<-proceed
	}
	g := newGateway(t, server.targets())
	c := g.connect()
	c.send(oldInitialize)
	c.next()
	told := make(chan struct{})
	go func() {
		defer close(told)
		c.send(initializedBody)
	}()
	<-taking
	c.send(`{"jsonrpc":"2.0","id":"p","method":"ping"}`) // Others are answered meanwhile.
	c.next()
	select {
	case <-told:
		t.Error("the client was told that its notification has been taken before it was")
	default:
	}
	close(proceed)
	<-told
}

func TestSecondInitializeOfAConnectionIsRefused(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	c := g.connect()
	c.initialize()
	c.send(oldInitialize)
	if got := c.next(); !strings.Contains(got, `"code":-32600`) || !strings.Contains(got, "initialized already") {
		t.Errorf("got %s", got)
	}
	c.send(callBody) // The session goes on.
	same(t, c.next(), `{"result":{"name":"echo","arguments":{}},"jsonrpc":"2.0","id":7}`)
	if n := len(server.requests("initialize")); n != 1 {
		t.Errorf("%d times initialized", n)
	}
}

func TestInitializeThatFailsCanBeTriedAgain(t *testing.T) {
	server := newFakeServer(t)
	server.initializeError = `{"code":-32602,"message":"not like this"}`
	g := newGateway(t, server.targets())
	c := g.connect()
	c.send(oldInitialize)
	same(t, c.next(), `{"error":{"code":-32602,"message":"not like this"},"jsonrpc":"2.0","id":0}`)
	c.send(callBody)
	if got := c.next(); !strings.Contains(got, "send initialize first") || !strings.Contains(got, `"id":7`) {
		t.Errorf("got %s", got)
	}
	if got := c.post(initializedBody); got.status != http.StatusBadRequest || !strings.Contains(got.body, "send initialize first") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	server.set(func() { server.initializeError = "" })
	c.initialize()
	c.send(callBody)
	same(t, c.next(), `{"result":{"name":"echo","arguments":{}},"jsonrpc":"2.0","id":7}`)
}

func TestTwoMessagesOfAConnectionAreWorkedOnTogether(t *testing.T) {
	server := newFakeServer(t).inRevision("2024-11-05")
	first := make(chan struct{})
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		if string(m.ID) == "7" {
			<-first
		}
		_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	}
	g := newGateway(t, server.targets())
	c := g.connect()
	c.initialize()
	c.send(callBody)
	c.send(listBody)
	same(t, c.next(), `{"jsonrpc":"2.0","id":1,"result":{}}`)
	close(first)
	same(t, c.next(), `{"jsonrpc":"2.0","id":7,"result":{}}`)

	c.send("[" + echo("1") + "," + initializedBody + "]")
	same(t, c.next(), `{"jsonrpc":"2.0","id":1,"result":{}}`)
}

func TestConnectionTakesOnlySoManyMessagesAtOnce(t *testing.T) {
	server := newFakeServer(t)
	server.answer = func(_ http.ResponseWriter, r *http.Request, _ *message) { <-r.Context().Done() }
	g := newGateway(t, server.targets())
	c := g.connect()
	c.initialize()
	for range maxPosted {
		c.send(callBody)
	}
	if got := c.post(callBody); got.status != http.StatusTooManyRequests {
		t.Errorf("got %d %s", got.status, got.body)
	}
	c.close() // What is worked on ends with it.
	eventually(t, "the server's session is ended", func() bool { return len(server.requests(http.MethodDelete)) == 1 })
}

func TestBadPostsOverHTTPAndSSEReachNoServer(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.MaxRequestBody = 1000 }))
	c := g.connect()
	c.initialize()
	query := c.endpoint[strings.Index(c.endpoint, "?")+1:]
	forged := []byte(query)
	forged[len(forged)/2] ^= 1
	other := newGateway(t, server.targets())
	before := len(server.requests(http.MethodPost))
	for name, test := range map[string]struct {
		call   call
		query  string
		status int
	}{
		"an id of nobody":                   {call{body: callBody}, "sessionId=abc", 404},
		"no id":                             {call{body: callBody}, "sessionId=", 404},
		"a forged id":                       {call{body: callBody}, string(forged), 404},
		"another gateway's id":              {call{body: callBody}, other.connect().endpoint[len("/mcp/sse?"):], 404},
		"a wrong Origin":                    {call{body: callBody, header: map[string]string{"Origin": "https://evil.example"}}, query, 403},
		"a wrong Host":                      {call{body: callBody, host: "evil.example"}, query, 403},
		"a wrong content type":              {call{body: callBody, header: map[string]string{"Content-Type": "text/plain"}}, query, 415},
		"too large":                         {call{body: strings.Repeat("x", 1001)}, query, 413},
		"not JSON":                          {call{body: "hello"}, query, 400},
		"no message":                        {call{body: `{"jsonrpc":"2.0","id":1}`}, query, 400},
		"an answer to nothing":              {call{body: `{"jsonrpc":"2.0","id":1,"result":{}}`}, query, 400},
		"GET with a wrong Host":             {call{method: http.MethodGet, host: "evil.example", header: onlyStreams}, "", 403},
		"GET from a wrong place":            {call{method: http.MethodGet, header: map[string]string{"Origin": "https://evil.example"}}, "", 403},
		"GET that takes JSON":               {call{method: http.MethodGet, header: map[string]string{"Accept": "application/json"}}, "", 406},
		"streamable HTTP without a session": {call{body: callBody}, "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			got := g.doRequest(g.atSSE(test.call, test.query))
			if got.status != test.status || !strings.HasPrefix(got.body, `{"jsonrpc":"2.0",`) {
				t.Errorf("got %d %s, want %d", got.status, got.body, test.status)
			}
		})
	}
	g.t = t
	if after := len(server.requests(http.MethodPost)); after != before {
		t.Errorf("%d requests reached the server", after-before)
	}
	t.Run("to another Backend", func(t *testing.T) {
		b := testBackend(server.targets())
		b.Key, b.ID = "default/other", "uid-2"
		mine := g.mcp.current.Load().backends[testKey].Backend
		snapshot := g.mcp.Update(map[string]*config.Backend{testKey: mine, b.Key: b})
		w := httptest.NewRecorder()
		r := g.atSSE(call{body: callBody}, query)
		g.mcp.Serve(w, r, snapshot, b.Key, Site{})
		if w.Code != http.StatusNotFound {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func TestEndpointIsRoutedAsTheStreamWas(t *testing.T) {
	for opened, want := range map[string]string{
		"/mcp/sse":                  "/mcp/sse?sessionId=x",
		"/a%2Fb/sse?tenant=1&x=%26": "/a%2Fb/sse?sessionId=x&tenant=1&x=%26",
		"/sse?sessionId=old":        "/sse?sessionId=x",
		"//evil.example/sse":        "/evil.example/sse?sessionId=x",
	} {
		u, err := url.ParseRequestURI(opened)
		if err != nil {
			t.Fatal(err)
		}
		same(t, string(endpointFor(u, "x")), want)
	}
}

func TestConnectionEndsWithADrainOnceAllIsAnswered(t *testing.T) {
	server := newFakeServer(t)
	proceed := make(chan struct{})
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		<-proceed
		_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	}
	g := newGateway(t, server.targets())
	idle, busy := g.connect(), g.connect()
	busy.initialize()
	busy.send(callBody)
	eventually(t, "the server has the call", func() bool { return len(server.requests("tools/call")) == 1 })
	g.mcp.Drain()
	idle.ended()
	eventually(t, "no message is taken", func() bool { return busy.post(listBody).status == http.StatusNotFound })
	close(proceed)
	same(t, busy.next(), `{"jsonrpc":"2.0","id":7,"result":{}}`)
	busy.ended()
	eventually(t, "the server's session is ended", func() bool { return len(server.requests(http.MethodDelete)) == 1 })
}

// TestDrainNoticesThatTheClientGoes: what a client that has gone was waiting for holds no drain up.
func TestDrainNoticesThatTheClientGoes(t *testing.T) {
	server := newFakeServer(t)
	server.answer = func(_ http.ResponseWriter, r *http.Request, _ *message) { <-r.Context().Done() }
	g := newGateway(t, server.targets())
	c := g.connect()
	c.initialize()
	c.send(callBody)
	eventually(t, "the server has the call", func() bool { return len(server.requests("tools/call")) == 1 })
	g.mcp.Drain()
	eventually(t, "no message is taken", func() bool { return c.post(listBody).status == http.StatusNotFound })
	time.Sleep(50 * time.Millisecond)
	c.close()
	eventually(t, "the server's session is ended", func() bool { return len(server.requests(http.MethodDelete)) == 1 })
}

func TestClientThatDoesNotReadLosesItsConnection(t *testing.T) {
	server := newFakeServer(t)
	large := strings.Repeat("x", 1<<20)
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":{"large":"%s"}}`, m.ID, large)
	}
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.WriteTimeout = 100 * time.Millisecond }))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	response, err := http.DefaultTransport.RoundTrip(g.atSSE(call{method: http.MethodGet, header: onlyStreams}, "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	begin := make([]byte, 4096)
	n, _ := io.ReadAtLeast(response.Body, begin, len("event: endpoint\ndata: "))
	for !strings.Contains(string(begin[:n]), "\n\n") {
		more, err := response.Body.Read(begin[n:])
		if n += more; err != nil {
			t.Fatal(err)
		}
	}
	endpoint, _, _ := strings.Cut(strings.TrimPrefix(string(begin[:n]), "event: endpoint\ndata: "), "\n")
	c := &sseClient{stream: &stream{t: t}, g: g, endpoint: endpoint}
	c.send(oldInitialize)
	eventually(t, "the session has begun", func() bool { return c.post(initializedBody).status == http.StatusAccepted })
	eventually(t, "the client is given up", func() bool { return c.post(callBody).status == http.StatusNotFound })
	eventually(t, "the server's session is ended", func() bool { return len(server.requests(http.MethodDelete)) == 1 })
}

func TestMessagesOfAConnectionAreTakenByAnyReplica(t *testing.T) {
	server := newFakeServer(t)
	one, two := replicated(t, server.targets())
	c := one.connect()
	for _, body := range []string{oldInitialize, initializedBody, callBody} {
		if got := c.postAt(two, body); got.status != http.StatusAccepted || got.body != "" {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if body != initializedBody {
			if got := c.next(); !strings.Contains(got, `"result":`) {
				t.Errorf("got %s", got)
			}
		}
	}
	if n := len(server.requests("notifications/initialized")); n != 1 {
		t.Errorf("%d notifications reached the server", n)
	}
	if got := c.postAt(two, `{"jsonrpc":"2.0","id":1,"result":{}}`); got.status != http.StatusBadRequest {
		t.Errorf("an answer to nothing: got %d %s", got.status, got.body)
	}
	c.close()
	eventually(t, "the connection is gone", func() bool { return c.postAt(two, callBody).status == http.StatusNotFound })
}
