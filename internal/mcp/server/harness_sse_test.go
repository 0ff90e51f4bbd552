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
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// fakeSSEServer is an MCP server of HTTP+SSE that can be told how to behave.
type fakeSSEServer struct {
	t      *testing.T
	server *servertest.Server

	mu    sync.Mutex
	count int
	open  []*fakeSSEStream // Oldest first.
	seen  []seen
	// endpoint returns what the endpoint event of a stream says; nil is relative to the root. Empty: there is none.
	endpoint func(r *http.Request, id string) string
	// answer answers requests other than initialize; nil echoes the params as the result.
	answer func(c *fakeSSEStream, m *message)
	// post answers a POST, and returns whether it has; nil accepts it.
	post func(w http.ResponseWriter, c *fakeSSEStream, m *message) bool
	// initialize, if set, is the answer to initialize, to which the id belongs.
	initialize string
	// chunk is how many bytes are written at once; 0 for whole events.
	chunk int
}

// withTools makes the server list tools, and answer calls with its name.
func (f *fakeSSEServer) withTools(tools ...string) *fakeSSEServer {
	var list []string
	for _, tool := range tools {
		list = append(list, fmt.Sprintf(`{"x":9007199254740993,"name":%q,"inputSchema":{"type":"object"}}`, tool))
	}
	f.set(func() {
		f.answer = func(c *fakeSSEStream, m *message) {
			result := `{}`
			switch m.Method {
			case "tools/list":
				result = `{"tools":[` + strings.Join(list, ",") + `]}`
			case "tools/call":
				result = `{"by":"old","params":` + string(m.Params) + `}`
			}
			c.send(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
		}
	})
	return f
}

// fakeSSEStream is a client's stream.
type fakeSSEStream struct {
	server *fakeSSEServer
	id     string
	ended  chan struct{} // Closed when the server ends the stream.
	end    func()

	mu   sync.Mutex
	w    http.ResponseWriter
	gone bool
}

func newFakeSSEServer(t *testing.T) *fakeSSEServer {
	f := &fakeSSEServer{t: t}
	f.server = servertest.New(t, http.HandlerFunc(f.serve))
	return f
}

func (f *fakeSSEServer) target() config.Target {
	u, err := url.Parse(f.server.URL)
	if err != nil {
		f.t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	return config.Target{
		Name: "old", Service: config.ServiceID(u.Host), Protocol: config.SSE,
		Host: "old.example.com", Port: int32(port), Path: "/base/sse", Endpoints: []string{u.Host},
	}
}

func (f *fakeSSEServer) targets() []config.Target { return []config.Target{f.target()} }

func (f *fakeSSEServer) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// requests returns what has reached the server of one HTTP method, or of one MCP method.
func (f *fakeSSEServer) requests(method string) (found []seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		var m message
		_ = json.Unmarshal([]byte(s.body), &m)
		if s.method == method || m.Method == method {
			found = append(found, s)
		}
	}
	return found
}

// streams returns the streams that are open.
func (f *fakeSSEServer) streams() []*fakeSSEStream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.open)
}

// stream waits for the one stream that is open.
func (f *fakeSSEServer) stream() *fakeSSEStream {
	f.t.Helper()
	eventually(f.t, "one stream", func() bool { return len(f.streams()) == 1 })
	return f.streams()[0]
}

// wantMessage waits until the server has got a message with that text in it.
func (f *fakeSSEServer) wantMessage(text string) {
	f.t.Helper()
	eventually(f.t, "the server gets "+text, func() bool {
		return slices.ContainsFunc(f.requests(http.MethodPost), func(s seen) bool { return strings.Contains(s.body, text) })
	})
}

// wantStreams waits until that many streams are open.
func (f *fakeSSEServer) wantStreams(count int) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%d streams", count), func() bool { return len(f.streams()) == count })
}

func (f *fakeSSEServer) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.seen = append(f.seen, seen{r.Method, r.Header.Clone(), string(body)})
	header := f.seen[len(f.seen)-1].header
	header.Set("Host", r.Host)
	header.Set("Uri", r.RequestURI)
	f.mu.Unlock()
	if r.Method == http.MethodGet {
		f.serveStream(w, r)
		return
	}
	f.mu.Lock()
	post, initialize, answer := f.post, f.initialize, f.answer
	i := slices.IndexFunc(f.open, func(c *fakeSSEStream) bool { return c.id == r.URL.Query().Get("sessionId") })
	var c *fakeSSEStream
	if i >= 0 {
		c = f.open[i]
	}
	f.mu.Unlock()
	var m message
	switch err := json.Unmarshal(body, &m); {
	case err != nil:
		http.Error(w, "no JSON", http.StatusBadRequest)
	case c == nil:
		http.Error(w, "Session not found", http.StatusNotFound)
	case post != nil && post(w, c, &m):
	default:
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "Accepted")
		_ = http.NewResponseController(w).Flush()
		c.respond(&m, initialize, answer)
	}
}

