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
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const (
	// inputTimeout is how long a server waits, at this replica, for what it has asked of a modern client.
	inputTimeout = 10 * time.Minute
	// maxParked bounds how many calls wait so.
	maxParked = 4096
	// maxAsked bounds how much a server may ask at once.
	maxAsked = 64
)

// question is a request of a legacy server to the client.
type question struct {
	key    string // In inputRequests.
	id     []byte // The server's, raw.
	method string
	params []byte
}

// inputMethods are what a server may ask of a modern client.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
var inputMethods = map[string]bool{"elicitation/create": true, "sampling/createMessage": true, "roots/list": true}

// take notes a request of the server, or answers it where the client need not be asked.
func (c *bridgedCall) take(in *incoming) {
	id := in.message.ID.Of(in.data)
	switch {
	case in.message.Method == "ping":
		c.answer(id, []byte(`"result":{}`))
	case !inputMethods[in.message.Method]:
		c.answer(id, []byte(`"error":{"code":-32601,"message":"Method not found: revision `+modernVersion+` has no such request"}`))
	case len(c.asked) >= maxAsked:
		c.answer(id, []byte(`"error":{"code":-32603,"message":"too many requests wait for the client already"}`))
	default:
		c.count++
		c.asked = append(c.asked, question{
			key: "input-" + strconv.Itoa(c.count), id: bytes.Clone(id), method: in.message.Method, params: in.message.Params.Of(in.data),
		})
	}
}

// takeBack forgets a request that the server has cancelled.
func (c *bridgedCall) takeBack(id []byte) {
	for i := range c.asked {
		if sameID(c.asked[i].id, jsonrpc.Span{End: len(c.asked[i].id)}, id) {
			c.asked = append(c.asked[:i], c.asked[i+1:]...)
			return
		}
	}
}

// answer sends the server an answer to one of its requests; the outcome is a member, result or error.
func (c *bridgedCall) answer(id, outcome []byte) {
	body := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	body = append(append(append(body, ','), outcome...), '}')
	c.background.Go(func() {
		ctx, cancel := context.WithTimeoutCause(c.ctx, c.limits.ListTimeout, errNotTaken)
		defer cancel()
		c.tell(ctx, body)
	})
}

// parked are the calls that wait for a client to come back with an answer.
type parked struct {
	mu    sync.Mutex
	calls map[string]*parkedCall
}

type parkedCall struct {
	*bridgedCall
	// leave ends the waiting; false if the call is over already.
	leave func() bool
}

// park keeps the call, and has the client told what the server wants to know.
func (c *bridgedCall) park(answer *bridgedAnswer) {
	id := rand.Text()
	p := &parkedCall{bridgedCall: c}
	c.parked.mu.Lock()
	full := len(c.parked.calls) >= maxParked
	if !full {
		if c.parked.calls == nil {
			c.parked.calls = map[string]*parkedCall{}
		}
		c.parked.calls[id] = p
		p.leave = context.AfterFunc(c.ctx, func() {
			c.parked.remove(id)
			c.end(true)
		})
	}
	c.parked.mu.Unlock()
	if full {
		c.end(true)
		answer.fail(&jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "too many requests wait for input; try again later"})
		return
	}
	c.watch.allow(inputTimeout)
	state, err := c.sealState(id)
	if err != nil {
		c.cancel(err)
		answer.fail(&jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "the request's state can't be sealed: " + err.Error()})
		return
	}
	answer.result(inputRequired(c.asked, state))
}

func (p *parked) remove(id string) *parkedCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	call := p.calls[id]
	delete(p.calls, id)
	return call
}

func (c *bridgedCall) sealState(id string) (string, error) {
	return c.keys.Load().SealRequestState(session.RequestState{
		Home: c.self(), Service: c.target.hash, ID: id, Principal: c.session.Principal,
		Expires: time.Now().Add(inputTimeout), Digest: c.digest,
	})
}

// inputRequired is the result that asks the client.
func inputRequired(asked []question, state string) []byte {
	result := []byte(`{"resultType":"input_required","inputRequests":{`)
	for i, q := range asked {
		if i > 0 {
			result = append(result, ',')
		}
		result = jsonrpc.AppendString(result, q.key)
		result = append(result, `:{"method":`...)
		result = jsonrpc.AppendString(result, q.method)
		if len(q.params) > 0 {
			result = append(append(result, `,"params":`...), q.params...)
		}
		result = append(result, '}')
	}
	result = append(result, `},"requestState":`...)
	return append(jsonrpc.AppendString(result, state), '}')
}

// requestState returns the state that the client brings back; empty if there is none.
func (x *exchange) requestState() string {
	switch x.message.Method {
	case "tools/call", "prompts/get", "resources/read":
	default:
		return ""
	}
	var field [1]jsonrpc.Span
	if jsonrpc.Lookup(x.body, x.message.Params, []string{"requestState"}, field[:]) != nil {
		return ""
	}
	state, _ := jsonrpc.Text(x.body, field[0])
	return state
}

// digest says which request a state belongs to: the method, and the name by which the client calls what it is for.
func (x *exchange) digest() (d [16]byte) {
	_, at, _ := x.reference()
	name, _ := jsonrpc.Text(x.body, at)
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", x.backend.ID, x.message.Method, name))
	copy(d[:], sum[:])
	return d
}

