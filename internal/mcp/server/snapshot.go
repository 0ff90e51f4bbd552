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

package server

import (
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// Snapshot is an immutable set of Backends, ready to serve. A request holds one snapshot from start to end.
type Snapshot struct {
	backends map[string]*backend
	// superseded is closed when a newer snapshot has taken this one's place: streams outlive snapshots.
	superseded chan struct{}
}

// Has returns whether the snapshot has a Backend of that key.
func (s *Snapshot) Has(key string) bool { return s.backends[key] != nil }

// Unserved returns the names of targets, by the key of their Backend, that are not served because they are not the
// first of their Backend.
func (s *Snapshot) Unserved() map[string][]config.TargetName {
	unserved := map[string][]config.TargetName{}
	for key, b := range s.backends {
		for _, t := range b.Targets[len(b.served):] {
			unserved[key] = append(unserved[key], t.Name)
		}
	}
	return unserved
}

// backend is a config.Backend ready to serve.
type backend struct {
	*config.Backend
	served []*target
}

// target is a config.Target ready for requests.
type target struct {
	*config.Target
	hash session.ServiceHash
	// requests is nil if the target can't be used; unready then says why.
	requests *upstream.Target
	unready  string
}

// usable returns whether requests can be sent to the target.
func (t *target) usable() bool { return t.unready == "" }

// target returns the served target of that server, or nil.
func (b *backend) target(hash session.ServiceHash) *target {
	for _, t := range b.served {
		if t.hash == hash {
			return t
		}
	}
	return nil
}

// first returns the target that serves the Backend, or nil if it has none.
func (b *backend) first() *target {
	if len(b.served) == 0 {
		return nil
	}
	return b.served[0]
}

// Update compiles Backends, makes them the current snapshot, and returns it. A target that can't be used as it is
// configured is in the snapshot all the same: its clients are told why.
func (s *Server) Update(backends map[string]*config.Backend) *Snapshot {
	next := &Snapshot{backends: make(map[string]*backend, len(backends)), superseded: make(chan struct{})}
	var all []*target
	for key, b := range backends {
		compiled := &backend{Backend: b}
		for i := range b.Targets[:min(len(b.Targets), 1)] {
			t := &target{Target: &b.Targets[i], hash: session.HashService(b.Targets[i].Service), unready: b.Targets[i].Unready}
			compiled.served = append(compiled.served, t)
			all = append(all, t)
		}
		next.backends[key] = compiled
	}
	configs := make([]*config.Target, len(all))
	for i, t := range all {
		configs[i] = t.Target
	}
	requests, errs := s.upstream.Compile(configs)
	for i, t := range all {
		t.requests = requests[i]
		switch {
		case errs[i] != nil:
			t.unready = errs[i].Error()
			s.log.Error("Target can't be used", "target", t.Name, "error", errs[i])
		case t.unready == "" && t.Protocol != config.StreamableHTTP:
			t.unready = "it speaks " + string(t.Protocol) + ", which this version can't serve"
		case t.unready == "" && len(t.Endpoints) == 0:
			t.unready = "it has no ready endpoints"
		}
	}
	if previous := s.current.Swap(next); previous != nil {
		close(previous.superseded)
	}
	return next
}
