//go:build linux

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

package stub

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
)

// serverName is what clients are told.
const serverName = "bench-stub"

// Server is what the event loops of a stub have in common.
type Server struct {
	config   atomic.Pointer[Config]
	methods  sync.Map // method → *atomic.Int64
	accepted atomic.Int64
	open     atomic.Int64
	streams  atomic.Int64
	calls    atomic.Int64

	idPrefix string
	idNext   atomic.Uint64
	mu       sync.RWMutex
	sessions map[string]struct{}
}

// New makes a stub that serves nothing yet.
func New(config Config) *Server {
	var random [8]byte
	_, _ = rand.Read(random[:])
	s := &Server{idPrefix: fmt.Sprintf("%x", random), sessions: map[string]struct{}{}}
	s.configure(config)
	return s
}

func (s *Server) configure(config Config) {
	config.build()
	s.config.Store(&config)
}

// Stats are counts since the start, and how many there are now. GET /stats shows them.
type Stats struct {
	Methods  map[string]int64 `json:"methods"`
	Calls    int64            `json:"calls"`
	Accepted int64            `json:"connectionsAccepted"`
	Open     int64            `json:"connectionsOpen"`
	Streams  int64            `json:"streamsOpen"`
	Sessions int              `json:"sessions"`
}

// Stats returns the present counts.
func (s *Server) Stats() Stats {
	st := Stats{
		Methods: map[string]int64{}, Calls: s.calls.Load(),
		Accepted: s.accepted.Load(), Open: s.open.Load(), Streams: s.streams.Load(),
	}
	s.methods.Range(func(k, v any) bool {
		st.Methods[k.(string)] = v.(*atomic.Int64).Load()
		return true
	})
	s.mu.RLock()
	st.Sessions = len(s.sessions)
	s.mu.RUnlock()
	return st
}

func (s *Server) count(method string) {
	n, ok := s.methods.Load(method)
	if !ok {
		n, _ = s.methods.LoadOrStore(method, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

func (s *Server) newSession() string {
	id := fmt.Sprintf("%s-%016x", s.idPrefix, s.idNext.Add(1))
	s.mu.Lock()
	s.sessions[id] = struct{}{}
	s.mu.Unlock()
	return id
}

func (s *Server) hasSession(id []byte) bool {
	s.mu.RLock()
	_, ok := s.sessions[string(id)]
	s.mu.RUnlock()
	return ok
}

func (s *Server) endSession(id []byte) {
	s.mu.Lock()
	delete(s.sessions, string(id))
	s.mu.Unlock()
}

// forget ends all sessions without telling anyone, as a restart does.
func (s *Server) forget() {
	s.mu.Lock()
	clear(s.sessions)
	s.mu.Unlock()
}
