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
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// inRevision makes a server agree on a revision.
func (f *fakeServer) inRevision(version string) *fakeServer {
	f.set(func() {
		f.initializeResult = `{"protocolVersion":"` + version + `","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}`
	})
	return f
}

func echo(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"t","x":` + id + `}}`
}

func echoed(id string) string {
	return `{"result":{"name":"t","x":` + id + `},"jsonrpc":"2.0","id":` + id + `}`
}

const initializedBody = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

// all returns the data of all events up to the end of the stream, sorted.
func (s *stream) all() []string {
	var all []string
	for data := range s.events {
		all = append(all, data)
	}
	slices.Sort(all)
	return all
}

func TestMessagesOfABatchAreAnsweredAsIfTheyHadComeAlone(t *testing.T) {
	server := newFakeServer(t).inRevision("2025-03-26")
	g := newGateway(t, server.targets())
	id := g.open()
	s := g.stream(call{session: id, body: " [\n" + strings.Join([]string{
		echo("1"), initializedBody, echo(`"two"`), `{"jsonrpc":"2.0","id":3,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":"unknown","result":{}}`, echo("9007199254740993"),
	}, " ,\r\n\t") + "]\n"})
	want := []string{echoed("1"), echoed(`"two"`), `{"jsonrpc":"2.0","id":3,"result":{}}`, echoed("9007199254740993")}
	slices.Sort(want)
	same(t, s.all(), want)
	if n := len(server.requests("notifications/initialized")); n != 1 {
		t.Errorf("%d notifications reached the server", n)
	}
	for _, sent := range server.requests("tools/call") {
		if !strings.HasPrefix(sent.body, "{") || !strings.HasSuffix(sent.body, "}}") {
			t.Errorf("the server got %s", sent.body)
		}
	}
}

func TestStreamsOfABatchsRequestsAreOneStream(t *testing.T) {
	server := newFakeServer(t).inRevision("2025-03-26")
	both := make(chan struct{}, 2)
	ready := make(chan struct{})
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		write := events(w)
		write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"of\":%s}}\n\n", m.ID)
		both <- struct{}{}
		<-ready
		write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
	}
	g := newGateway(t, server.targets())
	s := g.stream(call{session: g.open(), body: "[" + echo("1") + "," + echo("2") + "]"})
	<-both // Both are worked on together.
	<-both
	close(ready)
	same(t, s.all(), []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":2,"result":{}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"of":1}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"of":2}}`,
	})
}

func TestBatchWithoutRequestsIsAcceptedWithoutABody(t *testing.T) {
	server := newFakeServer(t).inRevision("2025-03-26")
	g := newGateway(t, server.targets())
	id := g.open()
	got := g.do(call{session: id, body: "[" + initializedBody + "," + initializedBody + "]"})
	if got.status != http.StatusAccepted || got.body != "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	got = g.do(call{session: id, body: "[" + initializedBody + `,{"jsonrpc":"2.0","id":"unknown","result":{}}]`})
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"code":-32600`) {
		t.Errorf("an answer to nothing: got %d %s", got.status, got.body)
	}
	if n := len(server.requests("notifications/initialized")); n != 3 {
		t.Errorf("%d notifications reached the server", n)
	}
}

func TestBadBatchesReachNoServer(t *testing.T) {
	server := newFakeServer(t).inRevision("2025-03-26")
	g := newGateway(t, server.targets())
	id := g.open()
	before := len(server.requests(http.MethodPost))
	many := strings.Repeat(initializedBody+",", maxBatch) + initializedBody
	for name, test := range map[string]struct {
		call   call
		status int
		want   string // Part of the body.
	}{
		"empty":                   {call{body: "[]"}, 400, "the batch is empty"},
		"garbage after it":        {call{body: "[" + echo("1") + "]x"}, 400, `"code":-32700`},
		"another array after it":  {call{body: "[" + echo("1") + "][" + echo("2") + "]"}, 400, `"code":-32700`},
		"not ended":               {call{body: "[" + echo("1")}, 400, `"code":-32700`},
		"a comma at the end":      {call{body: "[" + echo("1") + ",]"}, 400, `"code":-32700`},
		"an element that is none": {call{body: "[" + echo("1") + ",1]"}, 400, `"code":-32600`},
		"a batch within it":       {call{body: "[" + echo("1") + ",[" + echo("2") + "]]"}, 400, `"code":-32600`},
		"a duplicate name":        {call{body: `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}]`}, 400, `"code":-32600`},
		"initialize":              {call{body: "[" + initializeBody + "]"}, 400, "initialize can't be part"},
		"too many":                {call{body: "[" + many + "]"}, 400, "too many messages"},
		"no session":              {call{body: "[" + echo("1") + "]", session: "-"}, 400, "Mcp-Session-Id"},
		"an unknown version":      {call{body: "[" + echo("1") + "]", header: map[string]string{"Mcp-Protocol-Version": "1999-01-01"}}, 400, "Unsupported"},
		"a version without batches": {call{body: "[" + echo("1") + "]", header: map[string]string{"Mcp-Protocol-Version": modernVersion}}, 400,
			"batches are of revision 2025-03-26 only"},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			switch test.call.session {
			case "":
				test.call.session = id
			case "-":
				test.call.session = ""
			}
			got := g.do(test.call)
			if got.status != test.status || !strings.Contains(got.body, test.want) || !strings.HasPrefix(got.body, `{"jsonrpc":"2.0","id":null,"error"`) {
				t.Errorf("got %d %s\nwant %d and %s", got.status, got.body, test.status, test.want)
			}
		})
	}
	if after := len(server.requests(http.MethodPost)); after != before {
		t.Errorf("%d requests reached the server", after-before)
	}
	t.Run("another revision", func(t *testing.T) {
		g.t = t
		server.inRevision("2025-06-18")
		got := g.do(call{session: g.open(), body: "[" + echo("1") + "]"})
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "batches are of revision 2025-03-26 only") {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

func TestAnswerThatBreaksOffCostsOnlyItsPartOfTheBatch(t *testing.T) {
	server := newFakeServer(t).inRevision("2025-03-26")
	server.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
		w.Header().Set("Content-Type", "application/json")
		if string(m.ID) == "1" {
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{`))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{}}`, m.ID)
	}
	g := newGateway(t, server.targets())
	s := g.stream(call{session: g.open(), body: "[" + echo("1") + "," + echo("2") + "]"})
	same(t, s.all(), []string{
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the answer broke off"}}`, `{"jsonrpc":"2.0","id":2,"result":{}}`,
	})
}

// FuzzSplit tries any body as a batch: what is taken is an array to encoding/json too, of the same messages.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		"[]", "[" + echo("1") + "]", "[" + echo("1") + " , " + initializedBody + "\n]\t", "[1,2]x", "[" + echo("1") + ",]", "[,]", "[[]]", "]", "[" + echo("1") + "]]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		x := &exchange{body: body}
		messages, e := x.split()
		if e != nil {
			if e.status != http.StatusBadRequest || e.message == "" {
				t.Errorf("got %+v", e)
			}
			return
		}
		var elements []json.RawMessage
		if err := json.Unmarshal(body, &elements); err != nil {
			t.Fatalf("taken, but %v: %q", err, body)
		}
		if len(messages) != len(elements) || len(messages) > maxBatch {
			t.Fatalf("%d messages of %d: %q", len(messages), len(elements), body)
		}
		for i, m := range messages {
			if string(m.body) != string(elements[i]) || m.message.Kind == jsonrpc.Invalid || m.message.Method == "initialize" {
				t.Errorf("got %q, want %q", m.body, elements[i])
			}
		}
	})
}
