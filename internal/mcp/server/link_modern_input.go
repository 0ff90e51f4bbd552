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
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// Bounds of what a server of the modern era may ask a client for while it answers one request.
const (
	// maxRounds is how often the server may come back with questions.
	maxRounds = 16
	// maxAwaited bounds the questions of all clients together.
	maxAwaited = 1 << 14
	// Bounds of the pause before a server is asked again that asked for nothing.
	minInputPause = 100 * time.Millisecond
	maxInputPause = 2 * time.Second
)

// wantedInput is what a server wants to know before it answers a request.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
type wantedInput struct {
	requests []inputRequest
	state    []byte // Raw, or nil.
}

// inputRequest is one thing that a server wants to know; all parts are raw JSON, params may be nil.
type inputRequest struct {
	key, method, params []byte
	name                string // The method, decoded.
}

// parseWantedInput reads a result that asks for input.
func parseWantedInput(data []byte, result jsonrpc.Span) (*wantedInput, error) {
	data = bytes.Clone(result.Of(data))
	var fields [2]jsonrpc.Span
	if err := jsonrpc.Lookup(data, jsonrpc.Span{End: len(data)}, []string{"inputRequests", "requestState"}, fields[:]); err != nil {
		return nil, err
	}
	input := &wantedInput{}
	if state := fields[1].Of(data); string(state) != "null" && len(state) > 0 {
		input.state = state
	}
	if fields[0].Empty() || string(fields[0].Of(data)) == "null" {
		return input, nil
	}
	keys := map[string]bool{}
	var wrong error
	err := jsonrpc.Members(data, fields[0], func(key, value jsonrpc.Span) bool {
		var parts [2]jsonrpc.Span
		if wrong = jsonrpc.Lookup(data, value, []string{"method", "params"}, parts[:]); wrong != nil {
			return false
		}
		name, _ := jsonrpc.Text(data, key)
		method, ok := jsonrpc.Text(data, parts[0])
		switch {
		case keys[name]:
			wrong = errors.New("two of inputRequests have the same key")
		case !ok:
			wrong = errors.New("one of inputRequests has no method")
		case len(keys) == maxAsked:
			wrong = fmt.Errorf("there are more than %d inputRequests", maxAsked)
		}
		keys[name] = true
		r := inputRequest{key: key.Of(data), method: parts[0].Of(data), name: method}
		if !parts[1].Empty() {
			r.params = parts[1].Of(data)
		}
		input.requests = append(input.requests, r)
		return wrong == nil
	})
	return input, errors.Join(err, wrong)
}

// newInputID returns an id that nobody guesses and nobody had.
func newInputID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // It never fails, says its contract: the program ends instead.
	return hex.EncodeToString(id[:])
}

// inputs are the questions that clients have been asked at this replica, by the id that the question was given.
type inputs struct {
	mu      sync.Mutex
	awaited map[string]*awaitedInput
}

// awaitedInput is a question that awaits its answer.
type awaitedInput struct {
	session session.SID
	index   int
	answers chan<- inputAnswer // Has room for the answers to all questions of its round.
}

// inputAnswer is a client's answer to the question of that index. Its parts are raw JSON: a result, or an error.
type inputAnswer struct {
	index           int
	result, refusal []byte
}

// await registers n questions to a session. Done forgets them.
func (i *inputs) await(sid session.SID, n int) (ids []string, answers <-chan inputAnswer, done func(), err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.awaited)+n > maxAwaited {
		return nil, nil, nil, errors.New("too many clients are being asked for input")
	}
	if i.awaited == nil {
		i.awaited = map[string]*awaitedInput{}
	}
	channel := make(chan inputAnswer, n)
	for index := range n {
		id := newInputID()
		ids = append(ids, id)
		i.awaited[id] = &awaitedInput{sid, index, channel}
	}
	return ids, channel, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		for _, id := range ids {
			delete(i.awaited, id)
		}
	}, nil
}

