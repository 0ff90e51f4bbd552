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
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// replicated returns two replicas of one proxy: they have the same keys, and reach each other.
func replicated(t *testing.T, targets []config.Target, options ...gatewayOption) (one, two *gateway) {
	t.Helper()
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	var ports [2]*servertest.Server
	var addresses []string
	for i := range ports {
		ports[i] = servertest.NewUnstarted(nil)
		addresses = append(addresses, ports[i].Listener.Addr().String())
	}
	var replicas [2]*gateway
	for i, port := range ports {
		peers := peer.New(peer.Options{
			Self: addresses[i], Keys: func() *session.KeyRing { return keys }, Limits: config.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
			Resolve: func(context.Context) ([]string, error) { return addresses, nil },
		})
		t.Cleanup(peers.Close)
		replicas[i] = newGateway(t, targets, append(options, withKeys(keys), func(o *Options, _ *config.Backend) { o.Peers = peers })...)
		port.Config.Handler = peers.Handler(func(w http.ResponseWriter, r *http.Request, backend string) {
			replicas[i].mcp.ServePeer(w, r, backend)
		})
		streams := detached.New()
		port.Config.BaseContext = func(net.Listener) context.Context { return streams.Context(context.Background()) }
		port.Start()
		t.Cleanup(func() {
			replicas[i].mcp.Drain()
			port.Close()
			streams.Shutdown(context.Background())
		})
	}
	return replicas[0], replicas[1]
}

// Both may have a request under way in the same session of a server, which tells requests apart by their ids.
func TestReplicasNeverGiveTheSameIDs(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	other := newFakeServer(t)
	one, two := replicated(t, []config.Target{server.named("a"), other.named("b")})
	id := one.open()
	one.do(call{body: listBody, session: id})
	two.do(call{body: listBody, session: id})
	asked := server.requests("tools/list")
	if len(asked) != 2 || asked[0].header.Get("Mcp-Session-Id") != asked[1].header.Get("Mcp-Session-Id") || asked[0].body == asked[1].body {
		t.Errorf("got %v", asked)
	}
}

// A replica may have been known by another address when it sealed an id.
func TestRequestIsNotForwardedTwice(t *testing.T) {
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	var forwarded atomic.Int32
	var g *gateway
	var peers *peer.Peers
	port := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if forwarded.Add(1) > 3 {
			w.WriteHeader(http.StatusForbidden) // It would go on without end.
			return
		}
		peers.Handler(g.mcp.ServePeer).ServeHTTP(w, r)
	}))
	defer port.Close()
	alias := port.Listener.Addr().String()
	peers = peer.New(peer.Options{
		Self: "127.0.0.2:1", Keys: func() *session.KeyRing { return keys }, Limits: config.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context) ([]string, error) { return []string{"127.0.0.2:1", alias}, nil },
	})
	defer peers.Close()
	g = newGateway(t, nil, withKeys(keys), func(o *Options, _ *config.Backend) { o.Peers = peers })
	id, err := keys.SealConnection(session.ConnectionID{Home: alias, ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	got := g.doRequest(g.atSSE(call{body: callBody}, "sessionId="+id))
	if got.status != http.StatusNotFound || forwarded.Load() != 1 {
		t.Errorf("got %d %s after %d requests to the replica", got.status, got.body, forwarded.Load())
	}
}
