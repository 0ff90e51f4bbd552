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

package jsonrpc

// wellKnown returns the method's name as a constant if it is one of the MCP specification, of any revision; else "". The
// compiler makes no allocation for the conversion in a switch, and none is needed for the result.
// https://modelcontextprotocol.io/specification/2025-11-25/schema
// https://modelcontextprotocol.io/specification/2026-07-28/schema
func wellKnown(method []byte) string {
	switch string(method) {
	case "completion/complete":
		return "completion/complete"
	case "elicitation/create":
		return "elicitation/create"
	case "initialize":
		return "initialize"
	case "logging/setLevel":
		return "logging/setLevel"
	case "notifications/cancelled":
		return "notifications/cancelled"
	case "notifications/elicitation/complete":
		return "notifications/elicitation/complete"
	case "notifications/initialized":
		return "notifications/initialized"
	case "notifications/message":
		return "notifications/message"
	case "notifications/progress":
		return "notifications/progress"
	case "notifications/prompts/list_changed":
		return "notifications/prompts/list_changed"
	case "notifications/resources/list_changed":
		return "notifications/resources/list_changed"
	case "notifications/resources/updated":
		return "notifications/resources/updated"
	case "notifications/roots/list_changed":
		return "notifications/roots/list_changed"
	case "notifications/subscriptions/acknowledged":
		return "notifications/subscriptions/acknowledged"
	case "notifications/tasks/status":
		return "notifications/tasks/status"
	case "notifications/tools/list_changed":
		return "notifications/tools/list_changed"
	case "ping":
		return "ping"
	case "prompts/get":
		return "prompts/get"
	case "prompts/list":
		return "prompts/list"
	case "resources/list":
		return "resources/list"
	case "resources/read":
		return "resources/read"
	case "resources/subscribe":
		return "resources/subscribe"
	case "resources/templates/list":
		return "resources/templates/list"
	case "resources/unsubscribe":
		return "resources/unsubscribe"
	case "roots/list":
		return "roots/list"
	case "sampling/createMessage":
		return "sampling/createMessage"
	case "server/discover":
		return "server/discover"
	case "subscriptions/listen":
		return "subscriptions/listen"
	case "tasks/cancel":
		return "tasks/cancel"
	case "tasks/get":
		return "tasks/get"
	case "tasks/list":
		return "tasks/list"
	case "tasks/result":
		return "tasks/result"
	case "tasks/update":
		return "tasks/update"
	case "tools/call":
		return "tools/call"
	case "tools/list":
		return "tools/list"
	default:
		return ""
	}
}
