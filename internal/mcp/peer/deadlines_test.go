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

package peer

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// inBubble returns Peers whose connections have at their other end what peers has for their address: a function that gets
// the connection once the request's header has been read, and after which the connection is closed.
func inBubble(t *testing.T, peers map[string]func(net.Conn)) *Peers {
	t.Helper()
	ring := newRing(t)
	var serving sync.WaitGroup
	p := New(Options{
		Self: "10.0.0.1:1", Keys: func() *session.KeyRing { return ring }, Limits: config.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context) ([]string, error) {
			addresses := []string{"10.0.0.1:1"}
			for address := range peers {
				addresses = append(addresses, address)
			}
			return addresses, nil
		},
	})
	p.transport.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		here, there := net.Pipe()
		serving.Go(func() {
			defer func() { _ = there.Close() }()
			reader := bufio.NewReader(there)
			if _, err := http.ReadRequest(reader); err != nil {
				t.Error(err)
				return
			}
			peers[address](there)
			_, _ = io.Copy(io.Discard, reader) // Until the connection is closed.
		})
		return here, nil
	}
	t.Cleanup(func() {
		p.Close()
		serving.Wait()
	})
	return p
}

const servedOK = "HTTP/1.1 200 OK\r\nDynamic-Mcp-Peer: served\r\n"

func TestASilentHomeIsGivenUp(t *testing.T) {
	silence := config.DefaultLimits().InitializeTimeout + config.DefaultLimits().CallTimeout + grace
	for name, test := range map[string]struct {
		home    func(net.Conn)
		took    time.Duration
		aborted bool
		status  int
		body    string
	}{
		"before the answer": {func(net.Conn) {}, silence, false, http.StatusBadGateway,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"the replica of the gateway that holds this session gave no answer"}}`},
		"in a stream": {func(c net.Conn) {
			_, _ = io.WriteString(c, servedOK+"\r\ndata: 1\n")
			time.Sleep(silence - 1)
			_, _ = io.WriteString(c, "data: 2\n")
		}, 2*silence - 1, true, http.StatusOK, "data: 1\ndata: 2\n"},
		"not in a stream that goes on": {func(c net.Conn) {
			_, _ = io.WriteString(c, servedOK+"Content-Length: 40\r\n\r\n")
			for range 10 {
				time.Sleep(silence - 1)
				_, _ = io.WriteString(c, ": a\n")
			}
		}, 10 * (silence - 1), false, http.StatusOK, ": a\n: a\n: a\n: a\n: a\n: a\n: a\n: a\n: a\n: a\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := inBubble(t, map[string]func(net.Conn){"10.0.0.2:1": test.home})
				w := httptest.NewRecorder()
				begun := time.Now()
				func() {
					defer func() {
						if aborted := recover() != nil; aborted != test.aborted {
							t.Errorf("aborted: %v", aborted)
						}
					}()
					if err := p.Forward(w, httptest.NewRequest(http.MethodGet, "/mcp", nil), nil, "default/tools", "10.0.0.2:1"); err != nil {
						t.Error(err)
					}
				}()
				if took := time.Since(begun); took != test.took || w.Code != test.status || w.Body.String() != test.body {
					t.Errorf("after %s: got %d %s", took, w.Code, w.Body)
				}
			})
		})
	}
}

func TestTellingWaitsForNobodyWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 2)
		p := inBubble(t, map[string]func(net.Conn){
			"10.0.0.2:1": func(net.Conn) { told <- "silent" },
			"10.0.0.3:1": func(c net.Conn) {
				told <- "answers"
				_, _ = io.WriteString(c, servedOK+"Content-Length: 0\r\n\r\n")
			},
		})
		begun := time.Now()
		p.Tell(t.Context(), httptest.NewRequest(http.MethodDelete, "/mcp", nil), nil, "default/tools")
		if took := time.Since(begun); took != tellTimeout || len(told) != 2 {
			t.Errorf("it took %s, and %d were told", took, len(told))
		}
	})
}

func TestTheEnvironmentNamesNoProxyForPeers(t *testing.T) {
	p := New(Options{})
	defer p.Close()
	if p.transport.Proxy != nil {
		t.Error("requests may go by a proxy that the environment names")
	}
}
