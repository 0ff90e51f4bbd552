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
	"errors"
	"maps"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// era is a family of revisions that have the same transport.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#terminology
type era uint32

const (
	eraUnknown era = iota
	// eraLegacy is streamable HTTP with initialize and sessions: 2025-03-26 to 2025-11-25.
	eraLegacy
	// eraModern is streamable HTTP without sessions: 2026-07-28.
	eraModern
)

// modernVersion is the revision without sessions.
const modernVersion = "2026-07-28"

// errEraChanged is the failure of a request to a server that turned out to speak another era than it did. Nothing has come
// of the request.
var errEraChanged = errors.New("its MCP revision has changed")

// eraMemo is what is remembered of the eras that a target's endpoints speak, for as long as the target is reached in the same way.
type eraMemo struct {
	reached config.Target
	// newcomers are endpoints that are still to be asked; of others something is known. They belong to Server.Update.
	newcomers []string
	// turned is called when the target speaks another era than it was known to.
	turned func()

	known atomic.Pointer[knownEras] // Nil if nothing is.

	mu     sync.Mutex
	asking map[string]*asking // What goes on, by what is asked.
}

// knownEras is what is known of a target's endpoints. It never changes.
type knownEras struct {
	target era // In which it is sent what can go to any endpoint.
	// answers are those of each endpoint that gave one.
	answers map[string]probeAnswer
	// others are, for each era, the endpoints that speak another, or have not been asked yet.
	others [eraModern + 1][]string
	// since is when that was found out.
	since time.Time
}

// asking is a question that many may wait for; found and err may be read once done is closed.
type asking struct {
	done  chan struct{}
	found era
	err   error
}

// eraMemos are those of a Backend's targets.
type eraMemos struct {
	byService map[session.ServiceHash]*eraMemo

	mu sync.Mutex
	// same ends, and is replaced, when any target speaks another era than it was known to.
	same context.Context
	end  context.CancelFunc
}

func newEraMemos() *eraMemos {
	m := &eraMemos{}
	m.same, m.end = context.WithCancel(context.Background())
	return m
}

// untilTurned returns what ends once any target speaks another era than it is known to.
func (m *eraMemos) untilTurned() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.same
}

// turn says that a target does.
func (m *eraMemos) turn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end()
	m.same, m.end = context.WithCancel(context.Background())
}

// update gives each target its memo. What is known of an endpoint is forgotten when the target no longer has it, or anything else
// of how it is reached changes: another server may be there now.
func (m *eraMemos) update(targets []*target) {
	next := make(map[session.ServiceHash]*eraMemo, len(targets))
	for _, t := range targets {
		reached := *t.Target
		reached.Name, reached.Unready = "", ""
		memo := m.byService[t.hash]
		if memo == nil || !reflect.DeepEqual(memo.reached, reached) {
			memo = memo.successor(reached)
			memo.turned = m.turn
		}
		t.era, next[t.hash] = memo, memo
	}
	m.byService = next
}

// successor returns the memo of a target that is reached in another way now; the older one is nil if the target is new. Endpoints
// that stay are what they were. The others get no requests until they have been asked: see askNewcomers.
func (m *eraMemo) successor(reached config.Target) *eraMemo {
	next := &eraMemo{reached: reached, asking: map[string]*asking{}}
	if m == nil {
		return next
	}
	known, older := m.known.Load(), m.reached
	older.Endpoints = reached.Endpoints
	if known == nil || !reflect.DeepEqual(older, reached) {
		return next
	}
	if kept := judgeEras(reached.Endpoints, known.answers); kept != nil {
		for _, endpoint := range reached.Endpoints {
			if kept.answers[endpoint].speaks == eraUnknown {
				next.newcomers = append(next.newcomers, endpoint)
			}
		}
		for speaks := range kept.others {
			kept.others[speaks] = append(kept.others[speaks], next.newcomers...)
		}
		kept.since = known.since
		next.known.Store(kept)
	}
	return next
}

// note remembers what endpoints answered, or that they did not.
func (m *eraMemo) note(answers map[string]probeAnswer) {
	before := m.current()
	m.noteOnly(answers)
	if m.current() != before {
		m.turned()
	}
}

func (m *eraMemo) noteOnly(answers map[string]probeAnswer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]probeAnswer{}
	if known := m.known.Load(); known != nil {
		maps.Copy(all, known.answers)
	}
	maps.Copy(all, answers)
	known := judgeEras(m.reached.Endpoints, all)
	if known != nil {
		known.since = time.Now()
	}
	m.known.Store(known)
}

// current returns what is known of the target as a whole.
func (m *eraMemo) current() era {
	if known := m.known.Load(); known != nil {
		return known.target
	}
	return eraUnknown
}

// at returns what is known of one endpoint.
func (m *eraMemo) at(endpoint string) era {
	if known := m.known.Load(); known != nil {
		return known.answers[endpoint].speaks
	}
	return eraUnknown
}

// others returns the endpoints that a request of that era is not for, and since when that is known.
func (m *eraMemo) others(speaks era) ([]string, time.Time) {
	if known := m.known.Load(); known != nil {
		return known.others[speaks], known.since
	}
	return nil, time.Time{}
}

