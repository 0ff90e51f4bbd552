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

package telemetry

import (
	"net/http"
	"slices"
)

// method is an index into methodNames.
type method uint8

// mcpMethods are the methods of all revisions of MCP, sorted.
// https://modelcontextprotocol.io/specification/2025-11-25/schema
// https://modelcontextprotocol.io/specification/2026-07-28/schema
var mcpMethods = [...]string{
	"completion/complete",
	"elicitation/create",
	"initialize",
	"logging/setLevel",
	"notifications/cancelled",
	"notifications/elicitation/complete",
	"notifications/initialized",
	"notifications/message",
	"notifications/progress",
	"notifications/prompts/list_changed",
	"notifications/resources/list_changed",
	"notifications/resources/updated",
	"notifications/roots/list_changed",
	"notifications/subscriptions/acknowledged",
	"notifications/tasks/status",
	"notifications/tools/list_changed",
	"ping",
	"prompts/get",
	"prompts/list",
	"resources/list",
	"resources/read",
	"resources/subscribe",
	"resources/templates/list",
	"resources/unsubscribe",
	"roots/list",
	"sampling/createMessage",
	"server/discover",
	"subscriptions/listen",
	"tasks/cancel",
	"tasks/get",
	"tasks/list",
	"tasks/result",
	"tasks/update",
	"tools/call",
	"tools/list",
}

// What is none of them: HTTP requests without a message, answers of clients, and everything else.
const (
	methodDelete method = iota + method(len(mcpMethods))
	methodGet
	methodOptions
	methodResponse
	methodOther
	methodCount
)

var methodNames = slices.Concat(mcpMethods[:], []string{"DELETE", "GET", "OPTIONS", "response", "other"})

var (
	methodToolsCall  = methodOf("tools/call")
	methodPromptsGet = methodOf("prompts/get")
	methodListen     = methodOf("subscriptions/listen")
)

// methodOf returns the method of MCP of that name. Names are few and sorted; a search makes no allocation.
func methodOf(name string) method {
	if i, ok := slices.BinarySearch(mcpMethods[:], name); ok {
		return method(i)
	}
	return methodOther
}

// verbOf returns what stands for an HTTP request without a message.
func verbOf(name string) method {
	switch name {
	case http.MethodDelete:
		return methodDelete
	case http.MethodGet:
		return methodGet
	case http.MethodOptions:
		return methodOptions
	default:
		return methodOther
	}
}

// String returns the value of the label method.
func (m method) String() string { return methodNames[m] }

// isMCP returns whether it is a method of MCP.
func (m method) isMCP() bool { return int(m) < len(mcpMethods) }

// listens returns whether its answer is a stream that a client listens on for as long as it likes, so that the time
// that it takes says nothing.
func (m method) listens() bool { return m == methodGet || m == methodListen }
