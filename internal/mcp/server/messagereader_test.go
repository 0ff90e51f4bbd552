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
	"io"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

func TestMessagesOfABatchAreReadOneByOne(t *testing.T) {
	const stream = "id: 1\ndata: {\"a\":1}\n\n" +
		"id: 2\ndata: [{\"b\":2},\ndata: {\"c\":3}]\n\n" +
		"id: 3\ndata: [1,\n\n" +
		"event: other\ndata: [4]\n\n"
	r := newMessageReader(io.NopCloser(strings.NewReader(stream)), 1<<20)
	defer func() { _ = r.Close() }()
	var got []string
	var event sse.Event
	for r.Next(&event) == nil {
		got = append(got, event.ID+" "+string(event.Data))
	}
	want := []string{`1 {"a":1}`, ` {"b":2}`, `2 {"c":3}`, `3 [1,`, ` [4]`}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
