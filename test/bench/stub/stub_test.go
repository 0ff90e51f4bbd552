//go:build linux

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

package stub_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/stub"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(wire.MinProcs)
	goleak.VerifyTestMain(m)
}

// start serves a stub until the test ends.
func start(t *testing.T, settings ...string) (server *stub.Server, base string) {
	t.Helper()
	config := stub.Default()
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		if err := config.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	server = stub.New(config)
	loop, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base = "http://" + loop.Bound()[0]
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return server, base
}

// answer is an HTTP response, read to its end unless it is a stream.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) want(t *testing.T, what string, status int, part string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, part) {
		t.Errorf("%s: %d %s, want %d with %s", what, a.status, a.body, status, part)
	}
}

// do sends a request with Go's own HTTP client.
func do(t *testing.T, method, url string, body io.Reader, headers ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if method == http.MethodGet && wire.IsEventStream([]byte(resp.Header.Get("Content-Type"))) {
		t.Cleanup(func() { _ = resp.Body.Close() })
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.body = string(b)
	return a
}

func TestLegacy(t *testing.T) {
	server, base := start(t, "mode=dual", "page=4")
	post := func(body string, headers ...string) answer {
		t.Helper()
		return do(t, http.MethodPost, base+"/mcp", strings.NewReader(body), headers...)
	}
	a := post(`{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}`)
	a.want(t, "initialize", 200, `"protocolVersion":"2025-06-18"`)
	session := []string{"Mcp-Session-Id", a.header.Get("Mcp-Session-Id")}
	if session[1] == "" {
		t.Fatal("no session id")
	}
	post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, session...).want(t, "initialized", 202, "")

	big := strings.Repeat("0123456789", 200_000)
	call := `{"params":{"arguments":{"message":"` + big + `"},"name":"echo"},"method":"tools/call","id":7,"jsonrpc":"2.0"}`
	for _, body := range []io.Reader{strings.NewReader(call), io.MultiReader(strings.NewReader(call))} { // the second has no length
		a := do(t, http.MethodPost, base+"/mcp", body, session...)
		if a.status != 200 || a.body != `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"`+big+`"}]}}` {
			t.Errorf("call: %d, %d bytes", a.status, len(a.body))
		}
	}
	a = post(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"8"}}`, session...)
	a.want(t, "last page", 200, "tool_009")
	if strings.Contains(a.body, "nextCursor") {
		t.Error("the last page has a cursor")
	}
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	post(list, session...).want(t, "first page", 200, `"nextCursor":"4"`)
	post(list).want(t, "no session", 400, "-32000")
	post(list, "Mcp-Session-Id", "x").want(t, "unknown session", 404, "-32001")
	post(list, append(session, "MCP-Protocol-Version", "1999-01-01")...).want(t, "unknown version", 400, "-32000")
	post(`{}`, session...).want(t, "no message", 400, "-32700")
	do(t, http.MethodGet, base+"/mcp", nil, append(session, "Accept", "text/event-stream")...).want(t, "stream", 200, "")
	if got := server.Stats(); got.Streams != 1 || got.Sessions != 1 {
		t.Errorf("%+v", got)
	}
	do(t, http.MethodDelete, base+"/mcp", nil, session...).want(t, "delete", 200, "")
	if got := server.Stats(); got.Sessions != 0 || got.Methods["tools/call"] != 2 || got.Calls != 2 {
		t.Errorf("%+v", got)
	}
}

func TestModern(t *testing.T) {
	server, base := start(t, "mode=dual", "reply=sse")
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"m"},` + meta + `}}`
	version := []string{"MCP-Protocol-Version", "2026-07-28"}
	headers := slices.Concat(version, []string{"Mcp-Method", "tools/call", "Mcp-Name", "echo"})
	post := func(body string, headers ...string) answer {
		t.Helper()
		return do(t, http.MethodPost, base+"/mcp", strings.NewReader(body), headers...)
	}
	a := post(call, headers...)
	a.want(t, "call", 200, `"resultType":"complete"`)
	if !strings.HasPrefix(a.body, "event: message\ndata: {") || !strings.HasSuffix(a.body, "}\n\n") {
		t.Errorf("no event: %q", a.body)
	}
	post(call, append(headers[:4:4], "Mcp-Name", "=?base64?ZWNobw==?=")...).want(t, "encoded name", 200, `"text":"m"`)
	post(call, append(headers[:4:4], "Mcp-Name", "other")...).want(t, "another name", 400, "-32020")
	post(call, append(version[:2:2], "Mcp-Name", "echo")...).want(t, "no method", 400, "-32020")
	post(strings.ReplaceAll(call, "2026-07-28", "2027-01-01"), append([]string{"MCP-Protocol-Version", "2027-01-01"}, headers[2:]...)...).
		want(t, "another version", 400, "-32022")
	post(`{"jsonrpc":"2.0","id":1,"method":"nope","params":{`+meta+`}}`, append(version[:2:2], "Mcp-Method", "nope")...).
		want(t, "unknown method", 404, "-32601")
	post(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{`+meta+`}}`, append(version[:2:2], "Mcp-Method", "server/discover")...).
		want(t, "discover", 200, `"supportedVersions":["2026-07-28"]`)
	do(t, http.MethodGet, base+"/mcp", nil, version...).want(t, "GET", 405, "")
	if got := server.Stats(); got.Methods["tools/call"] != 5 || got.Calls != 2 {
		t.Errorf("%+v", got)
	}
}

func TestControl(t *testing.T) {
	_, base := start(t)
	get := func(path string) answer { return do(t, http.MethodGet, base+path, nil) }
	get("/ctl?reply=sse&tools=3").want(t, "change", 200, `"Reply":"sse","Tools":3`)
	get("/ctl?reply=xml").want(t, "bad value", 400, "reply")
	get("/ctl?pages=1").want(t, "bad name", 400, `unknown setting "pages"`)
	get("/ctl").want(t, "as before", 200, `"Reply":"sse","Tools":3`)
	get("/stats").want(t, "stats", 200, `"sessions":0`)
	get("/other").want(t, "another path", 404, "")
}
