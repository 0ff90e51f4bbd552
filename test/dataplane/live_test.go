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
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

func TestElderLeavesAndComesBack(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		elder, younger := newSample(t, "elder"), newSample(t, "younger")
		gw := newGateway(t, []config.Target{elder.target(), younger.target()})
		c := connect(t, gw.url)
		g.Expect(names(t, c, "tools")).To(Equal(slices.Concat(sampleTools, qualified("younger", sampleTools...))))

		gw.update(younger.target())
		g.Eventually(func() int { return c.seen().count("tools changed") }).WithTimeout(patience).Should(BeNumerically(">", 0))
		g.Expect(names(t, c, "tools")).To(Equal(qualified("younger", sampleTools...)), "no bare name is the younger's")
		_, err := c.call(within(t), "echo", message("hi"), "")
		g.Expect(err).To(MatchError(ContainSubstring(`the server that had "echo" is gone; use younger_echo`)))
		g.Expect(called(t, c, "younger_echo", message("hi"))).To(Equal("younger: hi"))

		gw.update(younger.target(), elder.target())
		g.Eventually(func() ([]string, error) { return c.list(within(t), "tools") }).WithTimeout(patience).
			Should(Equal(slices.Concat(qualified("younger", sampleTools...), sampleTools)))
		g.Expect(called(t, c, "echo", message("hi"))).To(Equal("elder: hi"))
		g.Expect(called(t, c, "elder_echo", message("hi"))).To(Equal("elder: hi"))
		g.Expect(called(t, c, "younger_echo", message("hi"))).To(Equal("younger: hi"))
		g.Expect(c.close()).To(Succeed())
	})
}

func TestYoungerLeaves(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		targets, sample := three(t)
		gw := newGateway(t, targets)
		c := connect(t, gw.url)
		g.Expect(names(t, c, "tools")).To(ContainElements("echo", "second_echo", "sample_echo", "add"))

		gw.update(targets[0], targets[2])
		g.Eventually(func() int { return c.seen().count("tools changed") }).WithTimeout(patience).Should(BeNumerically(">", 0))
		g.Expect(names(t, c, "tools")).To(And(ContainElements("echo", "sample_echo", "add"), Not(ContainElement("second_echo"))))
		_, err := c.call(within(t), "second_echo", message("hi"), "")
		g.Expect(err).To(MatchError(ContainSubstring("Unknown tool: second_echo")))

		gw.update(targets[0])
		g.Eventually(func() ([]string, error) { return c.list(within(t), "tools") }).WithTimeout(patience).
			Should(Equal(everythingTools(t, connect, "tools")), "one server has its own names")
		_, err = c.call(within(t), "add", map[string]any{"a": 2, "b": 3}, "")
		g.Expect(err).To(HaveOccurred())
		g.Expect(called(t, c, "echo", message("hi"))).To(Equal("Echo: hi"))

		gw.update(targets[0], sample.target())
		g.Expect(called(t, c, "add", map[string]any{"a": 2, "b": 3})).To(Equal("5"))
		g.Expect(c.close()).To(Succeed())
	})
}

func TestNobodyIsThereYet(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		s := newSample(t, "sample")
		gw := newGateway(t, nil)
		c := connect(t, gw.url)
		for _, what := range []string{"tools", "prompts", "resources", "templates"} {
			g.Expect(names(t, c, what)).To(BeEmpty(), what)
		}
		_, err := c.call(within(t), "echo", message("hi"), "")
		g.Expect(err).To(MatchError(ContainSubstring("has no MCP server at the moment")))
		gw.update(s.target())
		g.Eventually(func() int { return c.seen().count("tools changed") }).WithTimeout(patience).Should(Equal(1))
		g.Expect(names(t, c, "tools")).To(Equal(sampleTools))
		g.Expect(called(t, c, "echo", message("hi"))).To(Equal("sample: hi"))
		g.Expect(c.close()).To(Succeed())
	})
}

