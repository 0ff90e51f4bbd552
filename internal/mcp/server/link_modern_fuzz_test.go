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
	"encoding/json"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// FuzzHeard looks for notifications of which something else than JSON is left, or more than what was there.
func FuzzHeard(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","method":"x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}`,
		`{"jsonrpc":"2.0","method":"x","params":{"a":1,"_meta":{"b":2,"io.modelcontextprotocol/subscriptionId":"x"}}} `,
		`{"params":{"_meta":{}},"jsonrpc":"2.0","method":"x"}`, `{"params":{"_meta":1},"jsonrpc":"2.0","method":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := heard(data)
		if !ok {
			return
		}
		var m jsonrpc.Message
		if err := jsonrpc.Scan(got, &m); err != nil || m.Kind != jsonrpc.Notification || len(got) > len(data) {
			t.Fatalf("%q became %q: %v", data, got, err)
		}
		var meta, id [1]jsonrpc.Span
		if jsonrpc.Lookup(got, m.Params, []string{"_meta"}, meta[:]) != nil ||
			jsonrpc.Lookup(got, meta[0], []string{metaSubscriptionID}, id[:]) != nil || !id[0].Empty() {
			t.Errorf("%q became %q", data, got)
		}
	})
}

// FuzzJudge looks for answers of a server of which a client would get no message.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}`, `{"jsonrpc":"2.0","id":7,"result":[]}`,
		`{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list","params":{}}},"requestState":"x"}}`,
		`{"jsonrpc":"2.0","error":{"code":-32602,"message":"m","data":{"uri":"x"}}}`, `{"jsonrpc":"2.0","id":null,"error":{"code":1}}`,
	} {
		f.Add([]byte(seed), "tools/call")
		f.Add([]byte(seed), "resources/read")
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"x"}]}}`), "tools/list")
	f.Fuzz(func(t *testing.T, data []byte, method string) {
		if method == "tools/list" {
			return // What is left out of lists is logged, for which there must be a whole server.
		}
		body := append(jsonrpc.AppendString([]byte(`{"jsonrpc":"2.0","id":7,"method":`), method), `,"params":{"uri":"x"}}`...)
		b := &modernCall{Server: &Server{}, c: &upstreamCall{target: &target{Target: &config.Target{Name: "x"}}, session: newClientSession(&session.Session{}), body: body}}
		if jsonrpc.Scan(body, &b.message) != nil {
			return
		}
		answer, input := b.judge(data, []byte("7"))
		if input == nil {
			var m jsonrpc.Message
			if err := jsonrpc.Scan(answer, &m); err != nil || m.Kind != jsonrpc.Response || string(m.ID.Of(answer)) != "7" {
				t.Fatalf("%q became %q: %v", data, answer, err)
			}
			return
		}
		for _, r := range input.requests {
			if message := r.message("id"); !json.Valid(message) {
				t.Errorf("%q asks %q", data, message)
			}
		}
	})
}
