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

// Package proxy is the data plane's process: it watches the objects around one Gateway, translates them, and serves
// what comes out of it until the next change. It goes on serving while the API server is away.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// Options configure a proxy.
type Options struct {
	// Gateway to serve.
	Gateway types.NamespacedName
	// RestConfig says where the API server is.
	RestConfig *rest.Config
	// WatchNamespaces are the namespaces that objects are read from; empty for all.
	WatchNamespaces []string
	// BindAddress is the IP address that listeners bind; empty for all.
	BindAddress string
	// AdminAddress is "host:port" of the admin endpoint; port 0 for any free one.
	AdminAddress string
	// AdminAddressFile, if set, is where the admin endpoint's address is written once it is bound.
	AdminAddressFile string
	// PeerBindAddress is "host:port" at which the other replicas of the proxy reach this one; empty for no peer port.
	PeerBindAddress string
	// PeerAddress is the own address, "IP:port", as the other replicas reach it; empty if there are none.
	PeerAddress string
	// Peers are the addresses, "host:port", of all replicas. A name stands for all addresses that it resolves to: that of a
	// headless Service for those of all pods.
	Peers []string
	// Profiling adds /debug/pprof to the admin endpoint, for requests from this machine only.
	Profiling bool
	// AllowLoopbackUpstreams permits MCP servers on loopback addresses: for development on one machine.
	AllowLoopbackUpstreams bool
	// AllowedOrigins are origins that web pages may come from, besides loopback origins and the Gateway's hostnames.
	AllowedOrigins []string
	// ShutdownDelay is how long the proxy serves on once it has been asked to end, before it drains: the time that others may
	// need to notice that it should be sent no more requests.
	ShutdownDelay time.Duration
	// DrainTimeout is how long requests in flight may go on once the proxy drains.
	DrainTimeout time.Duration
	// Limits bound what comes from outside.
	Limits config.Limits
	// Log takes what an operator should know.
	Log *slog.Logger
	// Telemetry says where traces and the access log go. Metrics are the data plane's own: what it has for them is not used.
	Telemetry telemetry.Options
	// Version of the program.
	Version string
}

// Run serves a Gateway until the context ends, and then drains.
func Run(ctx context.Context, o Options) error {
	registry := prometheus.NewRegistry()
	RegisterProcessMetrics(registry)
	plane := NewDataPlane(o, registry)
	if o.PeerBindAddress != "" {
		if err := plane.data.listenPeers(o.PeerBindAddress, plane.peers); err != nil {
			plane.Close(0)
			return err
		}
	}
	admin, err := listenAdmin(o.AdminAddress, o.AdminAddressFile)
	if err != nil {
		plane.Close(0)
		return err
	}
	adminDone := make(chan error, 1)
	adminCtx, endAdmin := context.WithCancel(context.WithoutCancel(ctx))
	go func() { adminDone <- serveAdmin(adminCtx, admin, plane.data, registry, &o) }()

	watchErr := untilLeft(ctx, o.ShutdownDelay, func() {
		o.Log.Info("Asked to end, serving on until others have noticed", "delay", o.ShutdownDelay.String())
		plane.data.leave()
	}, func(ctx context.Context) error {
		return watch(ctx, o, logr.FromSlogHandler(o.Log.Handler()), plane.data)
	})
	plane.data.drain(o.DrainTimeout)
	endAdmin()
	err = errors.Join(watchErr, <-adminDone)
	plane.Close(0)
	return err
}

// untilLeft runs until the context has ended and then the delay has passed, at whose beginning it calls leave; or until run
// returns by itself.
func untilLeft(ctx context.Context, delay time.Duration, leave func(), run func(context.Context) error) error {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	left := make(chan struct{})
	go func() {
		defer close(left)
		defer end()
		select {
		case <-ctx.Done():
		case <-running.Done():
			return
		}
		if delay <= 0 {
			return
		}
		leave()
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-running.Done():
		}
	}()
	err := run(running)
	end()
	<-left
	return err
}

// listenAdmin binds the admin endpoint and writes its address to the file, all at once: whoever reads the file reads
// the whole address.
func listenAdmin(address, file string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("bind the admin endpoint: %w", err)
	}
	if file == "" {
		return listener, nil
	}
	if err := writeFile(file, listener.Addr().String()+"\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("write the admin endpoint's address: %w", err), listener.Close())
	}
	return listener, nil
}

func writeFile(path, content string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(content)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}
