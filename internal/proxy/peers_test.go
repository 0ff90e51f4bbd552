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
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

func TestResolvePeers(t *testing.T) {
	lookup := func(_ context.Context, network, host string) ([]netip.Addr, error) {
		if network != "ip" {
			t.Errorf("asked for %s", network)
		}
		if host != "peers.default.svc" {
			return nil, errors.New("no such host: " + host)
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.2"), netip.MustParseAddr("fd00::1")}, nil
	}
	for name, test := range map[string]struct {
		peers, want []string
		err         string
	}{
		"a headless Service":            {peers: []string{"peers.default.svc:1"}, want: []string{"10.0.0.1:1", "10.0.0.2:1", "[fd00::1]:1"}},
		"addresses":                     {peers: []string{"10.0.0.3:1", "[fd00::2]:2"}, want: []string{"10.0.0.3:1", "[fd00::2]:2"}},
		"one that is not there":         {peers: []string{"replica-0:1", "10.0.0.3:1"}, want: []string{"10.0.0.3:1"}},
		"none that is there":            {peers: []string{"replica-0:1", "replica-1:1"}, err: "no such host: replica-0\nno such host: replica-1"},
		"one that has no port, and not": {peers: []string{"replica-0"}, err: "address replica-0: missing port in address"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := resolvePeers(t.Context(), lookup, test.peers)
			if !slices.Equal(got, test.want) || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %q and error %v", got, err)
			}
		})
	}
}

// listenForPeers has a plane serve a peer port, and returns another replica's Peers and the port's address.
func listenForPeers(t *testing.T, p *plane) (*peer.Peers, string) {
	t.Helper()
	keys := func() *session.KeyRing { return p.mcp.Keys() }
	o := Options{PeerAddress: "127.0.0.2:1", Limits: config.DefaultLimits(), Log: p.log}
	if err := p.listenPeers("127.0.0.1:0", newPeers(o, keys)); err != nil {
		t.Fatal(err)
	}
	address := p.peerPort.bound.Addr().String()
	o.Peers = []string{address}
	other := newPeers(o, keys)
	t.Cleanup(other.Close)
	return other, address
}

func TestPeersAreServed(t *testing.T) {
	p := newPlane(t)
	other, address := listenForPeers(t, p)
	if err := p.apply(configOf(1, nil)); err != nil {
		t.Fatal(err)
	}
	// No port is routed to the Backend: the peer has done that.
	r := httptest.NewRequest(http.MethodPost, "http://mcp.example.com/mcp", nil)
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "https://mcp.example.com")
	r.Header.Set("X-Large", strings.Repeat("x", maxHeader-1000))
	w := httptest.NewRecorder()
	if err := other.Forward(w, r, []byte(initialize), "default/tools", address); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusOK || w.Header().Get("Mcp-Session-Id") == "" || !strings.Contains(w.Body.String(), `"serverInfo":{"name":"tools"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	direct, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/mcp", strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	response, err := p.client.Do(direct)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a client: got %d", response.StatusCode)
	}
}

func TestPeersAreServedUntilTheEndOfDraining(t *testing.T) {
	p := newPlane(t)
	other, address := listenForPeers(t, p)
	m := newMCPServer(t)
	port := freePorts(1)[0]
	if err := p.apply(configOf(1, m.targets, listenerOn(port, "", toolsBackend))); err != nil {
		t.Fatal(err)
	}
	id := p.open(port)
	answers := m.start(p, port, id)
	done := p.drained(patience)
	eventually(t, "draining", func() bool { return p.ready(0) != nil })
	// The client's second request comes by another replica while the first one is in flight.
	forwarded := make(chan answer, 1)
	go func() {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Mcp-Session-Id", id)
		w := httptest.NewRecorder()
		if err := other.Forward(w, r, []byte(call), "default/tools", address); err != nil {
			w.Body.WriteString(err.Error())
		}
		forwarded <- answer{w.Code, w.Header(), w.Body.String()}
	}()
	within(t, "the call of the peer", m.called)
	close(m.letGo)
	for _, got := range []<-chan answer{answers, forwarded} {
		if a := within(t, "the answer", got); a.status != http.StatusOK || !strings.Contains(a.body, `"result"`) {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	within(t, "the end", done)
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
		t.Error("the peer port is still bound")
	}
}

func TestPeerPortInUse(t *testing.T) {
	p := newPlane(t)
	taken := occupy(t, 0)
	err := p.listenPeers(taken.Addr().String(), nil)
	if err == nil || !strings.Contains(err.Error(), "bind the peer port: ") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	// Nothing else is begun before it is bound.
	err = Run(t.Context(), Options{PeerBindAddress: taken.Addr().String(), PeerAddress: taken.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "bind the peer port: ") {
		t.Errorf("got %v", err)
	}
}

func TestDataPlanesKnowTheirPeers(t *testing.T) {
	o := Options{Limits: config.DefaultLimits(), Log: slog.New(slog.DiscardHandler)}
	alone := NewDataPlane(o, prometheus.NewRegistry())
	defer alone.Close(0)
	if alone.peers != nil {
		t.Error("one that has none has peers")
	}
	o.PeerAddress, o.Peers = "10.0.0.1:15022", []string{"peers.default.svc:15022"}
	together := NewDataPlane(o, prometheus.NewRegistry())
	defer together.Close(0)
	if got := together.peers.Self(); got != o.PeerAddress {
		t.Errorf("got %q", got)
	}
}
