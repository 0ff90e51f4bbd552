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

// Package standalone serves Gateways from manifests in files, without an API server: the same validation, resolution,
// translation and data plane as in a cluster, made anew whenever a file changes. A change with errors is reported, and
// what was served before goes on being served.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/proxy"
)

// Options configure what is served from where. What GatewayParameters say about AllowedOrigins, DrainTimeout and Limits
// holds in place of these.
type Options struct {
	// Source says which files to read.
	Source manifests.Source
	// BindAddress is the IP address that all listeners bind; empty for all.
	BindAddress string
	// AdminAddress is "host:port" of the admin endpoint; empty for none.
	AdminAddress string
	// Profiling adds /debug/pprof to the admin endpoint, for requests from this machine only.
	Profiling bool
	// SessionKeyFile has the keys that seal sessions; empty for keys that last as long as the process. A file that is not
	// there is made.
	SessionKeyFile string
	// AllowedOrigins are origins that web pages may come from, besides loopback origins and the Gateways' hostnames.
	AllowedOrigins []string
	// DrainTimeout is how long requests in flight may go on at the end.
	DrainTimeout time.Duration
	// Limits bound what comes from outside.
	Limits config.Limits
	// Log takes what an operator should know.
	Log *slog.Logger
	// Telemetry says where traces and the access log go; see proxy.Options.
	Telemetry telemetry.Options
	// Out takes the tables of what is served, and Err what is wrong with the files.
	Out, Err io.Writer
	// Version of the program.
	Version string
}

// retryAfter is the time between two attempts at a port that could not be bound.
const retryAfter = 2 * time.Second

// runner is a running standalone.
type runner struct {
	Options
	loader *loader
	keys   *keyFile
	fleet  *fleet
	// table and findings are what was printed last.
	table, findings string
	// unbound is set while a port can't be bound.
	unbound bool
}

// Run serves until the context ends. It returns an error at once if the files have errors, or if a port can't be bound;
// later on both are only reported.
func Run(ctx context.Context, o Options) error {
	loader, err := newLoader(o.Source)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	proxy.RegisterProcessMetrics(registry)
	r := &runner{Options: o, loader: loader, keys: &keyFile{path: o.SessionKeyFile, log: o.Log}}
	if err := r.keys.load(); err != nil {
		return err
	}
	r.fleet = newFleet(o, registry)
	defer r.fleet.close()
	r.fleet.updateKeys(r.keys.ring)

	endAdmin, err := r.serveAdmin(registry)
	if err != nil {
		return err
	}
	watcher := newWatcher(r.Log)
	defer watcher.close()
	state, err := r.start(watcher)
	if err == nil {
		r.serve(ctx, watcher, state)
	}
	r.fleet.close()
	return errors.Join(err, endAdmin())
}

// start serves the files for the first time.
func (r *runner) start(w *watcher) (*evaluate.State, error) {
	c := r.load(w)
	if c.err != nil {
		return nil, c.err
	}
	r.report(c.findings)
	if c.state == nil {
		return nil, fmt.Errorf("nothing is served: errors in the files: %d", manifests.Count(c.findings, manifests.Error))
	}
	if err := r.fleet.apply(c.state); err != nil {
		return nil, err
	}
	r.loader.accept(c.state)
	r.print(c.state)
	return c.state, nil
}
