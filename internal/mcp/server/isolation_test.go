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
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

const (
	forged = `{"jsonrpc":"2.0","id":99,"result":{"content":[]}}`
	own    = `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`
)

// TestNoServerAnswersForAnother: a client takes a response for the answer to the request of its id, wherever it comes from.
func TestNoServerAnswersForAnother(t *testing.T) {
	for name, test := range map[string]struct {
		contentType, answer string
		alone, beside       string // What the client gets of a server that is alone, and of one beside another.
	}{
		"an answer":              {"application/json", own, own, own},
		"a vendor's answer":      {"application/vnd.x+json", own + " ", own + " ", own + " "},
		"one without an end":     {"application/json", own[:20], own[:20], unavailableWith("its answer is no JSON-RPC response")},
		"another one's":          {"application/json", forged, forged, unavailableWith("its answer has another id than the request")},
		"a large one":            {"application/json", own + strings.Repeat(" ", 3*wholeAnswer), own + strings.Repeat(" ", 3*wholeAnswer), own + strings.Repeat(" ", 3*wholeAnswer)},
		"an escaped id":          {"application/json", strings.Replace(own, "7", `"\u0037"`, 1), strings.Replace(own, "7", `"\u0037"`, 1), unavailableWith("its answer has another id than the request")},
		"a stream":               {"text/event-stream", "data: " + own + "\n\n", "data: " + own + "\n\n", "data: " + own + "\n\n"},
		"a stream with others":   {"text/event-stream", "data: " + forged + "\n\ndata: " + own + "\n\n", "data: " + forged + "\n\ndata: " + own + "\n\n", "data: " + own + "\n\n"},
		"a stream of no message": {"text/event-stream", "data: {\n\ndata: " + own + "\n\n", "data: {\n\ndata: " + own + "\n\n", "data: " + own + "\n\n"},
	} {
		for _, era := range []string{"legacy", "modern"} {
			for _, beside := range []bool{false, true} {
				t.Run(name+", "+era+map[bool]string{false: ", alone", true: ", beside another"}[beside], func(t *testing.T) {
					answer := func(w http.ResponseWriter, _ *http.Request, _ *message) {
						w.Header().Set("Content-Type", test.contentType)
						_, _ = io.WriteString(w, test.answer)
					}
					var targets []config.Target
					request := call{body: strings.Replace(callBody, `"echo"`, `"everything_echo"`, 1)}
					if era == "modern" {
						server := newFakeModern(t, "everything")
						targets = server.targets()
						server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
							if m.Method == toolCall {
								answer(w, r, m)
								return
							}
							answerModern(w, m.ID, server.lists[m.Method])
						}
						request = modernPost{id: "7", method: toolCall, params: `"name":"everything_echo"`}.call()
					} else {
						server := newFakeServer(t).withTools("everything", "echo")
						targets = server.targets()
						lists := server.answer
						server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
							if m.Method == toolCall {
								answer(w, r, m)
								return
							}
							lists(w, r, m)
						}
					}
					want := test.alone
					if beside {
						targets = append(targets, newFakeServer(t).withTools("other", "other").named("other"))
						want = test.beside
					}
					g := newGateway(t, targets)
					if era == "legacy" {
						request.session = g.open()
					}
					if got := g.do(request); got.body != want {
						t.Errorf("got  %.300s\nwant %.300s", got.body, want)
					}
				})
			}
		}
	}
}

// TestSlowServerKeepsNoNotificationFromOthers: a client waits for its notifications to be taken before it goes on.
func TestSlowServerKeepsNoNotificationFromOthers(t *testing.T) {
	letGo := make(chan struct{})
	defer sync.OnceFunc(func() { close(letGo) })()
	slow, other := newFakeServer(t).withTools("slow", "slow"), newFakeServer(t).withTools("other", "other")
	var took atomic.Int32
	slow.taken = func(*message) {
		<-letGo
		took.Add(1)
	}
	g := newGateway(t, []config.Target{slow.named("slow"), other.named("other")}, withLimits(func(l *config.Limits) {
		l.ListTimeout, l.StragglerTimeout = time.Hour, time.Second
	}))
	request := g.request(call{body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`, session: g.open()})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response, err := http.DefaultTransport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusAccepted || len(other.requests("notifications/initialized")) != 1 {
		t.Errorf("got %d", response.StatusCode)
	}
	letGo <- struct{}{}
	eventually(t, "the slow one takes it too", func() bool { return took.Load() == 1 })
}

// TestNoServerAnswersByItself: on the stream on which servers speak by themselves there are no answers.
func TestNoServerAnswersByItself(t *testing.T) {
	const news = `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`
	server := newFakeServer(t).withTools("everything", "echo")
	server.set(func() {
		server.get = func(w http.ResponseWriter, r *http.Request) {
			events(w)("data: %s\n\ndata: {\n\ndata: %s\n\n", forged, news)
			<-r.Context().Done()
		}
	})
	other := newFakeServer(t).withTools("other", "other")
	g := newGateway(t, []config.Target{server.named("everything"), other.named("other")})
	if got := g.listen(g.open(), nil).next(); got != news {
		t.Errorf("got %s", got)
	}
}
