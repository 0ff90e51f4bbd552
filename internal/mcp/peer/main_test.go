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

package peer

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

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

// call is a request as serve got it.
type call struct {
	method, uri, path, host, backend, body string
	header                                 http.Header
	fromPeer                               bool
}

// replica is one replica of a proxy: a peer port, and a port for clients that forwards everything to home.
type replica struct {
	*Peers
	logs   *logs
	port   *servertest.Server
	client *servertest.Server
	calls  chan call
	// serve answers requests of peers once they are in calls.
	serve http.HandlerFunc
	// home, and the errors of forwarding there, after which the client is told so.
	home   string
	errors chan error
}

// proxy is a set of replicas that know each other.
type proxy struct {
	mu       sync.Mutex
	keys     *session.KeyRing
	resolved []string
	asked    int
}

func newRing(t *testing.T) *session.KeyRing {
	t.Helper()
	ring, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func (p *proxy) resolve(context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return slices.Clone(p.resolved), nil
}

func (p *proxy) set(addresses ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resolved = addresses
}

// add adds a replica. What is changed in its options is so from the start.
func (p *proxy) add(t *testing.T, change ...func(*Options)) *replica {
	t.Helper()
	r := &replica{port: servertest.NewUnstarted(nil), logs: &logs{}, calls: make(chan call, 10), errors: make(chan error, 10)}
	o := Options{
		Self: r.port.Listener.Addr().String(), Keys: func() *session.KeyRing { return p.keys }, Resolve: p.resolve, Limits: config.DefaultLimits(),
		Log: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	r.Peers = New(o)
	r.port.Config.Handler = r.Handler(func(w http.ResponseWriter, request *http.Request, backend string) {
		body, _ := io.ReadAll(request.Body)
		r.calls <- call{
			request.Method, request.RequestURI, request.URL.Path, request.Host, backend, string(body), request.Header, FromPeer(request.Context()),
		}
		if r.serve != nil {
			r.serve(w, request)
		}
	})
	r.port.Start()
	r.client = servertest.NewUnstarted(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		if err := r.Forward(w, request, body, "default/tools", r.home); err != nil {
			r.errors <- err
			http.Error(w, "served here", http.StatusTeapot)
		}
	}))
	r.client.Start()
	t.Cleanup(func() {
		r.client.Close()
		r.port.Close()
		r.Close()
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resolved = append(p.resolved, r.port.Listener.Addr().String())
	return r
}

// newReplicas returns replicas, of which the first forwards to the second.
func newReplicas(t *testing.T, count int) (*proxy, []*replica) {
	t.Helper()
	p := &proxy{keys: newRing(t)}
	replicas := make([]*replica, count)
	for i := range replicas {
		replicas[i] = p.add(t)
	}
	if count > 1 {
		replicas[0].home = replicas[1].Self()
	}
	return p, replicas
}

// do sends a client's request.
func (r *replica) do(t *testing.T, method, uri, body string, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.client.URL+uri, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Host = "mcp.example.com"
	response, err := r.client.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func readAll(t *testing.T, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// wantServedHere checks that a request was not forwarded, and why.
func (r *replica) wantServedHere(t *testing.T, response *http.Response, why string) {
	t.Helper()
	if body := readAll(t, response); response.StatusCode != http.StatusTeapot || body != "served here\n" {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
	if err := within(t, "the error", r.errors); !strings.Contains(err.Error(), why) {
		t.Errorf("got error %v, want %s", err, why)
	}
}
