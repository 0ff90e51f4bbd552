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
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// fakeModern is an MCP server of revision 2026-07-28 alone that can be told how to behave. It fails the test if anything is
// wrong with the headers or the _meta of a request.
type fakeModern struct {
	t      *testing.T
	server *servertest.Server

	mu   sync.Mutex
	seen []seen
	// discovered is the result of server/discover; lists are those of lists, by method.
	discovered string
	lists      map[string]string
	// answer answers all other requests; nil tells who it is, and echoes the params.
	answer func(w http.ResponseWriter, r *http.Request, m *message)
	// instead, if not nil, is another server that has taken its place.
	instead http.Handler
	// quit are the methods of requests that ended before their answer.
	quit []string
	// listeners are the open subscriptions, by the filter that was asked for.
	listeners []*fakeListener
	// agree, if not nil, changes the filter that the server agrees to.
	agree func(filter string) string
	// name is what it calls itself.
	name string
}

// fakeListener is an open subscription.
type fakeListener struct {
	id, filter string
	write      func(format string, arguments ...any)
	end        chan struct{}
}

func newFakeModern(t *testing.T, name string) *fakeModern {
	f := &fakeModern{t: t, name: name, lists: map[string]string{}}
	f.discovered = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"prompts":{},` +
		`"resources":{"subscribe":true},"completions":{},"logging":{}},"instructions":"Use ` + name + `.","ttlMs":60000,"cacheScope":"public",` +
		`"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"` + name + `","version":"7"}}}`
	f.lists["prompts/list"] = `{"resultType":"complete","prompts":[{"name":"ask"}],"ttlMs":60000,"cacheScope":"public"}`
	f.lists["resources/list"] = `{"resultType":"complete","resources":[{"uri":"demo://x","name":"x"}],"ttlMs":60000,"cacheScope":"public"}`
	f.lists["resources/templates/list"] = `{"resultType":"complete","resourceTemplates":[],"ttlMs":60000,"cacheScope":"public"}`
	f.withTools("echo")
	f.server = servertest.New(t, http.HandlerFunc(f.serve))
	return f
}

// withTools makes the server list tools.
func (f *fakeModern) withTools(names ...string) *fakeModern {
	var tools []string
	for _, name := range names {
		tools = append(tools, `{"x":9007199254740993,"name":"`+name+`","inputSchema":{"type":"object"}}`)
	}
	f.set(func() {
		f.lists["tools/list"] = `{"resultType":"complete","tools":[` + strings.Join(tools, ",") + `],"ttlMs":60000,"cacheScope":"public"}`
	})
	return f
}

// named is the server as a target of that name.
func (f *fakeModern) named(name string) config.Target {
	u, err := url.Parse(f.server.URL)
	if err != nil {
		f.t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	return config.Target{
		Name: config.TargetName(name), Service: config.ServiceID("svc-" + name + ":80"), Protocol: config.StreamableHTTP,
		Host: name + ".default.svc.cluster.local", Port: int32(port), Path: "/mcp", Endpoints: []string{u.Host},
	}
}

func (f *fakeModern) targets() []config.Target { return []config.Target{f.named(f.name)} }

func (f *fakeModern) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// requests returns what has reached the server of one method, without the probe.
func (f *fakeModern) requests(method string) (found []seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		var m message
		_ = json.Unmarshal([]byte(s.body), &m)
		if m.Method == method && string(m.ID) != `"probe"` {
			found = append(found, s)
		}
	}
	return found
}

// probes returns how often the server was asked what it is.
func (f *fakeModern) probes() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		if strings.Contains(s.body, `"id":"probe"`) {
			n++
		}
	}
	return n
}

func (f *fakeModern) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // Without that the request's context does not end with the connection.
	f.mu.Lock()
	instead := f.instead
	f.mu.Unlock()
	if instead != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		instead.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var m message
	_ = json.Unmarshal(body, &m)
	if versions := r.Header["Mcp-Protocol-Version"]; len(versions) != 1 || isLegacyVersion(versions[0]) {
		// A request of the legacy era, for a server that was there before.
		fail(w, http.StatusBadRequest, m.ID, -32022, `{"supported":["2026-07-28"],"requested":"?"}`)
		return
	}
	f.mu.Lock()
	f.seen = append(f.seen, seen{r.Method, r.Header.Clone(), string(body)})
	answer, list, discovered := f.answer, f.lists[m.Method], f.discovered
	f.mu.Unlock()
	if wrong := strictly(r, body); wrong != "" {
		f.t.Errorf("%s: %s\n%v\n%s", m.Method, wrong, r.Header, body)
		fail(w, http.StatusBadRequest, m.ID, -32020, "")
		return
	}
	defer func() {
		if r.Context().Err() != nil {
			f.set(func() { f.quit = append(f.quit, m.Method) })
		}
	}()
	switch {
	case m.Method == methodDiscover:
		answerModern(w, m.ID, discovered)
	case m.Method == methodListen && answer == nil:
		f.listen(w, r, &m)
	case answer != nil:
		answer(w, r, &m)
	case list != "":
		answerModern(w, m.ID, list)
	default:
		answerModern(w, m.ID, `{"resultType":"complete","by":"`+f.name+`","params":`+string(m.Params)+`}`)
	}
}

