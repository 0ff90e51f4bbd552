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

package load

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// reply parses the response in data, and handles it when it is complete. It returns whether the data was used up.
func (e *Engine) reply(c *client, data []byte, eof bool) bool {
	var h wire.Head
	n, err := wire.ParseHead(data, &h)
	if err != nil {
		e.fail(c, "http", err.Error())
		return true
	}
	if n == 0 {
		return false
	}
	status := 0
	if len(h.First) >= 12 {
		status, _ = wire.Atoi(h.First[9:12])
	}
	if status >= 100 && status < 200 {
		return len(data) > n && e.reply(c, data[n:], eof)
	}
	if c.op == opStream && status == http.StatusOK && wire.IsEventStream(h.ContentType) {
		e.holds(c)
		return true
	}
	body, used, done, err := e.bodyOf(c, &h, status, data, n, eof)
	switch {
	case err == nil && !done:
		return false
	case err == nil && used < len(data):
		err = errors.New("bytes behind the response")
	}
	if err != nil {
		e.fail(c, "http", err.Error())
		return true
	}
	if len(c.out) > 0 || eof {
		h.Close = true // the response came before the request was sent, or with the end
	}
	e.complete(c, &h, status, body)
	return true
}

// bodyOf returns a response's body, the length of the whole response, and whether it has arrived.
func (e *Engine) bodyOf(c *client, h *wire.Head, status int, data []byte, head int, eof bool) (body []byte, used int, done bool, err error) {
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		return nil, head, true, nil
	case h.Chunked:
		body, used, done, err = wire.Dechunk(data[head:], &e.chunks)
		return body, head + used, done, err
	case h.ContentLength >= 0:
		c.need = head + h.ContentLength
		if len(data) < c.need {
			return nil, 0, false, nil
		}
		return data[head:c.need], c.need, true, nil
	case eof:
		h.Close = true
		return data[head:], len(data), true, nil
	case status == http.StatusAccepted:
		h.Close = true // no length given: do not trust the connection
		return nil, head, true, nil
	}
	return nil, 0, false, nil
}

// complete goes on after a complete response.
func (e *Engine) complete(c *client, h *wire.Head, status int, body []byte) {
	done := c.op
	if err := e.check(c, h, status, body); err != nil {
		kind := "rpc"
		switch {
		case status != http.StatusOK && status != http.StatusAccepted:
			kind = fmt.Sprintf("http %d", status)
			c.lost = status == http.StatusNotFound
		case errors.Is(err, errMismatch) || errors.Is(err, errNoReply):
			kind = "mismatch"
		}
		e.fail(c, kind, err.Error())
		return
	}
	c.op = opNone
	e.inFlight--
	c.in, c.need = c.in[:0], 0
	if h.Close {
		e.result.Reconnects++
		e.disconnect(c)
	}
	e.proceed(c, done)
}

// check checks a complete response and keeps what the client needs of it.
func (e *Engine) check(c *client, h *wire.Head, status int, body []byte) error {
	switch {
	case c.op == opDelete && (status == http.StatusMethodNotAllowed || status == http.StatusNotFound),
		(c.op == opDelete || c.op == opInitialized) && status/100 == 2:
		return nil
	case c.op == opDelete || c.op == opInitialized || status != http.StatusOK:
		return fmt.Errorf("status %d: %.200q", status, body)
	}
	switch c.op {
	case opStream:
		return fmt.Errorf("%w: the stream ended or is none of events", errMismatch)
	case opCall:
		return checkCall(h.ContentType, body, c.id, &c.callRequest)
	case opInitialize:
		r, err := decodeReply(h.ContentType, body, c.id)
		if err != nil {
			return err
		}
		if r.Result.ProtocolVersion != "" {
			c.version = r.Result.ProtocolVersion
		}
		c.session = string(h.Session)
	case opList:
		return e.checkPage(c, h, body)
	}
	return nil
}

// checkPage checks a page of tools/list.
func (e *Engine) checkPage(c *client, h *wire.Head, body []byte) error {
	n, cursor, err := checkList(h.ContentType, body, c.id, !c.ready)
	if err != nil {
		return err
	}
	c.tools += n
	c.cursor = cursor
	if !c.ready {
		ok, names := hasTool(h.ContentType, body, c.id, e.config.Tool)
		c.listed = c.listed || ok
		if !c.listed && cursor == "" {
			return fmt.Errorf("%w: tool %q is not in the list: %s", errMismatch, e.config.Tool, names)
		}
	}
	if cursor != "" {
		return nil
	}
	if e.result.Tools == 0 {
		e.result.Tools = c.tools
	}
	if c.tools != e.result.Tools {
		return fmt.Errorf("%w: %d tools, want %d", errMismatch, c.tools, e.result.Tools)
	}
	return nil
}
