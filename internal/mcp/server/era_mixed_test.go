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
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// endpoint is a server behind a target with several. It speaks one era, and says its name.
type endpoint struct {
	address string
	legacy  *fakeServer
	modern  *fakeModern

	mu sync.Mutex
	// speaks may change.
	speaks era
	// silent, if not nil, lets probes wait until it is closed, or for ever.
	silent chan struct{}
	// probes and calls are how often it was asked what it is, and called; refused are the calls of the other era among them.
	probes, calls, refused int
}

// newEndpoint returns a server that speaks one era. As a legacy one it may have sessions.
func newEndpoint(t *testing.T, speaks era, name string, stateless bool) *endpoint {
	e := &endpoint{speaks: speaks, legacy: newFakeServer(t).withTools(name, "echo"), modern: newFakeModern(t, name)}
	e.legacy.stateless, e.legacy.lost = stateless, lostAsTypeScript
	server := servertest.New(t, http.HandlerFunc(e.serve))
	e.address = server.Listener.Addr().String()
	return e
}

func (e *endpoint) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var m message
	_ = json.Unmarshal(body, &m)
	e.mu.Lock()
	speaks, silent := e.speaks, e.silent
	isModern, isProbe := r.Header.Get("Mcp-Protocol-Version") == modernVersion, string(m.ID) == `"probe"`
	switch {
	case isProbe:
		e.probes++
	case m.Method == toolCall:
		if e.calls++; isModern != (speaks == eraModern) {
			e.refused++
		}
	}
	e.mu.Unlock()
	switch {
	case isProbe && silent != nil:
		select {
		case <-silent:
			e.modern.serve(w, r)
		case <-r.Context().Done():
		}
	case speaks == eraModern:
		e.modern.serve(w, r)
	case isModern:
		lostAsTypeScript(w)
	default:
		e.legacy.serve(w, r)
	}
}

func (e *endpoint) become(speaks era) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.speaks = speaks
}

func (e *endpoint) counts() (probes, calls, refused int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.probes, e.calls, e.refused
}

// targetOf is a target with these endpoints.
func targetOf(all ...*endpoint) []config.Target {
	t := config.Target{
		Name: "several", Service: "svc-several:80", Protocol: config.StreamableHTTP, Host: "several.default.svc.cluster.local", Port: 80, Path: "/mcp",
	}
	for _, e := range all {
		t.Endpoints = append(t.Endpoints, e.address)
	}
	return []config.Target{t}
}

// several returns servers named L1, L2, … and M1, M2, ….
func several(t *testing.T, legacy, modern int, stateless bool) (all []*endpoint) {
	for i := range legacy {
		all = append(all, newEndpoint(t, eraLegacy, fmt.Sprint("L", i+1), stateless))
	}
	for i := range modern {
		all = append(all, newEndpoint(t, eraModern, fmt.Sprint("M", i+1), stateless))
	}
	return all
}

// compiled returns the gateway's only target.
func (g *gateway) compiled() *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.snapshot.backends[testKey].targets[0]
}

// answersModern calls as a modern client, and returns who answers.
func (g *gateway) answersModern() string {
	g.t.Helper()
	var result struct{ By string }
	decode(g.t, g.result(callEcho), &result)
	return result.By
}

// answersLegacy calls as a legacy client, and returns who answers.
func (g *gateway) answersLegacy(session string) string {
	g.t.Helper()
	by, _, _ := strings.Cut(g.callTool(session, "echo"), " ")
	return by
}

func TestEraOfATargetIsThatOfMostEndpoints(t *testing.T) {
	legacy, modern, silent, none := probeAnswer{speaks: eraLegacy}, probeAnswer{speaks: eraModern},
		probeAnswer{speaks: eraLegacy, silent: true}, probeAnswer{err: errEraChanged}
	for name, test := range map[string]struct {
		answers            []probeAnswer
		want               era
		toLegacy, toModern []string // Endpoints that requests of the legacy era, and of the modern one, are not for.
	}{
		"one":                    {[]probeAnswer{modern}, eraModern, []string{"a"}, nil},
		"most are legacy":        {[]probeAnswer{legacy, modern, legacy}, eraLegacy, []string{"b"}, []string{"a", "c"}},
		"most are modern":        {[]probeAnswer{modern, modern, legacy}, eraModern, []string{"a", "b"}, []string{"c"}},
		"as many":                {[]probeAnswer{legacy, modern}, eraModern, []string{"b"}, []string{"a"}},
		"some can't be reached":  {[]probeAnswer{none, none, legacy}, eraLegacy, nil, []string{"c"}},
		"most are silent":        {[]probeAnswer{silent, silent, modern}, eraModern, []string{"c"}, []string{"a", "b"}},
		"all are silent":         {[]probeAnswer{silent, silent}, eraLegacy, nil, []string{"a", "b"}},
		"nobody can be reached":  {[]probeAnswer{none, none}, eraUnknown, nil, nil},
		"silent ones and legacy": {[]probeAnswer{silent, legacy, modern}, eraModern, []string{"c"}, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			endpoints, answers := []string{"a", "b", "c"}[:len(test.answers)], map[string]probeAnswer{}
			for i, endpoint := range endpoints {
				answers[endpoint] = test.answers[i]
			}
			known := judgeEras(endpoints, answers)
			if known == nil {
				same(t, eraUnknown, test.want)
				return
			}
			same(t, known.target, test.want)
			same(t, known.others[eraLegacy], test.toLegacy)
			same(t, known.others[eraModern], test.toModern)
		})
	}
}