// take hands on the answer of a session's client to a question; false if no such question awaits one.
func (i *inputs) take(sid session.SID, id string, answer inputAnswer) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	asked := i.awaited[id]
	if asked == nil || asked.session != sid {
		return false
	}
	delete(i.awaited, id)
	answer.index = asked.index
	asked.answers <- answer
	return true
}

// takeInput takes a client's answer to a question that the bridge has asked it.
func (b *modernCall) takeInput() *http.Response {
	id, ok := jsonrpc.Text(b.c.body, b.message.ID)
	answer := inputAnswer{result: bytes.Clone(b.message.Result.Of(b.c.body)), refusal: bytes.Clone(b.message.Error.Of(b.c.body))}
	if !ok || !b.inputs.take(b.c.session.SID, id, answer) {
		return newAnswer(http.StatusNotFound, nil, nil)
	}
	return newAnswer(http.StatusAccepted, nil, nil)
}

// gather asks the client for what a server wants to know, and returns what goes into the params of the next request. A
// refusal is the answer to the client; an error means that the request has ended.
func (b *modernCall) gather(
	ctx context.Context, w *eventWriter, input *wantedInput, round int,
) (members []jsonrpc.Member, refusal *jsonrpc.Error, err error) {
	// Without a state there must be none in the request either.
	members = []jsonrpc.Member{{Key: "inputResponses"}, {Key: "requestState", Value: input.state}}
	if len(input.requests) == 0 {
		// Nothing but a reason to come back.
		wait(ctx, min(minInputPause<<(round-1), maxInputPause), nil)
		return members, nil, ctx.Err()
	}
	for i := range input.requests {
		if refusal := b.checkInput(&input.requests[i]); refusal != nil {
			return nil, refusal, nil
		}
	}
	ids, answers, done, err := b.inputs.await(b.c.session.SID, len(input.requests))
	if err != nil {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: err.Error()}, nil
	}
	defer done()
	for i, id := range ids {
		if err := w.message(input.requests[i].message(id)); err != nil {
			return nil, nil, err
		}
	}
	responses, refusal, err := b.collect(ctx, w, input, answers)
	members[0].Value = responses
	return members, refusal, err
}

// checkInput refuses what the client can't be asked for. A server must not ask it.
func (b *modernCall) checkInput(r *inputRequest) *jsonrpc.Error {
	switch r.name {
	case "elicitation/create", "sampling/createMessage", "roots/list":
	default:
		return unavailable(b.c.target.Name, fmt.Sprintf("it asks the client for %q, which no client can be asked for", bounded(r.name)))
	}
	if !b.c.session.can(r) {
		return unavailable(b.c.target.Name, fmt.Sprintf("it asks for %s, for which the client has no capability", r.what()))
	}
	return nil
}

// what names the request for people.
func (r *inputRequest) what() string {
	if r.isURL() {
		return r.name + " of mode url"
	}
	return r.name
}

// isURL returns whether a URL is to be shown to whoever sits before the client.
func (r *inputRequest) isURL() bool {
	var mode [1]jsonrpc.Span
	if r.name != "elicitation/create" || jsonrpc.Lookup(r.params, jsonrpc.Span{End: len(r.params)}, []string{"mode"}, mode[:]) != nil {
		return false
	}
	text, _ := jsonrpc.Text(r.params, mode[0])
	return text == "url"
}

// can returns whether the client has said that it can be asked for that.
// https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#capabilities
func (cs *clientSession) can(r *inputRequest) bool {
	capabilities, _ := cs.client()
	var has [3]jsonrpc.Span
	keys := []string{"elicitation", "sampling", "roots"}
	if jsonrpc.Lookup(capabilities, jsonrpc.Span{End: len(capabilities)}, keys, has[:]) != nil {
		return false
	}
	switch r.name {
	case "sampling/createMessage":
		return !has[1].Empty()
	case "roots/list":
		return !has[2].Empty()
	}
	var modes [2]jsonrpc.Span
	if has[0].Empty() || jsonrpc.Lookup(capabilities, has[0], []string{"form", "url"}, modes[:]) != nil {
		return false
	}
	if r.isURL() {
		return !modes[1].Empty()
	}
	return !modes[0].Empty() || modes[1].Empty() // No mode at all stands for forms.
}

