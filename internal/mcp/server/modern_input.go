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
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
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

// inputMethods are what a server may ask of a modern client that has the capability.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
var inputMethods = map[string]string{"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}

// mayBeAsked returns whether the client has declared anything that a server may ask of it.
func (x *exchange) mayBeAsked() bool {
	for _, capability := range inputMethods {
		if x.declares(capability) != nil {
			return true
		}
	}
	return false
}

// declares returns what the client says of a capability, an object; nil if it does not have it.
func (x *exchange) declares(capability string) []byte {
	var field [1]jsonrpc.Span
	capabilities := x.modern.capabilities
	if jsonrpc.Lookup(capabilities, jsonrpc.Span{End: len(capabilities)}, []string{capability}, field[:]) != nil ||
		field[0].Empty() || capabilities[field[0].Start] != '{' {
		return nil
	}
	return field[0].Of(capabilities)
}

// declaresURLs returns whether the client can have its user visit a URL.
func (x *exchange) declaresURLs() bool {
	var field [1]jsonrpc.Span
	modes := x.declares("elicitation")
	return modes != nil && jsonrpc.Lookup(modes, jsonrpc.Span{End: len(modes)}, []string{"url"}, field[:]) == nil && !field[0].Empty()
}

// mayAsk returns whether a server may ask this of the client, which must have declared what that needs.
func (x *exchange) mayAsk(in *incoming) bool {
	capability, known := inputMethods[in.message.Method]
	if !known || x.declares(capability) == nil {
		return false
	}
	var field [1]jsonrpc.Span
	if jsonrpc.Lookup(in.data, in.message.Params, []string{"mode"}, field[:]) != nil {
		return false
	}
	mode, _ := jsonrpc.Text(in.data, field[0])
	return mode != "url" || in.message.Method != "elicitation/create" || x.declaresURLs()
}

// take notes a request of the server, or answers it where the client need not be asked.
func (c *bridgedCall) take(x *exchange, in *incoming) {
	id := in.message.ID.Of(in.data)
	switch {
	case in.message.Method == "ping":
		c.answer(id, []byte(`"result":{}`), false)
	case !x.mayAsk(in):
		c.answer(id, []byte(`"error":{"code":-32601,"message":"Method not found: the client has no such capability"}`), true)
	case len(c.asked) >= maxAsked:
		c.answer(id, []byte(`"error":{"code":-32603,"message":"too many requests wait for the client already"}`), true)
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

// maxAnswering bounds how many answers of one call are on their way to its server. One that asks faster than it takes the
// answers is not read any further.
const maxAnswering = 8

// answer sends the server an answer to one of its requests; the outcome is a member, result or error. A call whose server waits
// for the answer ends if that can't be delivered.
func (c *bridgedCall) answer(id, outcome []byte, awaited bool) {
	body := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	body = append(append(append(body, ','), outcome...), '}')
	select {
	case c.answering <- struct{}{}:
	case <-c.ctx.Done():
		return
	}
	c.background.Go(func() {
		defer func() { <-c.answering }()
		ctx, cancel := context.WithTimeoutCause(c.ctx, c.limits.ListTimeout, errNotTaken)
		defer cancel()
		if err := c.tell(ctx, body); err != nil && awaited {
			c.cancel(err)
		}
	})
}

// parked are the calls that wait for a client to come back with an answer.
type parked struct {
	mu    sync.Mutex
	calls map[string]*parkedCall
}

type parkedCall struct {
	*bridgedCall
	// left is closed by whoever goes on with the call.
	left chan struct{}
}

// park keeps the call, and has the client told what the server wants to know.
func (c *bridgedCall) park(answer *bridgedAnswer) {
	id := rand.Text()
	state, err := c.sealState(id)
	if err == nil {
		err = c.keep(id)
	}
	if err != nil {
		c.end(true)
		answer.fail(&jsonrpc.Error{Code: jsonrpc.CodeInternal,
			Message: "the server asks for input, but the request can't wait for it: " + err.Error()})
		return
	}
	answer.result(inputRequired(c.asked, state))
}

// keep keeps the call until it is taken from the parked, or its time is over.
func (c *bridgedCall) keep(id string) error {
	p := &parkedCall{c, make(chan struct{})}
	if !c.parked.add(id, p) {
		return errors.New("too many requests wait already; try again later")
	}
	c.watch.allow(c.inputTimeout)
	c.background.Go(func() {
		select {
		case <-p.left:
		case <-c.ctx.Done():
			if c.parked.remove(id) != nil {
				c.end(true)
			}
		}
	})
	return nil
}

func (p *parked) add(id string, call *parkedCall) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.calls) >= maxParked {
		return false
	}
	if p.calls == nil {
		p.calls = map[string]*parkedCall{}
	}
	p.calls[id] = call
	return true
}

// remove returns the call of that id, which nobody else gets; nil if there is none.
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
		Expires: time.Now().Add(c.inputTimeout), Digest: c.digest,
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
		result = append(result, `,"params":`...)
		if len(q.params) > 0 {
			result = append(result, q.params...)
		} else {
			result = append(result, "{}"...) // The Go SDK's client can't read a request without any.
		}
		result = append(result, '}')
	}
	result = append(result, `},"requestState":`...)
	return append(jsonrpc.AppendString(result, state), '}')
}

