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
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
)

// modernPost is a request of a client of revision 2026-07-28.
type modernPost struct {
	id     string // Raw; default: 1.
	method string
	params string // Members of params, besides _meta.
	// capabilities of the client; default: none. Meta are further members of _meta.
	capabilities, meta string
	header             map[string]string // "" takes a header away.
}

const modernClientInfo = `{"name":"modern-client","version":"1"}`

func (p modernPost) body() string {
	id, capabilities, params, meta := p.id, p.capabilities, p.params, p.meta
	if id == "" {
		id = "1"
	}
	if capabilities == "" {
		capabilities = "{}"
	}
	if params != "" {
		params += ","
	}
	if meta != "" {
		meta += ","
	}
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + p.method + `","params":{` + params + `"_meta":{` + meta +
		`"` + metaProtocolVersion + `":"` + modernVersion + `","` + metaClientInfo + `":` + modernClientInfo +
		`,"` + metaClientCapabilities + `":` + capabilities + `}}}`
}

func (p modernPost) call() call {
	header := map[string]string{"Mcp-Protocol-Version": modernVersion, "Mcp-Method": p.method}
	if key := mirror.NameKey(p.method); key != "" {
		var named map[string]json.RawMessage
		var name string
		_ = json.Unmarshal([]byte("{"+p.params+"}"), &named)
		if json.Unmarshal(named[key], &name) == nil {
			header["Mcp-Name"] = mirror.Encode(name)
		}
	}
	for name, value := range p.header {
		header[name] = value
	}
	return call{body: p.body(), header: header}
}

// modern sends a request of a modern client, and returns the answer.
func (g *gateway) modern(p modernPost) reply {
	g.t.Helper()
	return g.do(p.call())
}

// outcome is what an answer says.
type outcome struct {
	ID     json.RawMessage
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
}

// result sends a request of a modern client, and returns its result.
func (g *gateway) result(p modernPost) string {
	g.t.Helper()
	got := g.modern(p)
	var o outcome
	decode(g.t, got.body, &o)
	if got.status != 200 || o.Result == nil {
		g.t.Fatalf("got %d %s", got.status, got.body)
	}
	return string(o.Result)
}

// refused checks that an answer is an error with that code, whose message has that text.
func refused(t *testing.T, got reply, status, code int, text string) {
	t.Helper()
	var o outcome
	decode(t, got.body, &o)
	if got.status != status || o.Error == nil || o.Error.Code != code || !strings.Contains(o.Error.Message, text) {
		t.Errorf("got %d %s\nwant %d, %d and %q", got.status, got.body, status, code, text)
	}
}
