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
	"net/http"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

func TestServersOfBothErasAreOneToAModernClient(t *testing.T) {
	legacy, stateless, modern := newFakeServer(t).asking(askRoots), newFakeServer(t).withTools("S", "old"), newFakeModern(t, "M")
	stateless.stateless = true
	say := legacy.sayer()
	modern.withTools("echo", "new")
	g := newGateway(t, []config.Target{legacy.named("l"), stateless.named("s"), modern.named("m")})
	names := func(method, member, key string) (all []string) {
		var result map[string]json.RawMessage
		decode(t, g.result(modernPost{method: method}), &result)
		var items []map[string]any
		decode(t, string(result[member]), &items)
		for _, item := range items {
			all = append(all, item[key].(string))
		}
		return all
	}
	same(t, names("tools/list", "tools", "name"), []string{"echo", "other", "old", "m_echo", "new"})
	same(t, names("prompts/list", "prompts", "name"), []string{"ask", "s_ask", "m_ask"})
	same(t, len(names("resources/list", "resources", "uri")), 3)
	for name, by := range map[string]string{"old": "S", "m_echo": "M", "new": "M", "s_old": "S"} {
		if got := g.result(modernPost{method: toolCall, params: `"name":"` + name + `"`}); !strings.Contains(got, `"by":"`+by+`"`) || !strings.Contains(got, `"resultType":"complete"`) {
			t.Errorf("%s: got %s", name, got)
		}
	}
	for name, by := range map[string]string{"ask": "A", "s_ask": "S", "m_ask": "M"} {
		for _, p := range []modernPost{
			{method: "prompts/get", params: `"name":"` + name + `"`},
			{method: "completion/complete", params: `"ref":{"type":"ref/prompt","name":"` + name + `"},"argument":{"name":"a","value":""}`},
		} {
			if got := g.result(p); !strings.Contains(got, `"by":"`+by+`"`) || !strings.Contains(got, `"name":"ask"`) {
				t.Errorf("%s of %s: got %s", p.method, name, got)
			}
		}
	}
	uris := names("resources/list", "resources", "uri")
	for i, text := range []string{"of A", "of S"} {
		if got := g.result(modernPost{method: "resources/read", params: `"uri":"` + uris[i] + `"`}); !strings.Contains(got, `"text":"`+text+`","uri":"`+uris[i]+`"`) {
			t.Errorf("got %s", got)
		}
	}
	t.Run("each asks in its own way", func(t *testing.T) {
		a := g.asks(callAsked)
		got(t, g.result(callAsked.retry(a.RequestState, `"input-1":{"roots":[]}`)), `0 {"roots":[]}`)
		modern.set(func() {
			modern.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
				if list, ok := modern.lists[m.Method]; ok {
					answerModern(w, m.ID, list)
					return
				}
				answerModern(w, m.ID, `{"resultType":"input_required","requestState":"its own"}`)
			}
		})
		p := callAsked
		p.params = `"name":"new"`
		same(t, g.result(p), `{"resultType":"input_required","requestState":"its own"}`)
		g.result(p.retry("its own", ""))
		sent := modern.requests(toolCall)
		if !strings.Contains(sent[len(sent)-1].body, `"requestState":"its own"`) {
			t.Errorf("it got %s", sent[len(sent)-1].body)
		}
		// The state of one is nothing to the other.
		refused(t, g.modern(callAsked.retry("its own", "")), 400, -32602, "requestState")
		modern.set(func() { modern.answer = nil })
	})
	t.Run("all are listened to", func(t *testing.T) {
		s := g.listenTo("1", `{"toolsListChanged":true}`, `{"toolsListChanged":true}`)
		say <- `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
		same(t, []string{s.next()}, changedLists("1", "tools"))
		modern.tell("notifications/tools/list_changed", "")
		same(t, []string{s.next()}, changedLists("1", "tools"))
		s.close()
	})
	t.Run("pages", func(t *testing.T) {
		var many []string
		for i := range 24 {
			many = append(many, string(rune('a'+i%26))+strings.Repeat("x", 100_000)+string(rune('a'+i/26)))
		}
		modern.withTools(many...)
		var page struct {
			NextCursor string
			TTLMs      *int
			Tools      []struct{ Name string }
		}
		decode(t, g.result(modernPost{method: "tools/list"}), &page)
		n := len(page.Tools)
		for page.NextCursor != "" {
			cursor := page.NextCursor
			page.NextCursor, page.TTLMs = "", nil
			decode(t, g.result(modernPost{method: "tools/list", params: `"cursor":"` + cursor + `"`}), &page)
			if n += len(page.Tools); page.TTLMs == nil {
				t.Error("a page has no ttlMs")
			}
		}
		same(t, n, 27)
		refused(t, g.modern(modernPost{method: "tools/list", params: `"cursor":"x"`}), 400, -32602, "cursor")
	})
}
