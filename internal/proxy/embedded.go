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
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/server"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// DataPlane serves one Gateway from the configurations that its owner hands over. Several can serve in one process,
// each on ports of its own.
type DataPlane struct {
	data      *dataPlane
	mcp       *server.Server
	upstreams *upstream.Client
	peers     *peer.Peers
	// unregister takes the metrics back, once.
	unregister func()
}

// NewDataPlane returns a data plane that serves nothing yet, and registers its metrics. Of the options it takes those
// that are neither about the API server nor about endpoints of its own. It needs keys before its first configuration.
func NewDataPlane(o Options, registry prometheus.Registerer) *DataPlane {
	m := newMetrics(registry)
	o.Telemetry.Registerer = registry
	t, err := telemetry.New(o.Telemetry)
	if err != nil {
		panic(err) // As the registry does for those of newMetrics: two data planes must not have the same labels.
	}
	upstreams := upstream.New(upstream.Options{
		Limits:        o.Limits,
		AllowLoopback: o.AllowLoopbackUpstreams,
		UserAgent:     "dynamic-mcp/" + o.Version,
	})
	var mcp *server.Server
	peers := newPeers(o, func() *session.KeyRing { return mcp.Keys() })
	mcp = server.New(server.Options{
		Log:            o.Log,
		Limits:         o.Limits,
		Upstream:       upstreams,
		Version:        o.Version,
		AllowedOrigins: o.AllowedOrigins,
		Peers:          peers,
		Telemetry:      t,
	})
	return &DataPlane{
		data: newDataPlane(o, mcp, m, t), mcp: mcp, upstreams: upstreams, peers: peers,
		unregister: sync.OnceFunc(func() {
			m.unregister(registry)
			t.Close()
		}),
	}
}

// Apply makes a configuration the one that is served. One that can't be compiled changes nothing; where a port can't be
// bound, all others are served, and it is worth trying again. Ports that are no longer wanted are free when it returns.
func (d *DataPlane) Apply(c *translate.Config) error { return d.data.apply(c) }

// UpdateKeys changes the keys that seal sessions, for all requests to come.
func (d *DataPlane) UpdateKeys(keys *session.KeyRing) { d.data.updateKeys(keys) }

// Ready returns nil once a configuration of at least that generation of the Gateway is served on all its ports; asked about
// 0, from the first one that is served in full until the end.
func (d *DataPlane) Ready(generation int64) error { return d.data.ready(generation) }

// Dump returns what is served, for the admin endpoint. There are no secrets in it.
func (d *DataPlane) Dump() any { return d.data.dump() }

// Retire lets go of the ports and of the metrics at once, so that another data plane can have them. Requests in flight go
// on until Close ends them.
func (d *DataPlane) Retire() {
	_ = d.data.apply(&translate.Config{}) // It can be compiled, and binds nothing.
	d.unregister()
}

// HandOver lets go of the ports and of the metrics at once, so that another data plane of the same Gateway can have them.
// Requests in flight, and those that come by connections that there are, are served until Close ends them.
func (d *DataPlane) HandOver() {
	_ = d.data.bindPorts(nil) // It can't fail.
	d.unregister()
}

// Close ends streams at once, lets requests in flight end within the limit, and then frees everything.
func (d *DataPlane) Close(limit time.Duration) {
	d.unregister()
	d.data.drain(limit)
	d.mcp.Close()
	d.peers.Close()
	d.upstreams.Close()
}
