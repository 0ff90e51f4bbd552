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
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

const (
	askName  = `{"jsonrpc":"2.0","id":9007199254740993,"method":"elicitation/create","params":{"message":"Your n\u0061me?","requestedSchema":{"zz":1}}}`
	askModel = `{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"maxTokens":10}}`
	askRoots = `{"jsonrpc":"2.0","id":0,"method":"roots/list"}`

	everything = `{"elicitation":{},"sampling":{},"roots":{}}`
)

// asker is a server that asks questions before it answers a call.
type asker struct {
	*fakeServer
	answers chan string // That the server has got, raw.
	ask     func(w http.ResponseWriter, r *http.Request, m *message, a *asker)
}

// asking makes a server ask all these questions at once, and answer with the answers.
func (f *fakeServer) asking(questions ...string) *asker {
	a := &asker{fakeServer: f.withTools("A", "echo", "other"), answers: make(chan string, 100)}
	a.ask = func(w http.ResponseWriter, r *http.Request, m *message, a *asker) {
		write := events(w)
		for _, question := range questions {
			write("data: %s\n\n", question)
		}
		a.finish(write, r, m, len(questions))
	}
	usual := f.answer
	f.set(func() {
		f.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
			if m.Method != toolCall {
				usual(w, r, m)
				return
			}
			a.ask(w, r, m, a)
		}
		f.taken = func(m *message) {
			if m.Method == "" {
				a.answers <- string(m.ID) + " " + string(m.Result) + string(m.Error)
			}
		}
	})
	return a
}

// finish answers a call once that many answers are there, with the answers.
func (a *asker) finish(write func(string, ...any), r *http.Request, m *message, n int) {
	got := []string{}
	for range n {
		select {
		case answer := <-a.answers:
			got = append(got, answer)
		case <-r.Context().Done():
			return
		}
	}
	slices.Sort(got)
	answers, _ := json.Marshal(got)
	write("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"got\":%s}}\n\n", m.ID, answers)
}

// asked is what a client is asked.
type askedFor struct {
	ResultType    string
	InputRequests map[string]json.RawMessage
	RequestState  string
}

// asks sends a request, which must be answered with questions.
func (g *gateway) asks(p modernPost) (a askedFor) {
	g.t.Helper()
	result := g.result(p)
	decode(g.t, result, &a)
	if a.ResultType != "input_required" || a.RequestState == "" || len(a.InputRequests) == 0 {
		g.t.Fatalf("got %s", result)
	}
	return a
}

// retry is the same request with answers; responses are the members of inputResponses.
func (p modernPost) retry(state, responses string) modernPost {
	p.id = `"retry"`
	p.params += `,"inputResponses":{` + responses + `},"requestState":` + strconv.Quote(state)
	return p
}

var callAsked = modernPost{method: toolCall, params: `"name":"echo"`, capabilities: everything}

// got checks the answers that the server has got, as it tells them.
func got(t *testing.T, result string, want ...string) {
	t.Helper()
	var r struct {
		ResultType string
		Got        []string
	}
	decode(t, result, &r)
	if want == nil {
		want = []string{}
	}
	if r.ResultType != "complete" || r.Got == nil {
		t.Errorf("got %s", result)
	}
	same(t, r.Got, want)
}

