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

package load

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// firstID keeps every request id ten digits long, so that a prepared request can be reused by writing new digits over the
// old ones.
const firstID = 1_000_000_000

const clientInfo = `{"name":"bench","version":"1.0.0"}`

// requestHead returns the head of an HTTP request; of a POST, up to the value of Content-Length.
func (e *Engine) requestHead(c *client, method, rpc, name string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n", method, e.endpoint.Path, e.endpoint.Host)
	if method == http.MethodGet {
		b = append(b, "Accept: text/event-stream\r\n"...)
	} else {
		b = append(b, "Accept: application/json, text/event-stream\r\n"...)
	}
	if e.config.Era == wire.Modern {
		b = fmt.Appendf(b, "MCP-Protocol-Version: %s\r\nMcp-Method: %s\r\n", wire.ModernVersion, rpc)
		if name != "" {
			b = fmt.Appendf(b, "Mcp-Name: %s\r\n", name)
		}
	} else if rpc != "initialize" {
		if c.session != "" {
			b = fmt.Appendf(b, "Mcp-Session-Id: %s\r\n", c.session)
		}
		b = fmt.Appendf(b, "MCP-Protocol-Version: %s\r\n", c.version)
	}
	for _, k := range slices.Sorted(maps.Keys(e.config.Headers)) {
		b = fmt.Appendf(b, "%s: %s\r\n", k, e.config.Headers[k])
	}
	if method == http.MethodPost {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
	}
	return b
}

// post returns a whole POST request. Params is a JSON object without the braces; without an id it is a notification.
func (e *Engine) post(c *client, id int, rpc, name, params string) []byte {
	if e.config.Era == wire.Modern {
		if params != "" {
			params += ","
		}
		params += fmt.Sprintf(`"_meta":{%q:%q,%q:%s,%q:{}}`,
			wire.MetaVersion, wire.ModernVersion, wire.MetaClientInfo, clientInfo, wire.MetaCapabilities)
	}
	body := `{"jsonrpc":"2.0",`
	if id > 0 {
		body += `"id":` + strconv.Itoa(id) + `,`
	}
	body += `"method":"` + rpc + `"`
	if params != "" {
		body += `,"params":{` + params + `}`
	}
	body += "}"
	return fmt.Appendf(e.requestHead(c, http.MethodPost, rpc, name), "%d\r\n\r\n%s", len(body), body)
}

// template is a tools/call request whose id, and whose argument's first and last digits, are overwritten for each call.
// The argument names the client and the call at both ends, so that a reply that is swapped, stale or cut is noticed.
type template struct {
	request []byte
	// Where the digits and the argument stand in the request.
	id, first, last int
	argument        int
	length          int // of the argument
}

// minPayload is the shortest argument that has all the digits.
const minPayload = 40

func (e *Engine) newCall(c *client) template {
	mark := strconv.Itoa(firstID)
	argument := make([]byte, 0, e.config.Payload)
	argument = fmt.Appendf(argument, "c%05d-%s-", c.index, mark)
	seed := uint32(c.index)*2654435761 + 1
	for len(argument) < e.config.Payload-len(mark)-1 {
		seed = seed*1664525 + 1013904223
		argument = append(argument, "abcdefghijklmnopqrstuvwxyzABCDEF"[seed>>27])
	}
	argument = append(append(argument, '-'), mark...)
	request := e.post(c, firstID, "tools/call", e.config.Tool,
		fmt.Sprintf(`"name":%q,"arguments":{"message":"%s"}`, e.config.Tool, argument))
	t := template{request: request, length: len(argument)}
	t.id = bytes.Index(request, []byte(`"id":`)) + len(`"id":`)
	t.argument = bytes.Index(request, argument)
	t.first = t.argument + len("c00000-")
	t.last = t.argument + len(argument) - len(mark)
	return t
}

// number writes an id, of ten digits, into the request.
func (t *template) number(id int) {
	for _, at := range [...]int{t.id, t.first, t.last} {
		for i, n := 9, id; i >= 0; i-- {
			t.request[at+i] = byte('0' + n%10)
			n /= 10
		}
	}
}

func (t *template) digits() []byte { return t.request[t.id : t.id+10] }

func (t *template) text() []byte { return t.request[t.argument : t.argument+t.length] }