func TestNoCallFailsWhileEndpointsSpeakBothEras(t *testing.T) {
	for name, n := range map[string][2]int{"most are legacy": {3, 1}, "most are modern": {1, 3}, "as many": {2, 2}} {
		for kind, stateless := range map[string]bool{"with sessions": false, "without": true} {
			t.Run(name+", "+kind, func(t *testing.T) {
				all := several(t, n[0], n[1], stateless)
				g := newGateway(t, targetOf(all...))
				var calling sync.WaitGroup
				for range 4 {
					calling.Go(func() {
						for range 10 {
							g.answersModern()
						}
					})
					calling.Go(func() {
						session := g.open()
						for range 10 {
							g.answersLegacy(session)
						}
					})
				}
				calling.Wait()
			})
		}
	}
}

func TestCallsGoToEndpointsOfTheTargetsEra(t *testing.T) {
	for name, n := range map[string][2]int{"L": {3, 1}, "M": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			all := several(t, n[0], n[1], true)
			g := newGateway(t, targetOf(all...))
			session := g.open()
			for range 10 {
				for client, by := range map[string]string{"modern": g.answersModern(), "legacy": g.answersLegacy(session)} {
					if !strings.HasPrefix(by, name) {
						t.Errorf("%s answers a %s client", by, client)
					}
				}
			}
			for _, e := range all {
				if probes, _, refused := e.counts(); probes != 1 || refused != 0 {
					t.Errorf("%d probes, %d calls refused", probes, refused)
				}
			}
		})
	}
}

func TestSessionStaysAtItsEndpointWhateverOthersSpeak(t *testing.T) {
	all := several(t, 1, 2, false)
	g := newGateway(t, targetOf(all[0]))
	session := g.open()
	same(t, g.answersLegacy(session), "L1")
	g.update(testBackend(targetOf(all...)))
	eventually(t, "the newcomers are asked", func() bool { return g.compiled().era.current() == eraModern })
	for range 5 {
		same(t, g.answersLegacy(session), "L1")
		if by := g.answersModern(); !strings.HasPrefix(by, "M") {
			t.Errorf("%s answers", by)
		}
	}
	if by := g.answersLegacy(g.open()); !strings.HasPrefix(by, "M") {
		t.Errorf("%s answers in a new session", by)
	}
	same(t, len(all[0].legacy.requests("initialize")), 1)
	g.update(testBackend(targetOf(all[1:]...)))
	if by := g.answersLegacy(session); !strings.HasPrefix(by, "M") {
		t.Errorf("%s answers", by)
	}
	for i, e := range all {
		if probes, _, refused := e.counts(); probes != 1 || refused != 0 {
			t.Errorf("%d: %d probes, %d calls refused", i, probes, refused)
		}
	}
}

func TestNewcomerGetsNoCallsBeforeItIsAsked(t *testing.T) {
	all := several(t, 1, 1, true)
	all[1].silent = make(chan struct{})
	g := newGateway(t, targetOf(all[0]))
	session := g.open()
	same(t, g.answersLegacy(session), "L1")
	g.update(testBackend(targetOf(all...)))
	for range 5 {
		if _, calls, _ := all[1].counts(); g.compiled().era.at(all[1].address) == eraUnknown && calls != 0 {
			t.Errorf("%d calls", calls)
		}
		g.answersLegacy(session)
		g.answersModern()
	}
	close(all[1].silent)
	eventually(t, "it answers", func() bool { return g.answersModern() == "M1" && g.answersLegacy(session) == "M1" })
}

