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
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// eventStream writes server-sent events to a client: one write for each event, comments when there is nothing to
// send, and a deadline for a client that does not take them.
type eventStream struct {
	*Server
	w        http.ResponseWriter
	response *http.ResponseController
	// sink, if not nil, takes the events in place of w.
	sink *sink

	mu     sync.Mutex
	buffer []byte
	begun  bool // Whether anything has been written, be it the header alone.
	silent *time.Timer
	err    error // The first failure, or that the stream has ended; nothing is written after it.

	// failed ends with the stream.
	failed context.Context
	fail   context.CancelFunc
}

func (s *Server) newEventStream(w http.ResponseWriter) *eventStream {
	e := &eventStream{Server: s, w: w, response: http.NewResponseController(w)}
	e.sink, _ = w.(*sink)
	e.failed, e.fail = context.WithCancel(context.Background())
	return e
}

// headerPause is how long the header waits for the first event: mostly it comes at once, and both are one write.
const headerPause = 5 * time.Millisecond

// start sends the header, with the first event or after a moment. The caller must stop the stream before it returns.
func (e *eventStream) start() {
	if e.sink != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.w.Header()
	h["Content-Type"] = contentTypeEventStream
	h["Cache-Control"] = []string{"no-cache, no-transform"}
	h["X-Accel-Buffering"] = []string{"no"}
	e.w.WriteHeader(http.StatusOK)
	e.silent = time.AfterFunc(headerPause, e.breakSilence)
}

// stop ends the stream; the ResponseWriter is not used any more.
func (e *eventStream) stop() {
	e.fail()
	if e.sink != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.silent != nil {
		e.silent.Stop()
	}
	if e.err == nil {
		e.err = http.ErrServerClosed
	}
	// The connection may serve another request, which has deadlines of its own.
	_ = e.response.SetWriteDeadline(time.Time{})
}

// send writes an event.
func (e *eventStream) send(event *sse.Event) error {
	if e.sink != nil {
		err := e.sink.deliver(event)
		if err != nil {
			e.fail()
		}
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buffer = sse.AppendEvent(e.buffer[:0], event)
	e.flush()
	return e.err
}

// breakSilence writes the header, or a comment after it, so that whatever is between here and the client sees the connection in
// use.
func (e *eventStream) breakSilence() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buffer = e.buffer[:0]
	if e.begun {
		e.buffer = sse.AppendComment(e.buffer, "keep-alive")
	}
	e.flush()
}

// flush writes the buffer, after the header if that has not been written. The caller holds mu.
func (e *eventStream) flush() {
	if e.err != nil {
		return
	}
	e.begun = true
	_ = e.response.SetWriteDeadline(time.Now().Add(e.limits.WriteTimeout))
	if _, e.err = e.w.Write(e.buffer); e.err == nil {
		e.err = e.response.Flush()
	}
	if e.err != nil {
		e.fail()
		return
	}
	e.silent.Reset(e.limits.KeepAlive)
	const spare = 64 << 10
	if cap(e.buffer) > spare {
		e.buffer = nil // One large event does not hold its memory for as long as the stream lives.
	}
}

// messageReader reads the events of a server's stream. Servers of revision 2025-03-26 may send several messages in one event:
// they are read one by one.
type messageReader struct {
	*sse.Reader
	batch []byte
	rest  []jsonrpc.Span // Of the batch, not read yet.
	last  sse.Event      // The event that had the batch.
}

func newMessageReader(body io.Reader, limit int64) *messageReader {
	return &messageReader{Reader: sse.NewReader(body, int(limit))}
}

// Next reads the next message into event, as sse.Reader does.
func (r *messageReader) Next(event *sse.Event) error {
	if len(r.rest) == 0 {
		if err := r.Reader.Next(event); err != nil || !jsonrpc.IsBatch(event.Data) || !event.IsMessage() {
			return err
		}
		r.batch, r.last = bytes.Clone(event.Data), *event
		err := jsonrpc.Elements(r.batch, jsonrpc.Span{End: len(r.batch)}, func(element jsonrpc.Span) bool {
			r.rest = append(r.rest, element)
			return len(r.rest) < maxBatch
		})
		if err != nil || len(r.rest) == 0 {
			r.rest = nil
			return nil //nolint:nilerr // It is no batch: the event is handed on as what is no message.
		}
	}
	*event = r.last
	event.Data = r.rest[0].Of(r.batch)
	r.rest = r.rest[1:]
	if len(r.rest) > 0 {
		event.ID, event.HasID = "", false // Whoever resumes after the event gets none of the batch again.
	}
	return nil
}
