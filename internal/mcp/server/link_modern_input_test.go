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
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const (
	elicit = `"who":{"method":"elicitation/create","params":{"zz":9007199254740993,"message":"Who?","requestedSchema":{"type":"object"}}}`
	sample = `"wh\u0061t":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":9007199254740993}}`
	roots  = `"where":{"method":"roots/list"}`
	visit  = `"visit":{"method":"elicitation/create","params":{"mode":"url","message":"Go","url":"https://example.com"}}`
)

// newInputGateway returns a gateway to a server that lists no tools, and a session of a client that can be asked everything.
func newInputGateway(t *testing.T, server *modernServer, options ...gatewayOption) (*gateway, string) {
	t.Helper()
	server.tools = []string{}
	g := newGateway(t, server.targets(), options...)
	return g, g.openWith(everyCapability)
}

func TestServerAsksTheClientForInput(t *testing.T) {
	server := newModernServer(t)
	server.asking(ask(`"st\u0061te \/ 1"`, elicit))
	g, id := newInputGateway(t, server)
	s := g.stream(call{session: id, body: `{"jsonrpc":"2.0","id":"my id","method":"tools/call","params":{"name":"x","arguments":{"b":1,"a":9007199254740993},"_meta":{"progressToken":5}}}`})
	question := s.nextRequest()
	if question.Method != "elicitation/create" || string(question.Params) != `{"zz":9007199254740993,"message":"Who?","requestedSchema":{"type":"object"}}` {
		t.Errorf("got %+v", question)
	}
	if got := g.do(call{session: g.openWith(everyCapability), body: `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{}}`}); got.status != http.StatusBadRequest {
		t.Errorf("the answer of another session's client: %d", got.status)
	}
	g.reply(id, question, `"result":{"action":"accept","content":{"zz":9007199254740993, "a":1}}`)
	want := `{"result":{"resultType":"complete","responses":{"who":{"action":"accept","content":{"zz":9007199254740993, "a":1}}},"state":"st\u0061te \/ 1"},"jsonrpc":"2.0","id":"my id"}`
	if got := s.next(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.ended()
	calls := server.requests("tools/call")
	if len(calls) != 2 || string(calls[0].ID) == string(calls[1].ID) || string(calls[1].Params.Arguments) != `{"b":1,"a":9007199254740993}` ||
		string(calls[1].Params.Meta["progressToken"]) != "5" || calls[0].Params.InputResponses != nil || calls[0].Params.RequestState != nil {
		t.Errorf("the server got %+v", calls)
	}
	if got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{}}`}); got.status != http.StatusAccepted {
		t.Errorf("an answer that comes too late: %d %s", got.status, got.body)
	}
}

func TestServerAsksInSeveralRounds(t *testing.T) {
	server := newModernServer(t)
	server.asking(ask(`"1"`, elicit, sample, roots), ask(`"2"`), ask("", roots), ask(`null`, elicit))
	g, id := newInputGateway(t, server)
	s := g.stream(call{session: id, body: callBody})
	first := []asked{s.nextRequest(), s.nextRequest(), s.nextRequest()}
	if first[1].Method != "sampling/createMessage" || string(first[1].Params) != `{"messages":[],"maxTokens":9007199254740993}` ||
		first[2].Method != "roots/list" || first[2].Params != nil {
		t.Errorf("got %+v", first)
	}
	slices.Reverse(first) // The order of the answers makes no difference.
	for i, question := range first {
		g.reply(id, question, fmt.Sprintf(`"result":{"n":%d}`, i))
	}
	g.reply(id, s.nextRequest(), `"result":{"roots":[]}`)
	g.reply(id, s.nextRequest(), `"result":{"action":"decline"}`)
	if got := s.next(); got != `{"result":{"resultType":"complete","responses":{"who":{"action":"decline"}},"state":null},"jsonrpc":"2.0","id":7}` {
		t.Errorf("got %s", got)
	}
	s.ended()
	var got []string
	ids := map[string]bool{}
	for _, c := range server.requests("tools/call") {
		got = append(got, orNull(c.Params.InputResponses)+" "+orNull(c.Params.RequestState))
		ids[string(c.ID)] = true
	}
	want := []string{
		`null null`, `{"who":{"n":2},"wh\u0061t":{"n":1},"where":{"n":0}} "1"`, `null "2"`, `{"where":{"roots":[]}} null`, `{"who":{"action":"decline"}} null`,
	}
	if !slices.Equal(got, want) || len(ids) != len(want) {
		t.Errorf("the server got %q", got)
	}
}

func TestPromptsAndResourcesAskToo(t *testing.T) {
	for method, params := range map[string]string{"prompts/get": `"name":"x"`, "resources/read": `"uri":"demo://x"`} {
		t.Run(method, func(t *testing.T) {
			server := newModernServer(t)
			g, id := newInputGateway(t, server)
			server.set(func() {
				server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
					if m.Params.InputResponses == nil {
						modernResult(w, m, ask(`"s"`, roots))
						return
					}
					modernResult(w, m, `{"got":`+string(m.Params.InputResponses)+`}`)
				}
			})
			s := g.stream(call{session: id, body: `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{` + params + `}}`})
			g.reply(id, s.nextRequest(), `"result":{"roots":[]}`)
			if got := s.next(); got != `{"result":{"got":{"where":{"roots":[]}}},"jsonrpc":"2.0","id":7}` {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestWhatComesBeforeAQuestionPassesInOrder(t *testing.T) {
	server := newModernServer(t)
	g, id := newInputGateway(t, server)
	round := 0
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			round++
			write := events(w)
			write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,\"progress\":%d}}\n\n", m.Params.Meta["progressToken"], round)
			result := ask(`"s"`, roots)
			if round == 2 {
				result = `{"resultType":"complete"}`
			}
			write("id: 7\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n\n", m.ID, result)
		}
	})
	s := g.stream(call{session: id, body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"p"}}}`})
	progress := func(n int) {
		t.Helper()
		if got := s.next(); got != fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":%d}}`, n) {
			t.Errorf("got %s", got)
		}
	}
	progress(1)
	g.reply(id, s.nextRequest(), `"result":{"roots":[]}`)
	progress(2)
	if got := s.next(); got != `{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}` {
		t.Errorf("got %s", got)
	}
	s.ended()
}