// Questions that are not about one endpoint.
const (
	askEra = "era"
	askAll = "all"
	askNew = "new"
)

// find has something found out about a target, once for all that want to know it at the same time.
func (s *Server) find(t *target, what string, find func() (era, error)) *asking {
	m := t.era
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.asking[what]
	if a == nil {
		a = &asking{done: make(chan struct{})}
		m.asking[what] = a
		s.background.Go(func() {
			a.found, a.err = find()
			m.mu.Lock()
			delete(m.asking, what)
			m.mu.Unlock()
			close(a.done)
		})
	}
	return a
}

// once finds something out as find does, and waits for it.
func (s *Server) once(ctx context.Context, t *target, what string, find func() (era, error)) (era, error) {
	a := s.find(t, what, find)
	select {
	case <-a.done:
		return a.found, a.err
	case <-ctx.Done():
		return eraUnknown, &upstream.Error{Target: t.Name, Reason: context.Cause(ctx).Error(), Err: context.Cause(ctx)}
	}
}

// eraOf returns the era that a target speaks, and probes its endpoints if that is not known. If no server can be reached, the
// error is an *upstream.Error.
func (s *Server) eraOf(ctx context.Context, t *target) (era, error) {
	if known := t.era.current(); known != eraUnknown {
		return known, nil
	}
	return s.once(ctx, t, askEra, func() (era, error) {
		if known := t.era.current(); known != eraUnknown {
			return known, nil // Since a moment ago.
		}
		return s.surveyed(s.running, t)
	})
}

// surveyed finds out what each endpoint of a target speaks, and returns what the target does.
func (s *Server) surveyed(ctx context.Context, t *target) (era, error) {
	if len(t.Endpoints) == 0 {
		return eraUnknown, &upstream.Error{Target: t.Name, Kind: upstream.KindNoEndpoints, Reason: "it has no ready endpoints"}
	}
	return s.once(ctx, t, askAll, func() (era, error) { return s.survey(t, t.Endpoints) })
}

// askNewcomers finds out, in the background, what the endpoints speak that a target has got: calls need not wait for that while
// there are others.
func (s *Server) askNewcomers(t *target) {
	newcomers := t.era.newcomers
	if newcomers == nil || !t.usable() {
		return
	}
	t.era.newcomers = nil
	s.find(t, askNew, func() (era, error) { return s.survey(t, newcomers) })
}

// staleAfter is how long endpoints get no requests because of what they said they speak before all are asked again: a server
// that had only begun then may have said nothing.
const staleAfter = 10 * time.Second

// isReplaced asks an endpoint that seems not to be a server of that era, and all of them if it is not what it was taken for; or
// all of them at once, if it is not known which. A request that the same server has refused is not to be sent to it again.
func (s *Server) isReplaced(ctx context.Context, t *target, endpoint string, was era) bool {
	if speaks := t.era.at(endpoint); speaks != eraUnknown && speaks != was {
		return true
	}
	if endpoint == "" || len(t.Endpoints) == 1 {
		speaks, err := s.surveyed(ctx, t)
		return err != nil || speaks != was
	}
	speaks, err := s.once(ctx, t, endpoint, func() (era, error) {
		answer := s.probe(t, endpoint)
		if answer.err == nil && answer.speaks == t.era.at(endpoint) {
			return answer.speaks, nil
		}
		_, err := s.surveyed(s.running, t)
		return answer.speaks, err
	})
	return err != nil || speaks != was
}

// sendAs sends a request of an era to a target, and returns the answer with the endpoint that gave it. One that may go to any
// endpoint goes to none that is known to speak the other era, and on to another if one turns out to; the id is that of a
// modern request. errEraChanged means that there is none any more for the request, and that nothing has come of it.
func (s *Server) sendAs(ctx context.Context, t *target, speaks era, id []byte, r *upstream.Request) (*http.Response, string, error) {
	for attempt := 1; ; attempt++ {
		to := t.requests
		others, since := t.era.others(speaks)
		if r.Endpoint != "" {
			others = nil
		}
		if others != nil {
			if to = to.Without(others); to.Endpoints() == 0 {
				return nil, "", errEraChanged
			}
			if time.Since(since) > staleAfter {
				s.find(t, askAll, func() (era, error) { return s.survey(t, t.Endpoints) })
			}
		}
		response, endpoint, err := s.upstream.Do(ctx, to, r)
		switch {
		case err != nil && others != nil && neverSent(err):
			// Those that speak it are gone before the configuration says so.
			switch now, surveyErr := s.surveyed(ctx, t); {
			case surveyErr != nil || attempt == maxRoundTrips:
				return nil, "", err
			case now != speaks:
				return nil, "", errEraChanged
			}
			continue
		case err != nil, r.Method != http.MethodPost, !refuses(response, speaks, id), !s.isReplaced(ctx, t, endpoint, speaks):
			return response, endpoint, err
		}
		closeBody(response)
		if r.Endpoint != "" || attempt == maxRoundTrips {
			return nil, "", errEraChanged
		}
	}
}

// refuses returns whether a server refused a request of that era because it speaks the other one only. The body can still be
// read afterwards.
func refuses(response *http.Response, speaks era, id []byte) bool {
	if speaks == eraModern {
		return refusesModern(response, id)
	}
	return refusesEra(response)
}