func TestEndpointsThatDoNotAnswerTheProbeDoNotDecide(t *testing.T) {
	all := several(t, 2, 1, false)
	all[0].silent, all[1].silent = make(chan struct{}), make(chan struct{})
	targets := targetOf(all...)
	targets[0].Endpoints = append(targets[0].Endpoints, "127.0.0.1:1", "127.0.0.1:2")
	g := newGateway(t, targets)
	if speaks, err := g.mcp.eraOf(t.Context(), g.compiled()); speaks != eraModern || err != nil {
		t.Fatalf("got %d, %v", speaks, err)
	}
	session := g.open()
	for range 10 {
		same(t, g.answersModern(), "M1")
		same(t, g.answersLegacy(session), "M1")
	}
}

func TestAllEndpointsChangeTheirEraInPlace(t *testing.T) {
	for kind, stateless := range map[string]bool{"with sessions": false, "without": true} {
		t.Run(kind, func(t *testing.T) {
			all := several(t, 5, 0, stateless)
			for _, e := range all {
				e.modern.name = e.legacy.name
			}
			g := newGateway(t, targetOf(all...))
			session := g.open()
			for i, speaks := range []era{eraLegacy, eraModern, eraLegacy, eraModern} {
				for _, e := range all {
					e.become(speaks)
				}
				if i%2 == 0 {
					g.answersModern()
				}
				for range 5 {
					g.answersLegacy(session)
					g.answersModern()
				}
			}
			total := 0
			for _, e := range all {
				_, _, refused := e.counts()
				total += refused
			}
			same(t, total, 3) // One for each change.
		})
	}
}

func TestEndpointsOfTheTargetsEraAreGone(t *testing.T) {
	for name, live := range map[string]era{"modern ones": eraLegacy, "legacy ones": eraModern} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, live, "X", true)
			targets := targetOf(e)
			gone := []string{"127.0.0.1:1", "127.0.0.1:2"}
			targets[0].Endpoints = append(targets[0].Endpoints, gone...)
			for client, call := range map[string]func(*gateway) string{
				"modern": (*gateway).answersModern,
				"legacy": func(g *gateway) string { return g.answersLegacy(g.open()) },
			} {
				g := newGateway(t, targets)
				other := probeAnswer{speaks: eraLegacy + eraModern - live}
				g.compiled().era.note(map[string]probeAnswer{gone[0]: other, gone[1]: other, e.address: {speaks: live}})
				if by := call(g); by != "X" {
					t.Errorf("%s client: %s", client, by)
				}
			}
		})
	}
}

func TestRefusalOfAServerThatIsWhatItWasIsTheClients(t *testing.T) {
	all := several(t, 0, 2, false)
	for _, e := range all {
		e.modern.set(func() {
			e.modern.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) { lostAsTypeScript(w) }
		})
	}
	g := newGateway(t, targetOf(all...))
	got := g.modern(callEcho)
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "-32000") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	probes, calls := 0, 0
	for _, e := range all {
		p, c, _ := e.counts()
		probes, calls = probes+p, calls+c
	}
	same(t, calls, 1)
	same(t, probes, 3) // Of each before it, and of the one that refused.
}

func TestEndpointsAreAskedAgainWhenTheTargetIsReachedInAnotherWay(t *testing.T) {
	all := several(t, 0, 2, false)
	targets := targetOf(all...)
	g := newGateway(t, targets)
	g.answersModern()
	probes := func() (n int) {
		for _, e := range all {
			p, _, _ := e.counts()
			n += p
		}
		return n
	}
	same(t, probes(), 2)
	targets = targetOf(all...)
	targets[0].Host = "another.example.com"
	g.update(testBackend(targets))
	g.answersModern()
	same(t, probes(), 4)
	targets = targetOf(all[0])
	targets[0].Host = "another.example.com"
	g.update(testBackend(targets))
	g.answersModern()
	same(t, probes(), 4) // What stays is known.
}

func TestEndpointThatWasOnlyBeginningIsAskedAgain(t *testing.T) {
	all := several(t, 0, 2, false)
	g := newGateway(t, targetOf(all...))
	memo := g.compiled().era
	memo.note(map[string]probeAnswer{all[0].address: {speaks: eraModern}, all[1].address: {speaks: eraLegacy, silent: true}})
	for range 5 {
		same(t, g.answersModern(), "M1")
	}
	known := *memo.known.Load()
	known.since = known.since.Add(-2 * staleAfter)
	memo.known.Store(&known)
	eventually(t, "it is called", func() bool { return g.answersModern() == "M2" })
}
