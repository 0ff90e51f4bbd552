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

// modernServer is an MCP server of revision 2026-07-28 that can be told how to behave. What it gets must be right in every
// header and in all of _meta.
type modernServer struct {
	t      *testing.T
	server *servertest.Server

	mu   sync.Mutex
	seen []modernSeen
	// open are the ids of requests that are not answered yet.
	open map[string]bool
	// discovered is the result of server/discover.
	discovered string
	// tools are the JSON of the tools that it lists; formerly are those that it listed before.
	tools, formerly []string
	// answer answers requests other than server/discover, tools/list and subscriptions/listen; nil echoes the params.
	answer func(w http.ResponseWriter, r *http.Request, m *modernMessage)
	// instead, if not nil, answers everything in its place: it is another server now.
	instead http.Handler
	// listen answers subscriptions/listen; nil agrees to everything.
	listen func(w http.ResponseWriter, r *http.Request, m *modernMessage)
	// listeners are the open subscriptions, in the order of their begin; asked are the filters of all that there were.
	listeners []*modernSubscriber
	asked     []string
}

// modernSeen is a request that reached the server.
type modernSeen struct {
	modernMessage
	header http.Header
	body   string
}

// modernMessage is a request as the server reads it.
type modernMessage struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Name           string
		URI            string
		Arguments      json.RawMessage
		InputResponses json.RawMessage
		RequestState   json.RawMessage
		Notifications  json.RawMessage
		Meta           map[string]json.RawMessage `json:"_meta"`
	}
	raw json.RawMessage // Of params.
}

// modernSubscriber is an open subscriptions/listen.
type modernSubscriber struct {
	id    json.RawMessage
	write func(format string, arguments ...any)
	end   chan struct{}
	once  sync.Once
}

const modernInfo = `{"name":"modern","version":"2","zz":9007199254740993}`

func newModernServer(t *testing.T) *modernServer {
	f := &modernServer{t: t, open: map[string]bool{}, discovered: `{"resultType":"complete","supportedVersions":["2026-07-28"],` +
		`"capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true,"listChanged":true},"logging":{},` +
		`"tasks":{"list":{}},"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{"b":1,"a":2}}},` +
		`"instructions":"Be \u0062rief.","ttlMs":0,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":` + modernInfo + `}}`}
	f.server = servertest.New(t, http.HandlerFunc(f.serve))
	return f
}

func (f *modernServer) named(name string) config.Target {
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

func (f *modernServer) targets() []config.Target { return []config.Target{f.named("modern")} }

func (f *modernServer) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// requests returns what has reached the server of one method, without the probe.
func (f *modernServer) requests(method string) (found []modernSeen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		if s.Method == method && string(s.ID) != `"probe"` {
			found = append(found, s)
		}
	}
	return found
}

func (f *modernServer) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	instead := f.instead
	f.mu.Unlock()
	if instead != nil {
		instead.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var m modernMessage
	var raw struct{ Params json.RawMessage }
	_ = json.Unmarshal(body, &m)
	_ = json.Unmarshal(body, &raw)
	m.raw = raw.Params
	if versions := r.Header["Mcp-Protocol-Version"]; len(versions) != 1 || isLegacyVersion(versions[0]) {
		// A legacy client's request: of those the server knows nothing.
		modernError(w, http.StatusBadRequest, &m, jsonrpc.CodeUnsupportedVersion, "no", `{"supported":["2026-07-28"],"requested":"?"}`)
		return
	}
	f.mu.Lock()
	f.seen = append(f.seen, modernSeen{m, r.Header.Clone(), string(body)})
	wrong := f.check(r, &m, body)
	id := string(m.ID)
	f.open[id] = true
	answer, listen, discovered, tools := f.answer, f.listen, f.discovered, slices.Clone(f.tools)
	f.mu.Unlock()
	defer f.set(func() { delete(f.open, id) })
	if wrong != "" {
		f.t.Errorf("%s: %s\n%v\n%s", m.Method, wrong, r.Header, body)
		modernError(w, http.StatusBadRequest, &m, jsonrpc.CodeHeaderMismatch, wrong, "")
		return
	}
	switch {
	case m.Method == methodDiscover:
		modernResult(w, &m, discovered)
	case m.Method == "tools/list" && tools != nil:
		modernResult(w, &m, `{"resultType":"complete","ttlMs":0,"cacheScope":"public","tools":[`+strings.Join(tools, " , ")+`]}`)
	case m.Method == methodListen && listen != nil:
		listen(w, r, &m)
	case m.Method == methodListen:
		f.agree(w, r, &m)
	case answer != nil:
		answer(w, r, &m)
	default:
		modernResult(w, &m, `{"resultType":"complete","zz":9007199254740993,"echo":`+string(m.raw)+`}`)
	}
}

