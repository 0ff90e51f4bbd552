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
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

func TestApplyServes(t *testing.T) {
	p := newPlane(t)
	if err := p.ready(0); err == nil || err.Error() != "no configuration yet" {
		t.Errorf("before the first configuration: %v", err)
	}
	ports := freePorts(2)
	if err := p.apply(configOf(3, nil, listenerOn(ports[0], "", toolsBackend), listenerOn(ports[1], "", toolsBackend))); err != nil {
		t.Fatal(err)
	}
	for _, port := range ports {
		if a := p.post(port, "/mcp", nil); a.status != http.StatusOK || !strings.Contains(a.body, `"serverInfo":{"name":"tools"`) {
			t.Errorf("port %d: %d %s", port, a.status, a.body)
		}
	}
	if p.metric("dynamic_mcp_snapshot_generation") != 3 || p.metric("dynamic_mcp_snapshots_total") != 1 || p.metric("dynamic_mcp_snapshots_rejected_total") != 0 {
		t.Error("metrics don't say what is served")
	}
	if age := time.Since(time.Unix(int64(p.metric("dynamic_mcp_snapshot_timestamp_seconds")), 0)); age < 0 || age > time.Minute {
		t.Errorf("the configuration was taken %s ago", age)
	}
}

func TestReadyByGeneration(t *testing.T) {
	p := newPlane(t)
	if err := p.apply(configOf(3, nil)); err != nil {
		t.Fatal(err)
	}
	for generation, want := range map[int64]string{
		0: "", 2: "", 3: "",
		4: "generation 3 of the Gateway is served, not yet 4",
	} {
		if err := p.ready(generation); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("generation %d: got %v, want %q", generation, err, want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	p := newPlane(t)
	ports := freePorts(2)
	taken := occupy(t, ports[0])
	c := configOf(1, nil, listenerOn(ports[0], "", toolsBackend), listenerOn(ports[1], "", toolsBackend))
	err := p.apply(c)
	if err == nil || !strings.Contains(err.Error(), "bind port ") || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v", err)
	}
	if got := p.ready(0); got == nil || got.Error() != err.Error() {
		t.Errorf("not ready because of %v, want %v", got, err)
	}
	if a := p.post(ports[1], "/mcp", nil); a.status != http.StatusOK {
		t.Errorf("the other port: %d %s", a.status, a.body)
	}
	_ = taken.Close()
	if err := p.apply(c); err != nil {
		t.Fatalf("after the port was given back: %v", err)
	}
	if err := p.ready(1); err != nil {
		t.Errorf("after the port was given back: %v", err)
	}
	if a := p.post(ports[0], "/mcp", nil); a.status != http.StatusOK {
		t.Errorf("the port that was given back: %d %s", a.status, a.body)
	}
}

func TestWhatCantBeCompiledChangesNothing(t *testing.T) {
	p := newPlane(t)
	ports := freePorts(2)
	if err := p.apply(configOf(1, nil, listenerOn(ports[0], "", toolsBackend))); err != nil {
		t.Fatal(err)
	}
	bad := listenerOn(ports[1], "", toolsBackend)
	bad.Routes[0].Rules[0].Matches[0] = httproute.Match{PathType: httproute.PathRegularExpression, Path: "("}
	err := p.apply(configOf(2, nil, bad))
	if err == nil || !strings.HasPrefix(err.Error(), "the configuration of generation 2 can't be served; the last good one stays: port ") {
		t.Fatalf("got %v", err)
	}
	if got := p.ready(1); got == nil || got.Error() != err.Error() {
		t.Errorf("not ready because of %v, want %v", got, err)
	}
	if err := p.ready(0); err != nil {
		t.Errorf("it should be sent no requests any more: %v", err)
	}
	if a := p.post(ports[0], "/mcp", nil); a.status != http.StatusOK {
		t.Errorf("the last good configuration: %d %s", a.status, a.body)
	}
	if p.metric("dynamic_mcp_snapshots_rejected_total") != 1 || p.metric("dynamic_mcp_snapshot_generation") != 1 {
		t.Error("metrics don't say that it was rejected")
	}
	if err := p.apply(configOf(3, nil, listenerOn(ports[1], "", toolsBackend))); err != nil || p.ready(3) != nil {
		t.Errorf("a good one again: %v, %v", err, p.ready(3))
	}
}

func TestServe(t *testing.T) {
	p := newPlane(t)
	port := freePorts(1)[0]
	listener := listenerOn(port, "", toolsBackend)
	rule := func(path string, backends ...httproute.Backend) {
		listener.Routes[0].Rules = append(listener.Routes[0].Rules, httproute.Rule{
			Matches:  []httproute.Match{{PathType: httproute.PathPrefix, Path: path}},
			Backends: backends,
		})
	}
	invalid := httproute.Backend{Invalid: "Backend secret-namespace/secret-name is not permitted", Weight: 1}
	rule("/invalid", invalid)
	rule("/none")
	rule("/weightless", httproute.Backend{MCP: "default/tools"})
	rule("/missing", httproute.Backend{MCP: "default/missing", Weight: 1})
	if err := p.apply(configOf(1, nil, listener)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/mcp":        {http.StatusOK, `"serverInfo"`},
		"/mcp/deeper": {http.StatusOK, `"serverInfo"`},
		"/":           {http.StatusNotFound, "no HTTPRoute matches"},
		"/mcpx":       {http.StatusNotFound, "no HTTPRoute matches"},
		"/invalid":    {http.StatusInternalServerError, "the status of HTTPRoute default/tools says why"},
		"/none":       {http.StatusInternalServerError, "has no backend"},
		"/weightless": {http.StatusInternalServerError, "has no backend"},
		"/missing":    {http.StatusInternalServerError, "no such Backend"},
	} {
		a := p.post(port, path, nil)
		if a.status != want.status || !strings.Contains(a.body, want.body) {
			t.Errorf("%s: got %d %s, want %d %s", path, a.status, a.body, want.status, want.body)
		}
		if strings.Contains(a.body, "secret") {
			t.Errorf("%s: %s tells the client what it must not know", path, a.body)
		}
	}
	if !strings.Contains(p.logs.String(), "secret-namespace/secret-name is not permitted") {
		t.Error("the log does not say why")
	}
	if got := p.rejected(""); got != 5 {
		t.Errorf("%v requests without a Backend are counted", got)
	}
}

func TestPanicIsAnError(t *testing.T) {
	p := newPlane(t)
	bound := occupy(t, 0)
	l := p.serveOn(bound, maxHeader, func(http.ResponseWriter, *http.Request) { panic("something is wrong") })
	_, err := p.do(http.MethodGet, int32(bound.Addr().(*net.TCPAddr).Port), "/", "", nil)
	_ = bound.Close()
	l.shutdown(t.Context())
	if err == nil {
		t.Error("there is an answer")
	}
	if log := p.logs.String(); !strings.Contains(log, "level=ERROR msg=\"http: panic serving ") || !strings.Contains(log, "something is wrong") {
		t.Errorf("got %s", log)
	}
}

func TestWeights(t *testing.T) {
	p := newPlane(t)
	port := freePorts(1)[0]
	// A broken reference gets its share of the requests: it is not left to the others.
	c := configOf(1, nil, listenerOn(port, "", toolsBackend, httproute.Backend{Invalid: "x", Weight: 1}, httproute.Backend{MCP: "default/never"}))
	if err := p.apply(c); err != nil {
		t.Fatal(err)
	}
	count := map[int]int{}
	for range 200 { // Both come up, but for a chance of 2 in 2^200.
		a := p.post(port, "/mcp", nil)
		count[a.status]++
		if strings.Contains(a.body, "no such Backend") {
			t.Fatal("a backend without weight was chosen")
		}
	}
	if count[http.StatusOK] == 0 || count[http.StatusInternalServerError] == 0 || len(count) != 2 {
		t.Errorf("got %v", count)
	}
}

func TestOriginAndHostOfListeners(t *testing.T) {
	p := newPlane(t)
	ports := freePorts(2)
	withRoute := listenerOn(ports[0], "*.wild.example.com", toolsBackend)
	withRoute.Routes[0].Hostnames = []string{"route.wild.example.com", "elsewhere.example.org"}
	c := configOf(1, nil, listenerOn(ports[0], "MCP.example.com", toolsBackend), withRoute,
		listenerOn(ports[1], "", toolsBackend), listenerOn(ports[1], "second.example.com", toolsBackend))
	if err := p.apply(c); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		port         int32
		host, origin string
		want         int
	}{
		{ports[0], "mcp.example.com", "", http.StatusOK},
		{ports[0], "mcp.example.com", "https://mcp.example.com", http.StatusOK},
		{ports[0], "mcp.example.com", "http://mcp.example.com:8080", http.StatusOK},
		{ports[0], "mcp.example.com", "https://any.wild.example.com", http.StatusOK},
		{ports[0], "mcp.example.com", "http://localhost:5173", http.StatusOK},
		{ports[0], "mcp.example.com", "https://evil.example", http.StatusForbidden},
		{ports[0], "mcp.example.com", "https://mcp.example.com.evil.example", http.StatusForbidden},
		{ports[0], "mcp.example.com", "https://elsewhere.example.org", http.StatusForbidden},
		{ports[0], "mcp.example.com", "https://second.example.com", http.StatusForbidden},
		{ports[0], "mcp.example.com", "null", http.StatusForbidden},
		{ports[0], "route.wild.example.com:8080", "https://route.wild.example.com", http.StatusOK},
		// Listener and route have to match first.
		{ports[0], "localhost", "", http.StatusNotFound},
		{ports[0], "other.wild.example.com", "", http.StatusNotFound},
		// A listener without a hostname takes every Host, but on a loopback address only those that can't be a page's.
		{ports[1], "localhost", "", http.StatusOK},
		{ports[1], "127.0.0.1", "", http.StatusOK},
		{ports[1], "[::1]:8080", "", http.StatusOK},
		{ports[1], "second.example.com", "", http.StatusOK},
		{ports[1], "rebound.evil.example", "", http.StatusForbidden},
		{ports[1], "localhost", "https://mcp.example.com", http.StatusForbidden},
	} {
		header := map[string]string{"Host": test.host}
		if test.origin != "" {
			header["Origin"] = test.origin
		}
		a := p.post(test.port, "/mcp", header)
		if a.status != test.want {
			t.Errorf("Host %q, Origin %q: got %d %s, want %d", test.host, test.origin, a.status, a.body, test.want)
		}
		allowed := a.header.Get("Access-Control-Allow-Origin")
		if want := test.origin; test.want == http.StatusOK && allowed != want || test.want != http.StatusOK && allowed != "" {
			t.Errorf("Host %q, Origin %q: Access-Control-Allow-Origin is %q", test.host, test.origin, allowed)
		}
	}
}

