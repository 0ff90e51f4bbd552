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
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// FuzzMessage: what is shown of a message is bounded, and can be shown.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(call))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"\ud83d","_meta":{"traceparent":"` + traceparent + `"}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"traceparent":"` + traceparent + `","tracestate":"a=b"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m jsonrpc.Message
		if jsonrpc.Scan(body, &m) != nil {
			t.Skip()
		}
		var log bytes.Buffer
		telemetry, spans := newTraced(t, Options{AccessLog: NewAccessLog(&log)})
		e := telemetry.Begin(post())
		e.Backend(backend)
		e.Message(body, &m)
		e.Attempt("tools/call", "weather").Done(t.Context(), nil, "", io.EOF)
		e.End()
		if n := utf8.RuneCountInString(e.tool); n > maxName {
			t.Errorf("the name has %d characters", n)
		}
		for _, s := range spans.GetSpans() {
			if !utf8.ValidString(s.Name) {
				t.Errorf("the name %q is no text", s.Name)
			}
		}
		if !json.Valid(log.Bytes()) || bytes.Count(log.Bytes(), []byte("\n")) != 1 {
			t.Errorf("not one line: %q", log.String())
		}
	})
}