// requestState returns where the state is that the client brings back; an empty span if there is none.
func (x *exchange) requestState() (jsonrpc.Span, error) {
	var field [1]jsonrpc.Span
	if mirror.NameKey(x.message.Method) == "" {
		return field[0], nil // The client can't have been asked anything.
	}
	err := jsonrpc.Lookup(x.body, x.message.Params, []string{"requestState"}, field[:])
	return field[0], err
}

// digest says which request a state belongs to: the method, and the name by which the client calls what it is for.
func (x *exchange) digest() (d [16]byte) {
	_, at, _ := x.reference()
	name, _ := jsonrpc.Text(x.body, at)
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", x.backend.ID, x.message.Method, name))
	copy(d[:], sum[:])
	return d
}

// resume goes on with a call that waited for the client's answers; at is where the client's state is.
func (x *exchange) resume(t *target, at jsonrpc.Span, body []byte) error {
	invalid := &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams,
		Message: "Invalid params: requestState is not one that this request was answered with, or has expired; send the request without it"}
	token, _ := jsonrpc.Text(x.body, at)
	state, err := x.keys.Load().OpenRequestState(token, time.Now())
	if err != nil || state.Service != t.hash || state.Digest != x.digest() || state.Principal != x.session.Principal {
		x.fail(invalid)
		return nil //nolint:nilerr // The client has been told.
	}
	if state.ID == "" {
		return x.afterVisit(t, body)
	}
	if state.Home != x.self() {
		if x.forwardHome(state.Home) {
			return nil
		}
		x.fail(invalid)
		return nil
	}
	p := x.parked.remove(state.ID)
	if p == nil {
		x.fail(invalid)
		return nil
	}
	close(p.left)
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
		c.answer(q.id, append([]byte(`"result":`), response[0].Of(x.body)...), true)
	}
	c.asked = open
	return len(open) == 0
}

// afterVisit sends a request to the server anew that had asked for the user to visit URLs: the server looks for itself whether
// the user has.
func (x *exchange) afterVisit(t *target, body []byte) error {
	var responses [1]jsonrpc.Span
	visited := true
	err := jsonrpc.Lookup(x.body, x.message.Params, []string{"inputResponses"}, responses[:])
	if err == nil {
		err = jsonrpc.Members(x.body, responses[0], func(_, response jsonrpc.Span) bool {
			var action [1]jsonrpc.Span
			_ = jsonrpc.Lookup(x.body, response, []string{"action"}, action[:])
			text, _ := jsonrpc.Text(x.body, action[0])
			visited = text == "accept"
			return visited
		})
	}
	switch {
	case err != nil:
		x.invalidParams(err)
		return nil
	case !visited:
		x.fail(&jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "the server needs the user to visit a URL first, and the user has not"})
		return nil
	default:
		return x.bridgeAnew(t, body)
	}
}

// urlRequired turns the error of a server that first needs the user to visit URLs, of revision 2025-11-25, into what asks
// the client to; nil if the error does not say which. The server has given up the request: the client's next try begins anew.
// https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error
func (c *bridgedCall) urlRequired(data []byte, e jsonrpc.Span) []byte {
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
	ctx, cancel := context.WithTimeoutCause(x.r.Context(), x.limits.ListTimeout,
		fmt.Errorf("it did not answer within %s", x.limits.ListTimeout))
	defer cancel()
	l, err := x.listing(ctx, t, federation.Tools, false)
	if err != nil {
		return nil // The call itself finds out what is wrong.
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

// forwardHome has the replica answer that alone can, and returns whether it did. What a replica has forwarded is not forwarded
// again: it took this one for the home.
func (x *exchange) forwardHome(home string) bool {
	if x.peers == nil || home == "" || peer.FromPeer(x.r.Context()) {
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
