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
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// TestRollingUpgradeBetweenEras: the servers behind one target are replaced one after the other by servers of the other era, and
// then these by servers of the first again, while clients of all eras call it through two replicas, some of them in one session,
// some in one after the other. No call fails.
func TestRollingUpgradeBetweenEras(t *testing.T) {
	legacy, modern := podKind{only: legacyOnly}, podKind{stateless: true, only: modernOnly}
	for name, kinds := range map[string]struct {
		from, to podKind
		begun    int // Servers that are replaced before the gateway starts.
	}{
		"legacy to modern and back":             {from: legacy, to: modern},
		"modern to legacy and back":             {from: modern, to: legacy},
		"legacy servers without sessions":       {from: podKind{stateless: true, only: legacyOnly}, to: modern},
		"newer servers speak both":              {from: legacy, to: podKind{stateless: true}},
		"the gateway starts in the midst":       {from: legacy, to: podKind{stateless: true}, begun: 1},
		"the gateway starts near the other end": {from: legacy, to: modern, begun: 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rollout{t: t, steady: newSample(t, "steady"), pause: *loadFor / 16}
			for i := range 3 {
				if i < kinds.begun {
					r.pods = append(r.pods, startPod(t, kinds.to))
				} else {
					r.pods = append(r.pods, startPod(t, kinds.from))
				}
			}
			r.gateway = newGateway(t, r.targets(), withReplicas(2))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			load := &mixedLoad{calls: map[string]*atomic.Int64{}, servers: []string{"rolled", "steady"}}
			var clients sync.WaitGroup
			for name, connect := range clientsOfAllEras(r.gateway.url) {
				count := &atomic.Int64{}
				load.calls[name] = count
				clients.Go(func() { load.run(ctx, name, connect(), count) })
				clients.Go(func() {
					for ctx.Err() == nil {
						visit, leave := context.WithTimeout(ctx, r.pause/4)
						load.run(visit, name+", in a new session", connect(), count)
						leave()
					}
				})
			}
			time.Sleep(r.pause)
			r.to(kinds.to)
			r.to(kinds.from)
			cancel()
			clients.Wait()
			load.report(t)
		})
	}
}

// rollout replaces servers as a Deployment does.
type rollout struct {
	t       *testing.T
	gateway *gateway
	steady  *sample
	pods    []*pod
	pause   time.Duration
}

func (r *rollout) targets() []config.Target {
	rolled := target(r.t, "rolled", "http://"+r.pods[0].address+"/")
	rolled.Endpoints = nil
	for _, p := range r.pods {
		rolled.Endpoints = append(rolled.Endpoints, p.address)
	}
	return []config.Target{rolled, r.steady.target()}
}

// to replaces all servers: a new one comes, an old one is taken out, and ends when it has nothing to do any more.
func (r *rollout) to(kind podKind) {
	for range len(r.pods) {
		r.pods = append(r.pods, startPod(r.t, kind))
		r.gateway.update(r.targets()...)
		time.Sleep(r.pause)
		old := r.pods[0]
		r.pods = slices.Delete(r.pods, 0, 1)
		r.gateway.update(r.targets()...)
		time.Sleep(r.pause)
		old.end()
	}
}

// podKind is what kind of server runs in a pod. Without only it speaks what the SDK does.
type podKind struct {
	stateless bool
	only      func(http.Handler) http.Handler
}

// pod is a server that nobody starts again.
type pod struct {
	t       *testing.T
	address string
	server  *http.Server
	served  chan struct{}
	inside  *mcp.Server
}

func startPod(t *testing.T, kind podKind) *pod {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(servertest.FreePort("127.0.0.1"))))
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, address: listener.Addr().String(), served: make(chan struct{}), inside: (&sample{t: t, name: "rolled"}).newServer()}
	var handler http.Handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return p.inside }, &mcp.StreamableHTTPOptions{
		Stateless: kind.stateless, PropagateRequestCancellation: true, DisableLocalhostProtection: true,
	})
	if kind.only != nil {
		handler = kind.only(handler)
	}
	p.server = &http.Server{Handler: handler}
	go func() {
		defer close(p.served)
		_ = p.server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = p.server.Close()
		p.closed()
	})
	return p
}

// end lets the server finish what it does, and fails the test if somebody holds on to it.
func (p *pod) end() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		p.t.Errorf("the server that was taken out has still something to do: %v", err)
		_ = p.server.Close()
	}
	p.closed()
}

func (p *pod) closed() {
	<-p.served
	for session := range p.inside.Sessions() {
		_ = session.Close()
	}
}

// legacyOnly is a server that has never heard of revision 2026-07-28.
func legacyOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isModern(r) {
			http.Error(w, "Bad Request: Unsupported protocol version", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// modernOnly is a server that knows no other revision than 2026-07-28.
func modernOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case !isModern(r):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"Unsupported protocol version",`+
				`"data":{"supported":["2026-07-28"]}}}`)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isModern(r *http.Request) bool {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r.Header.Get("Mcp-Protocol-Version") == "2026-07-28"
}
