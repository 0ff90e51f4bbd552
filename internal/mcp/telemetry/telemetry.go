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

// Package telemetry shows what the data plane does: metrics, traces and an access log of the requests of MCP clients. It
// never shows session ids, tokens, arguments or anything else of a body but the names of tools and prompts, and those never
// as a label. It knows nothing of Kubernetes.
package telemetry

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Options configure a Telemetry. The zero value measures and shows nothing.
type Options struct {
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
	// Tracer makes the spans; nil for no traces.
	Tracer trace.TracerProvider
	// AccessLog takes a record for each request; nil for none. See NewAccessLog.
	AccessLog *slog.Logger
	// ClientAddresses is whether the access log has the IP addresses of clients.
	ClientAddresses bool
}

// Telemetry measures one data plane. It is safe for concurrent use. A nil *Telemetry does nothing.
type Telemetry struct {
	registerer prometheus.Registerer
	metrics    *metrics
	tracer     trace.Tracer // nil for no traces.
	log        *accessLog   // nil for none.

	updating sync.Mutex
	// backends are those of the configuration, by key, never changed: labels come from the configuration and not from
	// requests.
	backends atomic.Pointer[map[string]*backendSeries]
	// unknown is for requests before it is known which Backend they are for.
	unknown *backendSeries
	// sessions counts them.
	sessions atomic.Pointer[func() int]
}

// scope is the name under which spans say that they were made here.
const scope = "github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"

// New returns a Telemetry with its metrics registered. It fails if another one has registered the same ones.
func New(o Options) (*Telemetry, error) {
	t := &Telemetry{registerer: o.Registerer}
	t.metrics = newMetrics(t.countSessions)
	t.unknown = newBackendSeries(t.metrics, "")
	t.backends.Store(&map[string]*backendSeries{})
	if o.Tracer != nil {
		t.tracer = o.Tracer.Tracer(scope)
	}
	if o.AccessLog != nil {
		t.log = &accessLog{o.AccessLog.Handler(), o.ClientAddresses}
	}
	if t.registerer == nil {
		return t, nil
	}
	for i, collector := range t.metrics.all() {
		if err := t.registerer.Register(collector); err != nil {
			for _, registered := range t.metrics.all()[:i] {
				t.registerer.Unregister(registered)
			}
			return nil, fmt.Errorf("register the metrics of the data plane: %w", err)
		}
	}
	return t, nil
}

// Close takes the metrics back, so that another Telemetry can have them. Exchanges may still end.
func (t *Telemetry) Close() {
	if t == nil || t.registerer == nil {
		return
	}
	for _, collector := range t.metrics.all() {
		t.registerer.Unregister(collector)
	}
}

// SetBackends says which Backends and targets there are from now on. Only they become labels; the series of those that are
// gone are deleted, and come back at zero if they do.
func (t *Telemetry) SetBackends(backends map[string]*config.Backend) {
	if t == nil {
		return
	}
	t.updating.Lock()
	defer t.updating.Unlock()
	before := *t.backends.Load()
	next := make(map[string]*backendSeries, len(backends))
	for key, b := range backends {
		next[key] = before[key].update(t.metrics, key, b.Targets)
	}
	t.backends.Store(&next)
	for key, known := range before {
		if next[key] == nil {
			known.whole.remove()
		}
		for name, target := range known.targets {
			if next[key] == nil || next[key].targets[name] == nil {
				target.remove()
			}
		}
	}
}

// CountSessions says how to count the sessions that this replica keeps something for. Count must be cheap and safe for
// concurrent use: it is called whenever the metrics are read.
func (t *Telemetry) CountSessions(count func() int) {
	if t != nil {
		t.sessions.Store(&count)
	}
}

func (t *Telemetry) countSessions() float64 {
	if count := t.sessions.Load(); count != nil {
		return float64((*count)())
	}
	return 0
}

// CircuitOpen says how many endpoints of a target get no requests for now because they failed.
func (t *Telemetry) CircuitOpen(backend string, target config.TargetName, endpoints int) {
	if t == nil {
		return
	}
	if b := (*t.backends.Load())[backend]; b != nil && b.targets[target] != nil {
		b.targets[target].circuit(endpoints)
	}
}

// Begin begins the exchange of one HTTP request of a client and its answer. The caller ends it.
func (t *Telemetry) Begin(r *http.Request) *Exchange {
	if t == nil {
		return nil
	}
	e := &Exchange{telemetry: t, request: r, begun: time.Now(), backend: t.unknown, target: t.unknown.whole, method: verbOf(r.Method)}
	if t.tracer != nil {
		e.tracing = newTracing(r.Header)
	}
	return e
}
