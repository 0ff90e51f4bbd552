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
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// serveAdminOf starts the admin endpoint of a data plane, and returns how to ask it.
func serveAdminOf(p *plane) func(path string) answer {
	p.t.Helper()
	listener, err := listenAdmin("127.0.0.1:0", "")
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serveAdmin(ctx, listener, p.dataPlane, p.registry, &Options{Log: p.log}) }()
	p.t.Cleanup(func() {
		cancel()
		if err := within(p.t, "the end of the admin endpoint", done); err != nil {
			p.t.Error(err)
		}
	})
	port := int32(listener.Addr().(*net.TCPAddr).Port)
	return func(path string) answer {
		p.t.Helper()
		a, err := p.do(http.MethodGet, port, path, "", nil)
		if err != nil {
			p.t.Fatal(err)
		}
		return a
	}
}

func TestAdminEndpoint(t *testing.T) {
	p := newPlane(t)
	get := serveAdminOf(p)
	type want struct {
		path   string
		status int
		body   string
	}
	check := func(wants ...want) {
		t.Helper()
		for _, w := range wants {
			if a := get(w.path); a.status != w.status || !strings.Contains(a.body, w.body) {
				t.Errorf("%s: got %d %s, want %d %s", w.path, a.status, a.body, w.status, w.body)
			}
		}
	}
	check(
		want{"/healthz", http.StatusOK, "ok\n"},
		want{"/readyz", http.StatusServiceUnavailable, "no configuration yet\n"},
		want{"/config", http.StatusOK, `"Problem": "no configuration yet"`},
		want{"/", http.StatusNotFound, ""},
	)
	if err := p.apply(configOf(7, nil)); err != nil {
		t.Fatal(err)
	}
	check(
		want{"/readyz", http.StatusOK, "ok\n"},
		want{"/readyz?generation=7", http.StatusOK, "ok\n"},
		want{"/readyz?generation=6", http.StatusOK, "ok\n"},
		want{"/readyz?generation=8", http.StatusServiceUnavailable, "generation 7 of the Gateway is served, not yet 8\n"},
		want{"/readyz?generation=x", http.StatusBadRequest, "generation must be a number\n"},
		want{"/metrics", http.StatusOK, "dynamic_mcp_snapshot_generation 7\n"},
		want{"/metrics", http.StatusOK, "go_goroutines "},
	)
	p.drain(0)
	check(want{"/readyz", http.StatusServiceUnavailable, "the proxy is draining\n"}, want{"/healthz", http.StatusOK, "ok\n"})
}

func TestConfigDump(t *testing.T) {
	p := newPlane(t)
	get := serveAdminOf(p)
	port := freePorts(1)[0]
	c := configOf(7, []config.Target{
		{Name: "first", Service: "a", Protocol: config.StreamableHTTP, Host: "a", Port: 443, Path: "/", Endpoints: []string{"10.0.0.1:443"},
			TLS: &config.TLS{ServerName: "a.example.com"}},
		{Name: "second", Service: "b", Protocol: config.StreamableHTTP, Host: "b", Port: 80, Path: "/", Unready: "it has no ready endpoints"},
	}, listenerOn(port, "mcp.example.com", toolsBackend))
	if err := p.apply(c); err != nil {
		t.Fatal(err)
	}
	a := get("/config")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var dump configDump
	if err := json.Unmarshal([]byte(a.body), &dump); err != nil {
		t.Fatal(err)
	}
	if dump.Generation != 7 || dump.Problem != "" || len(dump.Listeners) != 1 || dump.Listeners[0].Hostname != "mcp.example.com" {
		t.Errorf("got %+v", dump)
	}
	if b := dump.Backends["default/tools"]; b == nil || len(b.Targets) != 2 || b.Targets[0].TLS.ServerName != "a.example.com" || b.Targets[1].Unready == "" {
		t.Errorf("got %+v", b)
	}
}

