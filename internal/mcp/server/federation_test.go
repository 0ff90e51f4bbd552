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
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// withTools makes a server list tools, and answer calls with its name and the body that it got.
func (f *fakeServer) withTools(name string, tools ...string) *fakeServer {
	f.set(func() {
		f.name = name
		f.initializeResult = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"prompts":{},"resources":{"subscribe":true},"logging":{},"completions":{}},"serverInfo":{"name":"n","version":"1"},"instructions":"Use ` + name + `."}`
		f.tools = tools
		f.answer = f.answerLists
	})
	return f
}

func (f *fakeServer) answerLists(w http.ResponseWriter, _ *http.Request, m *message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	result := `{}`
	switch m.Method {
	case "tools/list":
		var entries []string
		for _, tool := range f.tools {
			entries = append(entries, fmt.Sprintf(`{"x":9007199254740993,"name":"%s"}`, tool))
		}
		result = `{"tools":[` + strings.Join(entries, ",") + `]}`
	case "prompts/list":
		result = `{"prompts":[{"name":"ask"}]}`
	case "resources/list":
		result = `{"resources":[{"uri":"demo://x"}]}`
	case "resources/templates/list":
		result = `{"resourceTemplates":[{"uriTemplate":"demo://item/{id}"}]}`
	case "resources/read":
		var params struct{ URI string }
		_ = json.Unmarshal(m.Params, &params)
		result = `{"zz":1,"contents":[{"text":"of ` + f.name + `","uri":"` + params.URI + `"}]}`
	case "tools/call", "prompts/get", "completion/complete":
		result = `{"by":"` + f.name + `","params":` + string(m.Params) + `}`
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"result":%s,"jsonrpc":"2.0","id":%s}`, result, m.ID)
}

// named is the server as a target of that name.
func (f *fakeServer) named(name string) config.Target {
	t := f.target()
	t.Name, t.Service = config.TargetName(name), config.ServiceID("svc-"+name+":80")
	return t
}

