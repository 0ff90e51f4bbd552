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
	"fmt"
	"strconv"
)

const accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n" +
	"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n"

// status appends a reply with a plain text body.
func (l *Loop) status(line, header, body string) {
	l.out = fmt.Appendf(l.out, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n%sContent-Length: %d\r\n\r\n%s", line, header, len(body), body)
}

// message appends a JSON-RPC message, given in parts, as the HTTP reply.
func (l *Loop) message(status, header string, sse bool, parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := l.out
	if sse {
		const begin, end = "event: message\ndata: ", "\n\n"
		out = append(out, streamHead...)
		out = append(append(out, header...), "\r\n"...)
		out = strconv.AppendInt(out, int64(n+len(begin)+len(end)), 16)
		out = append(append(out, "\r\n"...), begin...)
		for _, p := range parts {
			out = append(out, p...)
		}
		l.out = append(append(out, end...), "\r\n0\r\n\r\n"...)
		return
	}
	out = append(append(out, "HTTP/1.1 "...), status...)
	out = append(out, "\r\nContent-Type: application/json\r\n"...)
	out = append(append(out, header...), "Content-Length: "...)
	out = strconv.AppendInt(out, int64(n), 10)
	out = append(out, "\r\n\r\n"...)
	for _, p := range parts {
		out = append(out, p...)
	}
	l.out = out
}

// result appends a JSON-RPC result, given in at most four parts.
func (l *Loop) result(sse bool, header string, id []byte, parts ...[]byte) {
	all := [8][]byte{0: []byte(`{"jsonrpc":"2.0","id":`), 1: id, 2: []byte(`,"result":`)}
	n := 3 + copy(all[3:7], parts)
	all[n] = []byte("}")
	l.message("200 OK", header, sse, all[:n+1]...)
}

func (l *Loop) rpcError(status string, id []byte, code int, text, data string) {
	if id == nil {
		id = []byte("null")
	}
	if data != "" {
		data = `,"data":` + data
	}
	l.message(status, "", false,
		fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q%s}}`, id, code, text, data))
}

// stream opens a stream of events that stays open after the first one.
func (l *Loop) stream(c *connection, event []byte) {
	l.out = fmt.Appendf(l.out, "%s\r\n%x\r\n%s\r\n", streamHead, len(event), event)
	if !c.stream {
		c.stream = true
		l.s.streams.Add(1)
	}
	c.closing = false
}
