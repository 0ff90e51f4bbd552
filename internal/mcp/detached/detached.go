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

// Package detached lets an answer go on after the handler of its request has returned. For a request that is not answered
// yet, net/http keeps a goroutine with a stack of 8 KB, two buffers of 4 KB, one of 2 KB and the request: for a stream on
// which a client listens for hours and hears nothing, that is most of what it costs.
//
// The connection is taken over from the http.Server (http.Hijacker), and ends with the answer. The http.Server knows
// nothing of it any more; Streams does.
package detached

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Streams are the answers that go on after the handlers of one http.Server. Its Context is for http.Server.BaseContext, its
// Shutdown for after http.Server.Shutdown.
type Streams struct {
	mu      sync.Mutex
	running map[*Stream]struct{}
	closed  bool
	ended   chan struct{} // Closed when there are none, and can't be any more.
}

// New returns a Streams without any.
func New() *Streams {
	return &Streams{running: map[*Stream]struct{}{}, ended: make(chan struct{})}
}

type streamsKey struct{}

// Context returns a context for requests whose answers may be detached.
func (s *Streams) Context(parent context.Context) context.Context {
	return context.WithValue(parent, streamsKey{}, s)
}

// Shutdown waits until all have ended, and cuts off those that have not when the context ends. None is taken any more.
func (s *Streams) Shutdown(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.endIfNone()
	}
	s.mu.Unlock()
	select {
	case <-s.ended:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for running := range s.running {
		running.cutOff()
	}
	s.mu.Unlock()
	<-s.ended
}

// endIfNone notes that nothing runs and nothing will. The caller holds mu.
func (s *Streams) endIfNone() {
	if s.closed && len(s.running) == 0 {
		close(s.ended)
	}
}

func (s *Streams) add(stream *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running[stream] = struct{}{}
	return true
}

func (s *Streams) remove(stream *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.running[stream]; ok {
		delete(s.running, stream)
		s.endIfNone()
	}
}

// Stream is an answer that goes on after its handler.
type Stream struct {
	connection net.Conn
	header     http.Header
	request    *http.Request
	cancel     context.CancelFunc
	streams    *Streams
}

// Take takes the request's connection over. It returns nil where that can't be done, because of HTTP/2, a ResponseWriter
// without a connection, or an http.Server without Streams: then the handler answers as usual. Otherwise the caller calls Go
// and returns. What it has set of the answer's header stays; the request's body must have been read.
func Take(w http.ResponseWriter, r *http.Request) *Stream {
	streams, _ := r.Context().Value(streamsKey{}).(*Streams)
	if streams == nil || r.ProtoMajor != 1 {
		return nil
	}
	header := w.Header().Clone()
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	s := &Stream{connection: connection, header: header, request: r.WithContext(ctx), cancel: cancel, streams: streams}
	if !streams.add(s) {
		s.cutOff() // The server has ended: this request came too late for it as well.
	}
	return s
}

// cutOff ends the client's connection, whatever is being done.
func (s *Stream) cutOff() {
	s.cancel()
	_ = s.connection.Close()
}

// Go has serve answer the request on a goroutine of its own. The connection ends when serve returns. The ResponseWriter knows
// http.ResponseController's Flush and deadlines for writing. That the client goes is noticed by Wait.
func (s *Stream) Go(serve func(w http.ResponseWriter, r *http.Request)) {
	go func() {
		defer s.streams.remove(s)
		defer s.cutOff()
		w := &writer{Conn: s.connection, header: s.header, cancel: s.cancel}
		serve(w, s.request)
		_ = w.FlushError()
	}()
}

// Wait waits until the context ends. If w is of a detached answer, it waits for the client to go as well, and then ends the
// context of the request; nobody else does. It is to be called once.
func Wait(ctx context.Context, w http.ResponseWriter) {
	for {
		switch answer := w.(type) {
		case *writer:
			answer.wait(ctx)
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = answer.Unwrap()
		default:
			<-ctx.Done()
			return
		}
	}
}

// writer answers on a connection. The answer's body ends with the connection.
type writer struct {
	net.Conn
	cancel context.CancelFunc
	header http.Header
	begun  bool
	head   []byte // To be written before anything else.
}

// wait waits until the context ends or the client goes. What the client sends is not answered, as the answer's header tells it.
// https://www.rfc-editor.org/rfc/rfc9112#section-9.6
func (w *writer) wait(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { _ = w.SetReadDeadline(time.Unix(1, 0)) })()
	var ignored [64]byte
	for ctx.Err() == nil {
		if _, err := w.Read(ignored[:]); err != nil && ctx.Err() == nil {
			w.cancel()
			return
		}
	}
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.begun {
		return
	}
	w.begun = true
	if w.header.Get("Date") == "" {
		w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	w.header.Set("Connection", "close")
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = w.header.Write(&head) // A buffer takes everything.
	head.WriteString("\r\n")
	w.head = head.Bytes()
	w.header = http.Header{} // What is set from now on comes too late.
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if err := w.writeHead(); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

// FlushError writes the header, if nothing has been written yet; everything else is written at once.
func (w *writer) FlushError() error {
	w.WriteHeader(http.StatusOK)
	return w.writeHead()
}

func (w *writer) writeHead() error {
	if w.head == nil {
		return nil
	}
	head := w.head
	w.head = nil
	_, err := w.Conn.Write(head)
	return err
}