func TestRemovedPort(t *testing.T) {
	p := newPlane(t)
	m := newMCPServer(t)
	ports := freePorts(2)
	both := configOf(1, m.targets, listenerOn(ports[0], "", toolsBackend), listenerOn(ports[1], "", toolsBackend))
	if err := p.apply(both); err != nil {
		t.Fatal(err)
	}
	id := p.open(ports[0])
	answers := m.start(p, ports[0], id)
	if err := p.apply(configOf(2, m.targets, listenerOn(ports[1], "", toolsBackend))); err != nil {
		t.Fatal(err)
	}
	// The port is free at once, and can be bound again while the request is still in flight.
	_ = occupy(t, ports[0]).Close()
	if err := p.apply(both); err != nil {
		t.Fatal(err)
	}
	if a := p.post(ports[0], "/mcp", nil); a.status != http.StatusOK {
		t.Errorf("the port that is bound again: %d %s", a.status, a.body)
	}
	close(m.letGo)
	if a := within(t, "the answer", answers); a.status != http.StatusOK || !strings.Contains(a.body, `"result"`) {
		t.Errorf("the request in flight: %d %s", a.status, a.body)
	}
	if strings.Contains(p.logs.String(), "level=ERROR") {
		t.Errorf("the log has errors:\n%s", p.logs)
	}
}

