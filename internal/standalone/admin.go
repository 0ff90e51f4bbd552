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

package standalone

import (
	"context"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynamic-mcp/dynamic-mcp/internal/proxy"
)

// serveAdmin serves the admin endpoint, if there is to be one, and returns how to end it.
func (r *runner) serveAdmin(registry *prometheus.Registry) (end func() error, err error) {
	if r.AdminAddress == "" {
		return func() error { return nil }, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", r.AdminAddress)
	if err != nil {
		return nil, fmt.Errorf("bind the admin endpoint: %w", err)
	}
	r.Log.Info("Serving the admin endpoint", "address", listener.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	admin := proxy.Admin{
		Ready: r.fleet.ready, KeyRing: r.fleet.keyRing, Config: r.fleet.dump, Metrics: registry, Profiling: r.Profiling,
	}
	go func() { done <- admin.Serve(ctx, listener, r.Log) }()
	return func() error {
		cancel()
		return <-done
	}, nil
}