// check returns what is wrong with a request.
func (f *modernServer) check(r *http.Request, m *modernMessage, body []byte) string {
	meta := m.Params.Meta
	var scanned jsonrpc.Message
	switch {
	case jsonrpc.Scan(body, &scanned) != nil || scanned.Kind != jsonrpc.Request:
		return "it is no request"
	case f.open[string(m.ID)]:
		return "its id is that of another request that is not answered yet"
	case !slices.Equal(r.Header["Accept"], []string{"application/json, text/event-stream"}):
		return "wrong Accept"
	case !slices.Equal(r.Header["Content-Type"], []string{"application/json"}):
		return "wrong Content-Type"
	case !slices.Equal(r.Header["Mcp-Protocol-Version"], []string{modernVersion}):
		return "wrong MCP-Protocol-Version"
	case string(meta[metaProtocolVersion]) != `"`+modernVersion+`"`:
		return "wrong version in _meta"
	case !strings.HasPrefix(string(meta[metaClientInfo]), `{"name":`):
		return "no clientInfo in _meta"
	case !strings.HasPrefix(string(meta[metaClientCapabilities]), "{"):
		return "no clientCapabilities in _meta"
	case r.Header["Mcp-Session-Id"] != nil || r.Header["Last-Event-Id"] != nil:
		return "a header of the legacy era"
	}
	name, key := m.Params.Name, mirror.NameKey(m.Method)
	if key == "uri" {
		name = m.Params.URI
	}
	if err := mirror.CheckStandard(r.Header, m.Method, name, name != ""); err != nil {
		return err.Error()
	}
	if key == "" && r.Header["Mcp-Name"] != nil {
		return "Mcp-Name, which this method has not"
	}
	return f.checkParams(r, m)
}

// checkParams returns what is wrong with the headers that mirror a tool's parameters.
func (f *modernServer) checkParams(r *http.Request, m *modernMessage) string {
	known := map[string]bool{}
	for _, tool := range slices.Concat(f.tools, f.formerly) {
		var named struct{ Name string }
		_ = json.Unmarshal([]byte(tool), &named)
		params, err := mirror.Params([]byte(tool))
		if err != nil || m.Method != "tools/call" || named.Name != m.Params.Name {
			continue
		}
		for _, p := range params {
			known[p.Header] = true
		}
	}
	for header := range r.Header {
		if strings.HasPrefix(header, mirror.HeaderParamPrefix) && !known[header] {
			return "the header " + header + " mirrors nothing"
		}
	}
	return ""
}

// paramsMismatch refuses a call without the headers that mirror its arguments, as servers do; false if there are all.
func (f *modernServer) paramsMismatch(w http.ResponseWriter, r *http.Request, m *modernMessage) bool {
	f.mu.Lock()
	tools := slices.Clone(f.tools)
	f.mu.Unlock()
	for _, tool := range tools {
		var named struct{ Name string }
		_ = json.Unmarshal([]byte(tool), &named)
		if params, err := mirror.Params([]byte(tool)); err == nil && named.Name == m.Params.Name {
			if err := mirror.Check(r.Header, params, m.Params.Arguments); err != nil {
				modernError(w, http.StatusBadRequest, m, jsonrpc.CodeHeaderMismatch, "Mcp-Param is wrong", "")
				return true
			}
		}
	}
	return false
}

