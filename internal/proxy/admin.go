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
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Admin is what an admin endpoint shows.
type Admin struct {
	// Ready returns nil once what there is of that generation is served; asked about 0, while requests are well sent here.
	Ready func(generation int64) error
	// KeyRing returns the id of the ring of keys that seal sessions; empty if there are none yet.
	KeyRing func() string
	// Config returns the configuration, which has no secrets, as a value to encode as JSON.
	Config  func() any
	Metrics prometheus.Gatherer
	// Profiling adds /debug/pprof, for requests from this machine only.
	Profiling bool
}

// serveAdmin serves the admin endpoint of one data plane until the context ends.
func serveAdmin(ctx context.Context, listener net.Listener, data *dataPlane, registry prometheus.Gatherer, o *Options) error {
	return Admin{
		Ready: data.ready, KeyRing: data.keyRing, Config: func() any { return data.dump() }, Metrics: registry, Profiling: o.Profiling,
	}.Serve(ctx, listener, o.Log)
}

// Serve serves the admin endpoint until the context ends: /metrics, /healthz, /readyz, /config, and /debug/pprof if wanted.
func (a Admin) Serve(ctx context.Context, listener net.Listener, log *slog.Logger) error {
	s := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          serverLog(log),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the admin endpoint: %w", err)
	}
	return nil
}

func (a Admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", a.serveReady)
	mux.HandleFunc("GET /config", thisMachineOnly(a.serveConfig))
	if a.Profiling {
		mux.HandleFunc("GET /debug/pprof/", thisMachineOnly(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/profile", thisMachineOnly(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/trace", thisMachineOnly(pprof.Trace))
	}
	return mux
}

// serveReady answers 200 from the first snapshot that is served on all ports until the proxy drains: what probes and load
// balancers want to know. With ?generation=N it answers 200 while the newest snapshot is served on all ports and is of that
// generation of the Gateway or a later one: what the manager wants to know. Otherwise 503 and the reason. Either says which
// key ring is used: keys rotate only once all replicas have those that are stored.
func (a Admin) serveReady(w http.ResponseWriter, r *http.Request) {
	if id := a.KeyRing(); id != "" {
		w.Header().Set(keyring.Header, id)
	}
	var generation int64
	if asked := r.URL.Query().Get("generation"); asked != "" {
		var err error
		if generation, err = strconv.ParseInt(asked, 10, 64); err != nil {
			http.Error(w, "generation must be a number", http.StatusBadRequest)
			return
		}
	}
	if err := a.Ready(generation); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// configDump is what /config shows.
type configDump struct {
	// Generation of the Gateway that is served.
	Generation int64
	// Problem is why the newest configuration is not served, if so.
	Problem string `json:",omitempty"`
	// KeyRing is the id of the ring of keys that seal sessions. The keys themselves are nowhere to be seen.
	KeyRing string `json:",omitempty"`
	// KeyProblem is why newer keys are not used, if so.
	KeyProblem string `json:",omitempty"`
	Listeners  []httproute.Listener
	Backends   map[string]*config.Backend
}

// thisMachineOnly serves requests from this machine only, and not those of a web page whose name was made to resolve to
// this machine.
func thisMachineOnly(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() || !namesLoopback(r.Host) {
			http.Error(w, r.URL.Path+" is for requests from this machine only", http.StatusForbidden)
			return
		}
		serve(w, r)
	}
}

// serveConfig shows the snapshot. There are no secrets in it: certificates are public, and keys are elsewhere.
func (a Admin) serveConfig(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(a.Config())
}

// dump returns what is served.
func (d *dataPlane) dump() configDump {
	dump := configDump{KeyRing: d.keyRing()}
	if err := d.keyProblem(); err != nil {
		dump.KeyProblem = err.Error()
	}
	if err := d.newestProblem(); err != nil {
		dump.Problem = err.Error()
	}
	if s := d.current.Load(); s != nil {
		dump.Generation, dump.Listeners = s.config.Generation, s.config.Listeners
		dump.Backends = s.config.Backends
	}
	return dump
}

// namesLoopback returns whether a Host header names this machine.
func namesLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.Unmap().IsLoopback()
}
