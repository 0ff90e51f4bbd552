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
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// take sends a message of the server's stream where it belongs. What is no message is passed over.
func (c *sseConnection) take(event *sse.Event) {
	if len(event.Data) == 0 || !event.IsMessage() {
		return // A second endpoint, a heartbeat.
	}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(event.Data, &m); err != nil {
		c.ignore("it is no JSON-RPC message")
		return
	}
	switch {
	case m.Kind == jsonrpc.Response:
		c.takeResponse(event.Data, &m)
	case m.Kind == jsonrpc.Notification && m.Method == "notifications/progress":
		c.takeProgress(event.Data, &m)
	default:
		c.toClient(&mail{data: bytes.Clone(event.Data), kind: m.Kind})
	}
}

func (c *sseConnection) ignore(why string) {
	c.log.Debug("Message of a target is ignored", "backend", c.target.backend.Key, "target", c.target.Name, "reason", why)
}

// takeResponse hands a response to the request that it answers, under the id that it had.
func (c *sseConnection) takeResponse(data []byte, m *jsonrpc.Message) {
	id := m.ID.Of(data)
	unnamed := m.ID.Empty() || string(id) == "null"
	r := c.numbered(id)
	if unnamed {
		r = c.single() // Servers refuse so what they can't read.
	}
	if r == nil {
		c.ignore("no request waits for it")
		return
	}
	answer := &mail{kind: m.Kind, own: true, response: true}
	if m.ID.Empty() {
		answer.data = withMembers(data, fmt.Appendf(nil, `"id":%s,`, r.original))
	} else {
		answer.data = jsonrpc.Splice(nil, data, jsonrpc.Edit{Span: m.ID, New: r.original})
	}
	c.mu.Lock()
	c.inFlight = without(c.inFlight, r)
	c.mu.Unlock()
	c.touch()
	r.deliver(answer)
}

// single returns the only request in flight; nil if there are none or several.
func (c *sseConnection) single() *sseRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inFlight) != 1 {
		return nil
	}
	return c.inFlight[0]
}

// takeProgress hands a progress notification to the request that it is about, under the token that the client gave.
func (c *sseConnection) takeProgress(data []byte, m *jsonrpc.Message) {
	var token [1]jsonrpc.Span
	if jsonrpc.Lookup(data, m.Params, []string{"progressToken"}, token[:]) != nil || token[0].Empty() {
		c.ignore("it has no progress token")
		return
	}
	r := c.numbered(token[0].Of(data))
	if r == nil || r.token == nil {
		c.ignore("nobody waits for this progress")
		return
	}
	r.deliver(&mail{
		data: jsonrpc.Splice(nil, data, jsonrpc.Edit{Span: token[0], New: r.token}), kind: m.Kind, own: true,
	})
}

// toClient sends the client a message that belongs to no request of it: by the stream on which it listens or, while it does
// not, by the answer to the oldest of its requests. What comes while there is neither waits for the client to listen.
func (c *sseConnection) toClient(m *mail) {
	for {
		r, listening := c.relaying()
		if r == nil {
			c.toListener(m, listening)
			return
		}
		if r.deliver(m) {
			return
		}
	}
}

// relaying returns the request by whose answer messages for the client go; nil if there is none, or if the client listens.
func (c *sseConnection) relaying() (r *sseRequest, listening bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listening {
		return nil, true
	}
	for _, r := range c.inFlight {
		if r.relays {
			return r, false
		}
	}
	return nil, false
}

// toListener has a message wait for whoever listens or will. A ping is answered in place of a client that does not: some
// servers end connections that don't answer.
func (c *sseConnection) toListener(m *mail, listening bool) {
	var message jsonrpc.Message
	if m.kind == jsonrpc.Request && jsonrpc.Scan(m.data, &message) == nil && message.Method == "ping" && !listening {
		c.answer(jsonrpc.AppendResult(nil, message.ID.Of(m.data), []byte("{}")))
		return
	}
	dropped, taken := c.standing.offer(m)
	if dropped == 0 && taken {
		return
	}
	if !taken && m.kind == jsonrpc.Request {
		c.answer(jsonrpc.AppendError(nil, message.ID.Of(m.data), &jsonrpc.Error{
			Code: jsonrpc.CodeInternal, Message: "too many messages wait for the client already",
		}))
	}
	c.mu.Lock()
	warned := c.warned || c.closed != nil
	c.warned = true
	c.mu.Unlock()
	if !warned {
		c.log.Warn("Messages of a target are dropped: too many wait for its client to listen",
			"backend", c.target.backend.Key, "target", c.target.Name)
	}
}

// answer answers a request of the server in place of the client. A server that asks faster than it takes answers gets none.
func (c *sseConnection) answer(body []byte) {
	select {
	case c.answering <- struct{}{}:
	default:
		c.ignore("too many answers are on their way")
		return
	}
	c.background.Go(func() {
		defer func() { <-c.answering }()
		ctx, cancel := context.WithTimeoutCause(c.ctx, c.limits.ListTimeout, errNotTaken)
		defer cancel()
		header := http.Header{}
		c.setOwnHeaders(header, upstreamSession{})
		response, err := c.post(ctx, c.target.requests, header, body)
		if err != nil {
			c.log.Debug("Answer not delivered", "backend", c.target.backend.Key, "target", c.target.Name, "error", err)
			return
		}
		closeBody(response)
	})
}