func TestClientThatRefusesToAnswer(t *testing.T) {
	for name, c := range map[string]struct{ question, want string }{
		"elicitation is cancelled": {elicit, `"responses":{"who":{"action":"cancel"}}`},
		"sampling fails":           {sample, `"error":{"code":-32603,"message":"the client refused sampling/createMessage, which target \"modern\" needs for its answer: no way"}`},
		"roots fail":               {roots, `"error":{"code":-32603,"message":"the client refused roots/list, which target \"modern\" needs for its answer: no way"}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.asking(ask(`"s"`, c.question))
			g, id := newInputGateway(t, server)
			s := g.stream(call{session: id, body: callBody})
			g.reply(id, s.nextRequest(), `"error":{"code":-1,"message":"no way"}`)
			if got := s.next(); !strings.Contains(got, c.want) || !strings.Contains(got, `"id":7`) {
				t.Errorf("got %s", got)
			}
			s.ended()
		})
	}
}

func TestClientIsNotAskedWhatItCanNot(t *testing.T) {
	for name, c := range map[string]struct{ capabilities, question, want string }{
		"no elicitation":        {`{"sampling":{},"roots":{}}`, elicit, "it asks for elicitation/create, for which the client has no capability"},
		"no sampling":           {`{"elicitation":{},"roots":{}}`, sample, "it asks for sampling/createMessage, for which the client has no capability"},
		"no roots":              {`{"elicitation":{},"sampling":{}}`, roots, "it asks for roots/list, for which the client has no capability"},
		"forms are no URLs":     {`{"elicitation":{}}`, visit, "it asks for elicitation/create of mode url, for which the client has no capability"},
		"URLs are no forms":     {`{"elicitation":{"url":{}}}`, elicit, "it asks for elicitation/create, for which the client has no capability"},
		"not even one of three": {`{"elicitation":{},"roots":{}}`, elicit + "," + roots + "," + sample, "it asks for sampling/createMessage, for which"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.tools = []string{}
			server.asking(ask(`"s"`, c.question))
			g := newGateway(t, server.targets())
			s := g.stream(call{session: g.openWith(c.capabilities), body: callBody})
			if got := s.next(); !strings.Contains(got, c.want) || !strings.Contains(got, `"id":7,"error"`) {
				t.Errorf("got %s", got)
			}
			s.ended()
			if n := len(server.requests("tools/call")); n != 1 {
				t.Errorf("called %d times", n)
			}
		})
	}
	for name, c := range map[string]struct{ capabilities, question string }{
		"no mode is forms": {`{"elicitation":{}}`, elicit},
		"forms":            {`{"elicitation":{"form":{}}}`, elicit},
		"URLs":             {`{"elicitation":{"url":{}}}`, visit},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.tools = []string{}
			server.asking(ask(`"s"`, c.question))
			g := newGateway(t, server.targets())
			id := g.openWith(c.capabilities)
			s := g.stream(call{session: id, body: callBody})
			g.reply(id, s.nextRequest(), `"result":{"action":"accept"}`)
			if got := s.next(); !strings.Contains(got, `"result":`) {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestURLsHaveTheIDThatLegacyClientsExpect(t *testing.T) {
	server := newModernServer(t)
	server.asking(ask(`"s"`, visit, strings.Replace(visit, `"visit":{`, `"again":{`, 1), `"own":{"method":"elicitation/create","params":{"mode":"url","elicitationId":"own","url":"https://example.com"}}`))
	g, id := newInputGateway(t, server)
	s := g.stream(call{session: id, body: callBody})
	var ids []string
	for range 3 {
		question := s.nextRequest()
		var params struct{ ElicitationID, URL string }
		if err := json.Unmarshal(question.Params, &params); err != nil || params.URL != "https://example.com" {
			t.Errorf("got %s", question.Params)
		}
		ids = append(ids, params.ElicitationID)
		g.reply(id, question, `"result":{"action":"accept"}`)
	}
	if len(ids[0]) != 32 || len(ids[1]) != 32 || ids[0] == ids[1] || ids[2] != "own" {
		t.Errorf("got %q", ids)
	}
	s.next()
}

func TestServerThatAsksAgainAndAgain(t *testing.T) {
	server := newModernServer(t)
	server.asking(slices.Repeat([]string{ask(`"s"`, elicit)}, 100)...)
	g, id := newInputGateway(t, server)
	s := g.stream(call{session: id, body: callBody})
	for range maxRounds {
		g.reply(id, s.nextRequest(), `"result":{"action":"accept"}`)
	}
	if got := s.next(); !strings.Contains(got, `target \"modern\" is unavailable: it asks for input again and again`) {
		t.Errorf("got %s", got)
	}
	s.ended()
	if n := len(server.requests("tools/call")); n != maxRounds+1 {
		t.Errorf("called %d times", n)
	}
}

func TestTooManyQuestionsAtOnce(t *testing.T) {
	var questions []string
	for i := range maxAsked + 1 {
		questions = append(questions, fmt.Sprintf(`"%d":{"method":"roots/list"}`, i))
	}
	server := newModernServer(t)
	server.asking(ask(`"s"`, questions...))
	g, id := newInputGateway(t, server)
	if got := g.do(call{session: id, body: callBody}); !strings.Contains(got.body, "there are more than 64 inputRequests") {
		t.Errorf("got %s", got.body)
	}
}

func TestQuestionsToAllClientsTogetherAreBounded(t *testing.T) {
	var asked inputs
	_, _, done, err := asked.await(session.NewSID(), maxAwaited)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := asked.await(session.NewSID(), 1); err == nil {
		t.Error("no bound")
	}
	done()
	if len(asked.awaited) != 0 {
		t.Errorf("%d are left", len(asked.awaited))
	}
	ids, answers, done, err := asked.await(session.SID{1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if asked.take(session.SID{2}, ids[1], inputAnswer{}) || !asked.take(session.SID{1}, ids[1], inputAnswer{}) ||
		asked.take(session.SID{1}, ids[1], inputAnswer{}) || asked.take(session.SID{1}, "x", inputAnswer{}) {
		t.Error("an answer was taken that should not, or not taken that should")
	}
	if got := <-answers; got.index != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestAnswersThatAreTooLarge(t *testing.T) {
	server := newModernServer(t)
	server.asking(ask(`"s"`, elicit, roots))
	g, id := newInputGateway(t, server, withLimits(func(l *config.Limits) { l.MaxMessage = 100000 }))
	s := g.stream(call{session: id, body: callBody})
	for range 2 {
		g.reply(id, s.nextRequest(), `"result":"`+strings.Repeat("x", 60000)+`"`)
	}
	if got := s.next(); !strings.Contains(got, "are larger than 100000 bytes") {
		t.Errorf("got %s", got)
	}
}

func TestClientMayTakeLongerToAnswerThanAServer(t *testing.T) {
	server := newModernServer(t)
	server.asking(ask(`"s"`, elicit))
	g, id := newInputGateway(t, server, withLimits(func(l *config.Limits) { l.CallTimeout = time.Second }))
	s := g.stream(call{session: id, body: callBody})
	question := s.nextRequest()
	time.Sleep(1500 * time.Millisecond) // The time that has to pass is what this is about.
	g.reply(id, question, `"result":{"action":"accept"}`)
	if got := s.next(); !strings.Contains(got, `"action":"accept"`) {
		t.Errorf("got %s", got)
	}
}

func TestClientThatGoesWhileItIsAskedLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(g *gateway, id string, s *stream){
		"its connection breaks": func(_ *gateway, _ string, s *stream) { s.close() },
		"it cancels": func(g *gateway, id string, s *stream) {
			g.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`})
			s.ended()
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.asking(ask(`"s"`, elicit))
			g, id := newInputGateway(t, server)
			s := g.stream(call{session: id, body: callBody})
			s.nextRequest()
			end(g, id, s)
			eventually(t, "nothing is awaited", func() bool {
				g.mcp.inputs.mu.Lock()
				defer g.mcp.inputs.mu.Unlock()
				return len(g.mcp.inputs.awaited) == 0
			})
			if n := len(server.requests("tools/call")); n != 1 {
				t.Errorf("called %d times", n)
			}
		})
	}
}

func TestRoundThatFailsEndsTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, m *modernMessage)
		want   string
	}{
		"a status": {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) { w.WriteHeader(503) },
			`target \"modern\" is unavailable: it answered HTTP status 503`},
		"an error": {func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			modernError(w, 400, m, jsonrpc.CodeInvalidParams, "stale state", "")
		}, `{"jsonrpc":"2.0","id":7,"error":{"message":"stale state","code":-32602}}`},
		"an error of nobody's": {func(w http.ResponseWriter, _ *http.Request, _ *modernMessage) { lostAsTypeScript(w) },
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32000,`},
		"another era": {nil, `target \"modern\" is unavailable: its MCP revision has changed`},
		"no answer": {func(http.ResponseWriter, *http.Request, *modernMessage) { panic(http.ErrAbortHandler) },
			`target \"modern\" is unavailable: it closed the connection without an answer`},
	} {
		t.Run(name, func(t *testing.T) {
			server := newModernServer(t)
			server.asking(ask(`"s"`, elicit))
			g, id := newInputGateway(t, server)
			s := g.stream(call{session: id, body: callBody})
			question := s.nextRequest()
			if server.set(func() { server.answer = c.answer }); c.answer == nil {
				legacy := newFakeServer(t)
				legacy.lost = lostAsTypeScript
				server.withServer(legacy)
			}
			g.reply(id, question, `"result":{"action":"accept"}`)
			if got := s.next(); !strings.Contains(got, c.want) {
				t.Errorf("got %s", got)
			}
			s.ended()
		})
	}
}

func TestServersOfSeveralMayAskToo(t *testing.T) {
	server, other := newModernServer(t), newFakeServer(t).withTools("other", "echo")
	server.tools = []string{`{"name":"ask"}`}
	server.asking(ask(`"s"`, `"what":{"method":"sampling/createMessage","params":{"_meta":{"progressToken":1},"messages":[]}}`))
	g := newGateway(t, []config.Target{other.named("other"), server.named("modern")})
	id := g.openWith(everyCapability)
	s := g.stream(call{session: id, body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"ask"}}`})
	question := s.nextRequest()
	var params struct {
		Meta struct{ ProgressToken string } `json:"_meta"`
	}
	if err := json.Unmarshal(question.Params, &params); err != nil || params.Meta.ProgressToken == "" {
		t.Errorf("got %s", question.Params)
	}
	g.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"` + params.Meta.ProgressToken + `","progress":1}}`})
	g.reply(id, question, `"result":{"role":"assistant"}`)
	if got := s.next(); !strings.Contains(got, `"responses":{"what":{"role":"assistant"}}`) {
		t.Errorf("got %s", got)
	}
	if n := len(other.requests("notifications/progress")); n != 0 {
		t.Errorf("the other server got %d notifications", n)
	}
}
