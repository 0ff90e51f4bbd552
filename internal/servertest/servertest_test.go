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

package servertest

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type key struct{}

// Clients that come back whenever their stream ends, until nobody listens.
func TestCloseEndsRequestsOfClientsThatComeBack(t *testing.T) {
	s := NewUnstarted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) == nil {
			t.Error("the context is not made of the server's own")
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	s.Config.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, true) }
	s.Start()
	transport := &http.Transport{}
	opened := make(chan struct{}, 1000)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL, nil)
				if err != nil {
					t.Error(err)
					return
				}
				response, err := transport.RoundTrip(r)
				if err != nil {
					connection, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", s.Listener.Addr().String())
					if err != nil {
						return
					}
					_ = connection.Close()
					continue
				}
				select {
				case opened <- struct{}{}:
				default:
				}
				_, _ = response.Body.Read(make([]byte, 1))
				_ = response.Body.Close()
			}
		})
	}
	<-opened
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
		s.Close()
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not end")
	}
	clients.Wait()
	transport.CloseIdleConnections()
}

func TestFreePortIsNobodys(t *testing.T) {
	given := map[int]bool{}
	for _, port := range append(FreePorts(20), FreePort("127.0.0.2")) {
		if given[port] {
			t.Errorf("port %d was given twice", port)
		}
		given[port] = true
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("port %d: %v", port, err)
			continue
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	// The ports after those are taken now, or not: they are passed over.
	nextPort.Store(nextPort.Load() - 21)
	if port := FreePort("127.0.0.1"); given[port] {
		t.Errorf("port %d is given though it is taken", port)
	}
}
