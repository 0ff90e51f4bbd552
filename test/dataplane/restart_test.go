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

package dataplane

import (
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// calls counts the calls of a story, and the errors.
type calls struct {
	mu     sync.Mutex
	all    int
	errors []string
}

func (n *calls) count(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all++; err != nil {
		n.errors = append(n.errors, err.Error())
	}
}

// TestEverythingIsKilledAndRestarted: server-everything dies under a client's session and comes back without a memory of it.
func TestEverythingIsKilledAndRestarted(t *testing.T) {
	for _, targets := range []int{1, 3} {
		t.Run(map[int]string{1: "one server", 3: "three servers"}[targets], func(t *testing.T) {
			eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
				g := NewWithT(t)
				mortal := startEverything(t, 0)
				all := []config.Target{target(t, "mortal", mortal.URL()), target(t, "other", everything(t, 0).URL()), newSample(t, "sample").target()}
				c := connect(t, newGateway(t, all[:targets]).url)
				g.Expect(names(t, c, "tools")).To(ContainElement("get-roots-list"))
				var before, down, after calls
				echo := func(n *calls) error {
					_, err := c.call(within(t), "echo", message("hi"), "")
					n.count(err)
					return err
				}
				g.Expect(echo(&before)).To(Succeed())

				mortal.Stop()
				for range 3 {
					g.Expect(echo(&down)).To(MatchError(ContainSubstring(`target "mortal" is unavailable`)))
				}
				if targets > 1 {
					g.Expect(called(t, c, "other_echo", message("hi"))).To(Equal("Echo: hi"))
					g.Expect(called(t, c, "add", map[string]any{"a": 2, "b": 3})).To(Equal("5"))
					g.Expect(names(t, c, "tools")).To(And(ContainElements("other_echo", "add"), Not(ContainElement("echo"))))
				}

				startEverything(t, mortal.Port)
				for range 5 {
					_ = echo(&after)
				}
				g.Expect(after.errors).To(BeEmpty())
				t.Logf("calls before %d, while it was down %d (%d failed), after %d (%d failed)",
					before.all, down.all, len(down.errors), after.all, len(after.errors))
				g.Expect(names(t, c, "tools")).To(ContainElement("get-roots-list"), "it knows what the client can do")
				// It asks for the roots again, on the stream that the gateway has opened anew.
				g.Eventually(func() (string, error) { return c.call(within(t), "get-roots-list", nil, "") }).WithTimeout(patience).
					Should(ContainSubstring(clientRoot))
				g.Expect(called(t, c, "trigger-elicitation-request", nil)).To(ContainSubstring(elicitedName))
				g.Expect(c.close()).To(Succeed())
			})
		})
	}
}

// TestGoServerIsKilledAndRestarted: the same with a server that answers 404 for a lost session, or keeps none.
func TestGoServerIsKilledAndRestarted(t *testing.T) {
	for name, start := range map[string]func(*testing.T, string) *sample{"with sessions": newSample, "stateless": newStatelessSample} {
		t.Run(name, func(t *testing.T) {
			eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
				g := NewWithT(t)
				mortal, other := start(t, "mortal"), newSample(t, "other")
				c := connect(t, newGateway(t, []config.Target{mortal.target(), other.target()}).url)
				for range 3 {
					g.Expect(called(t, c, "echo", message("hi"))).To(Equal("mortal: hi"))
					mortal.kill()
					_, err := c.call(within(t), "echo", message("hi"), "")
					g.Expect(err).To(MatchError(ContainSubstring(`target "mortal" is unavailable: `)))
					g.Expect(called(t, c, "other_echo", message("hi"))).To(Equal("other: hi"))
					mortal.start()
					g.Expect(called(t, c, "echo", message("hi"))).To(Equal("mortal: hi"))
					g.Expect(called(t, c, "mortal_echo", message("hi"))).To(Equal("mortal: hi"))
				}
				g.Expect(c.close()).To(Succeed())
			})
		})
	}
}

// TestRestartedServerIsListenedToAgain: what it says by itself reaches the client, and what the client had asked for is asked
// for again.
func TestRestartedServerIsListenedToAgain(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		mortal, other := newSample(t, "mortal"), newSample(t, "other")
		c := connect(t, newGateway(t, []config.Target{other.target(), mortal.target()}).url)
		g.Expect(c.subscribe(within(t), "mortal+demo://note")).To(Succeed())
		updated := func() int {
			updateNote(mortal)
			return c.seen().count("updated mortal+demo://note")
		}
		g.Eventually(updated).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(BeNumerically(">", 0))
		mortal.kill()
		mortal.start()
		before := c.seen().count("updated mortal+demo://note")
		g.Eventually(updated).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(BeNumerically(">", before))
		g.Expect(c.seen().all("updated ")).To(HaveLen(1))
		g.Expect(c.close()).To(Succeed())
	})
}

// TestCallInFlightWhenItsServerDies gets an error that says why.
func TestCallInFlightWhenItsServerDies(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		mortal, other := newSample(t, "mortal"), newSample(t, "other")
		c := connect(t, newGateway(t, []config.Target{other.target(), mortal.target()}).url)
		failed := make(chan error, 1)
		go func() {
			_, err := c.call(within(t), "mortal_wait", message("for ever"), "")
			failed <- err
		}()
		g.Eventually(mortal.waiting).WithTimeout(patience).Should(Receive())
		mortal.kill()
		var err error
		g.Eventually(failed).WithTimeout(patience).Should(Receive(&err))
		g.Expect(err).To(MatchError(ContainSubstring(`target "mortal" is unavailable: `)))
		g.Expect(called(t, c, "echo", message("hi"))).To(Equal("other: hi"))
		g.Expect(c.close()).To(Succeed())
	})
}