// message returns the request as a client of the legacy revisions gets it.
func (r *inputRequest) message(id string) []byte {
	message := jsonrpc.AppendString([]byte(`{"jsonrpc":"2.0","id":`), id)
	message = append(append(message, `,"method":`...), r.method...)
	if r.params != nil {
		params := r.params
		if r.isURL() {
			params = withElicitationID(params)
		}
		message = append(append(message, `,"params":`...), params...)
	}
	return append(message, '}')
}

// withElicitationID adds the id that only revision 2025-11-25 has, and demands.
// https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-mode-elicitation-requests
func withElicitationID(params []byte) []byte {
	const key = "elicitationId"
	whole := jsonrpc.Span{End: len(params)}
	var present [1]jsonrpc.Span
	if jsonrpc.Lookup(params, whole, []string{key}, present[:]) != nil || !present[0].Empty() {
		return params
	}
	edits, err := jsonrpc.SetMembers(params, whole, jsonrpc.Member{Key: key, Value: jsonrpc.AppendString(nil, newInputID())})
	if err != nil {
		return params
	}
	return jsonrpc.Splice(nil, params, edits...)
}

// collect waits for the client's answers, and returns them as inputResponses.
func (b *modernCall) collect(
	ctx context.Context, w *eventWriter, input *wantedInput, answers <-chan inputAnswer,
) (responses []byte, refusal *jsonrpc.Error, err error) {
	// The server is not silent while the client thinks, and whoever watches over it must not take it for that.
	alive := time.NewTicker(min(b.limits.KeepAlive, b.limits.CallTimeout/4))
	defer alive.Stop()
	timeout := time.NewTimer(inputTimeout)
	defer timeout.Stop()
	results, size := make([][]byte, len(input.requests)), 0
	for range input.requests {
		var answer inputAnswer
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil, nil, context.Cause(ctx)
			case <-timeout.C:
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: fmt.Sprintf(
					"the client did not answer what target %q asked it for within %s", b.c.target.Name, inputTimeout)}, nil
			case <-alive.C:
				if err := w.comment(); err != nil {
					return nil, nil, err
				}
			case answer = <-answers:
				waiting = false
			}
		}
		r := &input.requests[answer.index]
		if results[answer.index], refusal = b.resultOf(r, answer); refusal != nil {
			return nil, refusal, nil
		}
		if size += len(results[answer.index]); int64(size) > b.limits.MaxMessage {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: fmt.Sprintf(
				"the client's answers to what target %q asked it for are larger than %d bytes", b.c.target.Name, b.limits.MaxMessage)}, nil
		}
	}
	responses = append(make([]byte, 0, size), '{')
	for i := range input.requests {
		if i > 0 {
			responses = append(responses, ',')
		}
		responses = append(append(responses, input.requests[i].key...), ':')
		responses = append(responses, results[i]...)
	}
	return append(responses, '}'), nil, nil
}

// resultOf returns what the server is told of a client's answer. Who refuses to be asked has cancelled; the other requests
// have no result that would say so.
func (b *modernCall) resultOf(r *inputRequest, answer inputAnswer) ([]byte, *jsonrpc.Error) {
	switch {
	case len(answer.result) > 0:
		return answer.result, nil
	case r.name == "elicitation/create":
		return []byte(`{"action":"cancel"}`), nil
	default:
		said := remoteError(answer.refusal, jsonrpc.Span{End: len(answer.refusal)})
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: fmt.Sprintf(
			"the client refused %s, which target %q needs for its answer: %s", r.name, b.c.target.Name, bounded(said.Message))}
	}
}
