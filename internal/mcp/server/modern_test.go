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
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// legacyRequests are all requests that have reached a server but for the probe.
func (f *fakeServer) all() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func TestBadModernRequestsAreAnsweredAndReachNoServer(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	g := newGateway(t, server.targets())
	call := modernPost{method: "tools/call", params: `"name":"echo"`}
	with := func(name, value string) modernPost {
		p := call
		p.header = map[string]string{name: value}
		return p
	}
	raw := func(body string) func(*testing.T) reply {
		return func(*testing.T) reply {
			c := call.call()
			c.body = body
			return g.do(c)
		}
	}
	post := func(p modernPost) func(*testing.T) reply { return func(*testing.T) reply { return g.modern(p) } }
	twice := func(name string) func(*testing.T) reply {
		return func(*testing.T) reply {
			r := g.request(call.call())
			r.Header[name] = append(r.Header[name], r.Header[name][0])
			return g.doRequest(r)
		}
	}
	body := call.body()
	const supported = `{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"],"requested":`
	for name, test := range map[string]struct {
		do     func(*testing.T) reply
		status int
		code   int
		data   string
	}{
		"no version header":             {post(with("Mcp-Protocol-Version", "")), 400, -32020, ""},
		"two version headers":           {twice("Mcp-Protocol-Version"), 400, -32020, ""},
		"a legacy version header":       {post(with("Mcp-Protocol-Version", "2025-11-25")), 400, -32020, ""},
		"another version header":        {post(with("Mcp-Protocol-Version", "2027-01-01")), 400, -32020, ""},
		"no Mcp-Method":                 {post(with("Mcp-Method", "")), 400, -32020, ""},
		"two Mcp-Methods":               {twice("Mcp-Method"), 400, -32020, ""},
		"another Mcp-Method":            {post(with("Mcp-Method", "tools/list")), 400, -32020, ""},
		"Mcp-Method in another case":    {post(with("Mcp-Method", "Tools/call")), 400, -32020, ""},
		"no Mcp-Name":                   {post(with("Mcp-Name", "")), 400, -32020, ""},
		"two Mcp-Names":                 {twice("Mcp-Name"), 400, -32020, ""},
		"another Mcp-Name":              {post(with("Mcp-Name", "Echo")), 400, -32020, ""},
		"Mcp-Name that is no Base64":    {post(with("Mcp-Name", "=?base64?!!!?=")), 400, -32020, ""},
		"another Mcp-Name in Base64":    {post(with("Mcp-Name", "=?base64?ZWNobzI=?=")), 400, -32020, ""},
		"a name that is no string":      {raw(strings.Replace(body, `"name":"echo"`, `"name":1`, 1)), 400, -32020, ""},
		"no _meta":                      {raw(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`), 400, -32602, ""},
		"no params":                     {raw(`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`), 400, -32602, ""},
		"a _meta that is no object":     {raw(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":[]}}`), 400, -32602, ""},
		"no version in _meta":           {raw(strings.Replace(body, "/protocolVersion", "/version", 1)), 400, -32602, ""},
		"a version that is no string":   {raw(strings.Replace(body, `"2026-07-28"`, `20260728`, 1)), 400, -32602, ""},
		"no capabilities":               {raw(strings.Replace(body, "/clientCapabilities", "/capabilities", 1)), 400, -32602, ""},
		"capabilities that are none":    {raw(strings.Replace(body, `/clientCapabilities":{}`, `/clientCapabilities":null`, 1)), 400, -32602, ""},
		"two _metas":                    {raw(strings.Replace(body, `"params":{`, `"params":{"_meta":{},`, 1)), 400, -32600, ""},
		"two versions in _meta":         {raw(strings.Replace(body, `"_meta":{`, `"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25",`, 1)), 400, -32600, ""},
		"two versions, one escaped":     {raw(strings.Replace(body, `"_meta":{`, `"_meta":{"io.modelcontextprotocol\/protocolVersion":"2025-11-25",`, 1)), 400, -32600, ""},
		"two capabilities":              {raw(strings.Replace(body, `"_meta":{`, `"_meta":{"io.modelcontextprotocol/clientCapabilities":{},`, 1)), 400, -32600, ""},
		"two names":                     {raw(strings.Replace(body, `"name":"echo"`, `"name":"echo","n\u0061me":"rm"`, 1)), 400, -32600, ""},
		"a version that is not served":  {raw(strings.Replace(body, "2026-07-28", "2027-01-01", 1)), 400, -32020, ""},
		"an unknown version everywhere": {func(*testing.T) reply { return g.do(inVersion(call, "2027-01-01")) }, 400, -32022, supported + `"2027-01-01"}`},
		"a version that never was":      {func(*testing.T) reply { return g.do(inVersion(call, `x`)) }, 400, -32022, supported + `"x"}`},
		"an unknown version without _meta": {func(*testing.T) reply {
			return g.do(callOf(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "2027-01-01"))
		}, 400, -32022, supported + `"2027-01-01"}`},
		"initialize":            {post(modernPost{method: "initialize"}), 404, -32601, ""},
		"ping":                  {post(modernPost{method: "ping"}), 404, -32601, ""},
		"logging/setLevel":      {post(modernPost{method: "logging/setLevel", params: `"level":"info"`}), 404, -32601, ""},
		"resources/subscribe":   {post(modernPost{method: "resources/subscribe", params: `"uri":"demo://x"`}), 404, -32601, ""},
		"resources/unsubscribe": {post(modernPost{method: "resources/unsubscribe", params: `"uri":"demo://x"`}), 404, -32601, ""},
		"a batch": {func(*testing.T) reply {
			c := call.call()
			c.body = "[" + c.body + "]"
			return g.do(c)
		}, 400, -32600, ""},
		"a response": {raw(`{"jsonrpc":"2.0","id":1,"result":{}}`), 400, -32000, ""},
		"not JSON":   {raw(`{"jsonrpc":"2.0","id":1,`), 400, -32700, ""},
		"GET":        {func(*testing.T) reply { return g.do(bare(http.MethodGet)) }, 405, -32000, ""},
		"DELETE":     {func(*testing.T) reply { return g.do(bare(http.MethodDelete)) }, 405, -32000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			got := test.do(t)
			var o outcome
			decode(t, got.body, &o)
			if got.status != test.status || o.Error == nil || o.Error.Code != test.code || o.Error.Message == "" || string(o.Error.Data) != test.data {
				t.Errorf("got %d %s\nwant %d and %d with %s", got.status, got.body, test.status, test.code, test.data)
			}
			noID := []string{"a batch", "a response", "not JSON", "GET", "DELETE"}
			if id := string(o.ID); id != "1" && (id != "null" || !slices.Contains(noID, name)) {
				t.Errorf("the id is %s", id)
			}
			if got.header.Get("Mcp-Session-Id") != "" {
				t.Error("it has a session")
			}
		})
	}
	if n := server.all(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// inVersion is a request of another revision, in the header and in the body.
func inVersion(p modernPost, version string) call {
	c := p.call()
	c.body = strings.Replace(c.body, modernVersion, version, 1)
	c.header["Mcp-Protocol-Version"] = version
	return c
}

func callOf(body, version string) call {
	return call{body: body, header: map[string]string{"Mcp-Protocol-Version": version}}
}

// bare is a request of the modern era that has no body.
func bare(method string) call {
	return call{method: method, header: map[string]string{"Mcp-Protocol-Version": modernVersion, "Content-Type": ""}}
}

func TestModernNotificationIsAccepted(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	for _, body := range []string{
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/vendor"}`,
	} {
		if got := g.do(callOf(body, modernVersion)); got.status != http.StatusAccepted || got.body != "" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if n := server.all(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

func TestErasOfClientsAreToldApart(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	meta := modernPost{method: "tools/call", params: `"name":"echo"`}
	t.Run("a client with a session is of the legacy era, whatever its _meta says", func(t *testing.T) {
		g.t = t
		for _, version := range []string{"", "2025-11-25"} {
			c := meta.call()
			c.session = id
			c.header = map[string]string{"Mcp-Protocol-Version": version}
			got := g.do(c)
			if got.status != http.StatusOK || !strings.Contains(got.body, metaProtocolVersion) || strings.Contains(got.body, "resultType") {
				t.Errorf("got %d %s", got.status, got.body)
			}
		}
	})
	t.Run("a session id of a modern client is ignored", func(t *testing.T) {
		g.t = t
		for _, session := range []string{id, "nonsense"} {
			c := meta.call()
			c.session = session
			got := g.do(c)
			if got.status != http.StatusOK || !strings.Contains(got.body, `"resultType":"complete"`) || got.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("got %d %s", got.status, got.body)
			}
		}
	})
	t.Run("initialize is of the legacy era", func(t *testing.T) {
		g.t = t
		for version, want := range map[string]string{
			"2024-11-05": "2024-11-05", "2025-03-26": "2025-03-26", "2025-11-25": "2025-11-25", "2026-07-28": "2025-11-25", "1999-01-01": "2025-11-25",
		} {
			empty := newGateway(t, nil)
			got := empty.do(call{body: strings.Replace(initializeBody, "2025-11-25", version, 1)})
			if got.status != http.StatusOK || got.header.Get("Mcp-Session-Id") == "" || !strings.Contains(got.body, `"protocolVersion":"`+want+`"`) {
				t.Errorf("%s: got %d %s", version, got.status, got.body)
			}
		}
		got := g.do(call{body: strings.Replace(initializeBody, `"params":{`, `"params":{"_meta":{"progressToken":1},`, 1)})
		if got.status != http.StatusOK || got.header.Get("Mcp-Session-Id") == "" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
	t.Run("neither session nor revision", func(t *testing.T) {
		g.t = t
		refused(t, g.do(call{body: listBody}), 400, -32000, "Mcp-Session-Id")
	})
}

func TestModernMethodThatNobodyKnows(t *testing.T) {
	one := newFakeModern(t, "one")
	one.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		if m.Method == "vendor/x" {
			answerModern(w, m.ID, `{"resultType":"complete","vendor":1}`)
			return
		}
		fail(w, http.StatusNotFound, m.ID, -32601, `{"its":"own"}`)
	}
	g := newGateway(t, one.targets())
	same(t, g.result(modernPost{method: "vendor/x"}), `{"resultType":"complete","vendor":1}`)
	got := g.modern(modernPost{method: "vendor/y"})
	if got.status != 404 || got.body != `{"error":{"code":-32601,"message":"as told","data":{"its":"own"}},"jsonrpc":"2.0","id":1}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for _, targets := range [][]config.Target{{one.named("a"), one.named("b")}, nil} {
		several := newGateway(t, targets)
		refused(t, several.modern(modernPost{method: "vendor/x"}), 404, -32601, "can't tell")
	}
}

func TestMcpNameMayBeEncoded(t *testing.T) {
	one := newFakeModern(t, "one")
	g := newGateway(t, one.targets())
	for _, name := range []string{"echo", "écho", " padded ", "=?base64?x?=", "", "a\tb", "line1\nline2"} {
		quoted := string(jsonrpc.AppendString(nil, name))
		p := modernPost{method: "tools/call", params: `"name":` + quoted}
		if got := g.result(p); !strings.Contains(got, `"name":`+quoted) {
			t.Errorf("%q: got %s", name, got)
		}
		p.header = map[string]string{"Mcp-Name": "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="}
		if got := g.result(p); !strings.Contains(got, `"name":`+quoted) {
			t.Errorf("%q in Base64: got %s", name, got)
		}
	}
	p := modernPost{method: "resources/read", params: `"uri":"demo://é"`}
	g.result(p)
	sent := one.requests("resources/read")[0]
	same(t, sent.header["Mcp-Name"], []string{"=?base64?ZGVtbzovL8Op?="})
}