// strictly returns what is wrong with a request of the modern era.
func strictly(r *http.Request, body []byte) string {
	var m jsonrpc.Message
	var meta, name [1]jsonrpc.Span
	var fields [4]jsonrpc.Span
	if jsonrpc.Scan(body, &m) != nil || m.Kind != jsonrpc.Request ||
		jsonrpc.Lookup(body, m.Params, []string{"_meta"}, meta[:]) != nil ||
		jsonrpc.Lookup(body, meta[0], []string{metaProtocolVersion, metaClientCapabilities, metaClientInfo, metaLogLevel}, fields[:]) != nil {
		return "it is no request"
	}
	for name, want := range map[string][]string{
		"Accept":               {"application/json, text/event-stream"},
		"Accept-Encoding":      {"identity"},
		"Content-Type":         {"application/json"},
		"Mcp-Protocol-Version": {modernVersion},
		"User-Agent":           {"dynamic-mcp/test"},
		"Mcp-Session-Id":       nil, "Last-Event-Id": nil, "Authorization": nil, "Cookie": nil, "Origin": nil,
	} {
		if !slices.Equal(r.Header[name], want) {
			return "wrong " + name
		}
	}
	switch capabilities := fields[1].Of(body); {
	case string(fields[0].Of(body)) != `"`+modernVersion+`"`:
		return "wrong protocolVersion in _meta"
	case len(capabilities) == 0 || capabilities[0] != '{':
		return "no clientCapabilities in _meta"
	}
	key := mirror.NameKey(m.Method)
	if key == "" {
		if r.Header["Mcp-Name"] != nil {
			return "Mcp-Name, which this method has not"
		}
		return asText(mirror.CheckStandard(r.Header, m.Method, "", false))
	}
	if jsonrpc.Lookup(body, m.Params, []string{key}, name[:]) != nil {
		return "two names"
	}
	text, ok := jsonrpc.Text(body, name[0])
	return asText(mirror.CheckStandard(r.Header, m.Method, text, ok))
}

func asText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func answerModern(w http.ResponseWriter, id json.RawMessage, result string) {
	_, _ = fmt.Fprintf(contentJSON(w), `{"result":%s,"jsonrpc":"2.0","id":%s}`, result, id)
}

// fail answers with an error; data is raw JSON or empty.
func fail(w http.ResponseWriter, status int, id json.RawMessage, code int, data string) {
	if data != "" {
		data = `,"data":` + data
	}
	contentJSON(w).WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":"as told"%s},"jsonrpc":"2.0","id":%s}`, code, data, id)
}

// listen begins a subscription.
func (f *fakeModern) listen(w http.ResponseWriter, r *http.Request, m *message) {
	var params struct{ Notifications json.RawMessage }
	_ = json.Unmarshal(m.Params, &params)
	l := &fakeListener{id: string(m.ID), filter: string(params.Notifications), write: events(w), end: make(chan struct{})}
	agreed := l.filter
	f.mu.Lock()
	if f.agree != nil {
		agreed = f.agree(l.filter)
	}
	f.listeners = append(f.listeners, l)
	l.write("data: %s\n\n", `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":`+agreed+
		`,"_meta":{"io.modelcontextprotocol/subscriptionId":`+l.id+`}}}`)
	f.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-l.end:
	}
	f.set(func() {
		f.listeners = slices.DeleteFunc(f.listeners, func(other *fakeListener) bool { return other == l })
	})
}

// filters returns what its listeners want to hear of.
func (f *fakeModern) filters() (filters []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.listeners {
		filters = append(filters, l.filter)
	}
	return filters
}

// tell sends a notification to all listeners; members are those of its params.
func (f *fakeModern) tell(method, members string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.listeners {
		l.write("data: %s\n\n", `{"jsonrpc":"2.0","method":"`+method+`","params":{`+members+`"_meta":{"io.modelcontextprotocol/subscriptionId":`+l.id+`}}}`)
	}
}