// resume goes on with a call that waited for the client's answers.
func (x *exchange) resume(t *target, token string, body []byte) error {
	invalid := &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams,
		Message: "Invalid params: requestState is not one that this request was answered with, or has expired; send the request without it"}
	state, err := x.keys.Load().OpenRequestState(token, time.Now())
	if err != nil || state.Service != t.hash || state.Digest != x.digest() || state.Principal != x.session.Principal {
		x.fail(invalid)
		return nil
	}
	if state.ID == "" {
		return x.bridgeAnew(t, body) // The user has been at the URL that the server named; it looks for itself.
	}
	if state.Home != x.self() {
		if x.forwardHome(state.Home) {
			return nil
		}
		x.fail(invalid)
		return nil
	}
	p := x.parked.remove(state.ID)
	if p == nil || !p.leave() {
		x.fail(invalid)
		return nil
	}
	p.watch.allow(x.limits.CallTimeout)
	c := p.bridgedCall
	if c.answered(x) {
		return c.serve(x)
	}
	answer := &bridgedAnswer{exchange: x}
	c.park(answer)
	return nil
}

// answered sends the server what the client says to its requests, and returns whether it has said something to all of them.
func (c *bridgedCall) answered(x *exchange) bool {
	var responses [1]jsonrpc.Span
	if jsonrpc.Lookup(x.body, x.message.Params, []string{"inputResponses"}, responses[:]) != nil || responses[0].Empty() ||
		x.body[responses[0].Start] != '{' {
		return false
	}
	var open []question
	for _, q := range c.asked {
		var response [1]jsonrpc.Span
		err := jsonrpc.Lookup(x.body, responses[0], []string{q.key}, response[:])
		if err != nil || response[0].Empty() || x.body[response[0].Start] != '{' {
			open = append(open, q)
			continue
		}
		c.answer(q.id, append([]byte(`"result":`), response[0].Of(x.body)...))
	}
	c.asked = open
	return len(open) == 0
}

// urlRequired turns the error of a server that first needs the user to visit URLs, of revision 2025-11-25, into what asks
// the client to; nil if the error does not say which. The server has given up the request: the client's next try begins anew.
// https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error
func (c *bridgedCall) urlRequired(x *exchange, data []byte, e jsonrpc.Span) []byte {
	var outer, list [1]jsonrpc.Span
	if jsonrpc.Lookup(data, e, []string{"data"}, outer[:]) != nil || outer[0].Empty() ||
		jsonrpc.Lookup(data, outer[0], []string{"elicitations"}, list[:]) != nil || list[0].Empty() {
		return nil
	}
	var asked []question
	err := jsonrpc.Elements(data, list[0], func(elicitation jsonrpc.Span) bool {
		asked = append(asked, question{
			key: "input-" + strconv.Itoa(len(asked)+1), method: "elicitation/create", params: elicitation.Of(data),
		})
		return len(asked) < maxAsked
	})
	if err != nil || len(asked) == 0 {
		return nil
	}
	state, err := c.sealState("")
	if err != nil {
		return nil
	}
	return inputRequired(asked, state)
}

// checkParams refuses a call of a legacy server's tool whose headers are not what the arguments say: that server does not
// look, but whoever is between here and the client may have decided by the headers.
func (x *exchange) checkParams(t *target) *jsonrpc.Error {
	var fields [2]jsonrpc.Span
	if jsonrpc.Lookup(x.body, x.message.Params, []string{"name", "arguments"}, fields[:]) != nil {
		return nil
	}
	l := x.session.known(x.backend, t, federation.Tools)
	if l == nil || !l.fresh(time.Now()) {
		ctx, cancel := context.WithTimeoutCause(x.r.Context(), x.limits.ListTimeout,
			fmt.Errorf("it did not answer within %s", x.limits.ListTimeout))
		defer cancel()
		var err error
		if l, err = x.list(ctx, t, federation.Tools); err != nil {
			return nil //nolint:nilerr // The call itself finds out what is wrong.
		}
	}
	name := x.own
	if name == "" {
		name, _ = jsonrpc.Text(x.body, fields[0])
	}
	for i := range l.Items {
		if l.Items[i].Name != name {
			continue
		}
		params, err := mirror.Params(l.Items[i].Raw())
		if err != nil || len(params) == 0 {
			return nil // The client must not have used a tool whose definition is wrong, and has no headers for it.
		}
		return asRefusal(mirror.Check(x.r.Header, params, fields[1].Of(x.body)))
	}
	return nil
}

// forwardHome has the replica answer that alone can, and returns whether it did.
func (x *exchange) forwardHome(home string) bool {
	if x.peers == nil || home == "" {
		return false
	}
	err := x.peers.Forward(x.w, x.r, x.body, x.backend.Key, home)
	if err != nil && !errors.Is(err, context.Canceled) {
		x.log.Warn("The replica that holds a request can't be reached", "backend", x.backend.Key, "error", err)
	}
	return err == nil
}

// self is the address at which other replicas reach this one; empty if there are none.
func (s *Server) self() string {
	if s.peers == nil {
		return ""
	}
	return s.peers.Self()
}
