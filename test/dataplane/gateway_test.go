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

package dataplane

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/server"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

const backendKey = "default/tools"

// gateway is the data plane under test, with one Backend: one replica, or several behind a load balancer.
type gateway struct {
	t        *testing.T
	url      string
	replicas []*replica
	balancer *balancer // Nil for one replica.
	backend  config.Backend
}

// replica is one process's worth of data plane.
type replica struct {
	url      string
	mcp      *server.Server
	snapshot atomic.Pointer[server.Snapshot]
	log      *lockedBuffer
}

// options are what differs between gateways.
type options struct {
	replicas int
	limits   config.Limits
	backend  config.Backend
}

type option func(*options)

func withReplicas(n int) option { return func(o *options) { o.replicas = n } }

func withLimits(change func(*config.Limits)) option { return func(o *options) { change(&o.limits) } }

func withBackend(change func(*config.Backend)) option {
	return func(o *options) { change(&o.backend) }
}

func newGateway(t *testing.T, targets []config.Target, opts ...option) *gateway {
	t.Helper()
	o := options{replicas: 1, limits: config.DefaultLimits(), backend: config.Backend{
		ID: "uid-1", Key: backendKey, ServerName: "virtual", Dynamic: true,
		PrefixMode: config.PrefixOnConflict, FailureMode: config.FailOpen,
	}}
	for _, change := range opts {
		change(&o)
	}
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, backend: o.backend}
	ports := newPeerPorts(t, o.replicas)
	for _, port := range ports {
		g.replicas = append(g.replicas, newReplica(t, keys, o.limits, port, addresses(ports)))
	}
	g.url = g.replicas[0].url + "/mcp"
	if o.replicas > 1 {
		g.balancer = newBalancer(t, g.replicas[0].url, g.replicas[1].url)
		g.url = g.balancer.url + "/mcp"
	}
	g.update(targets...)
	return g
}

func newReplica(t *testing.T, keys *session.KeyRing, limits config.Limits, port net.Listener, replicas []string) *replica {
	r := &replica{log: &lockedBuffer{}}
	client := upstream.New(upstream.Options{Limits: limits, AllowLoopback: true, UserAgent: "dynamic-mcp/test"})
	peers := peer.New(peer.Options{
		Self: port.Addr().String(), Keys: func() *session.KeyRing { return keys }, Limits: limits,
		Resolve: func(context.Context) ([]string, error) { return replicas, nil },
		Log:     slog.New(slog.NewTextHandler(r.log, nil)),
	})
	r.mcp = server.New(server.Options{
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Limits: limits, Keys: keys, Upstream: client, Version: "test", Peers: peers,
	})
	peerServer := &http.Server{Handler: peers.Handler(r.mcp.ServePeer), ReadHeaderTimeout: patience}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = peerServer.Serve(port)
	}()
	r.snapshot.Store(r.mcp.Update(nil))
	listener := servertest.NewUnstarted(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mcp.Serve(w, request, r.snapshot.Load(), backendKey, server.Site{})
	}))
	streams := detached.New()
	listener.Config.BaseContext = func(net.Listener) context.Context { return streams.Context(context.Background()) }
	listener.Start()
	r.url = listener.URL
	t.Cleanup(func() {
		r.mcp.Drain()
		listener.Close()
		_ = peerServer.Close()
		streams.Shutdown(context.Background())
		<-served
		r.mcp.Close()
		client.Close()
		peers.Close()
		if t.Failed() {
			t.Logf("log of the replica:\n%s", r.log)
		}
	})
	return r
}

// newPeerPorts returns the ports at which replicas reach each other.
func newPeerPorts(t *testing.T, n int) (ports []net.Listener) {
	t.Helper()
	for range n {
		port, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

func addresses(listeners []net.Listener) (addresses []string) {
	for _, l := range listeners {
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// update makes the targets, eldest first, those of the Backend.
func (g *gateway) update(targets ...config.Target) {
	b := g.backend
	b.Targets = targets
	for _, r := range g.replicas {
		r.snapshot.Store(r.mcp.Update(map[string]*config.Backend{b.Key: &b}))
	}
}

// target is the server at a URL as a target.
func target(t *testing.T, name, address string) config.Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return config.Target{
		Name: config.TargetName(name), Service: config.ServiceID("service-" + name), Protocol: config.StreamableHTTP,
		Host: name + ".default.svc.cluster.local", Port: int32(port), Path: u.Path, Endpoints: []string{u.Host},
	}
}

// renamed is the same server under another name.
func renamed(t config.Target, name string) config.Target {
	t.Name = config.TargetName(name)
	return t
}

// balancer sends each request to another replica than the one before, unless told which.
type balancer struct {
	url  string
	next atomic.Uint64
	// breakConnections ends all connections of clients, in the middle of whatever they are for.
	breakConnections func()

	mu     sync.Mutex
	pinned map[string]int // by HTTP method
	served map[string]map[int]int
}

func newBalancer(t *testing.T, replicas ...string) *balancer {
	b := &balancer{pinned: map[string]int{}, served: map[string]map[int]int{}}
	var urls []*url.URL
	for _, address := range replicas {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, u)
	}
	transport := &http.Transport{}
	errors := &lockedBuffer{} // Among them that clients went away in the middle of a stream.
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(urls[b.choose(r.In.Method, len(urls))]) },
		ErrorLog:      slog.NewLogLogger(slog.NewTextHandler(errors, nil), slog.LevelError),
	}
	listener := servertest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An answer that begins before the body was taken to its end would be cut off.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		proxy.ServeHTTP(w, r)
	}))
	b.url, b.breakConnections = listener.URL, listener.CloseClientConnections
	t.Cleanup(func() {
		listener.Close()
		transport.CloseIdleConnections()
		if t.Failed() {
			t.Logf("log of the balancer:\n%s", errors)
		}
	})
	return b
}

func (b *balancer) choose(method string, replicas int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	chosen, ok := b.pinned[method]
	if !ok {
		chosen = int(b.next.Add(1)) % replicas
	}
	if b.served[method] == nil {
		b.served[method] = map[int]int{}
	}
	b.served[method][chosen]++
	return chosen
}

// pin sends all requests of an HTTP method to one replica.
func (b *balancer) pin(method string, replica int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pinned[method] = replica
}

// count returns how many requests of a method a replica had.
func (b *balancer) count(method string, replica int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.served[method][replica]
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

// String returns what was written so far.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fewer makes the deadlines of lists and of initialize short, for tests in which a target does not keep them.
func fewer(l *config.Limits) {
	l.InitializeTimeout = 3 * time.Second
	l.ListTimeout = 3 * time.Second
	l.StragglerTimeout = time.Second
}