// toolNames returns the names in the answer to tools/list.
func (g *gateway) toolNames(session string) []string {
	g.t.Helper()
	got := g.do(call{body: listBody, session: session})
	var answer struct {
		Result *struct {
			Tools []struct {
				Name string
				X    json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.Result == nil {
		g.t.Fatalf("got %d %s", got.status, got.body)
	}
	names := []string{}
	for _, tool := range answer.Result.Tools {
		if string(tool.X) != "9007199254740993" {
			g.t.Errorf("a tool was changed: %s", got.body)
		}
		names = append(names, tool.Name)
	}
	return names
}

// callTool calls a tool and returns who answered, or the error.
func (g *gateway) callTool(session, name string) string {
	g.t.Helper()
	got := g.do(call{session: session, body: `{"id":1,"params":{"z":9007199254740993,"name":"` + name + `"},"jsonrpc":"2.0","method":"tools/call"}`})
	var answer struct {
		Result struct {
			By     string
			Params json.RawMessage
		}
		Error *struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
		g.t.Fatalf("got %d %s", got.status, got.body)
	}
	if answer.Error != nil {
		return fmt.Sprintf("%d %s", answer.Error.Code, answer.Error.Message)
	}
	return answer.Result.By + " " + string(answer.Result.Params)
}

func params(own string) string { return `{"z":9007199254740993,"name":"` + own + `"}` }

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTwoServersAreOne(t *testing.T) {
	a, b := newFakeServer(t).withTools("A", "echo", "add"), newFakeServer(t).withTools("B", "echo", "sub")
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	initialized := g.do(call{body: initializeBody})
	want := `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"logging":{},"completions":{}},"serverInfo":{"name":"virtual","version":"test"},"instructions":"# a\n\nUse A.\n\n# b\n\nUse B."}}`
	same(t, initialized.body, want)
	id := initialized.header.Get("Mcp-Session-Id")
	same(t, g.toolNames(id), []string{"echo", "add", "b_echo", "sub"})
	for name, want := range map[string]string{
		"echo":   "A " + params("echo"),
		"a_echo": "A " + params("echo"),
		"b_echo": "B " + params("echo"),
		"sub":    "B " + params("sub"),
		"b_sub":  "B " + params("sub"),
		"nope":   "-32602 Unknown tool: nope",
		"b_add":  "-32602 Unknown tool: b_add",
	} {
		same(t, g.callTool(id, name), want)
	}
	t.Run("by their own names they get the body as it was", func(t *testing.T) {
		sent := a.requests("tools/call")
		same(t, sent[len(sent)-1].body, `{"id":1,"params":{"z":9007199254740993,"name":"echo"},"jsonrpc":"2.0","method":"tools/call"}`)
	})
	t.Run("another replica knows the names too", func(t *testing.T) {
		two := newGateway(t, []config.Target{a.named("a"), b.named("b")}, withKeys(g.mcp.keys.Load()))
		same(t, two.callTool(id, "b_echo"), "B "+params("echo"))
	})
	t.Run("a method that nobody can route", func(t *testing.T) {
		got := g.do(call{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"vendor/x"}`})
		if !strings.Contains(got.body, "-32601") {
			t.Errorf("got %s", got.body)
		}
	})
}

func TestModes(t *testing.T) {
	a, b := newFakeServer(t).withTools("A", "echo"), newFakeServer(t).withTools("B", "echo", "sub")
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")}, withBackend(func(b *config.Backend) { b.PrefixMode = config.PrefixNever }))
	same(t, g.toolNames(g.open()), []string{"echo", "sub"})
	g = newGateway(t, []config.Target{a.named("a")}, withBackend(func(b *config.Backend) { b.PrefixMode = config.PrefixAlways }))
	id := g.open()
	same(t, g.toolNames(id), []string{"a_echo"})
	same(t, g.callTool(id, "a_echo"), "A "+params("echo"))
}

func TestTargetsComeAndGoInALiveSession(t *testing.T) {
	a, b := newFakeServer(t).withTools("A", "echo"), newFakeServer(t).withTools("B", "echo", "sub")
	g := newGateway(t, []config.Target{a.named("a")})
	clock := time.Now()
	g.snapshot.backends[testKey].memory.owners.now = func() time.Time { return clock }
	id := g.open()
	same(t, g.toolNames(id), []string{"echo"})

	g.update(testBackend([]config.Target{a.named("a"), b.named("b")}))
	same(t, g.toolNames(id), []string{"echo", "b_echo", "sub"})
	same(t, g.callTool(id, "echo"), "A "+params("echo"))
	same(t, g.callTool(id, "b_echo"), "B "+params("echo"))
	if got := b.requests("initialize"); len(got) != 1 || !strings.Contains(got[0].body, `"roots":{"listChanged":true}`) {
		t.Errorf("the late server was initialized by %v", got)
	}

	t.Run("the elder leaves: its name reaches nobody else", func(t *testing.T) {
		g.update(testBackend([]config.Target{b.named("b")}))
		same(t, g.toolNames(id), []string{"b_echo", "sub"})
		same(t, g.callTool(id, "echo"), `-32602 the server that had "echo" is gone; use b_echo to mean another one's`)
		same(t, g.callTool(id, "b_echo"), "B "+params("echo"))
		same(t, g.callTool(id, "sub"), "B "+params("sub"))
		same(t, g.callTool(id, "unlisted"), "B "+params("unlisted")) // A server alone judges by itself what it does not list.
	})
	t.Run("the elder comes back", func(t *testing.T) {
		g.update(testBackend([]config.Target{b.named("b"), a.named("a")}))
		same(t, g.callTool(id, "echo"), "A "+params("echo"))
		same(t, g.callTool(id, "b_echo"), "B "+params("echo"))
	})
	t.Run("the younger leaves", func(t *testing.T) {
		g.update(testBackend([]config.Target{a.named("a")}))
		same(t, g.toolNames(id), []string{"echo"})
		same(t, g.callTool(id, "echo"), "A "+params("echo"))
	})
	t.Run("after ten minutes the name is free", func(t *testing.T) {
		g.update(testBackend([]config.Target{b.named("b")}))
		same(t, g.toolNames(id), []string{"b_echo", "sub"})
		clock = clock.Add(coolDown + time.Second)
		same(t, g.toolNames(id), []string{"echo", "sub"})
		same(t, g.callTool(id, "echo"), "B "+params("echo"))
	})
}

func TestNameIsLookedUpOnceMore(t *testing.T) {
	a, b := newFakeServer(t).withTools("A", "echo"), newFakeServer(t).withTools("B", "sub")
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	id := g.open()
	same(t, g.toolNames(id), []string{"echo", "sub"})
	b.set(func() { b.tools = []string{"sub", "new"} })
	same(t, g.callTool(id, "new"), "B "+params("new"))
}

func TestListChangedOfAServerIsHeeded(t *testing.T) {
	a, b := newFakeServer(t).withTools("A", "echo"), newFakeServer(t).withTools("B", "echo")
	say := make(chan struct{})
	b.get = func(w http.ResponseWriter, r *http.Request) {
		write := events(w)
		<-say
		write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")
		<-r.Context().Done()
	}
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	id := g.open()
	s := g.listen(id, nil)
	same(t, g.toolNames(id), []string{"echo", "b_echo"})
	lists := len(a.requests("tools/list"))
	b.set(func() { b.tools = []string{"other"} })
	close(say)
	same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	same(t, g.callTool(id, "other"), "B "+params("other"))
	same(t, len(a.requests("tools/list")), lists) // Its list is still good.
	s.close()
}

func TestSlowOrBrokenTargetCostsOnlyItsOwnPart(t *testing.T) {
	a := newFakeServer(t).withTools("A", "echo")
	limits := withLimits(func(l *config.Limits) { l.StragglerTimeout = 200 * time.Millisecond })
	stall := func(f *fakeServer, method string) *fakeServer {
		usual := f.answer
		f.set(func() {
			f.stalls = method
			f.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
				if m.Method == method {
					<-r.Context().Done()
					return
				}
				usual(w, r, m)
			}
		})
		return f
	}
	t.Run("stalls at initialize", func(t *testing.T) {
		b := stall(newFakeServer(t).withTools("B", "echo", "sub"), "initialize")
		g := newGateway(t, []config.Target{a.named("a"), b.named("b")}, limits, withLimits(func(l *config.Limits) { l.InitializeTimeout = 2 * time.Second }))
		id := g.open()
		same(t, g.toolNames(id), []string{"echo"})
		same(t, g.callTool(id, "echo"), "A "+params("echo"))
		if got := g.callTool(id, "b_sub"); !strings.HasPrefix(got, `-32603 target "b" is unavailable: it did not answer`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("stalls at tools/list", func(t *testing.T) {
		b := stall(newFakeServer(t).withTools("B", "echo", "sub"), "tools/list")
		g := newGateway(t, []config.Target{a.named("a"), b.named("b")}, limits)
		id := g.open()
		same(t, g.toolNames(id), []string{"echo"})
		same(t, g.callTool(id, "echo"), "A "+params("echo"))
	})
	t.Run("stalls at tools/call", func(t *testing.T) {
		b := stall(newFakeServer(t).withTools("B", "echo", "sub"), "tools/call")
		g := newGateway(t, []config.Target{a.named("a"), b.named("b")}, withLimits(func(l *config.Limits) { l.CallTimeout = 2 * time.Second }))
		id := g.open()
		same(t, g.toolNames(id), []string{"echo", "b_echo", "sub"})
		same(t, g.callTool(id, "sub"), `-32603 target "b" is unavailable: it was silent for 2s`)
		same(t, g.callTool(id, "echo"), "A "+params("echo"))
	})
	t.Run("is down, and its names stay its own", func(t *testing.T) {
		b := newFakeServer(t).withTools("B", "echo")
		g := newGateway(t, []config.Target{b.named("b"), a.named("a")})
		id := g.open()
		same(t, g.toolNames(id), []string{"echo", "a_echo"})
		b.server.CloseClientConnections()
		b.server.Listener.Close()
		same(t, g.toolNames(id), []string{"a_echo"})
		same(t, g.callTool(id, "echo"), `-32603 target "b" is unavailable: it refuses connections`)
		same(t, g.callTool(id, "a_echo"), "A "+params("echo"))
	})
	t.Run("with FailClosed fails lists, not calls to the others", func(t *testing.T) {
		b := newFakeServer(t).withTools("B", "sub")
		g := newGateway(t, []config.Target{a.named("a"), b.named("b")}, withBackend(func(b *config.Backend) { b.FailureMode = config.FailClosed }))
		id := g.open()
		same(t, g.toolNames(id), []string{"echo", "sub"})
		b.server.CloseClientConnections()
		b.server.Listener.Close()
		if got := g.do(call{body: listBody, session: id}); !strings.Contains(got.body, `target \"b\" is unavailable`) {
			t.Errorf("got %s", got.body)
		}
		same(t, g.callTool(id, "echo"), "A "+params("echo"))
		if got := g.do(call{body: initializeBody}); !strings.Contains(got.body, `target \"b\" is unavailable`) {
			t.Errorf("got %s", got.body)
		}
	})
}

func TestOtherListsAndWhatTheyName(t *testing.T) {
	a, b := newFakeServer(t).withTools("A"), newFakeServer(t).withTools("B")
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	id := g.open()
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`:                                                                            `{"prompts":[{"name":"ask"},{"name":"b_ask"}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/list"}`:                                                                          `{"resources":[{"uri":"demo://x"},{"uri":"b+demo://x"}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/templates/list"}`:                                                                `{"resourceTemplates":[{"uriTemplate":"demo://item/{id}"},{"uriTemplate":"b+demo://item/{id}"}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"b_ask"}}`:                                                   `{"by":"B","params":{"name":"ask"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"demo://x"}}`:                                              `{"zz":1,"contents":[{"text":"of A","uri":"demo://x"}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"b+demo://x"}}`:                                            `{"zz":1,"contents":[{"text":"of B","uri":"b+demo://x"}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"b+demo://item/7"}}`:                                       `{"zz":1,"contents":[{"text":"of B","uri":"b+demo://item/7"}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"b_ask"},"argument":{}}}`: `{"by":"B","params":{"ref":{"type":"ref/prompt","name":"ask"},"argument":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"uri":"b+demo://item/{id}","type":"ref/resource"}}}`: `{"by":"B","params":{"ref":{"uri":"demo://item/{id}","type":"ref/resource"}}}`,
	} {
		got := g.do(call{body: body, session: id}).body
		got = strings.TrimSuffix(strings.TrimPrefix(got, `{"jsonrpc":"2.0","id":1,"result":`), "}")
		if strings.HasPrefix(got, `{"result":`) {
			got = strings.TrimSuffix(strings.TrimPrefix(got, `{"result":`), `,"jsonrpc":"2.0","id":1`)
		}
		same(t, got, want)
	}
	got := g.do(call{body: `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"none://x"}}`, session: id})
	if !strings.Contains(got.body, `"code":-32002`) {
		t.Errorf("got %s", got.body)
	}
	for _, cursor := range []string{"x", "1", "1-zz", "-1-a", "99999999999999999999-a"} {
		got := g.do(call{body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"` + cursor + `"}}`, session: id})
		if !strings.Contains(got.body, `"code":-32602`) {
			t.Errorf("cursor %s: got %s", cursor, got.body)
		}
	}
}

func TestSubscriptionsAndUpdates(t *testing.T) {
	a, b := newFakeServer(t).withTools("A"), newFakeServer(t).withTools("B")
	say := make(chan struct{})
	b.get = func(w http.ResponseWriter, r *http.Request) {
		write := events(w)
		<-say
		write("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"demo://x\"}}\n\n")
		<-r.Context().Done()
	}
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	id := g.open()
	s := g.listen(id, nil)
	g.do(call{body: `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"b+demo://x"}}`, session: id})
	if got := b.requests("resources/subscribe"); len(got) != 1 || !strings.Contains(got[0].body, `"uri":"demo://x"`) {
		t.Errorf("got %v", got)
	}
	close(say)
	same(t, s.next(), `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"b+demo://x"}}`)
	s.close()
}

func TestLogLevelReachesAllAndThoseThatComeLater(t *testing.T) {
	a, b, late := newFakeServer(t).withTools("A"), newFakeServer(t).withTools("B"), newFakeServer(t).withTools("C")
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	id := g.open()
	got := g.do(call{body: `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`, session: id})
	same(t, got.body, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	g.update(testBackend([]config.Target{a.named("a"), b.named("b"), late.named("c")}))
	g.toolNames(id)
	for _, f := range []*fakeServer{a, b, late} {
		if got := f.requests("logging/setLevel"); len(got) != 1 || !strings.Contains(got[0].body, `"params":{"level":"error"}`) {
			t.Errorf("%s got %v", f.name, got)
		}
	}
}

func TestCancellationProgressAndQuestionsConcernOneTarget(t *testing.T) {
	a, b := newFakeServer(t).withTools("A", "one"), newFakeServer(t).withTools("B", "two")
	usual := b.answer
	b.set(func() {
		b.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
			if m.Method != "tools/call" {
				usual(w, r, m)
				return
			}
			write := events(w)
			write("data: {\"jsonrpc\":\"2.0\",\"method\":\"sampling/createMessage\",\"params\":{\"_meta\":{\"progressToken\":5}},\"id\":0}\n\n")
			<-r.Context().Done()
		}
	})
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	id := g.open()
	s := g.stream(call{body: `{"jsonrpc":"2.0","id":"c1","method":"tools/call","params":{"name":"two"}}`, session: id})
	var question struct {
		ID     json.RawMessage
		Params struct {
			Meta struct{ ProgressToken json.RawMessage } `json:"_meta"`
		}
	}
	if err := json.Unmarshal([]byte(s.next()), &question); err != nil {
		t.Fatal(err)
	}
	g.do(call{body: fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":%s}}`, question.Params.Meta.ProgressToken), session: id})
	g.do(call{body: fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, question.ID), session: id})
	g.do(call{body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c1"}}`, session: id})
	s.ended()
	if got := b.requests("notifications/progress"); len(got) != 1 || !strings.Contains(got[0].body, `"progressToken":5`) {
		t.Errorf("got %v", got)
	}
	same(t, len(b.requests("notifications/cancelled")), 1)
	same(t, len(a.requests("notifications/progress"))+len(a.requests("notifications/cancelled")), 0)
	var answered bool
	for _, sent := range b.requests(http.MethodPost) {
		answered = answered || sent.body == `{"jsonrpc":"2.0","id":0,"result":{}}`
	}
	if !answered {
		t.Error("the answer did not reach the server that asked")
	}
	g.do(call{body: `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`, session: id})
	same(t, len(a.requests("notifications/roots/list_changed"))+len(b.requests("notifications/roots/list_changed")), 2)
}
