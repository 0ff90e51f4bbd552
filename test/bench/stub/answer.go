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

package stub

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

var legacyVersions = []string{"2024-11-05", "2025-03-26", "2025-06-18", wire.LegacyVersion}

// checkLegacy applies the rules of the revisions with sessions.
func (l *Loop) checkLegacy(config *Config, h *wire.Head, m *message) bool {
	method := string(m.method)
	if method == "initialize" {
		return true
	}
	if config.Sessions && !l.session(h) {
		return false
	}
	if h.Version != nil && !slices.Contains(legacyVersions, string(h.Version)) {
		l.rpcError("400 Bad Request", m.id, -32000, "Bad Request: unsupported protocol version", "")
		return false
	}
	switch method {
	case "tools/call", "tools/list", "ping":
		return true
	}
	if m.id != nil {
		l.rpcError("200 OK", m.id, -32601, "Method not found", "")
	}
	return m.id == nil
}

// session checks the session id, and answers when it is missing or unknown.
func (l *Loop) session(h *wire.Head) bool {
	if h.Session == nil {
		l.rpcError("400 Bad Request", nil, -32000, "Bad Request: Mcp-Session-Id header is required", "")
		return false
	}
	ok := l.s.hasSession(h.Session)
	if !ok {
		l.rpcError("404 Not Found", nil, -32001, "Session not found", "")
	}
	return ok
}

// checkModern applies the rules of 2026-07-28.
func (l *Loop) checkModern(h *wire.Head, m *message) bool {
	const bad = "400 Bad Request"
	name := h.Name
	if encoded, ok := bytes.CutPrefix(name, []byte("=?base64?")); ok {
		if decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(encoded, []byte("?=")))); err == nil {
			name = decoded
		}
	}
	switch {
	case m.meta == nil || m.version == nil || wire.Member(m.meta, wire.MetaCapabilities) == nil:
		l.rpcError(bad, m.id, -32602, "Missing _meta", "")
	case !bytes.Equal(h.Version, m.version):
		l.rpcError(bad, m.id, -32020, "MCP-Protocol-Version does not match _meta", "")
	case string(m.version) != wire.ModernVersion:
		l.rpcError(bad, m.id, -32022, "Unsupported protocol version",
			fmt.Sprintf(`{"supported":[%q],"requested":%q}`, wire.ModernVersion, m.version))
	case !bytes.Equal(h.Method, m.method):
		l.rpcError(bad, m.id, -32020, "Mcp-Method does not match the body", "")
	case string(m.method) == "tools/call" && !bytes.Equal(name, m.name):
		l.rpcError(bad, m.id, -32020, "Mcp-Name does not match the body", "")
	default:
		switch string(m.method) {
		case "tools/call", "tools/list", "server/discover", "subscriptions/listen":
			return true
		}
		if m.id == nil {
			return true
		}
		l.rpcError("404 Not Found", m.id, -32601, "Method not found", "")
	}
	return false
}

// answer appends the answer to a request and returns how long to hold it.
func (l *Loop) answer(c *connection, config *Config, modern bool, m *message) time.Duration {
	sse := config.Reply == "sse"
	switch string(m.method) {
	case "tools/call":
		return l.call(c, config, modern, m)
	case "tools/list":
		l.list(config, modern, m)
	case "initialize":
		l.initialize(config, m)
	case "ping":
		l.result(sse, "", m.id, []byte("{}"))
	case "server/discover":
		l.result(sse, "", m.id, fmt.Appendf(nil, `{"resultType":"complete","supportedVersions":[%q],`+
			`"capabilities":{"tools":{"listChanged":true}},"_meta":{%q:{"name":%q,"version":"1.0.0"}},"ttlMs":60000,`+
			`"cacheScope":"public"}`, wire.ModernVersion, wire.MetaServerInfo, serverName))
	case "subscriptions/listen":
		l.stream(c, fmt.Appendf(nil, `event: message`+"\n"+
			`data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{`+
			`"_meta":{"io.modelcontextprotocol/subscriptionId":%s},"notifications":{"toolsListChanged":true}}}`+"\n\n", m.id))
	}
	return 0
}

func (l *Loop) initialize(config *Config, m *message) {
	version := string(wire.Unquote(wire.Member(m.params, "protocolVersion")))
	if !slices.Contains(legacyVersions, version) {
		version = wire.LegacyVersion
	}
	header := ""
	if config.Sessions {
		header = "Mcp-Session-Id: " + l.s.newSession() + "\r\n"
	}
	l.result(config.Reply == "sse", header, m.id, fmt.Appendf(nil, `{"protocolVersion":%q,`+
		`"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":%q,"version":"1.0.0"}}`, version, serverName))
}

func (l *Loop) list(config *Config, modern bool, m *message) {
	tools, tail := config.all, []byte("]}")
	if modern {
		tail = []byte(`],"resultType":"complete","ttlMs":60000,"cacheScope":"public"}`)
	}
	if config.Page > 0 && config.Page < len(config.tools) {
		from := 0
		if cursor := wire.Unquote(wire.Member(m.params, "cursor")); cursor != nil {
			n, ok := wire.Atoi(cursor)
			if !ok || n >= len(config.tools) {
				l.rpcError("200 OK", m.id, -32602, "Invalid cursor", "")
				return
			}
			from = n
		}
		to := min(from+config.Page, len(config.tools))
		tools = bytes.Join(config.tools[from:to], []byte(","))
		if to < len(config.tools) {
			tail = fmt.Appendf(nil, `],"nextCursor":"%d"%s`, to, tail[1:])
		}
	}
	l.result(config.Reply == "sse", "", m.id, []byte(`{"tools":[`), tools, tail)
}

// call answers tools/call with the argument, byte for byte.
func (l *Loop) call(c *connection, config *Config, modern bool, m *message) time.Duration {
	if !config.offers(m.name) {
		l.rpcError("200 OK", m.id, -32602, "Unknown tool: "+string(m.name), "")
		return 0
	}
	reply := callReply{id: m.id, text: wire.Member(m.arguments, "message"), begin: `{"content":[{"type":"text","text":`, end: "}]}"}
	if reply.text == nil {
		reply.text = []byte(`""`)
	}
	if modern {
		reply.begin = `{"resultType":"complete","content":[{"type":"text","text":`
	}
	if n := l.s.calls.Add(1); config.FaultEvery > 0 && n%int64(config.FaultEvery) == 0 && l.inject(c, config.Fault, &reply) {
		return 0
	}
	l.result(config.Reply == "sse", "", reply.id, []byte(reply.begin), reply.text, []byte(reply.end))
	return config.Delay
}

type callReply struct {
	id, text   []byte
	begin, end string
}

// inject spoils a reply, and returns whether it has been appended already.
func (l *Loop) inject(c *connection, fault string, r *callReply) bool {
	switch fault {
	case "id":
		r.id = []byte("1")
	case "text":
		r.text = bytes.Clone(r.text)
		r.text[len(r.text)/2] ^= 1
	case "rpcerror":
		l.rpcError("200 OK", r.id, -32603, "injected", "")
		return true
	case "toolerror":
		r.end = `}],"isError":true}`
	case "http500":
		l.status("500 Internal Server Error", "", "injected\n")
		return true
	case "close":
		l.result(false, "", r.id, []byte(r.begin), r.text, []byte(r.end))
		l.out = l.out[:len(l.out)-10]
		c.closing = true
		return true
	case "forget":
		l.s.forget()
	}
	return false
}
