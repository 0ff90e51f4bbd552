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

package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// durations are the upper bounds of the histogram, in seconds: from a call that is answered at once to one that takes all
// the time that it has.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// metrics of one data plane.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	ready    *prometheus.GaugeVec
	circuits *prometheus.GaugeVec
	streams  *prometheus.GaugeVec
	sessions prometheus.GaugeFunc
	// active are the children of streams.
	active [streamCount]prometheus.Gauge
}

func newMetrics(countSessions func() float64) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dynamic_mcp_requests_total", Help: "Requests of clients that have ended.",
		}, []string{"backend", "method", "target", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dynamic_mcp_request_duration_seconds", Help: "Time from a client's request to the end of its answer.",
			Buckets: durations,
			// For servers that ask for native histograms, which most metrics are read without.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"backend", "method", "target"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dynamic_mcp_upstream_errors_total", Help: "Requests to targets that failed.",
		}, []string{"backend", "target", "kind"}),
		ready: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dynamic_mcp_target_ready", Help: "Whether a target can be used: 1 or 0.",
		}, []string{"backend", "target"}),
		circuits: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dynamic_mcp_circuit_open", Help: "Endpoints of a target that get no requests for now because they failed.",
		}, []string{"backend", "target"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dynamic_mcp_active_streams", Help: "Streams that are open to clients.",
		}, []string{"kind"}),
		sessions: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dynamic_mcp_active_sessions", Help: "Sessions of clients that this replica keeps something for.",
		}, countSessions),
	}
	for kind := noStream + 1; kind < streamCount; kind++ {
		m.active[kind] = m.streams.WithLabelValues(streamNames[kind])
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.duration, m.errors, m.ready, m.circuits, m.streams, m.sessions}
}

// backendSeries are the series of a Backend. It is never changed.
type backendSeries struct {
	key string
	// whole is for what no single target answers.
	whole   *series
	targets map[config.TargetName]*series
}

func newBackendSeries(m *metrics, key string) *backendSeries {
	return &backendSeries{key: key, whole: &series{metrics: m, backend: key}}
}

// update returns the series of a Backend with those targets, those that are there already with what they have counted. The
// Backend may be new, and the receiver nil.
func (b *backendSeries) update(m *metrics, key string, targets []config.Target) *backendSeries {
	if b == nil {
		b = newBackendSeries(m, key)
	}
	next := &backendSeries{key: key, whole: b.whole, targets: make(map[config.TargetName]*series, len(targets))}
	for i := range targets {
		name := targets[i].Name
		s := b.targets[name]
		if s == nil {
			s = &series{metrics: m, backend: key, target: string(name)}
		}
		next.targets[name] = s
		ready := 0.0
		if targets[i].Unready == "" {
			ready = 1
		}
		m.ready.WithLabelValues(key, string(name)).Set(ready)
	}
	return next
}

// target returns the series of a target, or those of the whole Backend if it has none of that name.
func (b *backendSeries) target(name config.TargetName) *series {
	if s := b.targets[name]; s != nil {
		return s
	}
	return b.whole
}

// series are the metrics of one target, or, without a name, of a whole Backend. Each child is looked up by its labels only
// the first time.
type series struct {
	metrics         *metrics
	backend, target string
	methods         [methodCount]atomic.Pointer[methodSeries]
	errors          atomic.Pointer[[errorCount]prometheus.Counter]

	mu sync.Mutex
	// gone is set when the target is: an exchange that ends afterwards must not bring its labels back.
	gone bool
}

// methodSeries are the children for one method. All results are there from the first request on: an increase can't be seen
// of a counter that was not there before.
type methodSeries struct {
	results  [resultCount]prometheus.Counter
	duration prometheus.Observer // nil for what is not measured.
}

// of returns the children for a method; nil if the target is gone.
func (s *series) of(m method) *methodSeries {
	if known := s.methods[m].Load(); known != nil {
		return known
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.methods[m].Load(); known != nil || s.gone {
		return known
	}
	made := &methodSeries{}
	for result := unset + 1; result < resultCount; result++ {
		made.results[result] = s.metrics.requests.WithLabelValues(s.backend, m.String(), s.target, result.String())
	}
	if !m.listens() {
		made.duration = s.metrics.duration.WithLabelValues(s.backend, m.String(), s.target)
	}
	s.methods[m].Store(made)
	return made
}

// failed counts a request to the target that failed.
func (s *series) failed(kind ErrorKind) {
	counters := s.errors.Load()
	if counters == nil {
		if counters = s.makeErrors(); counters == nil {
			return
		}
	}
	counters[kind].Inc()
}

// makeErrors returns the children for errors; nil if the target is gone.
func (s *series) makeErrors() *[errorCount]prometheus.Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.errors.Load(); known != nil || s.gone {
		return known
	}
	made := &[errorCount]prometheus.Counter{}
	for kind := NoError + 1; kind < errorCount; kind++ {
		made[kind] = s.metrics.errors.WithLabelValues(s.backend, s.target, kind.String())
	}
	s.errors.Store(made)
	return made
}

func (s *series) circuit(endpoints int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.metrics.circuits.WithLabelValues(s.backend, s.target).Set(float64(endpoints))
	}
}

// remove deletes everything that has the target's labels.
func (s *series) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	m := s.metrics
	for i := range s.methods {
		if s.methods[i].Load() == nil {
			continue
		}
		name := method(i).String()
		for result := unset + 1; result < resultCount; result++ {
			m.requests.DeleteLabelValues(s.backend, name, s.target, result.String())
		}
		m.duration.DeleteLabelValues(s.backend, name, s.target)
	}
	for kind := NoError + 1; kind < errorCount; kind++ {
		m.errors.DeleteLabelValues(s.backend, s.target, kind.String())
	}
	m.ready.DeleteLabelValues(s.backend, s.target)
	m.circuits.DeleteLabelValues(s.backend, s.target)
}
