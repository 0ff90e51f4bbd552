//go:build linux

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

package main

import (
	"bytes"
	"context"
	"errors"
	"expvar"
	"flag"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/stub"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// runStub serves a stub until the context ends.
func runStub(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("stub", flag.ContinueOnError)
	var addresses []string
	flags.Func("address", "HOST:PORT or HOST:FIRST-LAST on IPv4 loopback; may be repeated. Every path that ends in mcp is an "+
		"endpoint", func(v string) error {
		addresses = append(addresses, v)
		return nil
	})
	loops := flags.Int("loops", 1, "event loops, each a thread")
	config := stub.Default()
	for name, usage := range stub.Settings() {
		flags.Func(name, usage, func(v string) error { return config.Set(name, v) })
	}
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if len(addresses) == 0 {
		addresses = []string{"127.0.0.1:19101"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := stub.New(config)
	var all []*stub.Loop
	for range *loops {
		loop, err := server.Listen(addresses...)
		if err != nil {
			return err
		}
		all = append(all, loop)
	}
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, loop := range all {
		running.Go(func() {
			errs[i] = loop.Run(ctx)
			cancel() // one loop alone would leave connections unanswered
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// maxBody is how long a request through the reverse proxy may be.
const maxBody = 8 << 20

// runReverseProxy serves what a gateway in Go costs at least: httputil.ReverseProxy, which knows nothing of MCP. It reads
// the request's body first: while a body is streamed, replies that come before its end are cut short now and then.
func runReverseProxy(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("rproxy", flag.ContinueOnError)
	address := flags.String("address", "127.0.0.1:19230", "HOST:PORT to serve, on IPv4 loopback")
	upstream := flags.String("upstream", "http://127.0.0.1:19101", "URL of the server behind it")
	stats := flags.String("stats", "", "HOST:PORT for /debug/vars, on IPv4 loopback (default: none)")
	pool := flags.Bool("pool", false, "reuse the 32 KB buffers for replies, which ReverseProxy does not by itself")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	to, err := url.Parse(*upstream)
	if err != nil {
		return err
	}
	servers := map[string]http.Handler{*address: reverseProxy(to, *pool)}
	if *stats != "" {
		servers[*stats] = expvar.Handler()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(servers))
	for address, handler := range servers {
		if _, err := wire.Loopback(address); err != nil {
			return err
		}
		server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		defer context.AfterFunc(ctx, func() { _ = server.Close() })()
		go func() { errs <- server.ListenAndServe() }()
	}
	var all error
	for range servers {
		if err := <-errs; !errors.Is(err, http.ErrServerClosed) {
			all = errors.Join(all, err)
		}
		cancel()
	}
	return all
}

func reverseProxy(to *url.URL, pool bool) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DisableCompression = true
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 1024
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
	}
	if pool {
		proxy.BufferPool = &bufferPool{}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(r)
		if err != nil {
			http.Error(w, "can't read the body", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		proxy.ServeHTTP(w, r)
	})
}

func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(io.LimitReader(r.Body, maxBody))
	}
	body := make([]byte, min(r.ContentLength, maxBody))
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// bufferPool implements httputil.BufferPool.
type bufferPool struct{ pool sync.Pool }

// Get returns a buffer.
func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return make([]byte, 32<<10)
}

// Put takes a buffer back.
func (p *bufferPool) Put(b []byte) { p.pool.Put((*[32 << 10]byte)(b)) }
