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
	"net/http"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

func (f *fakeServer) ended() bool { return len(f.requests(http.MethodDelete)) > 0 }

func TestSessionsThatNobodyGetsAreEnded(t *testing.T) {
	t.Run("the client goes while another server is silent", func(t *testing.T) {
		server, silent := newFakeServer(t), newFakeServer(t)
		silent.stalls = "initialize"
		g := newGateway(t, []config.Target{server.named("a"), silent.named("b")})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			eventually(t, "both are asked", func() bool {
				return len(server.requests("initialize")) == 1 && len(silent.requests("initialize")) == 1
			})
			for range 100 {
				g.do(call{method: http.MethodGet}) // By now the answer is there.
			}
			cancel()
		}()
		if response, err := http.DefaultTransport.RoundTrip(g.request(call{body: initializeBody}).WithContext(ctx)); err == nil {
			_ = response.Body.Close()
			t.Fatalf("got %d", response.StatusCode)
		}
		eventually(t, "the session is ended", server.ended)
	})
	t.Run("another server is down, which fails the whole", func(t *testing.T) {
		server, down := newFakeServer(t), newFakeServer(t)
		g := newGateway(t, []config.Target{server.named("a"), down.named("b")}, withBackend(func(b *config.Backend) { b.FailureMode = config.FailClosed }))
		down.server.Close()
		if got := g.do(call{body: initializeBody}); !strings.Contains(got.body, "unavailable") {
			t.Fatalf("got %s", got.body)
		}
		eventually(t, "the session is ended", server.ended)
	})
	t.Run("the answer breaks off", func(t *testing.T) {
		server := newFakeServer(t)
		server.initializeResult = strings.Repeat("x", 1000)
		g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.MaxMessage = 1000 }))
		g.open()
		eventually(t, "the session is ended", server.ended)
	})
	t.Run("the server does not take what follows", func(t *testing.T) {
		server := newFakeServer(t)
		server.taken = func(*message) { panic(http.ErrAbortHandler) }
		g := newGateway(t, nil)
		id := g.open()
		g.update(testBackend(server.targets()))
		if got := g.do(call{body: callBody, session: id}); !strings.Contains(got.body, "unavailable") {
			t.Fatalf("got %s", got.body)
		}
		eventually(t, "the session is ended", server.ended)
	})
}
