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
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const listBody = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`

func TestBadRequestsAreAnsweredAndReachNoServer(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.MaxRequestBody = 1000 }))
	id := g.open()
	other := newGateway(t, server.targets(), withKeys(g.mcp.keys.Load()), withBackend(func(b *config.Backend) { b.ID = "uid-2" }))
	sealed := func(change func(*session.Session)) string {
		s := &session.Session{SID: session.NewSID(), Expires: time.Now().Add(time.Hour), Backend: "uid-1", ProtocolVersion: "2025-11-25"}
		change(s)
		token, err := g.mcp.keys.Load().SealSession(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(token)
	}
	before := len(server.requests(http.MethodPost))
	flipped := []byte(id)
	flipped[len(flipped)/2] ^= 1

	tests := map[string]struct {
		call   call
		status int
		want   string // Part of the body.
	}{
		"not JSON":                     {call{body: "hello", session: id}, 400, `"code":-32700`},
		"empty body":                   {call{body: "", session: id}, 400, `"code":-32700`},
		"two values":                   {call{body: listBody + listBody, session: id}, 400, `"code":-32700`},
		"an array of requests":         {call{body: "[" + listBody + "]", session: id}, 400, "batches are of revision 2025-03-26 only"},
		"a duplicate method":           {call{body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"ping"}`, session: id}, 400, `"code":-32600`},
		"an escaped duplicate":         {call{body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","m\u0065thod":"ping"}`, session: id}, 400, `"code":-32600`},
		"a duplicate name":             {call{body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","n\u0061me":"b"}}`, session: id}, 400, `"code":-32600`},
		"no jsonrpc":                   {call{body: `{"id":1,"method":"tools/list"}`, session: id}, 400, `"code":-32600`},
		"an id that is null":           {call{body: `{"jsonrpc":"2.0","id":null,"method":"tools/list"}`, session: id}, 400, `"code":-32600`},
		"a scalar":                     {call{body: "1", session: id}, 400, `"code":-32600`},
		"too large":                    {call{body: strings.Repeat("x", 1001), session: id}, 413, "1000 bytes"},
		"no session id":                {call{body: listBody}, 400, "Mcp-Session-Id"},
		"an unknown session":           {call{body: listBody, session: "1868a90c-0000"}, 404, "Session not found"},
		"a forged session":             {call{body: listBody, session: string(flipped)}, 404, "Session not found"},
		"an expired session":           {call{body: listBody, session: sealed(func(s *session.Session) { s.Expires = time.Now().Add(-time.Hour) })}, 404, "Session not found"},
		"a session of another backend": {call{body: listBody, session: other.open()}, 404, "Session not found"},
		"a wrong Origin":               {call{body: listBody, session: id, header: map[string]string{"Origin": "https://evil.example"}}, 403, "Origin"},
		"an Origin that is null":       {call{body: listBody, session: id, header: map[string]string{"Origin": "null"}}, 403, "Origin"},
		"a wrong Host":                 {call{body: listBody, session: id, host: "evil.example"}, 403, "Host"},
		"a wrong Host with a port":     {call{body: listBody, session: id, host: "evil.example:8080"}, 403, "Host"},
		"a wrong method":               {call{method: http.MethodPut, body: listBody, session: id}, 405, "GET, POST, DELETE, OPTIONS"},
		"Accept without streams":       {call{body: listBody, session: id, header: map[string]string{"Accept": "application/json"}}, 406, "text/event-stream"},
		"Accept without JSON":          {call{body: listBody, session: id, header: map[string]string{"Accept": "text/event-stream"}}, 406, "application/json"},
		"no Accept":                    {call{body: listBody, session: id, header: map[string]string{"Accept": ""}}, 406, "application/json"},
		"Accept that refuses":          {call{body: listBody, session: id, header: map[string]string{"Accept": "application/json;q=0, text/event-stream"}}, 406, "application/json"},
		"text":                         {call{body: listBody, session: id, header: map[string]string{"Content-Type": "text/plain"}}, 415, "application/json"},
		"an unknown version":           {call{body: listBody, session: id, header: map[string]string{"Mcp-Protocol-Version": "1999-01-01"}}, 400, "2025-11-25, 2025-06-18, 2025-03-26"},
		"an answer to nothing":         {call{body: `{"jsonrpc":"2.0","id":"abc","result":{}}`, session: id}, 400, "awaits"},
		"an answer with a number":      {call{body: `{"jsonrpc":"2.0","id":7,"result":{}}`, session: id}, 400, "awaits"},
		"initialize without params":    {call{body: `{"jsonrpc":"2.0","id":1,"method":"initialize"}`}, 400, "protocolVersion"},
		"initialize without version":   {call{body: `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`}, 400, "protocolVersion"},
		"GET without a session":        {call{method: http.MethodGet}, 400, "Mcp-Session-Id"},
		"GET with an unknown session":  {call{method: http.MethodGet, session: "nope"}, 404, "Session not found"},
		"GET that takes no streams":    {call{method: http.MethodGet, session: id, header: map[string]string{"Accept": "application/json"}}, 406, "text/event-stream"},
		"DELETE without a session":     {call{method: http.MethodDelete}, 400, "Mcp-Session-Id"},
		"DELETE of an unknown session": {call{method: http.MethodDelete, session: "nope"}, 404, "Session not found"},
	}
	before++ // The other gateway's initialize.
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g.t = t
			got := g.do(test.call)
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("got %d %s\nwant %d and %s", got.status, got.body, test.status, test.want)
			}
			if !strings.HasPrefix(got.body, `{"jsonrpc":"2.0",`) {
				t.Errorf("the body is no JSON-RPC error: %s", got.body)
			}
		})
	}
	if after := len(server.requests(http.MethodPost)); after != before {
		t.Errorf("%d requests reached the server", after-before)
	}
	if strings.Contains(g.log.String(), id) {
		t.Error("the log has a session id")
	}
}

