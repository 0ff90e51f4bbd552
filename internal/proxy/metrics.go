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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// metrics of the configuration; those of requests and targets are telemetry's.
type metrics struct {
	generation prometheus.Gauge
	taken      prometheus.Gauge
	snapshots  prometheus.Counter
	rejected   prometheus.Counter
}

// RegisterProcessMetrics registers what is the same for the whole process, however many Gateways it serves.
func RegisterProcessMetrics(registry prometheus.Registerer) {
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// newMetrics registers what is different for each Gateway.
func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		generation: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dynamic_mcp_snapshot_generation", Help: "Generation of the Gateway that is served.",
		}),
		taken: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dynamic_mcp_snapshot_timestamp_seconds", Help: "When the configuration that is served was taken, as Unix time.",
		}),
		snapshots: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dynamic_mcp_snapshots_total", Help: "Configurations that were taken.",
		}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dynamic_mcp_snapshots_rejected_total", Help: "Configurations that could not be compiled.",
		}),
	}
	registry.MustRegister(m.all()...)
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.generation, m.taken, m.snapshots, m.rejected}
}

// unregister takes the metrics back, so that those of a Gateway that is gone are gone too.
func (m *metrics) unregister(registry prometheus.Registerer) {
	for _, collector := range m.all() {
		registry.Unregister(collector)
	}
}

// applied notes a configuration that was taken.
func (m *metrics) applied(c *translate.Config) {
	m.generation.Set(float64(c.Generation))
	m.snapshots.Inc()
	m.taken.SetToCurrentTime()
}
