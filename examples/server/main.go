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

// A small MCP server of the Go SDK, to put behind a gateway: `make run` starts it twice, under two names and with
// different tools. What it offers is in tools.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// options are the flags.
type options struct {
	address   string
	name      string
	tools     string
	hosts     string
	stateless bool
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "127.0.0.1:3001", "where to listen; port 0 takes any free one")
	flag.StringVar(&o.name, "name", "everything", "the name that the server tells clients")
	flag.StringVar(&o.tools, "tools", "echo,add,countdown,greet", "the tools to offer, of: "+strings.Join(toolNames(), ", "))
	flag.StringVar(&o.hosts, "hosts", "", "names that the server may be called by beside localhost, comma-separated: "+
		"a gateway calls it by the name of its Service")
	flag.BoolVar(&o.stateless, "stateless", false, "keep no sessions; greet then needs a client of MCP 2026-07-28 or later")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, o options) error {
	server, err := newServer(o.name, strings.Split(o.tools, ","))
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.address)
	if err != nil {
		return err
	}
	fmt.Printf("MCP server %q with the tools %s at http://%s/mcp\n", o.name, o.tools, listener.Addr())
	return serve(ctx, listener, newHandler(server, o))
}

// newHandler returns the MCP endpoint. The SDK lets only localhost call a server on a loopback address, so that no web
// page can reach it through a name of its own (DNS rebinding). Where a gateway calls it by another name, those names are
// checked here instead.
func newHandler(server *mcp.Server, o options) http.Handler {
	mcpOptions := &mcp.StreamableHTTPOptions{Stateless: o.stateless, DisableLocalhostProtection: o.hosts != ""}
	endpoint := http.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, mcpOptions))
	if o.hosts != "" {
		endpoint = onlyHosts(append(strings.Split(o.hosts, ","), "localhost", "127.0.0.1", "::1"), endpoint)
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", endpoint)
	return mux
}

// onlyHosts answers requests for other hosts with 403.
func onlyHosts(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !slices.Contains(hosts, strings.Trim(host, "[]")) {
			http.Error(w, fmt.Sprintf("this server is not called %q: see --hosts", host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve serves until ctx ends, and then closes: open streams end with ctx, and whatever still runs gets a second.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		closed <- err
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-closed
}
