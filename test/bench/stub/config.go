//go:build linux

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

// Package stub is a cheap MCP server to put behind a gateway under test: about 7 µs of CPU a call. It speaks 2025-11-25,
// with sessions or without, and 2026-07-28, answers with JSON or server-sent events, and has faults to inject, so that it
// can be shown that the load client notices each of them.
package stub

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// dual answers each request in the era that it is of.
const dual = "dual"

// Config is what the stub answers. A config is never changed once it is served; GET /ctl?name=value builds a changed copy
// and swaps it in, so that one stub can serve every cell of a comparison.
type Config struct {
	// Mode is legacy, modern or dual.
	Mode string
	// Sessions: of the legacy era, hand out session ids and insist on them.
	Sessions bool
	// Reply is json or sse.
	Reply string
	// Tools is the number of tools; the first is echo.
	Tools int
	// Pad is the number of extra bytes in each tool's description.
	Pad int
	// Page is the number of tools in a page of tools/list; 0 for one page.
	Page int
	// Delay is added to each tools/call.
	Delay time.Duration
	// Stall stops the whole server for this long, this often.
	Stall, StallEvery time.Duration
	// Fault is id, text, rpcerror, toolerror, http500, close or forget, and every so manyth tools/call gets it.
	Fault      string
	FaultEvery int

	tools [][]byte // one JSON object each
	all   []byte   // the tools joined by commas
}

// Default is a config to begin with.
func Default() Config {
	return Config{Mode: wire.Legacy, Sessions: true, Reply: "json", Tools: 10}
}

// Settings are the names that Set takes, each with what it is.
func Settings() map[string]string {
	return map[string]string{
		"mode": "legacy (" + wire.LegacyVersion + " and before), modern (" + wire.ModernVersion +
			") or dual (default legacy)",
		"sessions":   "legacy: use session ids (default true)",
		"reply":      "json or sse (default json)",
		"tools":      "number of tools, the first being echo (default 10)",
		"pad":        "extra bytes in each tool's description",
		"page":       "tools in a page of tools/list, 0 for one page",
		"delay":      "latency added to each tools/call",
		"stall":      "to test the harness: stop the whole server for this long ...",
		"stallevery": "... this often",
		"fault":      "to test the harness: id, text, rpcerror, toolerror, http500, close or forget",
		"faultevery": "give the fault to every n-th tools/call",
	}
}

// Set changes one setting.
func (c *Config) Set(name, value string) error {
	var err error
	switch name {
	case "mode":
		c.Mode, err = oneOf(value, wire.Legacy, wire.Modern, dual)
	case "sessions":
		c.Sessions, err = strconv.ParseBool(value)
	case "reply":
		c.Reply, err = oneOf(value, "json", "sse")
	case "tools":
		c.Tools, err = number(value, 1, 10_000)
	case "pad":
		c.Pad, err = number(value, 0, 1<<20)
	case "page":
		c.Page, err = number(value, 0, 10_000)
	case "delay":
		c.Delay, err = time.ParseDuration(value)
	case "stall":
		c.Stall, err = time.ParseDuration(value)
	case "stallevery":
		c.StallEvery, err = time.ParseDuration(value)
	case "fault":
		c.Fault, err = oneOf(value, "", "id", "text", "rpcerror", "toolerror", "http500", "close", "forget")
	case "faultevery":
		c.FaultEvery, err = number(value, 0, 1<<30)
	default:
		return fmt.Errorf("unknown setting %q", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func oneOf(value string, allowed ...string) (string, error) {
	if !slices.Contains(allowed, value) {
		return "", fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", "))
	}
	return value, nil
}

func number(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err == nil && (n < least || n > most) {
		err = fmt.Errorf("%d is not between %d and %d", n, least, most)
	}
	return n, err
}

// build prepares the list of tools. Each is about as large as a small real one.
func (c *Config) build() {
	c.tools = nil
	for i := range c.Tools {
		name := "echo"
		if i > 0 {
			name = fmt.Sprintf("tool_%03d", i)
		}
		c.tools = append(c.tools, fmt.Appendf(nil, `{"name":%q,"title":"Benchmark tool %d",`+
			`"description":"Returns its message argument unchanged; one of the tools of the benchmark stub.%s",`+
			`"inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"Text to return"},`+
			`"count":{"type":"integer","minimum":0,"maximum":100}},"required":["message"]},`+
			`"annotations":{"readOnlyHint":true,"openWorldHint":false}}`,
			name, i, strings.Repeat("x", c.Pad)))
	}
	c.all = bytes.Join(c.tools, []byte(","))
}

// offers returns whether there is a tool of that name.
func (c *Config) offers(name []byte) bool {
	if string(name) == "echo" {
		return true
	}
	digits, ok := bytes.CutPrefix(name, []byte("tool_"))
	if !ok {
		return false
	}
	i, ok := wire.Atoi(digits)
	return ok && i > 0 && i < len(c.tools)
}
