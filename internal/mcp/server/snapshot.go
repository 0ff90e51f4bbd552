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
	"context"
	"sync/atomic"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// Snapshot is an immutable set of Backends, ready to serve. A request holds one snapshot from start to end.
type Snapshot struct {
	backends map[string]*backend
	// superseded ends when a newer snapshot has taken this one's place: streams outlive snapshots.
	superseded context.Context
	supersede  context.CancelFunc
}

// backend is a config.Backend ready to serve.
type backend struct {
	*config.Backend
	// targets of the Backend, eldest first, in the order of Backend.Targets.
	targets []*target
	// memory is what outlives snapshots.
	memory *backendMemory
}

// target is a config.Target ready for requests.
type target struct {
	*config.Target
	backend *backend
	hash    session.ServiceHash
	// era is what is known of the revisions that the server speaks.
	era *eraMemo
	// requests is nil if the target can't be used; unready then says why.
	requests *upstream.Target
	unready  string
	// outOfUse is how many of its endpoints were so when it was last looked.
	outOfUse atomic.Int32
}

// usable returns whether requests can be sent to the target.
func (t *target) usable() bool { return t.unready == "" }

// target returns the target of that server, or nil.
func (b *backend) target(hash session.ServiceHash) *target {
	for _, t := range b.targets {
		if t.hash == hash {
			return t
		}
	}
	return nil
}

// named returns the target of that name, or nil.
func (b *backend) named(name config.TargetName) *target {
	for _, t := range b.targets {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// renamed returns the new names of the targets that had another one in an older snapshot, by that.
func (b *backend) renamed(older *Snapshot) map[config.TargetName]config.TargetName {
	if older == nil || older.backends[b.Key] == nil {
		return nil
	}
	renamed := map[config.TargetName]config.TargetName{}
	for _, before := range older.backends[b.Key].targets {
		if now := b.target(before.hash); now != nil && now.Name != before.Name {
			renamed[before.Name] = now.Name
		}
	}
	return renamed
}

// alone returns the target that every name means which nobody lists; nil if there are others, or if no bare name is used.
func (b *backend) alone() *target {
	if len(b.targets) != 1 || b.PrefixMode == config.PrefixAlways {
		return nil
	}
	return b.targets[0]
}

// only returns the target that is the whole Backend, so that nothing need be rewritten; nil if there are others, or if
// names are to be qualified all the same.
func (b *backend) only() *target {
	if b.memory.owners.anyCooling() {
		return nil
	}
	return b.alone()
}

func (b *backend) failClosed() bool { return b.FailureMode == config.FailClosed }

// Update compiles Backends, makes them the current snapshot, and returns it. A target that can't be used as it is
// configured is in the snapshot all the same: its clients are told why.
func (s *Server) Update(backends map[string]*config.Backend) *Snapshot {
	s.updating.Lock()
	defer s.updating.Unlock()
	next := &Snapshot{backends: make(map[string]*backend, len(backends))}
	next.superseded, next.supersede = context.WithCancel(context.Background())
	var all []*target
	previous := s.current.Load()
	for key, b := range backends {
		compiled := &backend{Backend: b}
		for i := range b.Targets {
			t := &target{
				Target: &b.Targets[i], backend: compiled, hash: session.HashService(b.Targets[i].Service), unready: b.Targets[i].Unready,
			}
			compiled.targets = append(compiled.targets, t)
			all = append(all, t)
		}
		compiled.memory = previous.memoryOf(key, b.ID)
		compiled.memory.owners.update(compiled, compiled.renamed(previous))
		compiled.memory.eras.update(compiled.targets)
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
		case t.unready == "" && len(t.Endpoints) == 0:
			t.unready = "it has no ready endpoints"
		}
	}
	s.current.Store(next)
	for _, t := range all {
		s.askNewcomers(t)
	}
	if previous != nil {
		previous.supersede()
	}
	return next
}

// memoryOf returns what is remembered of a Backend, or an empty memory for one that is new.
func (s *Snapshot) memoryOf(key string, id config.BackendID) *backendMemory {
	if s != nil {
		if known := s.backends[key]; known != nil && known.ID == id {
			return known.memory
		}
	}
	return newBackendMemory()
}