func modernResult(w http.ResponseWriter, m *modernMessage, result string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"result":%s,"jsonrpc":"2.0","id":%s}`, result, m.ID)
}

// modernError answers with an error; data is raw JSON or empty.
func modernError(w http.ResponseWriter, status int, m *modernMessage, code jsonrpc.Code, message, data string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	id := m.ID
	if id == nil {
		id = json.RawMessage("null")
	}
	if data != "" {
		data = `,"data":` + data
	}
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"message":%q,"code":%d%s}}`, id, message, code, data)
}

// agree begins a subscription.
func (f *modernServer) agree(w http.ResponseWriter, r *http.Request, m *modernMessage) {
	write := events(w)
	l := &modernSubscriber{id: m.ID, write: write, end: make(chan struct{})}
	f.mu.Lock()
	write(": hello\n\ndata: %s\n\n", `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{`+
		`"io.modelcontextprotocol/subscriptionId":`+string(m.ID)+`},"notifications":`+string(m.Params.Notifications)+`}}`)
	f.listeners = append(f.listeners, l)
	f.asked = append(f.asked, string(m.Params.Notifications))
	f.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-l.end:
	}
	f.set(func() {
		f.listeners = slices.DeleteFunc(f.listeners, func(other *modernSubscriber) bool { return other == l })
	})
}

// tell sends a notification to all that listen. A %s in it is the subscription's id.
func (f *modernServer) tell(notification string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.listeners {
		l.write("event: message\ndata: %s\n\n", strings.ReplaceAll(notification, "%s", string(l.id)))
	}
}

// filters returns what the server has been asked to tell.
func (f *modernServer) filters() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// listening returns how many listen.
func (f *modernServer) listening() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.listeners)
}

// hangUp ends all subscriptions.
func (f *modernServer) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.listeners {
		l.once.Do(func() { close(l.end) })
	}
}

// ask is a result that asks for input; each request is `"key":{"method":…}`.
func ask(state string, requests ...string) string {
	result := `{"resultType":"input_required"`
	if len(requests) > 0 {
		result += `,"inputRequests":{` + strings.Join(requests, ",") + `}`
	}
	if state != "" {
		result += `,"requestState":` + state
	}
	return result + `}`
}

// asking answers tools/call with one of these results after the other, and then with what it got.
func (f *modernServer) asking(results ...string) {
	f.set(func() {
		f.answer = func(w http.ResponseWriter, _ *http.Request, m *modernMessage) {
			if m.Method != "tools/call" {
				modernResult(w, m, `{"resultType":"complete"}`)
				return
			}
			f.mu.Lock()
			var result string
			if len(results) > 0 {
				result, results = results[0], results[1:]
			}
			f.mu.Unlock()
			if result == "" {
				result = `{"resultType":"complete","responses":` + orNull(m.Params.InputResponses) + `,"state":` + orNull(m.Params.RequestState) + `}`
			}
			modernResult(w, m, result)
		}
	})
}

func orNull(raw json.RawMessage) string {
	if raw == nil {
		return "null"
	}
	return string(raw)
}

// openWith begins a session of a client with these capabilities.
func (g *gateway) openWith(capabilities string) string {
	g.t.Helper()
	answer := g.do(call{body: `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":` +
		capabilities + `,"clientInfo":{"name":"test","version":"1"}}}`})
	id := answer.header.Get("Mcp-Session-Id")
	if answer.status != http.StatusOK || id == "" {
		g.t.Fatalf("initialize: %d %s", answer.status, answer.body)
	}
	return id
}

// asked is a request of the server that has reached the client.
type asked struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
}

// nextRequest returns the next event, which must be a request.
func (s *stream) nextRequest() (a asked) {
	s.t.Helper()
	data := s.next()
	if err := json.Unmarshal([]byte(data), &a); err != nil || a.ID == nil || a.Method == "" {
		s.t.Fatalf("no request: %s", data)
	}
	return a
}

// reply answers a request of the server.
func (g *gateway) reply(session string, a asked, outcome string) {
	g.t.Helper()
	if got := g.do(call{session: session, body: `{"jsonrpc":"2.0","id":` + string(a.ID) + `,` + outcome + `}`}); got.status != http.StatusAccepted {
		g.t.Errorf("the answer to %s: %d %s", a.Method, got.status, got.body)
	}
}

const everyCapability = `{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{"listChanged":true}}`