// TestClientsAreToldWhatChanged: what changed is told, once, and nothing else.
func TestClientsAreToldWhatChanged(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		first, second, third := newSample(t, "first"), newStatelessSample(t, "second"), newSample(t, "third")
		gw := newGateway(t, []config.Target{first.target(), second.target()})
		c := connect(t, gw.url)
		names(t, c, "tools")
		told := 0
		changes := func(g *WithT) {
			told++
			for _, what := range []string{"tools", "prompts", "resources"} {
				g.Eventually(func() int { return c.seen().count(what + " changed") }).WithTimeout(patience).Should(Equal(told), what)
			}
		}
		for _, step := range []struct {
			name    string
			targets []config.Target
			tools   []string
		}{
			{"added", []config.Target{first.target(), second.target(), third.target()}, []string{"echo", "second_echo", "third_echo"}},
			{"a stateless one is removed", []config.Target{first.target(), third.target()}, []string{"echo", "third_echo"}},
			{"renamed", []config.Target{first.target(), renamed(third.target(), "drei")}, []string{"echo", "drei_echo"}},
			{"not ready", []config.Target{first.target(), unready(renamed(third.target(), "drei"))}, []string{"echo"}},
			{"ready", []config.Target{first.target(), renamed(third.target(), "drei")}, []string{"echo", "drei_echo"}},
			{"another name for the eldest", []config.Target{renamed(first.target(), "eins"), renamed(third.target(), "drei")}, []string{"echo", "drei_echo"}},
		} {
			t.Run(step.name, func(t *testing.T) {
				g := NewWithT(t)
				gw.update(step.targets...)
				changes(g)
				echoes := slices.DeleteFunc(names(t, c, "tools"), func(name string) bool { return name != "echo" && name[max(0, len(name)-5):] != "_echo" })
				g.Expect(echoes).To(Equal(step.tools))
				for _, tool := range step.tools {
					g.Expect(called(t, c, tool, message("hi"))).To(HaveSuffix(": hi"))
				}
			})
		}
		t.Run("the same again", func(t *testing.T) {
			gw.update(renamed(first.target(), "eins"), renamed(third.target(), "drei"))
			// One that is told more would overtake this.
			third.change(func(server *mcp.Server) { server.RemovePrompts("greet") })
			g := NewWithT(t)
			g.Eventually(func() int { return c.seen().count("prompts changed") }).WithTimeout(patience).Should(Equal(told + 1))
			g.Expect(c.seen().count("tools changed")).To(Equal(told))
		})
		NewWithT(t).Expect(c.close()).To(Succeed())
	})
}

func unready(t config.Target) config.Target {
	t.Endpoints, t.Unready = nil, "none of its endpoints is ready"
	return t
}

func TestServersOwnChangesReachClients(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		first, second := newSample(t, "first"), newSample(t, "second")
		c := connect(t, newGateway(t, []config.Target{first.target(), second.target()}).url)
		g.Expect(names(t, c, "tools")).NotTo(ContainElement("brand-new"))
		g.Expect(called(t, c, "roots", nil)).To(Equal("first: "+clientRoot), "the stream is open")
		g.Eventually(func() (map[string]int, error) {
			second.change(func(server *mcp.Server) {
				server.RemoveTools("brand-new")
				addTool(server, "brand-new", func(context.Context, *mcp.CallToolRequest, text) (string, error) { return "new", nil })
			})
			return c.seen().all("tools changed"), nil
		}).WithTimeout(patience).WithPolling(200 * time.Millisecond).ShouldNot(BeEmpty())
		g.Expect(names(t, c, "tools")).To(ContainElement("brand-new"))
		g.Expect(called(t, c, "brand-new", message("hi"))).To(Equal("new"))
		g.Expect(called(t, c, "second_brand-new", message("hi"))).To(Equal("new"))
		g.Expect(c.close()).To(Succeed())
	})
}

