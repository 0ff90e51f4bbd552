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
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// linking is the result of a tool and of a prompt that link to resources; filler makes them large.
func linking(method, x, item, filler string) string {
	link := `{"name":"x","uri" : "` + x + `","type":"resource_link","size":9007199254740993}`
	embedded := `{"type":"resource","resource":{"uri":"` + item + `","text":"\"uri\": demo://x"},"zz":1}`
	if method == "prompts/get" {
		return `{"messages":[{"role":"user","content":` + link + `},{"role":"user","content":[` + embedded + `]}],"description":"` + filler + `"}`
	}
	return `{"content":[` + link + `,` + embedded + `,{"type":"text","text":"demo://x` + filler + `"},{"type":"resource_link"},7],` +
		`"structuredContent":{"uri":"demo://x"}}`
}

// What a client reads by a link is to be of the server that gave it.
func TestLinksToResourcesAreThoseOfTheServerThatGaveThem(t *testing.T) {
	filler := ""
	for name, answer := range map[string]func(w http.ResponseWriter, id, result string){
		"JSON": func(w http.ResponseWriter, id, result string) {
			_, _ = fmt.Fprintf(contentJSON(w), `{"result":%s,"jsonrpc":"2.0","id":%s}`, result, id)
		},
		"JSON in parts": func(w http.ResponseWriter, id, result string) {
			_, _ = fmt.Fprintf(contentJSON(w), `{"result":%s`, result)
			_ = http.NewResponseController(w).Flush()
			_, _ = fmt.Fprintf(w, `,"jsonrpc":"2.0","id":%s}`, id)
		},
		"much JSON": func(w http.ResponseWriter, id, result string) {
			_, _ = fmt.Fprintf(contentJSON(w), `{"result":%s,"jsonrpc":"2.0","id":%s}`, result, id)
		},
		"stream": func(w http.ResponseWriter, id, result string) {
			events(w)("data: {\"result\":%s,\"jsonrpc\":\"2.0\",\"id\":%s}\n\n", result, id)
		},
	} {
		if filler = ""; name == "much JSON" {
			filler = strings.Repeat(".", wholeAnswer)
		}
		t.Run(name, func(t *testing.T) {
			legacy, modern := newFakeServer(t).withTools("L", "show"), newFakeModern(t, "M").withTools("show")
			legacy.set(func() {
				legacy.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
					if m.Method != toolCall && m.Method != "prompts/get" {
						legacy.answerLists(w, r, m)
						return
					}
					answer(w, string(m.ID), linking(m.Method, "demo://x", "demo://item/7", filler))
				}
			})
			modern.set(func() {
				modern.lists["resources/templates/list"] = `{"resultType":"complete","resourceTemplates":[{"uriTemplate":"demo://item/{id}"}]}`
				lists := maps.Clone(modern.lists)
				modern.answer = func(w http.ResponseWriter, _ *http.Request, m *message) {
					if list := lists[m.Method]; list != "" {
						answerModern(w, m.ID, list)
						return
					}
					answer(w, string(m.ID), linking(m.Method, "demo://x", "demo://item/7", filler))
				}
			})
			for order, targets := range map[string][]config.Target{
				"legacy": {modern.named("elder"), legacy.named("younger")},
				"modern": {legacy.named("elder"), modern.named("younger")},
			} {
				g := newGateway(t, targets)
				id := g.open()
				for method, entry := range map[string]string{toolCall: "show", "prompts/get": "ask"} {
					for prefix, want := range map[string]string{
						"":         linking(method, "demo://x", "demo://item/7", filler),
						"younger_": linking(method, "younger+demo://x", "younger+demo://item/7", filler),
					} {
						t.Run(order+" server, "+method+" of "+prefix+entry, func(t *testing.T) {
							got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"name":"` + prefix + entry + `"}}`})
							if !strings.Contains(got.body, want) {
								t.Errorf("a legacy client got %.900s", got.body)
							}
							got = g.modern(modernPost{method: method, params: `"name":"` + prefix + entry + `"`, header: map[string]string{"Mcp-Name": prefix + entry}})
							if !strings.Contains(got.body, want[1:]) {
								t.Errorf("a modern client got %.900s", got.body)
							}
						})
					}
				}
			}
		})
	}
}

func TestLinksOfAnAnswerThatIsResumedAreThoseOfItsServer(t *testing.T) {
	elder, younger := newFakeServer(t).withTools("A", "show"), newFakeServer(t).withTools("B", "show")
	younger.set(func() {
		younger.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
			if m.Method != toolCall {
				younger.answerLists(w, r, m)
				return
			}
			events(w)("id: call-1\ndata: \n\n")
		}
		younger.get = func(w http.ResponseWriter, _ *http.Request) {
			events(w)("id: call-2\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":%s}\n\n", linking(toolCall, "demo://x", "demo://item/7", ""))
		}
	})
	g := newGateway(t, []config.Target{elder.named("elder"), younger.named("younger")})
	id := g.open()
	s := g.stream(call{body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"younger_show"}}`, session: id})
	s.ended()
	resumed := g.listen(id, map[string]string{"Last-Event-Id": <-s.ids})
	same(t, resumed.next(), `{"jsonrpc":"2.0","id":7,"result":`+linking(toolCall, "younger+demo://x", "younger+demo://item/7", "")+`}`)
	resumed.ended()
}
