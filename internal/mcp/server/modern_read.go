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
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// incoming is one message of a server, or that its answer is over.
type incoming struct {
	data    []byte
	message jsonrpc.Message
	err     error
}

// read takes the server's answer to the call.
func (c *bridgedCall) read(response *http.Response) {
	defer closeBody(response)
	switch {
	case response.StatusCode == http.StatusOK && isEventStream(response.Header):
		var last lastEvent
		err := c.readStream(response, &last)
		for err == nil {
			err = c.resume(&last)
		}
		c.pass(incoming{err: err})
	case isJSON(response.Header):
		c.pass(c.readJSON(response))
	case response.StatusCode == http.StatusBadRequest, response.StatusCode == http.StatusNotFound:
		c.pass(incoming{err: &refusedError{statusError(response)}})
	default:
		c.pass(incoming{err: statusError(response)})
	}
}

// readJSON returns an answer that is one message.
func (c *bridgedCall) readJSON(response *http.Response) (in incoming) {
	data, err := io.ReadAll(io.LimitReader(response.Body, c.limits.MaxMessage+1))
	in.data = data
	switch {
	case err != nil:
		in.err = errors.New(brokenOff(c.ctx))
	case int64(len(data)) > c.limits.MaxMessage:
		in.err = fmt.Errorf("its answer is larger than %d bytes", c.limits.MaxMessage)
	case response.StatusCode != http.StatusOK && !passesOn(response.StatusCode):
		in.err = statusError(response)
	case jsonrpc.Scan(data, &in.message) != nil || in.message.Kind != jsonrpc.Response:
		if in.err = statusError(response); response.StatusCode == http.StatusOK {
			in.err = errors.New("its answer is no JSON-RPC response")
		}
	case sameID(data, in.message.ID, c.id):
	case in.message.Error.Empty():
		in.err = errors.New("its answer is for another request")
	default:
		// Servers refuse so what they have not read; there is only one request that it can be about.
		in.data = jsonrpc.AppendError(nil, c.id, remoteError(data, in.message.Error))
		_ = jsonrpc.Scan(in.data, &in.message) // It is the gateway's own.
	}
	return in
}

// lastEvent is where a stream is to be resumed.
type lastEvent struct {
	id    string
	pause time.Duration // That the server asks for; 0 if it does not say.
}

// readStream passes on the messages of a stream until it ends, and returns why that is no answer; nil if the server has
// closed the stream for whoever reads it to come back.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery
func (c *bridgedCall) readStream(response *http.Response, last *lastEvent) error {
	events := newMessageReader(response.Body, c.limits.MaxMessage)
	defer events.Close()
	var event sse.Event
	for {
		err := events.Next(&event)
		switch {
		case errors.Is(err, io.EOF) && last.id != "" && c.ctx.Err() == nil:
			return nil
		case err != nil:
			return errors.New(brokenOff(c.ctx))
		}
		if event.HasID {
			last.id = event.ID
		}
		if event.Retry >= 0 {
			last.pause = time.Duration(event.Retry) * time.Millisecond
		}
		in := incoming{data: bytes.Clone(event.Data)}
		if len(in.data) == 0 || !event.IsMessage() || jsonrpc.Scan(in.data, &in.message) != nil {
			continue
		}
		if !c.pass(in) {
			return errClientGone
		}
	}
}

// resume reads on where a stream has ended.
func (c *bridgedCall) resume(last *lastEvent) error {
	pause := minStreamPause
	if last.pause > 0 {
		pause = min(last.pause, maxStreamPause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		return errors.New(brokenOff(c.ctx))
	}
	header := http.Header{}
	c.setOwnHeaders(header, c.us)
	header["Accept"] = contentTypeEventStream
	header[headerLastEventID] = []string{last.id}
	delete(header, "Content-Type")
	response, _, err := c.do(c.ctx, &upstreamCall{
		target: c.target, session: c.session, upstream: c.us, method: http.MethodGet, header: header,
	})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || !isEventStream(response.Header) {
		return errors.New("it closed its stream, and does not resume it")
	}
	response.Body = c.watch.body(response.Body)
	return c.readStream(response, last)
}

// listenPause is how long a server's own stream is waited for before the client's call, or the client's own next message, may
// reach the server: what it asks there while nobody listens is lost.
const listenPause = time.Second

// listenFirst begins to listen to the server's own stream.
func (c *bridgedCall) listenFirst() {
	opened := make(chan struct{})
	c.background.Go(func() { c.listen(opened) })
	timer := time.NewTimer(listenPause)
	defer timer.Stop()
	select {
	case <-opened:
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// listen takes what the server sends on a stream of its own: some ask the client there.
func (c *bridgedCall) listen(opened chan<- struct{}) {
	header := http.Header{}
	c.setOwnHeaders(header, c.us)
	header["Accept"] = contentTypeEventStream
	delete(header, "Content-Type")
	response, _, err := c.do(c.ctx, &upstreamCall{
		target: c.target, session: c.session, upstream: c.us, method: http.MethodGet, header: header,
	})
	close(opened)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK && isEventStream(response.Header) {
		_ = c.readStream(response, &lastEvent{}) // The call's own answer says whether anything is wrong.
	}
}

// pass hands a message to whoever serves the client; false if the call is over.
func (c *bridgedCall) pass(in incoming) bool {
	select {
	case c.incoming <- in:
		return true
	case <-c.ctx.Done():
		return false
	}
}