func TestQuestionsOfALegacyServerAreAskedInARoundTrip(t *testing.T) {
	for name, test := range map[string]struct {
		question, want, response, answer string
	}{
		"elicitation": {askName, `{"method":"elicitation/create","params":{"message":"Your n\u0061me?","requestedSchema":{"zz":1}}}`,
			`{"action":"accept","content":{"name":"\u00e9","n":9007199254740993}}`, `9007199254740993 {"action":"accept","content":{"name":"\u00e9","n":9007199254740993}}`},
		"sampling": {askModel, `{"method":"sampling/createMessage","params":{"maxTokens":10}}`, `{"role":"assistant"}`, `"s" {"role":"assistant"}`},
		"roots":    {askRoots, `{"method":"roots/list","params":{}}`, `{"roots":[]}`, `0 {"roots":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t).asking(test.question)
			g := newGateway(t, server.targets())
			a := g.asks(callAsked)
			if len(a.InputRequests) != 1 || string(a.InputRequests["input-1"]) != test.want {
				t.Fatalf("asked for %s", a.InputRequests)
			}
			if n := len(server.requests(http.MethodDelete)); n != 0 {
				t.Error("the call's session has ended")
			}
			retry := callAsked.retry(a.RequestState, `"input-1":`+test.response+`,"unknown":{}`)
			answer := g.modern(retry)
			if !strings.HasPrefix(answer.body, `{"jsonrpc":"2.0","id":"retry","result":`) || answer.status != http.StatusOK {
				t.Errorf("got %d %s", answer.status, answer.body)
			}
			var o outcome
			decode(t, answer.body, &o)
			got(t, string(o.Result), test.answer)
			if n := len(server.requests(toolCall)); n != 1 {
				t.Errorf("%d calls", n)
			}
			eventually(t, "the call's session is ended", server.ended)
			if n := len(server.requests("notifications/cancelled")); n != 0 {
				t.Error("the call was cancelled")
			}
			refused(t, g.modern(retry), 400, -32602, "requestState")
		})
	}
}

func TestQuestionsAreAskedTogetherAndUntilAllAreAnswered(t *testing.T) {
	server := newFakeServer(t).asking(askName, askModel, askRoots)
	g := newGateway(t, server.targets())
	first := g.asks(callAsked)
	if len(first.InputRequests) != 3 {
		t.Fatalf("asked for %s", first.InputRequests)
	}
	second := g.asks(callAsked.retry(first.RequestState, `"input-2":{"role":"assistant"},"input-3":"no object"`))
	if len(second.InputRequests) != 2 || second.InputRequests["input-1"] == nil || second.InputRequests["input-3"] == nil {
		t.Fatalf("asked for %s", second.InputRequests)
	}
	refused(t, g.modern(callAsked.retry(first.RequestState, `"input-1":{},"input-3":{}`)), 400, -32602, "requestState")
	third := g.asks(callAsked.retry(second.RequestState, ``))
	got(t, g.result(callAsked.retry(third.RequestState, `"input-1":{"action":"decline"},"input-3":{"roots":[]}`)),
		`"s" {"role":"assistant"}`, `0 {"roots":[]}`, `9007199254740993 {"action":"decline"}`)
}

func TestServerMayAskMoreOnceItHasAnAnswer(t *testing.T) {
	server := newFakeServer(t).asking()
	server.ask = func(w http.ResponseWriter, r *http.Request, m *message, a *asker) {
		write := events(w)
		write("data: %s\n\n", askRoots)
		first := <-a.answers
		write("data: %s\n\n", askModel)
		a.answers <- first
		a.finish(write, r, m, 2)
	}
	g := newGateway(t, server.targets())
	first := g.asks(callAsked)
	second := g.asks(callAsked.retry(first.RequestState, `"input-1":{"roots":[]}`))
	if string(second.InputRequests["input-2"]) != `{"method":"sampling/createMessage","params":{"maxTokens":10}}` {
		t.Fatalf("asked for %s", second.InputRequests)
	}
	got(t, g.result(callAsked.retry(second.RequestState, `"input-2":{}`)), `"s" {}`, `0 {"roots":[]}`)
}

func TestServerMayAskOnItsOwnStream(t *testing.T) {
	server := newFakeServer(t).asking()
	question := make(chan struct{})
	server.get = func(w http.ResponseWriter, r *http.Request) {
		write := events(w)
		select {
		case <-question:
			write("data: %s\n\n", askRoots)
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	}
	server.ask = func(w http.ResponseWriter, r *http.Request, m *message, a *asker) {
		if n := len(a.requests(http.MethodGet)); n != 1 {
			t.Errorf("%d streams are open", n)
		}
		write := events(w)
		close(question)
		a.finish(write, r, m, 1)
	}
	g := newGateway(t, server.targets())
	a := g.asks(callAsked)
	got(t, g.result(callAsked.retry(a.RequestState, `"input-1":{"roots":[1]}`)), `0 {"roots":[1]}`)
}

func TestServerMayTakeItsQuestionBack(t *testing.T) {
	server := newFakeServer(t).asking()
	server.ask = func(w http.ResponseWriter, r *http.Request, m *message, a *asker) {
		write := events(w)
		write("data: %s\n\ndata: %s\n\n", askModel, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\u0073"}}`)
		a.finish(write, r, m, 0)
	}
	g := newGateway(t, server.targets())
	got(t, g.result(callAsked))
}

func TestClientIsAskedOnlyWhatItHasDeclared(t *testing.T) {
	visit := `{"jsonrpc":"2.0","id":"u","method":"elicitation/create","params":{"mode":"url","url":"https://example.com"}}`
	for name, test := range map[string]struct {
		capabilities, question string
		asked                  bool
	}{
		"nothing":            {`{}`, askName, false},
		"another capability": {`{"sampling":{},"roots":{}}`, askName, false},
		"null":               {`{"elicitation":null}`, askName, false},
		"forms":              {`{"elicitation":{"form":{}}}`, askName, true},
		"no URLs":            {`{"elicitation":{"form":{}}}`, visit, false},
		"URLs":               {`{"elicitation":{"url":{}}}`, visit, true},
		"another request":    {everything, `{"jsonrpc":"2.0","id":"v","method":"vendor/ask"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t).asking(test.question)
			g := newGateway(t, server.targets())
			p := callAsked
			p.capabilities = test.capabilities
			if test.asked {
				g.asks(p)
				return
			}
			if result := g.result(p); !strings.Contains(result, `\"code\":-32601`) || !strings.Contains(result, `"resultType":"complete"`) {
				t.Errorf("got %s", result)
			}
		})
	}
}

