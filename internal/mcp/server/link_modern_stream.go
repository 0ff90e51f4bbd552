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
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// pipedBody is the body of an answer whose events a goroutine writes. Close ends that, and waits for it.
type pipedBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close ends the stream.
func (p *pipedBody) Close() error {
	p.cancel()
	err := p.PipeReader.Close()
	<-p.done
	return err
}

// newStream returns an answer that is a stream of what write writes. Cancel must end the context that write works with;
// it is called when the answer's body is closed.
func newStream(cancel context.CancelFunc, write func(w *eventWriter) error) *http.Response {
	reader, writer := io.Pipe()
	body := &pipedBody{PipeReader: reader, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(body.done)
		_ = writer.CloseWithError(write(&eventWriter{w: writer}))
	}()
	response := newAnswer(http.StatusOK, contentTypeEventStream, nil)
	response.Body, response.ContentLength = body, -1
	return response
}

// eventWriter writes events; a write waits until it is taken.
type eventWriter struct {
	w      io.Writer
	buffer []byte
}

func (e *eventWriter) event(event *sse.Event) error {
	e.buffer = sse.AppendEvent(e.buffer[:0], event)
	_, err := e.w.Write(e.buffer)
	return err
}

func (e *eventWriter) message(data []byte) error {
	return e.event(&sse.Event{Name: "message", Retry: -1, Data: data, HasData: true})
}

// comment writes what no reader takes for an event: the stream lives.
func (e *eventWriter) comment() error {
	_, err := io.WriteString(e.w, ":\n\n")
	return err
}

// aliveBody is a server's stream of which every part that comes is noticed on the stream that is made of it, so that its
// comments, too, are a sign of life.
type aliveBody struct {
	io.Reader
	w *eventWriter
}

func (a *aliveBody) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 {
		if failed := a.w.comment(); failed != nil {
			return n, failed
		}
	}
	return n, err
}

// converse returns an answer that is a stream of what the server's first answer brings, or, if there is one that asks for
// input, of what follows when the client has given it.
func (b *modernCall) converse(
	ctx context.Context, cancel context.CancelFunc, first *http.Response, input *wantedInput,
) *http.Response {
	return newStream(cancel, func(w *eventWriter) error {
		defer cancel()
		response, sent := first, b.id()
		for round := 1; ; round++ {
			if response != nil {
				var err error
				if input, err = b.read(ctx, w, response, sent); err != nil {
					return b.brokenOff(ctx, w, err)
				}
				if input == nil {
					return nil
				}
			}
			if round > maxRounds {
				return w.message(b.unusable("it asks for input again and again"))
			}
			members, refusal, err := b.gather(ctx, w, input, round)
			switch {
			case err != nil:
				return err
			case refusal != nil:
				return w.message(jsonrpc.AppendError(nil, b.id(), refusal))
			}
			sent = jsonrpc.AppendString(nil, newInputID())
			if response, _, err = b.ask(ctx, sent, members...); err != nil {
				return b.brokenOff(ctx, w, err)
			}
		}
	})
}

// brokenOff tells the client why there is no answer, unless the request has ended.
func (b *modernCall) brokenOff(ctx context.Context, w *eventWriter, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := b.c.target
	b.log.Warn("Target's answer broke off", "backend", t.backend.Key, "target", t.Name, "error", err)
	b.c.observed.UpstreamError(t.Name, telemetry.ErrorBroken)
	return w.message(jsonrpc.AppendError(nil, b.id(), asUnavailable(t, err)))
}

// errBrokenOff is the end of a stream that has no answer.
var errBrokenOff = errors.New("its answer broke off")

// read hands on a server's answer to the request that was sent with that id. Instead of an answer that asks for input it
// returns what it asks for.
func (b *modernCall) read(ctx context.Context, w *eventWriter, response *http.Response, sent []byte) (*wantedInput, error) {
	defer closeBody(response)
	if !isEventStream(response.Header) || response.StatusCode != http.StatusOK {
		data, err := b.whole(response)
		if err != nil {
			return nil, err
		}
		return b.give(w, data, sent)
	}
	events := sse.NewReader(&aliveBody{response.Body, w}, int(b.limits.MaxMessage))
	defer events.Close()
	var event sse.Event
	for {
		if events.Next(&event) != nil {
			return nil, errBrokenOff
		}
		event.ID, event.HasID = "", false // No stream of this revision can be resumed.
		var m jsonrpc.Message
		if event.IsMessage() && jsonrpc.Scan(event.Data, &m) == nil {
			switch m.Kind {
			case jsonrpc.Response:
				input, err := b.give(w, event.Data, sent)
				if input == nil && err == nil {
					drain(ctx, response)
				}
				return input, err
			case jsonrpc.Request:
				b.log.Warn("Request of a target is dropped: its revision has none",
					"backend", b.c.target.backend.Key, "target", b.c.target.Name)
				continue
			}
		}
		if err := w.event(&event); err != nil {
			return nil, err
		}
	}
}

// give hands on an answer, or returns what it asks for.
func (b *modernCall) give(w *eventWriter, data, sent []byte) (*wantedInput, error) {
	answer, input := b.judge(data, sent)
	if input != nil {
		return input, nil
	}
	return nil, w.message(answer)
}

// drain reads to the end of a stream that has had its answer, so that the connection can be used again. Servers should end
// it then.
func drain(ctx context.Context, response *http.Response) {
	ctx, cancel := context.WithTimeout(ctx, afterAnswer)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = response.Body.Close() })()
	_, _ = io.Copy(io.Discard, response.Body)
}
