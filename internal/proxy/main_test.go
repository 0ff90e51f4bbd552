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

package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/server"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// within waits for something to happen.
func within[T any](t *testing.T, what string, happens <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-happens:
	case <-time.After(patience):
		t.Fatalf("not in time: %s", what)
	}
	return got
}

// logs takes the log of several goroutines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// plane is a data plane on loopback ports, with its metrics.
type plane struct {
	*dataPlane
	t        *testing.T
	registry *prometheus.Registry
	logs     *logs
	client   *http.Client
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{t: t, registry: prometheus.NewRegistry(), logs: &logs{}}
	o := Options{
		BindAddress: "127.0.0.1", Limits: config.DefaultLimits(), AllowLoopbackUpstreams: true,
		Log: slog.New(slog.NewTextHandler(p.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "test",
	}
	upstreams := upstream.New(upstream.Options{Limits: o.Limits, AllowLoopback: true, UserAgent: "dynamic-mcp/test"})
	mcp := server.New(server.Options{Log: o.Log, Limits: o.Limits, Upstream: upstreams, Keys: keys, Version: o.Version})
	RegisterProcessMetrics(p.registry)
	observed, err := telemetry.New(telemetry.Options{Registerer: p.registry})
	if err != nil {
		t.Fatal(err)
	}
	p.dataPlane = newDataPlane(o, mcp, newMetrics(p.registry), observed)
	transport := &http.Transport{}
	p.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		p.drain(0)
		transport.CloseIdleConnections()
		mcp.Close()
		upstreams.Close()
	})
	return p
}

// metric returns the value of a counter or gauge.
func (p *plane) metric(name string) float64 {
	p.t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	p.t.Fatalf("no metric %s", name)
	return 0
}

// rejected returns how many requests for a Backend were rejected.
func (p *plane) rejected(backend string) (count float64) {
	p.t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, pair := range m.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			if f.GetName() == "dynamic_mcp_requests_total" && labels["backend"] == backend && labels["result"] == "rejected" {
				count += m.GetCounter().GetValue()
			}
		}
	}
	return count
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (p *plane) request(method string, port int32, path, body string, header map[string]string) *http.Request {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	return r
}

func (p *plane) do(method string, port int32, path, body string, header map[string]string) (answer, error) {
	p.t.Helper()
	response, err := p.client.Do(p.request(method, port, path, body, header))
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	all, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(all)}, err
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
	`"clientInfo":{"name":"test","version":"1"}}}`

// post sends an initialize.
func (p *plane) post(port int32, path string, header map[string]string) answer {
	p.t.Helper()
	a, err := p.do(http.MethodPost, port, path, initialize, header)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// open begins a session.
func (p *plane) open(port int32) (session string) {
	p.t.Helper()
	a := p.post(port, "/mcp", nil)
	if a.status != http.StatusOK || a.header.Get("Mcp-Session-Id") == "" {
		p.t.Fatalf("initialize: %d %s", a.status, a.body)
	}
	return a.header.Get("Mcp-Session-Id")
}

// listenTo opens a GET stream, waits for it to begin, and returns a channel that is closed at its end.
func (p *plane) listenTo(port int32, session string) <-chan struct{} {
	p.t.Helper()
	response, err := p.client.Do(p.request(http.MethodGet, port, "/mcp", "", map[string]string{"Mcp-Session-Id": session}))
	if err != nil {
		p.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		p.t.Fatalf("GET: %d", response.StatusCode)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = response.Body.Close() }()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			continue
		}
	}()
	p.t.Cleanup(func() { _ = response.Body.Close(); <-ended })
	return ended
}

// freePorts returns ports at which nobody listens.
func freePorts(count int) []int32 {
	ports := make([]int32, count)
	for i := range ports {
		ports[i] = int32(servertest.FreePort("127.0.0.1"))
	}
	return ports
}

// occupy listens at a port.
func occupy(t *testing.T, port int32) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// listenerOn is a listener with one route, for the path /mcp, to backends.
func listenerOn(port int32, hostname string, backends ...httproute.Backend) httproute.Listener {
	return httproute.Listener{
		Name: fmt.Sprintf("port-%d%s", port, hostname), Port: port, Hostname: hostname,
		Routes: []httproute.Route{{Name: "default/tools", Rules: []httproute.Rule{{
			Matches:  []httproute.Match{{PathType: httproute.PathPrefix, Path: "/mcp"}},
			Backends: backends,
		}}}},
	}
}

var toolsBackend = httproute.Backend{MCP: "default/tools", Weight: 1}

// configOf is a configuration of one Backend.
func configOf(generation int64, targets []config.Target, listeners ...httproute.Listener) *translate.Config {
	return &translate.Config{Generation: generation, Listeners: listeners, Backends: map[string]*config.Backend{
		"default/tools": {
			ID: "uid-1", Key: "default/tools", ServerName: "tools", Dynamic: true,
			PrefixMode: config.PrefixOnConflict, FailureMode: config.FailOpen, Targets: targets,
		},
	}}
}

// mcpServer is an MCP server of sessions of which every call but initialize waits until it is let go.
type mcpServer struct {
	targets []config.Target
	called  chan struct{}
	letGo   chan struct{}
}

func newMCPServer(t *testing.T) *mcpServer {
	t.Helper()
	m := &mcpServer{called: make(chan struct{}, 10), letGo: make(chan struct{})}
	s := servertest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case bytes.Contains(body, []byte(`"server/discover"`)): // Whether it is of a later revision, which has no sessions.
			http.Error(w, "no session", http.StatusBadRequest)
			return
		case !bytes.Contains(body, []byte(`"initialize"`)):
			m.called <- struct{}{}
			select {
			case <-m.letGo:
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"x","version":"1"}}}`)
	}))
	m.targets = []config.Target{{
		Name: "everything", Service: "svc-1", Protocol: config.StreamableHTTP, Host: "everything.default.svc", Port: 80,
		Path: "/mcp", Endpoints: []string{s.Listener.Addr().String()},
	}}
	return m
}

const call = `{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"wait"}}`

// start begins a call, waits until the server has it, and returns where its answer comes.
func (m *mcpServer) start(p *plane, port int32, session string) <-chan answer {
	p.t.Helper()
	answers := make(chan answer, 1)
	go func() {
		a, err := p.do(http.MethodPost, port, "/mcp", call, map[string]string{"Mcp-Session-Id": session})
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	within(p.t, "the call", m.called)
	return answers
}

// drained drains in the background.
func (p *plane) drained(limit time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.drain(limit)
	}()
	return done
}