// TestFirstServerNeverFailsWhileOthersComeAndGo counts what callers of one server notice of the others' coming and going.
func TestFirstServerNeverFailsWhileOthersComeAndGo(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		first, second, third := newSample(t, "first"), newSample(t, "second"), newStatelessSample(t, "third")
		gw := newGateway(t, []config.Target{first.target()}, withLimits(fewer))
		c := connect(t, gw.url)
		names(t, c, "tools")

		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		const callers = 4
		counted := make(chan [2]int)
		go func() {
			var calls, failures int
			for err := range results {
				if calls++; err != nil {
					failures++
					t.Logf("call %d failed: %v", calls, err)
				}
			}
			counted <- [2]int{calls, failures}
		}()
		done := make(chan struct{})
		for i := range callers {
			tool := []string{"echo", "first_echo"}[i%2]
			go func() {
				defer func() { done <- struct{}{} }()
				for n := 0; ctx.Err() == nil; n++ {
					want := fmt.Sprintf("%d-%d", i, n)
					got, err := c.call(within(t), tool, message(want), "")
					if err == nil && got != "first: "+want {
						err = fmt.Errorf("%s: got %q, want %q", tool, got, want)
					}
					results <- err
				}
			}()
		}
		for range 3 {
			for _, targets := range [][]config.Target{
				{first.target(), second.target()},
				{first.target(), second.target(), third.target()},
				{first.target(), third.target()},
				{first.target(), renamed(third.target(), "other"), second.target()},
				{first.target(), unready(second.target())},
				{first.target()},
			} {
				gw.update(targets...)
				names(t, c, "tools")
			}
			gw.update(first.target(), second.target())
			second.kill()
			names(t, c, "tools")
			second.start()
			names(t, c, "tools")
		}
		cancel()
		for range callers {
			<-done
		}
		close(results)
		count := <-counted
		t.Logf("%d calls, %d failed", count[0], count[1])
		g.Expect(count[1]).To(BeZero())
		g.Expect(count[0]).To(BeNumerically(">", 20))
		g.Expect(c.close()).To(Succeed())
	})
}

// TestRenamedServerIsCalledAtOnce: nobody has listed since.
func TestRenamedServerIsCalledAtOnce(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		first, second := newSample(t, "first"), newSample(t, "second")
		gw := newGateway(t, []config.Target{first.target(), second.target()})
		c := connect(t, gw.url)
		names(t, c, "tools")
		gw.update(renamed(first.target(), "eins"), renamed(second.target(), "zwei"))
		for tool, want := range map[string]string{"echo": "first: hi", "eins_echo": "first: hi", "zwei_echo": "second: hi"} {
			g.Expect(called(t, c, tool, message("hi"))).To(Equal(want), tool)
		}
		// They take each other's names: a qualified name is whose name it is now.
		gw.update(renamed(first.target(), "zwei"), renamed(second.target(), "eins"))
		for tool, want := range map[string]string{"echo": "first: hi", "eins_echo": "second: hi", "zwei_echo": "first: hi"} {
			g.Expect(called(t, c, tool, message("hi"))).To(Equal(want), tool)
		}
		g.Expect(c.close()).To(Succeed())
	})
}

// TestQualifiedNamesWorkWithOneServer: a client that used them while there were two goes on.
func TestQualifiedNamesWorkWithOneServer(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		c := connect(t, newGateway(t, []config.Target{newSample(t, "only").target()}).url)
		g.Expect(called(t, c, "only_echo", message("hi"))).To(Equal("only: hi"))
		g.Expect(called(t, c, "echo", message("hi"))).To(Equal("only: hi"))
		g.Expect(c.prompt(within(t), "only_greet", map[string]string{"who": "you"})).To(Equal("only greets you"))
		g.Expect(c.read(within(t), "only+demo://note")).To(Equal("only+demo://note: only"))
		g.Expect(c.complete(within(t), "only_greet", "", "who", "A")).To(Equal([]string{"only greet A"}))
		_, err := c.call(within(t), "only_nope", nil, "")
		g.Expect(err).To(MatchError(ContainSubstring(`unknown tool "only_nope"`)), "the server's own words")
		g.Expect(c.close()).To(Succeed())
	})
}
