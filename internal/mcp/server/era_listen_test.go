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
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// listened has the legacy server offer a stream, and returns how many are open.
func (e *endpoint) listened() func() int {
	var open atomic.Int32
	e.legacy.get = func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		events(w)
		<-r.Context().Done()
	}
	return func() int { return int(open.Load()) }
}

// untilToolsChanged reads to the news that there are other tools.
func (s *stream) untilToolsChanged() {
	s.t.Helper()
	for !strings.Contains(s.next(), "notifications/tools/list_changed") {
	}
}

// A session that no server holds is at no endpoint: its calls go to those of the target's era, and so does what listens for it.
func TestListenersOfServersWithoutSessionsFollowTheTargetsEra(t *testing.T) {
	for name, listen := range map[string]func(g *gateway) *stream{
		"legacy client": func(g *gateway) *stream { return g.listen(g.open(), nil) },
		"modern client": func(g *gateway) *stream { return g.stream(subscribe("1", allLists).call()) },
	} {
		t.Run(name+", from legacy to modern", func(t *testing.T) {
			all := several(t, 1, 2, true)
			atLegacy := all[0].listened()
			g := newGateway(t, targetOf(all[0]))
			s := listen(g)
			eventually(t, "the legacy server is listened to", func() bool { return atLegacy() == 1 })
			g.update(testBackend(targetOf(all...)))
			eventually(t, "a modern server is listened to, and it alone", func() bool {
				return len(all[1].modern.filters())+len(all[2].modern.filters()) == 1 && atLegacy() == 0
			})
			s.untilToolsChanged()
		})
		t.Run(name+", from modern to legacy", func(t *testing.T) {
			all := several(t, 2, 1, true)
			atFirst, atSecond := all[0].listened(), all[1].listened()
			g := newGateway(t, targetOf(all[2]))
			s := listen(g)
			eventually(t, "the modern server is listened to", func() bool { return len(all[2].modern.filters()) == 1 })
			g.update(testBackend(targetOf(all...)))
			eventually(t, "a legacy server is listened to, and it alone", func() bool {
				return atFirst()+atSecond() == 1 && len(all[2].modern.filters()) == 0
			})
			s.untilToolsChanged()
		})
	}
	t.Run("a server without a stream is followed by one that can be listened to", func(t *testing.T) {
		all := several(t, 1, 2, true)
		g := newGateway(t, targetOf(all[0]))
		s := g.listen(g.open(), nil)
		eventually(t, "the legacy server is asked", func() bool { return len(all[0].legacy.requests(http.MethodGet)) == 1 })
		g.update(testBackend(targetOf(all...)))
		eventually(t, "a modern server is listened to", func() bool {
			return len(all[1].modern.filters())+len(all[2].modern.filters()) == 1
		})
		s.untilToolsChanged()
	})
}

// A session that a server holds stays where it is, and so does its stream.
func TestListenerOfASessionStaysAtItsEndpoint(t *testing.T) {
	all := several(t, 1, 2, false)
	atLegacy := all[0].listened()
	g := newGateway(t, targetOf(all[0]))
	g.listen(g.open(), nil)
	eventually(t, "the legacy server is listened to", func() bool { return atLegacy() == 1 })
	g.update(testBackend(targetOf(all...)))
	eventually(t, "the newcomers are asked", func() bool { return g.compiled().era.current() == eraModern })
	// Whoever listens anew would have been noticed by then.
	other := g.listen(g.open(), nil)
	eventually(t, "a modern server is listened to", func() bool {
		return len(all[1].modern.filters())+len(all[2].modern.filters()) == 1
	})
	other.close()
	same(t, atLegacy(), 1)
	same(t, len(all[0].legacy.requests(http.MethodGet)), 1)
}
