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
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/detached"
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
