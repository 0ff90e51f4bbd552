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
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// piped is a ResponseWriter with a connection from which nothing is read that the test does not read.
type piped struct {
	http.ResponseWriter
	connection net.Conn
}

func (p *piped) Hijack() (net.Conn, *bufio.ReadWriter, error) { return p.connection, nil, nil }

// TestClientThatDoesNotEvenTakeTheHeader: streams end whose clients take not a byte.
func TestClientThatDoesNotEvenTakeTheHeader(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.WriteTimeout = 50 * time.Millisecond }))
	id := g.open()
	for name, r := range map[string]*http.Request{
		"GET":      g.request(call{method: http.MethodGet, session: id, header: onlyStreams}),
		"HTTP+SSE": g.atSSE(call{method: http.MethodGet, header: onlyStreams}, ""),
		"listen":   g.request(subscribe("1", allLists).call()),
	} {
		t.Run(name, func(t *testing.T) {
			connection, client := net.Pipe()
			defer func() { _ = client.Close() }()
			streams := detached.New()
			w := &piped{httptest.NewRecorder(), connection}
			g.mcp.Serve(w, r.WithContext(streams.Context(t.Context())), g.mcp.current.Load(), testKey, Site{})
			down := make(chan struct{})
			go func() {
				defer close(down)
				streams.Shutdown(context.Background())
			}()
			select {
			case <-down:
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
		})
	}
}

// TestDetachedStreamsAreShownOnce: while they are open, and once they have ended.
func TestDetachedStreamsAreShownOnce(t *testing.T) {
	server := newFakeServer(t)
	registry, accessLog := prometheus.NewRegistry(), &lockedBuffer{}
	observed, err := telemetry.New(telemetry.Options{Registerer: registry, AccessLog: telemetry.NewAccessLog(accessLog)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observed.Close)
	g := newGateway(t, server.targets(), func(o *Options, b *config.Backend) {
		o.Telemetry = observed
		observed.SetBackends(map[string]*config.Backend{b.Key: b})
	})
	active := func(count float64) {
		t.Helper()
		eventually(t, "streams are counted", func() bool {
			total := 0.0
			for _, value := range samples(t, registry, "dynamic_mcp_active_streams") {
				total += value
			}
			return total == count
		})
	}
	id := g.open()
	eventually(t, "initialize is logged", func() bool { return strings.Count(accessLog.String(), "\n") == 1 })
	open := []*stream{g.listen(id, nil), g.connect().stream, g.listenTo("1", allLists, allLists)}
	active(float64(len(open)))
	if got := strings.Count(accessLog.String(), "\n"); got != 1 {
		t.Errorf("logged before the end: %s", accessLog)
	}
	for _, s := range open {
		s.close()
	}
	active(0)
	eventually(t, "the streams are logged", func() bool { return strings.Count(accessLog.String(), "\n") == 1+len(open) })
	lines := strings.Split(strings.TrimSpace(accessLog.String()), "\n")
	for _, line := range lines[1:] {
		if !strings.Contains(line, `"status":200`) || !strings.Contains(line, `"result":"ok"`) {
			t.Errorf("got %s", line)
		}
	}
}
