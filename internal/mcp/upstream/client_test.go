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

package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

func TestRequestIsSentAsItIs(t *testing.T) {
	t.Parallel()
	type got struct {
		host, path, query, body string
		header                  http.Header
	}
	seen := make(chan got, 1)
	_, address := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- got{r.Host, r.URL.Path, r.URL.RawQuery, string(body), r.Header}
	})
	for _, c := range []struct {
		name   string
		change func(*config.Target)
		host   string
		path   string
	}{
		{"the standard port is left out of Host", func(*config.Target) {}, "tools.default.svc.cluster.local", "/secret-path/mcp"},
		{"another port is not", func(t *config.Target) { t.Port = 8080 }, "tools.default.svc.cluster.local:8080", "/secret-path/mcp"},
		{"the port of https is another one", func(t *config.Target) { t.Port = 443 }, "tools.default.svc.cluster.local:443", "/secret-path/mcp"},
		{"an IPv6 address has brackets", func(t *config.Target) { t.Host = "fd00::1" }, "[fd00::1]", "/secret-path/mcp"},
		{"with a port too", func(t *config.Target) { t.Host, t.Port = "fd00::1", 81 }, "[fd00::1]:81", "/secret-path/mcp"},
		{"a path that looks like a host stays a path", func(t *config.Target) { t.Path = "//evil.example/mcp" }, "tools.default.svc.cluster.local", "//evil.example/mcp"},
	} {
		client := newClient(t)
		target := testTarget(address)
		c.change(target)
		header := http.Header{"Content-Type": {"application/json"}, "Mcp-Session-Id": {"token"}, "User-Agent": {client.UserAgent()}}
		status, endpoint, err := post(t.Context(), t, client, compile(t, client, target), &Request{Header: header, Body: []byte(`{"x":1}`)})
		if err != nil || status != http.StatusOK || endpoint != address {
			t.Fatalf("%s: %d %q %v", c.name, status, endpoint, err)
		}
		g := <-seen
		if g.host != c.host || g.path != c.path || g.query != "" || g.body != `{"x":1}` {
			t.Errorf("%s: got %+v", c.name, g)
		}
		if g.header.Get("Mcp-Session-Id") != "token" || g.header.Get("User-Agent") != "dynamic-mcp/test" || g.header.Get("Accept-Encoding") != "" {
			t.Errorf("%s: got %v", c.name, g.header)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*config.Target)
		want   string
	}{
		{"no path", func(t *config.Target) { t.Path = "" }, "its path is not an absolute path"},
		{"relative path", func(t *config.Target) { t.Path = "mcp" }, "its path is not an absolute path"},
		{"URL", func(t *config.Target) { t.Path = "http://evil.example/mcp" }, "its path is not an absolute path"},
		{"opaque URL", func(t *config.Target) { t.Path = "http:mcp" }, "its path is not an absolute path"},
		{"asterisk", func(t *config.Target) { t.Path = "*" }, "its path is not an absolute path"},
		{"line end", func(t *config.Target) { t.Path = "/mcp\r\nX-Evil: 1" }, "its path is not an absolute path"},
		{"TLS without a name", func(t *config.Target) { t.TLS = &config.TLS{} }, "its TLS configuration has no server name"},
		{"CA bundle without a certificate", func(t *config.Target) { t.TLS = &config.TLS{ServerName: "x", CABundle: "none"} }, "its CA bundle has no certificate"},
	} {
		bad, good := testTarget("10.0.0.1:80"), testTarget("10.0.0.2:80")
		c.change(bad)
		compiled, errs := newClient(t).Compile([]*config.Target{bad, good})
		if errs[0] == nil || errs[0].Error() != c.want || compiled[0] != nil {
			t.Errorf("%s: got %v, want %q", c.name, errs[0], c.want)
		}
		if errs[1] != nil || !compiled[1].Has("10.0.0.2:80") || compiled[1].Has("10.0.0.1:80") {
			t.Errorf("%s: the other target: %v", c.name, errs[1])
		}
	}
}