func TestServersPingIsAnswered(t *testing.T) {
	server := newFakeServer(t).asking(`{"jsonrpc":"2.0","id":"p","method":"ping"}`)
	g := newGateway(t, server.targets())
	got(t, g.result(callAsked), `"p" {}`)
}

// A server that asks without end is answered no faster than it takes the answers.
func TestServerThatAsksWithoutEndIsSlowedDown(t *testing.T) {
	server := newFakeServer(t).asking()
	proceed := make(chan struct{})
	server.taken = func(*message) { <-proceed }
	server.ask = func(w http.ResponseWriter, r *http.Request, _ *message, _ *asker) {
		write := events(w)
		for i := range 3 * maxAnswering {
			write("data: {\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}\n\n", i)
		}
		<-r.Context().Done()
	}
	pings := func() (n int) {
		for _, s := range server.requests(http.MethodPost) {
			if strings.HasSuffix(s.body, `"result":{}}`) {
				n++
			}
		}
		return n
	}
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.KeepAlive = time.Hour }))
	server.set(func() { server.taken = nil })
	g.result(modernPost{method: "tools/list", capabilities: everything})
	server.set(func() {
		server.taken = func(m *message) {
			if m.Method == "" {
				<-proceed
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		g.mcp.Serve(httptest.NewRecorder(), g.request(callAsked.call()).WithContext(ctx), g.snapshot, testKey, Site{})
	}()
	eventually(t, "as many answers are on their way as may be", func() bool { return pings() == maxAnswering })
	for range 100 {
		g.do(call{method: http.MethodGet}) // Any more would be there by now.
	}
	same(t, pings(), maxAnswering)
	close(proceed)
	eventually(t, "all are answered", func() bool { return pings() == 3*maxAnswering })
	cancel()
	<-served
}

func TestProgressAfterARetryHasItsToken(t *testing.T) {
	server := newFakeServer(t).asking()
	server.ask = func(w http.ResponseWriter, r *http.Request, m *message, a *asker) {
		var params struct {
			Meta struct{ ProgressToken json.RawMessage } `json:"_meta"`
		}
		_ = json.Unmarshal(m.Params, &params)
		write := events(w)
		write("data: %s\n\n", askRoots)
		first := <-a.answers
		write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n\n")
		write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,\"progress\":2}}\n\n", params.Meta.ProgressToken)
		a.answers <- first
		a.finish(write, r, m, 1)
	}
	g := newGateway(t, server.targets())
	p := callAsked
	p.meta = `"progressToken":"first"`
	a := g.asks(p)
	p = callAsked.retry(a.RequestState, `"input-1":{}`)
	p.meta = `"progressToken":2`
	s := g.stream(p.call())
	same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":2}}`)
	if result := s.next(); !strings.Contains(result, `"id":"retry"`) {
		t.Errorf("got %s", result)
	}
}

func TestURLThatAServerNeedsVisited(t *testing.T) {
	server := newFakeServer(t).asking()
	const urls = `{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://example.com/a","message":"m"},{"mode":"url","url":"https://example.com/b"}]}`
	data := urls
	visited := false
	server.ask = func(w http.ResponseWriter, _ *http.Request, m *message, _ *asker) {
		if visited {
			_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":{"got":["%v"]}}`, m.ID, strings.Contains(string(m.Params), "requestState"))
			return
		}
		_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"error":{"code":-32042,"message":"visit this","data":%s}}`, m.ID, data)
	}
	g := newGateway(t, server.targets())
	p := callAsked
	p.capabilities = `{"elicitation":{"url":{}}}`
	a := g.asks(p)
	if string(a.InputRequests["input-1"]) != `{"method":"elicitation/create","params":{"mode":"url","elicitationId":"e","url":"https://example.com/a","message":"m"}}` || len(a.InputRequests) != 2 {
		t.Errorf("asked for %s", a.InputRequests)
	}
	t.Run("again until it was", func(t *testing.T) {
		g.t = t
		g.asks(p.retry(a.RequestState, `"input-1":{"action":"accept"},"input-2":{"action":"accept"}`))
	})
	t.Run("and it has not been", func(t *testing.T) {
		g.t = t
		refused(t, g.modern(p.retry(a.RequestState, `"input-1":{"action":"accept"},"input-2":{"action":"decline"}`)), 200, -32603, "the user has not")
	})
	t.Run("another tool's state", func(t *testing.T) {
		g.t = t
		other := p
		other.params = `"name":"other"`
		refused(t, g.modern(other.retry(a.RequestState, `"input-1":{"action":"accept"}`)), 400, -32602, "requestState")
	})
	t.Run("by a client that can't", func(t *testing.T) {
		g.t = t
		answer := g.modern(callAsked)
		refused(t, answer, 400, -32021, "visit this")
		if !strings.Contains(answer.body, `"data":{"requiredCapabilities":{"elicitation":{"url":{}}}}`) {
			t.Errorf("got %s", answer.body)
		}
	})
	t.Run("without saying which", func(t *testing.T) {
		g.t = t
		data = `{}`
		refused(t, g.modern(p), 200, -32603, "visit this")
	})
	t.Run("and it was", func(t *testing.T) {
		g.t = t
		visited = true
		got(t, g.result(p.retry(a.RequestState, `"input-1":{"action":"accept"},"input-2":{"action":"accept"}`)), "false")
	})
	eventually(t, "no session is left but the one that lists", func() bool { return server.open() <= 2 })
}

func TestQuestionsOfSeveralServersAreKeptApart(t *testing.T) {
	a, b := newFakeServer(t).asking(askRoots), newFakeServer(t).asking(askRoots)
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	elder, younger := callAsked, callAsked
	younger.params = `"name":"b_echo"`
	first, second := g.asks(elder), g.asks(younger)
	refused(t, g.modern(elder.retry(second.RequestState, `"input-1":{}`)), 400, -32602, "requestState")
	got(t, g.result(younger.retry(second.RequestState, `"input-1":{"roots":[2]}`)), `0 {"roots":[2]}`)
	got(t, g.result(elder.retry(first.RequestState, `"input-1":{"roots":[1]}`)), `0 {"roots":[1]}`)
}
