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
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// static makes the targets those of a Backend without selectors, whose clients see one server's own words.
func static(b *config.Backend) { b.Dynamic = false }

// wantCall calls a method and compares the answer.
func (g *gateway) wantCall(session, body, want string) {
	g.t.Helper()
	if got := g.do(call{session: session, body: body}); got.status != http.StatusOK || got.message() != want {
		g.t.Errorf("%s:\ngot  %d %s\nwant %s", body, got.status, got.body, want)
	}
}

func TestServerOfHTTPSSEIsServedAsOneOfStreamableHTTP(t *testing.T) {
	for _, chunk := range []int{0, 1, 7} {
		t.Run(fmt.Sprintf("%d bytes at once", chunk), func(t *testing.T) {
			server := newFakeSSEServer(t)
			server.chunk = chunk
			g := newGateway(t, server.targets(), withBackend(static))
			answer := g.do(call{body: initializeBody, header: map[string]string{"Traceparent": "00-1-2-00", "Cookie": "secret=1"}})
			want := `{"result":{"protocolVersion":"2024-11-05","capabilities":{"tools":{},"logging":{}},` +
				`"serverInfo":{"name":"virtual","version":"1"},"zz":true},"jsonrpc":"2.0","id":0}`
			id := answer.header.Get("Mcp-Session-Id")
			if answer.status != http.StatusOK || answer.body != want || id == "" {
				t.Fatalf("initialize: got %d %s", answer.status, answer.body)
			}
			g.wantCall(id, `{"jsonrpc":"2.0","id":"ä\u0000\"","method":"tools/call","params":{"x":[12345678901234567890, 1e2],"y":1}}`,
				`{"result":{"x":[12345678901234567890, 1e2],"y":1},"jsonrpc":"2.0","id":"ä\u0000\""}`)
			if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`}); got.status != http.StatusAccepted {
				t.Errorf("notification: got %d", got.status)
			}

			u, _ := url.Parse(server.server.URL)
			host := "old.example.com:" + u.Port()
			gets, posts := server.requests(http.MethodGet), server.requests(http.MethodPost)
			if len(gets) != 1 || gets[0].header.Get("Uri") != "/base/sse" || gets[0].header.Get("Host") != host ||
				gets[0].header.Get("Accept") != "text/event-stream" {
				t.Errorf("got streams %v", gets)
			}
			if len(posts) != 3 {
				t.Fatalf("got %d messages", len(posts))
			}
			for _, s := range append(gets, posts...) {
				if s.method == http.MethodPost && (s.header.Get("Uri") != "/messages?sessionId=1" || s.header.Get("Content-Type") != "application/json") ||
					s.header.Get("Host") != host || s.header.Get("User-Agent") != "dynamic-mcp/test" ||
					s.header.Get("Mcp-Session-Id") != "" || s.header.Get("Cookie") != "" {
					t.Errorf("got %v", s)
				}
			}
			if got := gets[0].header.Get("Traceparent"); got != "00-1-2-00" {
				t.Errorf("the stream has Traceparent %q", got)
			}
			if strings.Contains(g.log.String(), "sessionId") {
				t.Errorf("the log has a session id: %s", g.log)
			}
		})
	}
}

// The endpoint is a URI reference, of the same origin as the stream.
func TestEndpointOfAnotherOriginIsRefused(t *testing.T) {
	for _, test := range []struct {
		endpoint string // {host} and {port} are those of the Host header.
		path     string // Empty: it is refused.
	}{
		{"/messages?sessionId=1", "/messages?sessionId=1"},
		{"messages?sessionId=1", "/base/messages?sessionId=1"},
		{"../messages?sessionId=1#fragment", "/messages?sessionId=1"},
		{"?sessionId=1", "/base/sse?sessionId=1"},
		{"  /messages?sessionId=1 ", "/messages?sessionId=1"},
		{"/a%2Fb/%20?sessionId=1&x=%26", "/a%2Fb/%20?sessionId=1&x=%26"},
		{"http://{host}:{port}/messages?sessionId=1", "/messages?sessionId=1"},
		{"HTTP://Old.Example.COM:{port}/messages?sessionId=1", "/messages?sessionId=1"},
		{"http://user:pw@{host}:{port}/messages?sessionId=1", "/messages?sessionId=1"},
		{"//{host}:{port}/messages?sessionId=1", "/messages?sessionId=1"},
		{`/\evil.example.com/?sessionId=1`, "/%5Cevil.example.com/?sessionId=1"},
		{"http://evil.example.com:{port}/messages?sessionId=1", ""},
		{"http://{host}.evil.example.com:{port}/messages?sessionId=1", ""},
		{"http://{host}:{port}@evil.example.com/messages?sessionId=1", ""},
		{"http://{host}/messages?sessionId=1", ""},
		{"http://{host}:1/messages?sessionId=1", ""},
		{"http://127.0.0.1:{port}/messages?sessionId=1", ""},
		{"//evil.example.com/messages?sessionId=1", ""},
		{"//{host}/messages?sessionId=1", ""},
		{"https://{host}:{port}/messages?sessionId=1", ""},
		{"file:///etc/passwd", ""},
		{"http:messages", ""},
		{"mailto:a@b", ""},
		{"http://[::1/messages", ""},
		{"/%zz", ""},
		{"/" + strings.Repeat("x", maxSSEEndpoint), ""},
	} {
		t.Run(test.endpoint[:min(60, len(test.endpoint))], func(t *testing.T) {
			server := newFakeSSEServer(t)
			server.endpoint = func(r *http.Request, _ string) string {
				_, port, _ := strings.Cut(r.Host, ":")
				return strings.NewReplacer("{host}", "old.example.com", "{port}", port).Replace(test.endpoint)
			}
			g := newGateway(t, server.targets(), withBackend(static))
			answer := g.do(call{body: initializeBody})
			if test.path != "" {
				posts := server.requests(http.MethodPost)
				if answer.header.Get("Mcp-Session-Id") == "" || len(posts) != 1 || posts[0].header.Get("Uri") != test.path {
					t.Errorf("got %d %s, posted to %v", answer.status, answer.body, posts)
				}
				return
			}
			if answer.header.Get("Mcp-Session-Id") != "" || !strings.Contains(answer.body, "the endpoint that it sent for messages is") {
				t.Errorf("got %d %s", answer.status, answer.body)
			}
			if strings.Contains(answer.body, "sessionId") || strings.Contains(g.log.String(), "sessionId") {
				t.Errorf("the endpoint is told: %s, log %s", answer.body, g.log)
			}
			if posts := server.requests(http.MethodPost); len(posts) != 0 {
				t.Errorf("posted %v", posts)
			}
			server.wantStreams(0)
		})
	}
}

func TestPortOfTheSchemeIsTheSameOrigin(t *testing.T) {
	for _, test := range []struct{ stream, endpoint, want string }{
		{"https://a.example.com/sse", "https://a.example.com:443/m", "/m"},
		{"https://a.example.com/sse", "http://a.example.com:443/m", ""},
		{"http://a.example.com:80/sse", "http://a.example.com/m?x", "/m?x"},
		{"http://[fd00::1]/sse?tenant=1", "?x=2", "/sse?x=2"},
		{"http://[fd00::1]/sse", "http://[fd00::1]:80", "/"},
		{"http://[fd00::1]/sse", "http://[fd00::2]/", ""},
		{"http://a.example.com/sse", "", "/sse"},
	} {
		stream, err := url.Parse(test.stream)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ssePath(stream, test.endpoint)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s, %s: got %q %v, want %q", test.stream, test.endpoint, got, err, test.want)
		}
	}
}

// FuzzSSEPath: whatever a server sends, what is asked for is a path, and a URL of another origin never passes.
func FuzzSSEPath(f *testing.F) {
	f.Add("/messages?sessionId=1")
	f.Add("//a.example.com:8080/x")
	f.Add("http://a.example.com:8080/\\x?y#z")
	f.Add("http://b.example.com/")
	f.Add("\t/ /%2f\n")
	f.Fuzz(func(t *testing.T, endpoint string) {
		stream := &url.URL{Scheme: "http", Host: "a.example.com:8080", Path: "/base/sse"}
		path, err := ssePath(stream, endpoint)
		if err != nil {
			return
		}
		parsed, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") || parsed.Host != "" {
			t.Errorf("%q became %q: %v", endpoint, path, err)
		}
		reference, err := url.Parse(strings.TrimSpace(endpoint))
		if err != nil || reference.Host != "" && !strings.EqualFold(reference.Host, stream.Host) {
			t.Errorf("%q was accepted", endpoint)
		}
	})
}

// A server that is not what it should be is an error that says so, and no connection is left.
func TestServerWithoutAnEndpointIsAnError(t *testing.T) {
	streamable := newFakeServer(t)
	notSSE := streamable.target()
	notSSE.Protocol = config.SSE
	silent := newFakeSSEServer(t)
	silent.endpoint = func(*http.Request, string) string { return "" }
	hasty := newFakeSSEServer(t)
	hasty.endpoint = func(_ *http.Request, _ string) string {
		go func() { hasty.stream().end() }()
		return ""
	}
	endless := newFakeSSEServer(t)
	endless.endpoint = func(*http.Request, string) string { return "/" + strings.Repeat("x", 1<<20) }
	refusing := newFakeSSEServer(t)
	refusing.post = func(w http.ResponseWriter, _ *fakeSSEStream, _ *message) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	erring := newFakeSSEServer(t)
	erring.initialize = `"error":{"code":-32602,"message":"no such revision"}`
	confused := newFakeSSEServer(t)
	confused.initialize = `"result":{}`
	for name, test := range map[string]struct {
		target config.Target
		want   string
	}{
		"no stream":            {notSSE, "it answered HTTP status 404; does it speak HTTP+SSE at this path?"},
		"no endpoint":          {silent.target(), "within 1s"},
		"a stream that ends":   {hasty.target(), "its event stream ended before it sent its endpoint"},
		"an endless line":      {endless.target(), "a message of it is larger than 65536 bytes"},
		"initialize refused":   {refusing.target(), "it answered HTTP status 403"},
		"initialize in error":  {erring.target(), `{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no such revision"}}`},
		"no protocol revision": {confused.target(), "its answer to initialize has no protocolVersion"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, []config.Target{test.target}, withBackend(static), withLimits(func(l *config.Limits) {
				l.InitializeTimeout, l.MaxMessage = time.Second, 64<<10
			}))
			if got := g.do(call{body: initializeBody}); !strings.Contains(got.body, test.want) || got.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if open := len(g.mcp.sseConnections.byID); open != 0 {
				t.Errorf("%d connections are open", open)
			}
		})
	}
	for _, server := range []*fakeSSEServer{silent, hasty, endless, refusing, erring, confused} {
		server.wantStreams(0)
	}
}

func TestOtherTargetsAreServedWithoutTheServerOfHTTPSSE(t *testing.T) {
	old, other := newFakeSSEServer(t), newFakeServer(t)
	g := newGateway(t, []config.Target{
		old.withTools("ask").target(), other.withTools("other", "echo").named("other"),
	})
	session := g.open()
	for name, by := range map[string]string{"ask": "old", "old_ask": "old", "echo": "other"} {
		if got := g.callTool(session, name); !strings.HasPrefix(got, by) {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if got := g.toolNames(session); !slices.Equal(got, []string{"ask", "echo"}) {
		t.Errorf("got tools %q", got)
	}
	old.server.Close()
	old.wantStreams(0)
	if got := g.callTool(session, "ask"); !strings.Contains(got, `target "old" is unavailable: it refuses connections`) {
		t.Errorf("got %s", got)
	}
	if got := g.callTool(session, "echo"); got != "other "+params("echo") {
		t.Errorf("got %s", got)
	}
	if got := g.toolNames(session); !slices.Equal(got, []string{"echo"}) {
		t.Errorf("got tools %q", got)
	}
}