func TestEndpointChoice(t *testing.T) {
	t.Parallel()
	t.Run("load is spread", func(t *testing.T) {
		t.Parallel()
		_, a := newServer(t, func(http.ResponseWriter, *http.Request) {})
		_, b := newServer(t, func(http.ResponseWriter, *http.Request) {})
		c := newClient(t)
		target := compile(t, c, testTarget(a, b))
		used := map[string]int{}
		for range 100 { // Both are used, but for a chance of 2 in 2^100.
			_, endpoint, err := post(t.Context(), t, c, target, &Request{})
			if err != nil {
				t.Fatal(err)
			}
			used[endpoint]++
		}
		if used[a] == 0 || used[b] == 0 || used[a]+used[b] != 100 {
			t.Errorf("got %v", used)
		}
	})
	t.Run("endpoints that refuse are passed over", func(t *testing.T) {
		t.Parallel()
		var requests atomic.Int32
		_, good := newServer(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
		c := newClient(t)
		target := compile(t, c, testTarget(refusing(t), good, refusing(t)))
		for i := range int32(30) {
			if _, endpoint, err := post(t.Context(), t, c, target, &Request{Body: []byte("{}")}); err != nil || endpoint != good {
				t.Fatalf("got %q, %v", endpoint, err)
			}
			if n := requests.Load(); n != i+1 {
				t.Fatalf("%d requests reached the server, want %d", n, i+1)
			}
		}
	})
	t.Run("all refuse", func(t *testing.T) {
		t.Parallel()
		c := newClient(t)
		_, _, err := post(t.Context(), t, c, compile(t, c, testTarget(refusing(t), refusing(t))), &Request{})
		wantReason(t, err, "it refuses connections")
	})
	t.Run("there are none", func(t *testing.T) {
		t.Parallel()
		c := newClient(t)
		_, _, err := post(t.Context(), t, c, compile(t, c, testTarget()), &Request{})
		wantReason(t, err, "it has no ready endpoints")
	})
	t.Run("a pinned endpoint is the only one", func(t *testing.T) {
		t.Parallel()
		_, a := newServer(t, func(http.ResponseWriter, *http.Request) {})
		_, b := newServer(t, func(http.ResponseWriter, *http.Request) {})
		c := newClient(t)
		target := compile(t, c, testTarget(a, b))
		for range 20 {
			if _, endpoint, err := post(t.Context(), t, c, target, &Request{Endpoint: b}); err != nil || endpoint != b {
				t.Fatalf("got %q, %v", endpoint, err)
			}
		}
	})
	t.Run("a pinned endpoint that refuses is not passed over", func(t *testing.T) {
		t.Parallel()
		_, a := newServer(t, func(http.ResponseWriter, *http.Request) { t.Error("the other endpoint was asked") })
		gone := refusing(t)
		c := newClient(t)
		_, _, err := post(t.Context(), t, c, compile(t, c, testTarget(a, gone)), &Request{Endpoint: gone})
		wantReason(t, err, "it refuses connections")
	})
	t.Run("a pinned endpoint that is not listed is never dialled", func(t *testing.T) {
		t.Parallel()
		_, listed := newServer(t, func(http.ResponseWriter, *http.Request) { t.Error("the other endpoint was asked") })
		_, unlisted := newServer(t, func(http.ResponseWriter, *http.Request) { t.Error("an endpoint that is not listed was asked") })
		c := newClient(t)
		_, _, err := post(t.Context(), t, c, compile(t, c, testTarget(listed)), &Request{Endpoint: unlisted})
		wantReason(t, err, "the endpoint that holds the session is gone")
	})
	t.Run("an endpoint that took the request is not passed over", func(t *testing.T) {
		t.Parallel()
		var requests atomic.Int32
		breaks := func(http.ResponseWriter, *http.Request) { requests.Add(1); panic(http.ErrAbortHandler) }
		_, a := newServer(t, breaks)
		_, b := newServer(t, breaks)
		c := newClient(t)
		_, _, err := post(t.Context(), t, c, compile(t, c, testTarget(a, b)), &Request{Body: []byte("{}")})
		wantReason(t, err, "it closed the connection without an answer")
		if n := requests.Load(); n != 1 {
			t.Errorf("%d requests were sent, want 1", n)
		}
	})
}

// A server may close an idle connection at any time, and servers on Node.js do so after 5 s. Once the client has seen it,
// no request meets that connection.
func TestConnectionClosedWhileIdle(t *testing.T) {
	t.Parallel()
	l := listen(t)
	var served sync.WaitGroup
	var connections atomic.Int32
	noticed := make(chan struct{}, 1)
	served.Go(func() {
		for {
			connection, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			served.Go(func() {
				defer func() { _ = connection.Close() }()
				buffer := make([]byte, 4096)
				if _, err := connection.Read(buffer); err != nil {
					return
				}
				_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				_ = connection.(*net.TCPConn).CloseWrite()
				// The client closes its side, once it has seen that the server has.
				_, _ = io.Copy(io.Discard, connection)
				noticed <- struct{}{}
			})
		}
	})
	defer served.Wait()
	defer func() { _ = l.Close() }()
	c := newClient(t)
	target := compile(t, c, testTarget(l.Addr().String()))
	for range 5 {
		response, _, err := c.Do(t.Context(), target, &Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		<-noticed
	}
	if n := connections.Load(); n != 5 {
		t.Errorf("%d connections, want 5", n)
	}
}

// The connection is closed after the request has been given it, and before anything is written to it.
func TestConnectionClosedWhenItIsAboutToBeUsed(t *testing.T) {
	t.Parallel()
	l := listen(t)
	var served sync.WaitGroup
	closeIdle, noticed := make(chan struct{}), make(chan struct{})
	var requests atomic.Int32
	served.Go(func() {
		for {
			connection, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer func() { _ = connection.Close() }()
				if _, err := connection.Read(make([]byte, 4096)); err != nil {
					return
				}
				requests.Add(1)
				_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				<-closeIdle
				_ = connection.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, connection)
				noticed <- struct{}{}
			})
		}
	})
	defer served.Wait()
	defer func() { _ = l.Close() }()
	c := newClient(t)
	target := compile(t, c, testTarget(l.Addr().String()))
	do := func(ctx context.Context) error {
		response, _, err := c.Do(ctx, target, &Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte("{}")})
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
		return err
	}
	if err := do(t.Context()); err != nil {
		t.Fatal(err)
	}
	reused := 0
	err := do(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if info.Reused {
			reused++
			closeIdle <- struct{}{}
			<-noticed
		}
	}}))
	if err != nil || reused != 1 || requests.Load() != 2 {
		t.Fatalf("got %v, %d connections reused, %d requests", err, reused, requests.Load())
	}
	closeIdle <- struct{}{}
	<-noticed
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	t.Run("the cause of the context is the reason", func(t *testing.T) {
		t.Parallel()
		_, address := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := newClient(t)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("no answer within 20ms"))
		defer cancel()
		_, _, err := post(ctx, t, c, compile(t, c, testTarget(address)), &Request{})
		wantReason(t, err, "no answer within 20ms")
	})
	t.Run("a client that goes", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		_, address := newServer(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
		c := newClient(t)
		_, _, err := post(ctx, t, c, compile(t, c, testTarget(address, address)), &Request{})
		wantReason(t, err, "the request was cancelled")
	})
	t.Run("the context bounds the body", func(t *testing.T) {
		t.Parallel()
		_, address := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		c := newClient(t)
		ctx, cancel := context.WithCancel(t.Context())
		response, _, err := c.Do(ctx, compile(t, c, testTarget(address)), &Request{Method: http.MethodGet, Header: http.Header{}, Stream: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		cancel()
		if _, err := response.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("connecting", func(t *testing.T) {
		t.Parallel()
		// What a dialer answers when its time is over.
		slow := &net.OpError{Op: "dial", Net: "tcp", Err: timeout{}}
		if got := explain(t.Context(), slow); got.kind != KindTimeout || got.reason != "connecting to it timed out" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("TLS handshake", func(t *testing.T) {
		t.Parallel()
		l := listen(t) // Never accepts: the connection is made, the handshake is not.
		c := newClient(t, func(o *Options) { o.Limits.ConnectTimeout = 20 * time.Millisecond })
		target := testTarget(l.Addr().String())
		target.TLS = &config.TLS{ServerName: "tools.example.com"}
		_, _, err := post(t.Context(), t, c, compile(t, c, target), &Request{})
		wantReason(t, err, "it did not answer in time")
	})
}

type timeout struct{}

func (timeout) Error() string   { return "dial tcp 127.0.0.1:1: i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestReasons(t *testing.T) {
	t.Parallel()
	alert := errors.New("tls: handshake failure")
	for _, c := range []struct {
		name string
		err  error
		kind Kind
		want string
	}{
		{"unknown name", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "secret.example.com"}}, KindDNS, "its name can't be resolved"},
		{"no route", &net.OpError{Op: "dial", Err: errors.New("connect: no route to host 127.0.0.1")}, KindConnect, "it can't be reached"},
		{"refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, KindConnect, "it refuses connections"},
		{"address", &net.OpError{Op: "dial", Err: ErrAddressRefused}, KindRefusedAddress, "its address is not permitted"},
		{"reset", &net.OpError{Op: "read", Err: errors.New("read 127.0.0.1: connection reset by peer")}, KindClosed, "the connection to it failed"},
		{"end of file", io.EOF, KindClosed, "it closed the connection without an answer"},
		{"closed while idle", errors.New("http: server closed idle connection"), KindClosed, "it closed the connection without an answer"},
		{"no TLS", tls.RecordHeaderError{Msg: "token"}, KindTLS, "it does not speak TLS"},
		{"certificate", x509.UnknownAuthorityError{}, KindTLS, "its TLS certificate can't be verified"},
		{"alert", &net.OpError{Op: "remote error", Err: alert}, KindTLS, "the TLS handshake with it failed"},
		{"own alert", &net.OpError{Op: "local error", Err: alert}, KindTLS, "the TLS handshake with it failed"},
		{"deadline", context.DeadlineExceeded, KindTimeout, "it did not answer in time"},
		{"cancelled", context.Canceled, KindCancelled, "the request was cancelled"},
		{"anything else", errors.New("malformed HTTP response \"token\""), KindOther, "the connection to it failed"},
	} {
		got := explain(t.Context(), c.err)
		wantReason(t, got.asError(&Target{Name: "tools"}), c.want)
		if got.kind != c.kind {
			t.Errorf("%s: got kind %q, want %q", c.name, got.kind, c.kind)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	_, elsewhere := newServer(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	_, address := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+elsewhere+"/", http.StatusTemporaryRedirect)
	})
	c := newClient(t)
	status, _, err := post(t.Context(), t, c, compile(t, c, testTarget(address)), &Request{Body: []byte("{}")})
	if err != nil || status != http.StatusTemporaryRedirect {
		t.Errorf("got %d, %v", status, err)
	}
}

func TestEnvironmentProxyIsNotUsed(t *testing.T) {
	_, proxy := newServer(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	t.Setenv("HTTP_PROXY", "http://"+proxy)
	t.Setenv("ALL_PROXY", "http://"+proxy)
	c := newClient(t)
	if pool := compile(t, c, testTarget("10.0.0.1:80")).transport; pool.Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
}

func TestTransportsAreReusedAndDropped(t *testing.T) {
	t.Parallel()
	_, address := newServer(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t)
	plain, secure, other := testTarget(address), testTarget(address), testTarget(address)
	secure.TLS = &config.TLS{ServerName: "a.example.com"}
	other.TLS = &config.TLS{ServerName: "b.example.com"}

	first, errs := c.Compile([]*config.Target{plain, secure, other, plain})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if first[0].transport != first[3].transport || first[0].transport == first[1].transport || first[1].transport == first[2].transport {
		t.Error("targets share a transport if, and only if, they connect in the same way")
	}
	if _, _, err := post(t.Context(), t, c, first[0], &Request{}); err != nil {
		t.Fatal(err)
	}
	second, _ := c.Compile([]*config.Target{plain, {Name: "b", Path: "/", TLS: &config.TLS{ServerName: "a.example.com"}}})
	if second[0].transport != first[0].transport || second[1].transport != first[1].transport {
		t.Error("transports were not reused")
	}
	if len(c.transports) != 2 {
		t.Errorf("%d transports, want 2", len(c.transports))
	}
	// A request that holds an older snapshot goes on.
	_, _ = c.Compile(nil)
	if len(c.transports) != 0 {
		t.Errorf("%d transports, want none", len(c.transports))
	}
	if status, _, err := post(t.Context(), t, c, first[0], &Request{}); err != nil || status != http.StatusOK {
		t.Errorf("on a dropped transport: %d, %v", status, err)
	}
	first[0].transport.CloseIdleConnections()
}

// An idle connection is not kept until the server closes it.
func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := New(Options{Limits: config.DefaultLimits()})
		target := compile(t, c, testTarget("10.0.0.1:80"))
		target.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return client, nil }
		closed := make(chan time.Time, 1)
		go func() {
			buffer := make([]byte, 4096)
			_, _ = server.Read(buffer)
			_, _ = io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, server)
			closed <- time.Now()
		}()
		begun := time.Now()
		if _, _, err := post(t.Context(), t, c, target, &Request{}); err != nil {
			t.Fatal(err)
		}
		if kept := (<-closed).Sub(begun); kept != idleTimeout || kept >= 5*time.Second {
			t.Errorf("the connection was kept for %s", kept)
		}
	})
}

func TestErrorUnwraps(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 127.0.0.1:80: connect: connection refused")
	err := &Error{Target: "tools", Reason: "it refuses connections", Err: cause}
	if !errors.Is(err, cause) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %v", err)
	}
}
