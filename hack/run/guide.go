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

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// weatherFile is the manifest of the second server.
const weatherFile = "weather.yaml"

// guide says what to try. Every command in it works when it is pasted; a test does so.
func guide(o options, tools []string, took time.Duration) string {
	weather := filepath.Join(o.dir, weatherFile)
	return fmt.Sprintf(`
Ready after %.1f s: one MCP server at %[2]s with the tools %[3]s

Change this label and watch the tools: in %[4]s, make "app: weather" "app: mcp-server-everything".

  %[5]s

A second server joins, its echo as weather_echo; the tools of the first keep their names. Change it back, and it leaves.
Ask for the tools in another terminal:

  %[6]s

or, without Node.js:

%[7]s

Edit any manifest in %[8]s: they are copied from %[9]s on every start.
Ctrl-C ends the gateway and the servers.

`, took.Seconds(), endpoint(o), strings.Join(tools, " "), weather, editLine(weather), inspectorLine(o), indent(curlLines(o)),
		o.dir, strings.Join(samples, " and "))
}

func editLine(file string) string {
	return "sed -i.bak 's/app: weather/app: mcp-server-everything/' " + file
}

func inspectorLine(o options) string {
	return "npx -y @modelcontextprotocol/inspector --cli " + endpoint(o) + " --transport http --method tools/list"
}

// curlLines make a session first: without one, a server answers only initialize.
func curlLines(o options) string {
	return `mcp() { curl -sS ` + endpoint(o) + ` -H 'Content-Type: application/json' ` +
		`-H 'Accept: application/json, text/event-stream' "$@"; }
session=$(mcp -i -d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
		`"capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}' | awk 'tolower($1) == "mcp-session-id:" {print $2}' | tr -d '\r')
mcp -H "Mcp-Session-Id: $session" -d '{"jsonrpc":"2.0","method":"notifications/initialized"}'
mcp -H "Mcp-Session-Id: $session" -d '{"jsonrpc":"2.0","id":2,"method":"tools/list"}'`
}

func indent(lines string) string { return "  " + strings.ReplaceAll(lines, "\n", "\n  ") }
