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
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// maxBody is how long a request's body may be.
const maxBody = 64 << 20

// request serves the request at the start of data and returns its length, or 0 when it is incomplete.
func (l *Loop) request(c *connection, data []byte) (int, error) {
	var h wire.Head
	n, err := wire.ParseHead(data, &h)
	if n == 0 || err != nil {
		return 0, err
	}
	body, used, done, err := l.bodyOf(c, &h, data, n)
	if err != nil {
		return 0, err
	}
	if !done {
		if h.Expect {
			_, _ = wire.Write(c.fd, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
		}
		return 0, nil
	}
	method, rest, ok := bytes.Cut(h.First, []byte(" "))
	path, proto, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 {
		return 0, wire.ErrMalformed
	}
	c.closing = h.Close || string(proto) == "HTTP/1.0"
	l.out = l.out[:0]
	if string(method) != http.MethodPost || !bytes.HasSuffix(path, []byte("mcp")) {
		l.other(c, &h, string(method), string(path))
	} else if delay := l.post(c, &h, body); delay > 0 {
		l.late = append(l.late, lateReply{time.Now().Add(delay), c, bytes.Clone(l.out)})
		return used, nil
	}
	l.send(c, l.out)
	return used, nil
}

// bodyOf returns a request's body, the length of the whole request, and whether it has arrived.
func (l *Loop) bodyOf(c *connection, h *wire.Head, data []byte, head int) (body []byte, used int, done bool, err error) {
	switch {
	case h.Chunked:
		body, used, done, err = wire.Dechunk(data[head:], &l.body)
		return body, head + used, done, err
	case h.ContentLength > maxBody:
		return nil, 0, false, wire.ErrMalformed
	case h.ContentLength > 0:
		c.need = head + h.ContentLength
		if len(data) < c.need {
			return nil, 0, false, nil
		}
		return data[head:c.need], c.need, true, nil
	}
	return nil, head, true, nil
}

// message is what the stub reads of a JSON-RPC message.
type message struct {
	id, method, params []byte
	name, arguments    []byte
	meta, version      []byte
}

func parseMessage(body []byte) message {
	var m message
	for it := wire.MembersOf(body); it.Next(); {
		switch string(it.Key) {
		case "id":
			m.id = it.Value
		case "method":
			m.method = wire.Unquote(it.Value)
		case "params":
			m.params = it.Value
		}
	}
	for it := wire.MembersOf(m.params); it.Next(); {
		switch string(it.Key) {
		case "name":
			m.name = wire.Unquote(it.Value)
		case "arguments":
			m.arguments = it.Value
		case "_meta":
			m.meta = it.Value
			m.version = wire.Unquote(wire.Member(m.meta, wire.MetaVersion))
		}
	}
	return m
}

// post appends the reply to one message and returns how long to hold it.
func (l *Loop) post(c *connection, h *wire.Head, body []byte) time.Duration {
	config := l.s.config.Load()
	m := parseMessage(body)
	if m.method == nil {
		if m.id == nil {
			l.rpcError("400 Bad Request", nil, -32700, "Parse error", "")
		} else {
			l.out = append(l.out, accepted...) // a response to a request of ours
		}
		return 0
	}
	l.s.count(string(m.method))
	modern := config.isModern(h, &m)
	if modern && !l.checkModern(h, &m) || !modern && !l.checkLegacy(config, h, &m) {
		return 0
	}
	if m.id == nil {
		l.out = append(l.out, accepted...)
		return 0
	}
	return l.answer(c, config, modern, &m)
}

func (c *Config) isModern(h *wire.Head, m *message) bool {
	switch {
	case c.Mode != dual:
		return c.Mode == wire.Modern
	case string(m.method) == "initialize":
		return false
	}
	return string(h.Version) >= wire.ModernVersion || string(m.version) >= wire.ModernVersion
}

// other answers GET streams, DELETE, /stats and /ctl.
func (l *Loop) other(c *connection, h *wire.Head, method, path string) {
	config := l.s.config.Load()
	u, err := url.Parse(path)
	switch {
	case err != nil:
		l.status("400 Bad Request", "", "bad path\n")
	case u.Path == "/stats":
		b, _ := json.Marshal(l.s.Stats())
		l.message("200 OK", "", false, b)
	case u.Path == "/ctl":
		l.control(*config, u.Query())
	case !strings.HasSuffix(u.Path, "mcp"):
		l.status("404 Not Found", "", "not found\n")
	case config.Mode == wire.Modern || config.Mode == dual && string(h.Version) >= wire.ModernVersion:
		l.status("405 Method Not Allowed", "Allow: POST\r\n", "")
	case method == http.MethodGet:
		l.s.count(method)
		if !config.Sessions || l.session(h) {
			l.stream(c, []byte(": open\n\n"))
		}
	case method == http.MethodDelete && config.Sessions:
		l.s.count(method)
		if l.session(h) {
			l.s.endSession(h.Session)
			l.status("200 OK", "", "")
		}
	default:
		l.status("405 Method Not Allowed", "Allow: POST, GET\r\n", "")
	}
}

// control serves a changed config from now on.
func (l *Loop) control(next Config, settings url.Values) {
	for name, values := range settings {
		if err := next.Set(name, values[0]); err != nil {
			l.status("400 Bad Request", "", err.Error()+"\n")
			return
		}
	}
	l.s.configure(next)
	l.nextStall = time.Time{}
	b, _ := json.Marshal(next)
	l.message("200 OK", "", false, b)
}
