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
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/proxy"
)

// fleet is a data plane for each Gateway. Its methods but those for the admin endpoint are its owner's alone.
type fleet struct {
	options  Options
	registry prometheus.Registerer
	ending   sync.WaitGroup

	mu     sync.Mutex
	keys   *session.KeyRing
	planes map[types.NamespacedName]*plane
	begun  bool // Whether the first manifests have been applied.
	closed bool
}

// plane is the data plane of one Gateway.
type plane struct {
	*proxy.DataPlane
	settings settings
}

// settings are what parameters say about a data plane in place of options. A data plane has them for as long as it lives.
type settings struct {
	allowedOrigins []string
	drainTimeout   time.Duration
	limits         config.Limits
}

func (s settings) equal(other settings) bool {
	return s.drainTimeout == other.drainTimeout && s.limits == other.limits && slices.Equal(s.allowedOrigins, other.allowedOrigins)
}

// settings returns what holds for a Gateway: what its parameters say, and the options for the rest.
func (o *Options) settings(g *evaluate.Gateway) settings {
	s := settings{allowedOrigins: o.AllowedOrigins, drainTimeout: o.DrainTimeout, limits: o.Limits}
	spec := &g.Parameters.Spec
	if spec.AllowedOrigins != nil {
		s.allowedOrigins = spec.AllowedOrigins
	}
	if spec.DrainTimeout != nil {
		s.drainTimeout = spec.DrainTimeout.Duration
	}
	if spec.SessionLifetime != nil {
		s.limits.SessionLifetime = spec.SessionLifetime.Duration
	}
	if spec.RequestBodyLimit != nil {
		s.limits.MaxRequestBody = spec.RequestBodyLimit.Value()
	}
	return s
}

func newFleet(o Options, registry prometheus.Registerer) *fleet {
	return &fleet{options: o, registry: registry, planes: map[types.NamespacedName]*plane{}}
}

// apply serves what the Gateways ask for now. The error is about ports that can't be bound; everything else is served.
func (f *fleet) apply(state *evaluate.State) error {
	wanted := map[types.NamespacedName]bool{}
	for i := range state.Gateways {
		wanted[state.Gateways[i].Key()] = true
	}
	for key := range f.planes {
		if !wanted[key] {
			f.planes[key].Retire()
			f.end(key)
		}
	}
	var again []*evaluate.Gateway
	for i := range state.Gateways {
		g := &state.Gateways[i]
		// As in a cluster, a Gateway that is not accepted is not begun to be served, but goes on being served.
		if f.planes[g.Key()] == nil && !g.Accepted.Status {
			continue
		}
		if f.plane(g).Apply(&g.Config) != nil {
			again = append(again, g)
		}
	}
	f.mu.Lock()
	f.begun = true
	f.mu.Unlock()
	// A port may only just have been let go of by a Gateway that came later.
	var errs []error
	for _, g := range again {
		if err := f.plane(g).Apply(&g.Config); err != nil {
			errs = append(errs, fmt.Errorf("serve Gateway %s: %w", g.Key(), explainBind(err)))
		}
	}
	return errors.Join(errs...)
}

// explainBind says in other words what a user can do about.
func explainBind(err error) error {
	if _, isNetwork := errors.AsType[*net.OpError](err); isNetwork {
		return fmt.Errorf("%w: end what uses the port, or give the listener another one", err)
	}
	return err
}

// plane returns the data plane of a Gateway: a new one if there is none yet, or if its parameters have changed. Sessions go
// on in the new one, and requests in flight end in the old one.
func (f *fleet) plane(g *evaluate.Gateway) *plane {
	key, wanted := g.Key(), f.options.settings(g)
	if p := f.planes[key]; p != nil {
		// Where a Gateway is not accepted, its parameters are those of before.
		if p.settings.equal(wanted) || !g.Accepted.Status {
			return p
		}
		p.HandOver()
		f.end(key)
	}
	labels := prometheus.Labels{"gateway": key.String()}
	p := &plane{settings: wanted, DataPlane: proxy.NewDataPlane(proxy.Options{
		BindAddress: f.options.BindAddress, AllowLoopbackUpstreams: true, AllowedOrigins: wanted.allowedOrigins,
		Limits: wanted.limits, Log: f.options.Log.With("gateway", key.String()), Telemetry: f.options.Telemetry,
		Version: f.options.Version,
	}, prometheus.WrapRegistererWith(labels, f.registry))}
	f.mu.Lock()
	defer f.mu.Unlock()
	p.UpdateKeys(f.keys)
	f.planes[key] = p
	return p
}

// end ends a data plane that has let go of its ports. Its requests end by themselves.
func (f *fleet) end(key types.NamespacedName) {
	p := f.planes[key]
	f.mu.Lock()
	delete(f.planes, key)
	f.mu.Unlock()
	f.ending.Go(func() { p.Close(p.settings.drainTimeout) })
}

func (f *fleet) updateKeys(keys *session.KeyRing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = keys
	for _, plane := range f.planes {
		plane.UpdateKeys(keys)
	}
}

// close ends all data planes within the drain timeout.
func (f *fleet) close() {
	f.mu.Lock()
	planes := f.planes
	f.planes, f.closed = nil, true
	f.mu.Unlock()
	for _, plane := range planes {
		f.ending.Go(func() { plane.Close(plane.settings.drainTimeout) })
	}
	f.ending.Wait()
}

// ready returns nil while everything is served.
func (f *fleet) ready(generation int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errors.New("draining")
	}
	if !f.begun {
		return errors.New("no manifests have been applied yet")
	}
	var errs []error
	for key, plane := range f.planes {
		if err := plane.Ready(generation); err != nil {
			errs = append(errs, fmt.Errorf("serve Gateway %s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

// keyRing returns the id of the ring of keys that all Gateways share.
func (f *fleet) keyRing() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys.ID()
}

// dump returns what is served, by Gateway.
func (f *fleet) dump() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	dump := map[string]any{}
	for key, plane := range f.planes {
		dump[key.String()] = plane.Dump()
	}
	return dump
}
