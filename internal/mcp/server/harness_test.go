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
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "default/tools"

// gateway is a Server behind an HTTP listener, with one Backend.
type gateway struct {
	t   *testing.T
	mcp *Server
	url string
	log *lockedBuffer

	mu       sync.Mutex
	snapshot *Snapshot
}

// lockedBuffer takes the log of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type gatewayOption func(*Options, *config.Backend)

func withKeys(keys *session.KeyRing) gatewayOption {
	return func(o *Options, _ *config.Backend) { o.Keys = keys }
}

func withLimits(change func(*config.Limits)) gatewayOption {
	return func(o *Options, _ *config.Backend) { change(&o.Limits) }
}

func withBackend(change func(*config.Backend)) gatewayOption {
	return func(_ *Options, b *config.Backend) { change(b) }
}

func newGateway(t *testing.T, targets []config.Target, options ...gatewayOption) *gateway {
	t.Helper()
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, log: &lockedBuffer{}}
	o := Options{
		Log: slog.New(slog.NewTextHandler(g.log, nil)), Limits: config.DefaultLimits(), Keys: keys, Version: "test",
		AllowedOrigins: []string{"https://app.example.com"},
	}
	b := testBackend(targets)
	for _, option := range options {
		option(&o, b)
	}
	o.Upstream = upstream.New(upstream.Options{Limits: o.Limits, AllowLoopback: true, UserAgent: "dynamic-mcp/test"})
	g.mcp = New(o)
	g.update(b)
	listener := servertest.NewUnstarted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		snapshot := g.snapshot
		g.mu.Unlock()
		site := Site{Names: func(host string) bool { return host == "mcp.example.com" }}
		g.mcp.Serve(w, r, snapshot, testKey, site)
	}))
	streams := detached.New()
	listener.Config.BaseContext = func(net.Listener) context.Context { return streams.Context(context.Background()) }
	listener.Start()
	g.url = listener.URL
	t.Cleanup(func() {
		g.mcp.Drain()
		listener.Close()
		streams.Shutdown(context.Background())
		g.mcp.Close()
		o.Upstream.Close()
	})
	return g
}

func testBackend(targets []config.Target) *config.Backend {
	return &config.Backend{
		ID: "uid-1", Key: testKey, ServerName: "virtual", Dynamic: true,
		PrefixMode: config.PrefixOnConflict, FailureMode: config.FailOpen, Targets: targets,
	}
}

func (g *gateway) update(b *config.Backend) {
	snapshot := g.mcp.Update(map[string]*config.Backend{b.Key: b})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snapshot = snapshot
}

// call is a request of a client.
type call struct {
	method  string // Default: POST.
	body    string
	session string
	header  map[string]string // "" takes a header away.
	host    string
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func (g *gateway) request(c call) *http.Request {
	g.t.Helper()
	if c.method == "" {
		c.method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(g.t.Context(), c.method, g.url+"/mcp", strings.NewReader(c.body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	if c.session != "" {
		r.Header.Set("Mcp-Session-Id", c.session)
	}
	if c.host != "" {
		r.Host = c.host
	}
	for name, value := range c.header {
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
	return r
}

func (g *gateway) do(c call) reply {
	g.t.Helper()
	return g.doRequest(g.request(c))
}

func (g *gateway) doRequest(r *http.Request) reply {
	g.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

const initializeBody = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
	`"capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"test","version":"1"}}}`

// open begins a session and returns its id.
func (g *gateway) open() string {
	g.t.Helper()
	answer := g.do(call{body: initializeBody})
	id := answer.header.Get("Mcp-Session-Id")
	if answer.status != http.StatusOK || id == "" {
		g.t.Fatalf("initialize: %d %s", answer.status, answer.body)
	}
	return id
}

// stream is an open GET stream.
type stream struct {
	t      *testing.T
	events chan string // The data of each event; closed at the end.
	ids    chan string
	close  func()
}

func (g *gateway) listen(session string, header map[string]string) *stream {
	g.t.Helper()
	h := map[string]string{"Accept": "text/event-stream", "Content-Type": ""}
	for name, value := range header {
		h[name] = value
	}
	return g.stream(call{method: http.MethodGet, session: session, header: h})
}

// stream sends a request and reads the events of the answer one by one.
func (g *gateway) stream(c call) *stream {
	g.t.Helper()
	return g.streamOf(g.request(c))
}

func (g *gateway) streamOf(r *http.Request) *stream {
	g.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(response.Body)
		g.t.Fatalf("no stream: %d %s", response.StatusCode, body)
	}
	s := &stream{t: g.t, events: make(chan string, 100), ids: make(chan string, 100)}
	done := make(chan struct{})
	s.close = sync.OnceFunc(func() { _ = response.Body.Close(); <-done })
	go func() {
		defer close(done)
		defer close(s.events)
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				s.events <- data
			}
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				s.ids <- id
			}
		}
	}()
	g.t.Cleanup(s.close)
	return s
}

const patience = 20 * time.Second

// next returns the data of the next event.
func (s *stream) next() string {
	s.t.Helper()
	select {
	case data, ok := <-s.events:
		if !ok {
			s.t.Fatal("the stream ended")
		}
		return data
	case <-time.After(patience):
		s.t.Fatal("no event")
		return ""
	}
}

// ended waits for the end of the stream.
func (s *stream) ended() {
	s.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case _, ok := <-s.events:
			if !ok {
				return
			}
		case <-deadline:
			s.t.Fatal("the stream did not end")
		}
	}
}