// respond answers a message on the stream.
func (c *fakeSSEStream) respond(m *message, initialize string, answer func(c *fakeSSEStream, m *message)) {
	switch {
	case m.Method == "" || m.ID == nil:
	case m.Method == "initialize" && initialize != "":
		c.send(`{"jsonrpc":"2.0","id":%s,%s}`, m.ID, initialize)
	case m.Method == "initialize":
		c.send(`{"result":{"protocolVersion":"2024-11-05","capabilities":{"tools":{},"logging":{}},`+
			`"serverInfo":{"name":"old","version":"1"},"zz":true},"jsonrpc":"2.0","id":%s}`, m.ID)
	case answer != nil:
		answer(c, m)
	default:
		c.send(`{"result":%s,"jsonrpc":"2.0","id":%s}`, m.Params, m.ID)
	}
}

func (f *fakeSSEServer) serveStream(w http.ResponseWriter, r *http.Request) {
	c := &fakeSSEStream{server: f, w: w, ended: make(chan struct{})}
	c.end = sync.OnceFunc(func() { close(c.ended) })
	f.mu.Lock()
	f.count++
	c.id = strconv.Itoa(f.count)
	endpoint := "/messages?sessionId=" + c.id
	if f.endpoint != nil {
		endpoint = f.endpoint(r, c.id)
	}
	f.open = append(f.open, c)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if endpoint != "" {
		c.write("event: endpoint\ndata: " + endpoint + "\n\n")
	} else {
		c.write(": nothing\n\n")
	}
	select {
	case <-r.Context().Done():
	case <-c.ended:
	}
	f.mu.Lock()
	f.open = slices.DeleteFunc(f.open, func(other *fakeSSEStream) bool { return other == c })
	f.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
}

// send sends a message.
func (c *fakeSSEStream) send(format string, arguments ...any) {
	c.write("event: message\ndata: " + fmt.Sprintf(format, arguments...) + "\n\n")
}

// write writes anything to the stream.
func (c *fakeSSEStream) write(text string) {
	c.server.mu.Lock()
	chunk := c.server.chunk
	c.server.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	for len(text) > 0 {
		n := len(text)
		if chunk > 0 {
			n = min(n, chunk)
		}
		_, _ = io.WriteString(c.w, text[:n])
		_ = http.NewResponseController(c.w).Flush()
		text = text[n:]
	}
}

// message returns the one message of an answer, or the last of a stream.
func (r reply) message() string {
	if r.header.Get("Content-Type") != "text/event-stream" {
		return r.body
	}
	_, last, _ := strings.Cut(r.body[max(0, strings.LastIndex(r.body, "data: ")):], "data: ")
	return strings.TrimSpace(last)
}

// newSSEReplicas returns gateways for the same Backend that know each other, with the addresses of their peer ports.
func newSSEReplicas(t *testing.T, targets []config.Target, count int) (gateways []*gateway, ports []*servertest.Server) {
	t.Helper()
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for range count {
		port := servertest.NewUnstarted(nil)
		addresses = append(addresses, port.Listener.Addr().String())
		ports = append(ports, port)
	}
	for i, port := range ports {
		var peers *peer.Peers
		gateways = append(gateways, newGateway(t, targets, withKeys(keys), func(o *Options, _ *config.Backend) {
			peers = peer.New(peer.Options{
				Self: addresses[i], Keys: func() *session.KeyRing { return keys }, Log: o.Log, Limits: o.Limits,
				Resolve: func(context.Context) ([]string, error) { return addresses, nil },
			})
			o.Peers = peers
		}))
		port.Config.Handler = peers.Handler(gateways[i].mcp.ServePeer)
		streams := detached.New()
		port.Config.BaseContext = func(net.Listener) context.Context { return streams.Context(context.Background()) }
		port.Start()
		t.Cleanup(func() {
			port.Close()
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			streams.Shutdown(ended)
			peers.Close()
		})
	}
	return gateways, ports
}