func TestAdminEndpointSaysWhichKeysThereAre(t *testing.T) {
	p := newPlane(t)
	get := serveAdminOf(p)
	check := func(status int, want string) (config string) {
		t.Helper()
		if a := get("/readyz"); a.status != status || a.header.Get("Dynamic-Mcp-Key-Ring") != want {
			t.Errorf("/readyz: got %d, key ring %q; want %d, %q", a.status, a.header.Get("Dynamic-Mcp-Key-Ring"), status, want)
		}
		var dump configDump
		config = get("/config").body
		if err := json.Unmarshal([]byte(config), &dump); err != nil || dump.KeyRing != want {
			t.Errorf("/config: got key ring %q, %v; want %q", dump.KeyRing, err, want)
		}
		return config
	}
	p.mcp.UpdateKeys(nil) // as it begins
	check(http.StatusServiceUnavailable, "")
	first := newKeys(t)
	p.updateKeys(first)
	check(http.StatusServiceUnavailable, first.ID())
	if err := p.apply(configOf(1, nil)); err != nil {
		t.Fatal(err)
	}
	check(http.StatusOK, first.ID())
	second := promoted(t, first)
	p.updateKeys(second)
	config := check(http.StatusOK, second.ID())
	var keys map[string]any
	if data, err := second.Marshal(); err != nil || json.Unmarshal(data, &keys) != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"current", "next", "previous"} {
		if strings.Contains(config, keys[field].(string)) {
			t.Errorf("/config shows the %s key", field)
		}
	}
}

func TestConfigAndProfilesAreForThisMachineOnly(t *testing.T) {
	p := newPlane(t)
	admin := Admin{Config: func() any { return p.dump() }, Metrics: p.registry, Profiling: true}.handler()
	for _, c := range []struct {
		from, host string
		want       int
	}{
		{"127.0.0.1:4711", "127.0.0.1:19000", http.StatusOK},
		{"127.0.0.1:4711", "localhost:19000", http.StatusOK},
		{"127.0.0.1:4711", "localhost", http.StatusOK},
		{"[::1]:4711", "[::1]:19000", http.StatusOK},
		{"[::1]:4711", "[::1]", http.StatusOK},
		{"[::ffff:127.0.0.1]:4711", "127.0.0.1", http.StatusOK},
		{"10.0.0.1:4711", "127.0.0.1:19000", http.StatusForbidden},
		{"[fd00::1]:4711", "localhost", http.StatusForbidden},
		{"", "localhost", http.StatusForbidden},
		// A page of the web whose name was made to resolve to this machine.
		{"127.0.0.1:4711", "rebound.evil.example:19000", http.StatusForbidden},
		{"127.0.0.1:4711", "localhost.evil.example", http.StatusForbidden},
		{"127.0.0.1:4711", "", http.StatusForbidden},
	} {
		for _, path := range []string{"/config", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1"} {
			if c.want == http.StatusOK && strings.Contains(path, "seconds") {
				continue // takes a second
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.RemoteAddr, r.Host = c.from, c.host
			w := httptest.NewRecorder()
			admin.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s from %q with Host %q: got %d, want %d", path, c.from, c.host, w.Code, c.want)
			}
			if w.Code != http.StatusOK && strings.Contains(w.Body.String(), "{") {
				t.Errorf("%s from %q with Host %q: got %s", path, c.from, c.host, w.Body)
			}
		}
	}
}

func TestProfilesAreOffUnlessAskedFor(t *testing.T) {
	get := serveAdminOf(newPlane(t))
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile"} {
		if a := get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: got %d", path, a.status)
		}
	}
}

func TestAdminAddressFile(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := filepath.Join(directory, "admin-address")
	if err := os.WriteFile(file, []byte("of an earlier process, and longer than an address is\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = before.Close() }()
	listener, err := listenAdmin("127.0.0.1:0", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	written, err := os.ReadFile(file)
	if err != nil || string(written) != listener.Addr().String()+"\n" {
		t.Errorf("got %q, %v", written, err)
	}
	// The file was replaced, not overwritten: whoever had it open reads the old one to its end.
	old := make([]byte, 100)
	if n, _ := before.Read(old); string(old[:n]) != "of an earlier process, and longer than an address is\n" {
		t.Errorf("the old file has %q", old[:n])
	}
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestAdminAddressFileThatCantBeWritten(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := filepath.Join(directory, "admin-address")
	if err := os.MkdirAll(filepath.Join(file, "in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAdmin("127.0.0.1:0", file); err == nil || !strings.Contains(err.Error(), "write the admin endpoint's address") {
		t.Errorf("got %v", err)
	}
	if _, err := listenAdmin("127.0.0.1:0", filepath.Join(directory, "missing", "file")); err == nil {
		t.Error("a directory that is missing is no error")
	}
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestAdminPortInUse(t *testing.T) {
	t.Parallel()
	taken := occupy(t, 0)
	file := filepath.Join(t.TempDir(), "admin-address")
	if _, err := listenAdmin(taken.Addr().String(), file); err == nil || !strings.Contains(err.Error(), "bind the admin endpoint") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the address was written all the same: %v", err)
	}
}
