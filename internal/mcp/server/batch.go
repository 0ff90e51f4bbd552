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
	"net/http"
	"slices"
	"sync"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// sink is a ResponseWriter for the answer to one message that did not come by a POST of its own: each message of the answer
// goes where the client expects it.
type sink struct {
	header http.Header
	// deliver takes a message; an error means that nobody takes any more.
	deliver func(*sse.Event) error
	status  int
	body    []byte
}

func newSink(deliver func(*sse.Event) error) *sink {
	return &sink{header: http.Header{}, deliver: deliver}
}

// Header implements http.ResponseWriter.
func (s *sink) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *sink) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}

// Write implements http.ResponseWriter. Streams don't write; they deliver their events as they are.
func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	s.body = append(s.body, p...)
	return len(p), nil
}

// handled runs what answers a message, and delivers the answer if it is not a stream, whose messages have been delivered
// already. It returns the status.
func (s *sink) handled(id []byte, answer func(w http.ResponseWriter)) int {
	func() {
		defer func() {
			// The way to break off an answer that has begun; here none of it was delivered.
			if r := recover(); r != nil {
				if r != http.ErrAbortHandler { //nolint:errorlint // It is compared as net/http does.
					panic(r)
				}
				s.body = jsonrpc.AppendError(nil, id, &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "the answer broke off"})
			}
		}()
		answer(s)
	}()
	if len(s.body) > 0 {
		_ = s.deliver(messageEvent(s.body))
	}
	return s.status
}

const (
	// maxBatch bounds the messages of a batch, maxTogether how many of them are worked on at once.
	maxBatch    = 128
	maxTogether = 16
)

// batchVersions are the revisions that have batches.
// https://modelcontextprotocol.io/specification/2025-03-26/basic#batching
var batchVersions = map[string]bool{"2025-03-26": true, oldestVersion: true}

// batch answers a client that has sent several messages at once: each is answered as if it had come alone.
func (x *exchange) batch() {
	messages, e := x.openBatch()
	switch {
	case e != nil:
		writeHTTPError(x.w, nil, e)
		return
	case x.session == nil:
		return // Another replica has answered.
	}
	var stream *eventStream
	if slices.ContainsFunc(messages, func(m *exchange) bool { return m.message.Kind == jsonrpc.Request }) {
		stream = x.newEventStream(x.w)
		stream.start()
		defer stream.stop()
	}
	nobody := func(*sse.Event) error { return nil } // Waits for the answer to what is no request.
	accepted := true
	together := make(chan struct{}, maxTogether)
	var answering sync.WaitGroup
	defer answering.Wait()
	for _, m := range messages {
		if m.message.Kind != jsonrpc.Request {
			s := newSink(nobody)
			m.w = s
			accepted = s.handled(nil, func(http.ResponseWriter) { m.dispatch() }) == http.StatusAccepted && accepted
			continue
		}
		s := newSink(stream.send)
		m.w = s
		together <- struct{}{}
		answering.Go(func() {
			defer func() { <-together }()
			s.handled(m.id(), func(http.ResponseWriter) { m.dispatch() })
		})
	}
	switch {
	case stream != nil:
	case accepted:
		x.w.WriteHeader(http.StatusAccepted)
	default:
		writeHTTPError(x.w, nil, &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest,
			"Invalid Request: not all messages of the batch could be taken"})
	}
}

// openBatch finds the session of a batch, and returns the messages.
func (x *exchange) openBatch() ([]*exchange, *httpError) {
	noBatches := &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest,
		"Invalid Request: batches are of revision 2025-03-26 only; send one message for each POST"}
	if x.r.Header.Get(headerProtocolVersion) == modernVersion {
		return nil, noBatches
	}
	e := checkVersion(x.r.Header)
	if e == nil {
		x.session, e = x.openAtHome()
	}
	switch {
	case e != nil || x.session == nil:
		return nil, e
	case !batchVersions[x.session.ProtocolVersion]:
		return nil, noBatches
	default:
		return x.split()
	}
}

// split returns the messages of a batch.
func (x *exchange) split() ([]*exchange, *httpError) {
	var messages []*exchange
	var invalid *httpError
	end := 0 // Of the last element.
	err := jsonrpc.Elements(x.body, jsonrpc.Span{End: len(x.body)}, func(element jsonrpc.Span) bool {
		end = element.End
		m := &exchange{Server: x.Server, r: x.r, backend: x.backend, snapshot: x.snapshot, session: x.session, body: element.Of(x.body)}
		if invalid = m.scan(); invalid == nil && m.message.Method == "initialize" {
			invalid = &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "Invalid Request: initialize can't be part of a batch"}
		}
		messages = append(messages, m)
		if len(messages) > maxBatch {
			invalid = &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "Invalid Request: the batch has too many messages"}
		}
		return invalid == nil
	})
	switch {
	case invalid != nil:
		return nil, invalid
	case err != nil:
		return nil, &httpError{http.StatusBadRequest, jsonrpc.CodeParse, err.Error()}
	case len(messages) == 0:
		return nil, &httpError{http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "Invalid Request: the batch is empty"}
	case string(bytes.Trim(x.body[end:], " \t\r\n")) != "]":
		return nil, &httpError{http.StatusBadRequest, jsonrpc.CodeParse, "Parse error: only white space may follow the batch"}
	}
	return messages, nil
}

// dispatch answers a message of a legacy session.
func (x *exchange) dispatch() {
	switch x.message.Kind {
	case jsonrpc.Notification:
		x.notification()
	case jsonrpc.Response:
		x.response()
	default:
		x.request()
	}
}
