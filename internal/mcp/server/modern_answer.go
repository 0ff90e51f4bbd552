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
	"fmt"
	"net/http"
	"slices"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// notified handles a notification of the server.
func (c *bridgedCall) notified(x *exchange, answer *bridgedAnswer, in *incoming) {
	var field [1]jsonrpc.Span
	switch in.message.Method {
	case "notifications/message":
		// Not every server heeds, or is told, from which level on they are wanted.
		level := slices.Index(logLevels, levelOf(in.message.Params.Of(in.data)))
		if wanted := slices.Index(logLevels, x.modern.logLevel); wanted >= 0 && level >= wanted {
			answer.notify(in.data)
		}
	case "notifications/progress":
		token := progressToken(x.body, x.message.Params).Of(x.body)
		if jsonrpc.Lookup(in.data, in.message.Params, []string{"progressToken"}, field[:]) != nil || field[0].Empty() ||
			!sameID(in.data, field[0], c.token) || len(token) == 0 {
			return
		}
		answer.notify(jsonrpc.Splice(nil, in.data, jsonrpc.Edit{Span: field[0], New: token}))
	case "notifications/cancelled":
		if jsonrpc.Lookup(in.data, in.message.Params, []string{"requestId"}, field[:]) == nil {
			c.takeBack(field[0].Of(in.data))
		}
	case "notifications/resources/updated", "notifications/elicitation/complete":
		// Told on listen streams, or not at all in the modern era.
	default:
		if kinds := changedKinds[in.message.Method]; kinds != nil {
			x.session.changed(x.backend, c.target, kinds...)
			return
		}
		answer.notify(in.data)
	}
}

// finish hands the server's answer to the client.
func (c *bridgedCall) finish(answer *bridgedAnswer, in *incoming) {
	x := answer.exchange
	if in.message.Result.Empty() {
		e := remoteError(in.data, in.message.Error)
		if e.Code == jsonrpc.CodeURLElicitationRequired {
			if !x.declaresURLs() {
				answer.fail(&jsonrpc.Error{Code: jsonrpc.CodeMissingClientCapability, Message: bounded(e.Message),
					Data: []byte(`{"requiredCapabilities":{"elicitation":{"url":{}}}}`)})
				return
			}
			if result := c.urlRequired(in.data, in.message.Error); result != nil {
				answer.result(result)
				return
			}
		}
		answer.error(in.data, &in.message, e.Code)
		return
	}
	result := in.message.Result.Of(in.data)
	if x.rewrite != nil {
		result = x.rewrite(result)
	}
	if x.hasLinks(result) {
		result = x.renameLinks(c.target, result, jsonrpc.Span{End: len(result)})
	}
	answer.result(x.modernResult(result, cacheHints{}))
}

// bridgedAnswer is the answer to a modern client: JSON, or a stream once there is anything to tell before the result.
type bridgedAnswer struct {
	*exchange
	stream *eventStream
}

func (a *bridgedAnswer) begin() {
	if a.stream == nil {
		a.observed.Stream(telemetry.StreamCall)
		a.stream = a.newEventStream(a.w)
		a.stream.start()
	}
}

func (a *bridgedAnswer) stop() {
	if a.stream != nil {
		a.stream.stop()
	}
}

// notify sends a notification. That the client has gone ends the request by itself.
func (a *bridgedAnswer) notify(data []byte) {
	a.begin()
	_ = a.stream.send(messageEvent(data))
}

func (a *bridgedAnswer) result(result []byte) {
	a.send(http.StatusOK, jsonrpc.AppendResult(nil, a.id(), result))
}

func (a *bridgedAnswer) fail(e *jsonrpc.Error) {
	a.observed.Result(resultOf(e))
	a.send(modernStatus(e.Code), jsonrpc.AppendError(nil, a.id(), e))
}

// replacedCodes are codes that the modern era does not have, and what it has in their place.
var replacedCodes = map[jsonrpc.Code]jsonrpc.Code{
	jsonrpc.CodeResourceNotFound: jsonrpc.CodeInvalidParams, jsonrpc.CodeURLElicitationRequired: jsonrpc.CodeInternal,
}

// error hands on a server's error, as the modern era has it.
func (a *bridgedAnswer) error(data []byte, m *jsonrpc.Message, code jsonrpc.Code) {
	edits := []jsonrpc.Edit{{Span: m.ID, New: a.id()}}
	if replaced, ok := replacedCodes[code]; ok {
		var field [1]jsonrpc.Span
		if jsonrpc.Lookup(data, m.Error, []string{"code"}, field[:]) == nil && !field[0].Empty() {
			code = replaced
			edits = append(edits, jsonrpc.Edit{Span: field[0], New: fmt.Append(nil, int(code))})
		}
	}
	sortEdits(edits)
	a.observed.Result(telemetry.RPCError)
	a.send(modernStatus(code), jsonrpc.Splice(nil, data, edits...))
}

func (a *bridgedAnswer) send(status int, data []byte) {
	if a.stream == nil {
		writeJSON(a.w, status, data)
		return
	}
	_ = a.stream.send(messageEvent(data))
}
