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
	"syscall"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// streamClosed is the kind of error of an idle stream that did not last.
const streamClosed = "idle stream closed"

// send writes a request, connecting first when needed.
func (e *Engine) send(c *client, op operation, request []byte) {
	c.op = op
	e.inFlight++
	c.sentAt = e.now()
	if c.fd < 0 {
		fd, err := e.endpoint.Dial()
		if err != nil {
			e.fail(c, "connect", err.Error())
			return
		}
		c.fd = fd
		e.byFD[fd] = c
		if err := e.poller.Add(fd, syscall.EPOLLIN); err != nil {
			e.fail(c, "connect", err.Error())
			return
		}
	}
	c.out = request
	e.flush(c)
}

func (e *Engine) flush(c *client) {
	for len(c.out) > 0 {
		n, errno := wire.Write(c.fd, c.out)
		if errno == syscall.EAGAIN {
			_ = e.poller.Modify(c.fd, syscall.EPOLLIN|syscall.EPOLLOUT)
			return
		}
		if errno != 0 {
			e.fail(c, "io", errno.Error())
			return
		}
		c.out = c.out[n:]
	}
}

func (e *Engine) disconnect(c *client) {
	if c.fd >= 0 {
		delete(e.byFD, c.fd)
		_ = syscall.Close(c.fd)
		c.fd = -1
	}
	c.in, c.out, c.need = c.in[:0], nil, 0
}

func (e *Engine) event(c *client, events uint32) {
	if events&syscall.EPOLLOUT != 0 && len(c.out) > 0 {
		if e.flush(c); c.fd < 0 {
			return
		}
		if len(c.out) == 0 {
			_ = e.poller.Modify(c.fd, syscall.EPOLLIN)
		}
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) == 0 {
		return
	}
	n, errno := wire.Read(c.fd, e.buffer)
	if errno == syscall.EAGAIN {
		return
	}
	data := e.buffer[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, data...)
		data = c.in
	}
	switch {
	case errno != 0 || n == 0:
		e.closed(c, data, errno)
	case c.held: // an event on an idle stream
	case c.op == opNone:
		e.countError("unexpected bytes", "bytes that answer no request")
		e.disconnect(c)
	case len(data) < c.need || !e.reply(c, data, false):
		if len(c.in) == 0 {
			c.in = append(c.in, data...)
		}
	}
}

// closed handles the end of a connection.
func (e *Engine) closed(c *client, data []byte, errno syscall.Errno) {
	switch {
	case c.held:
		c.held = false
		e.countError(streamClosed, "an idle stream was closed")
		e.disconnect(c)
	case c.op == opNone: // an idle connection was closed: not an error in HTTP
		e.result.Reconnects++
		e.disconnect(c)
	case errno == 0 && len(data) > 0 && e.reply(c, data, true):
	case errno != 0:
		e.fail(c, "io", errno.Error())
	default:
		e.fail(c, "io", "connection closed")
	}
}
