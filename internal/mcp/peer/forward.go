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

package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

var (
	errNoPeers = errors.New("there are no peers")
	errSelf    = errors.New("the address is this replica's own")
	errNoPeer  = errors.New("the address is no replica's, or no longer")
	errRefused = errors.New("the replica refused the request")
	errSilent  = errors.New("the replica was silent for too long")
)

// Forward has the replica home serve the client's request, whose body has been read, and hands its answer on as it comes:
// at once, and for as long as the client listens. An error says that the request has not been served there, and that
// nothing has been written to w: home is no replica, can't be reached, or refused. Then the caller serves it by itself.
func (p *Peers) Forward(w http.ResponseWriter, r *http.Request, body []byte, backend, home string) error {
	switch home {
	case "":
		return errNoPeer
	case p.Self():
		return errSelf
	}
	if p.Self() == "" {
		return errNoPeers
	}
	if known, err := p.addresses.has(r.Context(), home); err != nil {
		return fmt.Errorf("ask for the replicas' addresses: %w", err)
	} else if !known {
		return errNoPeer
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	silence := p.limits.InitializeTimeout + p.limits.CallTimeout + grace
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	request, err := p.request(ctx, r, body, backend, home)
	if err != nil {
		return fmt.Errorf("prepare the request to the replica: %w", err)
	}
	response, sent, err := p.send(request)
	switch {
	case err != nil && !sent && r.Context().Err() == nil:
		return fmt.Errorf("reach the replica: %w", err)
	case err != nil:
		// It may have been served there: to serve it again might do something twice.
		p.log.Debug("Replica gave no answer", "peer", home, "backend", backend, "error", err)
		writeUnanswered(w, body)
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	if !wasServed(response) {
		return errRefused
	}
	p.relay(w, r, response, func() { watchdog.Reset(silence) })
	return nil
}

// send sends a request, and returns whether the peer may have it.
func (p *Peers) send(request *http.Request) (*http.Response, bool, error) {
	var sent atomic.Bool
	// The transport tries again when an unused connection turns out to be closed; each time it asks for another one.
	ctx := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { sent.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	response, err := p.transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, sent.Load(), err
	}
	return response, true, nil
}

func wasServed(response *http.Response) bool {
	values := response.Header[headerPeer]
	return len(values) == 1 && values[0] == served
}

const readSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// relay hands on an answer: each part as soon as it is there.
func (p *Peers) relay(w http.ResponseWriter, r *http.Request, response *http.Response, alive func()) {
	removeHopByHop(response.Header)
	header := w.Header()
	for name, values := range response.Header {
		header[name] = values
	}
	client := http.NewResponseController(w)
	// The connection may serve another request, which has deadlines of its own.
	defer func() { _ = client.SetWriteDeadline(time.Time{}) }()
	_ = client.SetWriteDeadline(time.Now().Add(p.limits.WriteTimeout))
	w.WriteHeader(response.StatusCode)
	if client.Flush() != nil {
		return
	}
	buffer := buffers.Get().(*[readSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := response.Body.Read(buffer[:])
		if n > 0 {
			alive()
			_ = client.SetWriteDeadline(time.Now().Add(p.limits.WriteTimeout))
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			if client.Flush() != nil {
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) || r.Context().Err() != nil:
			return
		default:
			// The client has part of an answer; a broken connection tells it so.
			panic(http.ErrAbortHandler)
		}
	}
}

// writeUnanswered tells the client that its request may or may not have been served.
func writeUnanswered(w http.ResponseWriter, body []byte) {
	var id []byte
	var m jsonrpc.Message
	if len(body) > 0 && jsonrpc.Scan(body, &m) == nil && !m.ID.Empty() {
		id = m.ID.Of(body)
	}
	answer := jsonrpc.AppendError(nil, id, &jsonrpc.Error{
		Code: jsonrpc.CodeInternal, Message: "the replica of the gateway that holds this session gave no answer",
	})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write(answer)
}

// Tell sends the client's request to all other replicas at once, and returns when all have answered or their time is over.
// What they answer is of no interest: a replica that can't be told is one that this can't wait for.
func (p *Peers) Tell(ctx context.Context, r *http.Request, body []byte, backend string) {
	if p.Self() == "" {
		return
	}
	addresses, err := p.addresses.all(ctx)
	if err != nil {
		p.log.Debug("Replicas not told: their addresses are not known", "backend", backend, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	var telling sync.WaitGroup
	for _, address := range addresses {
		if address == p.self {
			continue
		}
		telling.Go(func() {
			if err := p.tell(ctx, r, body, backend, address); err != nil {
				p.log.Debug("Replica not told", "peer", address, "backend", backend, "error", err)
			}
		})
	}
	telling.Wait()
}

// tell sends the client's request to one replica.
func (p *Peers) tell(ctx context.Context, r *http.Request, body []byte, backend, address string) error {
	request, err := p.request(ctx, r, body, backend, address)
	if err != nil {
		return err
	}
	response, _, err := p.send(request)
	if err != nil {
		return err
	}
	// A little of the answer is read, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
	_ = response.Body.Close()
	if !wasServed(response) {
		return errRefused
	}
	return nil
}