func TestGatewayGone(t *testing.T) {
	p := newPlane(t)
	port := freePorts(1)[0]
	if err := p.apply(configOf(1, nil, listenerOn(port, "", toolsBackend))); err != nil {
		t.Fatal(err)
	}
	ended := p.listenTo(port, p.open(port))
	if err := p.apply(&translate.Config{}); err != nil {
		t.Fatal(err)
	}
	within(t, "the end of the stream", ended)
	// A connection that is open already may still be told so; none is taken any more.
	if a, err := p.do(http.MethodPost, port, "/mcp", initialize, nil); err == nil && a.status != http.StatusNotFound {
		t.Errorf("the port is still served: %d %s", a.status, a.body)
	}
	p.client.CloseIdleConnections()
	if a, err := p.do(http.MethodPost, port, "/mcp", initialize, nil); err == nil {
		t.Errorf("the port still takes connections: %d %s", a.status, a.body)
	}
	if p.ready(0) != nil || p.ready(1) == nil {
		t.Errorf("got %v, %v", p.ready(0), p.ready(1))
	}
}

func TestDrain(t *testing.T) {
	t.Run("streams end and calls go on", func(t *testing.T) {
		p := newPlane(t)
		m := newMCPServer(t)
		port := freePorts(1)[0]
		if err := p.apply(configOf(1, m.targets, listenerOn(port, "", toolsBackend))); err != nil {
			t.Fatal(err)
		}
		id := p.open(port)
		ended := p.listenTo(port, id)
		answers := m.start(p, port, id)
		done := p.drained(patience)
		within(t, "the end of the stream", ended)
		// Whoever asks whether the proxy is ready gets an answer while it drains.
		eventually(t, "not ready because it drains", func() bool {
			err := p.ready(0)
			return err != nil && err.Error() == "the proxy is draining"
		})
		select {
		case <-done:
			t.Error("it has drained with a call in flight")
		default:
		}
		close(m.letGo)
		if a := within(t, "the answer", answers); a.status != http.StatusOK || !strings.Contains(a.body, `"result"`) {
			t.Errorf("the call in flight: %d %s", a.status, a.body)
		}
		within(t, "the end", done)
		if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.request(http.MethodGet, port, "/", "", nil).Host); err == nil {
			t.Error("the port is still bound")
		}
	})
	t.Run("what does not end in time is cut off", func(t *testing.T) {
		p := newPlane(t)
		m := newMCPServer(t)
		port := freePorts(1)[0]
		if err := p.apply(configOf(1, m.targets, listenerOn(port, "", toolsBackend))); err != nil {
			t.Fatal(err)
		}
		answers := m.start(p, port, p.open(port))
		within(t, "the end", p.drained(50*time.Millisecond))
		if a := within(t, "the failure", answers); a.status != 0 {
			t.Errorf("the call has an answer: %d %s", a.status, a.body)
		}
	})
	t.Run("a removed port does not hold it up", func(t *testing.T) {
		p := newPlane(t)
		m := newMCPServer(t)
		port := freePorts(1)[0]
		if err := p.apply(configOf(1, m.targets, listenerOn(port, "", toolsBackend))); err != nil {
			t.Fatal(err)
		}
		_ = m.start(p, port, p.open(port))
		if err := p.apply(configOf(2, m.targets)); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		within(t, "the end", p.drained(50*time.Millisecond))
		if took := time.Since(begun); took > drainOfPort/2 {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("nothing is bound or reported afterwards", func(t *testing.T) {
		p := newPlane(t)
		port := freePorts(1)[0]
		p.drain(time.Second)
		_ = p.apply(configOf(1, nil, listenerOn(port, "", toolsBackend)))
		if _, err := p.do(http.MethodPost, port, "/mcp", initialize, nil); err == nil {
			t.Error("a port was bound after the end")
		}
		if err := p.ready(0); err == nil || err.Error() != "the proxy is draining" {
			t.Errorf("got %v", err)
		}
	})
}

func TestLeavingProxyServesOnAndHasClientsConnectAnew(t *testing.T) {
	p := newPlane(t)
	port := freePorts(1)[0]
	if err := p.apply(configOf(1, nil, listenerOn(port, "", toolsBackend))); err != nil {
		t.Fatal(err)
	}
	connections := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				connections++
			}
		},
	})
	post := func() {
		t.Helper()
		response, err := p.client.Do(p.request(http.MethodPost, port, "/mcp", initialize, nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("got %d", response.StatusCode)
		}
	}
	post()
	post()
	p.leave()
	if err := p.ready(0); !errors.Is(err, errDraining) {
		t.Errorf("it should be sent no more requests: %v", err)
	}
	post() // The last one of its connection.
	post()
	post()
	if connections != 3 {
		t.Errorf("%d connections, want 3", connections)
	}
	if err := p.apply(configOf(2, nil, listenerOn(port, "", toolsBackend))); err != nil || p.current.Load().config.Generation != 2 {
		t.Errorf("configurations are no longer taken over: %v", err)
	}
}

func TestPortsOfBindAddress(t *testing.T) {
	p := newPlane(t)
	for _, bind := range []string{"", "127.0.0.1", "::1", "[::1]"} {
		if bind == "::1" && !slices.ContainsFunc(loopbacks(t), func(ip net.IP) bool { return ip.To4() == nil }) {
			break
		}
		p.bind = bind
		port := freePorts(1)[0]
		if err := p.apply(configOf(1, nil, listenerOn(port, "", toolsBackend))); err != nil {
			t.Errorf("%q: %v", bind, err)
		}
	}
}

// loopbacks returns this machine's loopback addresses.
func loopbacks(t *testing.T) []net.IP {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var found []net.IP
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsLoopback() {
			found = append(found, n.IP)
		}
	}
	return found
}