func TestTooLargeWithoutContentLength(t *testing.T) {
	g := newGateway(t, nil, withLimits(func(l *config.Limits) { l.MaxRequestBody = 1000 }))
	r := g.request(call{body: strings.Repeat("x", 1001)})
	r.ContentLength = -1
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", response.StatusCode)
	}
}

func TestGoodRequestsPass(t *testing.T) {
	g := newGateway(t, newFakeServer(t).targets())
	id := g.open()
	tests := map[string]call{
		"plain":                        {},
		"Origin on this machine":       {header: map[string]string{"Origin": "http://localhost:6274"}},
		"Origin of a route":            {header: map[string]string{"Origin": "https://mcp.example.com"}},
		"Origin that is configured":    {header: map[string]string{"Origin": "https://app.example.com"}},
		"Host of a route":              {host: "MCP.example.com:8080"},
		"Host on this machine":         {host: "[::1]:8080"},
		"Accept of anything":           {header: map[string]string{"Accept": "*/*"}},
		"Accept with weights":          {header: map[string]string{"Accept": "text/*;q=0.5, Application/JSON"}},
		"content type with parameters": {header: map[string]string{"Content-Type": "application/json; charset=utf-8"}},
		"an older version":             {header: map[string]string{"Mcp-Protocol-Version": "2025-03-26"}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			g.t = t
			c.body, c.session = listBody, id
			if got := g.do(c); got.status != http.StatusOK || got.body != `{"result":{},"jsonrpc":"2.0","id":1}` {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
}

func TestPagesMayReadAnswersOfAllowedOriginsOnly(t *testing.T) {
	g := newGateway(t, newFakeServer(t).targets())
	got := g.do(call{method: http.MethodOptions, header: map[string]string{
		"Origin": "https://app.example.com", "Access-Control-Request-Headers": "mcp-session-id,content-type",
	}})
	if got.status != http.StatusNoContent ||
		got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		got.header.Get("Access-Control-Allow-Headers") != "mcp-session-id,content-type" ||
		!strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") {
		t.Errorf("got %d %v", got.status, got.header)
	}
	got = g.do(call{method: http.MethodOptions, header: map[string]string{"Origin": "https://evil.example"}})
	if got.status != http.StatusForbidden || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %d %v", got.status, got.header)
	}
}

func TestWellKnownIsNobodysBusiness(t *testing.T) {
	g := newGateway(t, newFakeServer(t).targets())
	r := g.request(call{method: http.MethodGet})
	r.URL.Path = "/.well-known/oauth-protected-resource"
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("got %d", response.StatusCode)
	}
}