// fakeServer is an MCP server that can be told how to behave.
type fakeServer struct {
	t      *testing.T
	server *servertest.Server

	mu       sync.Mutex
	sessions map[string]bool
	count    int
	seen     []seen
	// answer is the answer to requests other than initialize; nil echoes the params as the result.
	answer func(w http.ResponseWriter, r *http.Request, m *message)
	// get answers GET; nil refuses with 405.
	get func(w http.ResponseWriter, r *http.Request)
	// taken, if not nil, is called for each message that has no answer.
	taken func(m *message)
	// lost answers a request of an unknown session; nil: 404.
	lost func(w http.ResponseWriter)
	// initializeResult, if set, is the result of initialize.
	initializeResult string
	// initializeError, if set, is the error of initialize.
	initializeError string
	// beforeInitialize, if not nil, is called before initialize is answered.
	beforeInitialize func()
	// name and tools are what withTools made of the server; stalls is the method that it never answers.
	name   string
	tools  []string
	stalls string
	// stateless servers give no session ids.
	stateless bool
}

// seen is a request that reached the server.
type seen struct {
	method string
	header http.Header
	body   string
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func newFakeServer(t *testing.T) *fakeServer {
	f := &fakeServer{t: t, sessions: map[string]bool{}}
	f.server = servertest.New(t, http.HandlerFunc(f.serve))
	return f
}

func (f *fakeServer) target() config.Target {
	u, err := url.Parse(f.server.URL)
	if err != nil {
		f.t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	return config.Target{
		Name: "everything", Service: "svc-1:80", Protocol: config.StreamableHTTP,
		Host: "everything.default.svc.cluster.local", Port: int32(port), Path: "/mcp", Endpoints: []string{u.Host},
	}
}

func (f *fakeServer) targets() []config.Target { return []config.Target{f.target()} }

func (f *fakeServer) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// forget makes the server lose all its sessions, as a restart does.
func (f *fakeServer) forget() { f.set(func() { f.sessions = map[string]bool{} }) }

// requests returns what has reached the server of one HTTP method, or of one MCP method.
func (f *fakeServer) requests(method string) []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []seen
	for _, s := range f.seen {
		var m message
		_ = json.Unmarshal([]byte(s.body), &m)
		if s.method == method || m.Method == method {
			found = append(found, s)
		}
	}
	return found
}

func (f *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m message
	_ = json.Unmarshal(body, &m)
	if m.Method == methodDiscover {
		w.WriteHeader(http.StatusBadRequest) // It is of the legacy era, and the probe is not what tests look at.
		return
	}
	f.mu.Lock()
	f.seen = append(f.seen, seen{r.Method, r.Header.Clone(), string(body)})
	f.seen[len(f.seen)-1].header.Set("Host", r.Host)
	id := r.Header.Get("Mcp-Session-Id")
	known, answer, get, lost, taken := f.sessions[id] || f.stateless, f.answer, f.get, f.lost, f.taken
	if m.Method == "initialize" && !f.stateless {
		f.count++
		id = fmt.Sprintf("upstream-session-%d", f.count)
		f.sessions[id] = true
		w.Header().Set("Mcp-Session-Id", id)
	}
	if r.Method == http.MethodDelete {
		delete(f.sessions, id)
	}
	result, failure, stalls, before := f.initializeResult, f.initializeError, f.stalls, f.beforeInitialize
	f.mu.Unlock()
	if m.Method == "initialize" && before != nil {
		before()
	}
	switch {
	case m.Method == "initialize" && stalls == m.Method:
		<-r.Context().Done()
	case m.Method == "initialize" && failure != "":
		w.Header().Del("Mcp-Session-Id")
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"error":%s,"jsonrpc":"2.0","id":%s}`, failure, m.ID)
	case m.Method == "initialize":
		if result == "" {
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"x":1},"serverInfo":{"name":"fake","version":"1"},"zz":true}`
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"result":%s,"jsonrpc":"2.0","id":%s}`, result, m.ID)
	case !known:
		if lost != nil {
			lost(w)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet && get != nil:
		get(w, r)
	case r.Method == http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case r.Method == http.MethodDelete:
	case m.ID == nil || m.Method == "":
		if taken != nil {
			taken(&m)
		}
		w.WriteHeader(http.StatusAccepted)
	case answer != nil:
		answer(w, r, &m)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"result":%s,"jsonrpc":"2.0","id":%s}`, m.Params, m.ID)
	}
}

// events answers with a stream, and returns how to write to it.
func events(w http.ResponseWriter) func(format string, arguments ...any) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	return func(format string, arguments ...any) {
		_, _ = fmt.Fprintf(w, format, arguments...)
		_ = flush.Flush()
	}
}

// contentJSON says that the answer is JSON.
func contentJSON(w http.ResponseWriter) http.ResponseWriter {
	w.Header().Set("Content-Type", "application/json")
	return w
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
