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
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/server"
)

// pipes is a listener whose connections are pipes, which take nothing that is not read at the other end.
type pipes struct {
	net.Listener // For its address.
	connections  chan net.Conn
	close        func()
}

func newPipes(t *testing.T) *pipes {
	bound, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = bound.Close()
	p := &pipes{Listener: bound, connections: make(chan net.Conn)}
	p.close = sync.OnceFunc(func() { close(p.connections) })
	return p
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	connection, ok := <-p.connections
	if !ok {
		return nil, net.ErrClosed
	}
	return connection, nil
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.close()
	return nil
}

// connect returns a client's end of a new connection.
func (p *pipes) connect(t *testing.T) net.Conn {
	here, there := net.Pipe()
	p.connections <- there
	t.Cleanup(func() { _ = here.Close() })
	return here
}

const aPost = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n"

// TestSlowClientsAreGivenUp: whatever a client does not send or does not take, its connection ends.
func TestSlowClientsAreGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		client func(c net.Conn) // Returns once the connection has ended.
		within time.Duration
	}{
		"nothing is sent":          {untilClosed(""), 10 * time.Second},
		"half of a header":         {untilClosed("POST /mcp HTTP/1.1\r\nHost: loc"), 10 * time.Second},
		"half of a body":           {untilClosed(aPost + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"), bodyTimeout},
		"half of a chunked body":   {untilClosed(aPost + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"), bodyTimeout},
		"a body that nobody wants": {untilClosed(aPost + "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n{"), bodyTimeout},
		"a body of a GET":          {untilClosed("GET /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"), bodyTimeout},
		"the next request":         {untilClosed("GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"), idleTimeout},
		"no answer is taken": {func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
					return
				}
			}
		}, config.DefaultLimits().WriteTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlane(t)
				if err := p.apply(configOf(1, nil)); err != nil {
					t.Fatal(err)
				}
				listener := newPipes(t)
				l := p.serveOn(listener, maxHeader, func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, "/mcp") {
						p.mcp.Serve(w, r, p.current.Load().backends, "default/tools", server.Site{})
						return
					}
					http.NotFound(w, r)
				})
				defer l.shutdown(t.Context())
				begun := time.Now()
				test.client(listener.connect(t))
				if took := time.Since(begun); took > test.within {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// untilClosed sends something and reads what is answered, until the connection is closed.
func untilClosed(sent string) func(net.Conn) {
	return func(c net.Conn) {
		go func() { _, _ = io.WriteString(c, sent) }()
		_, _ = io.Copy(io.Discard, c)
	}
}
