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
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// short are the deadlines of a gateway with a target that never answers.
func short(l *config.Limits) {
	l.InitializeTimeout = 1500 * time.Millisecond
	l.ListTimeout = 1500 * time.Millisecond
	l.StragglerTimeout = 700 * time.Millisecond
	l.CallTimeout = 2 * time.Second
}

// TestTargetThatStalls: one of three never answers some method; the others don't notice.
func TestTargetThatStalls(t *testing.T) {
	for _, method := range []string{"initialize", "notifications/initialized", "tools/list", "tools/call"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel() // All that it does is wait.
			eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) {
				g := NewWithT(t)
				first, stalls, third := newSample(t, "first"), newRawServer(t, "stalls"), newStatelessSample(t, "third")
				stalls.answerTools()
				stalls.stall(method)
				gw := newGateway(t, []config.Target{first.target(), stalls.target(), third.target()}, withLimits(short))
				c := connect(t, gw.url)
				g.Expect(names(t, c, "tools")).To(ContainElements("echo", "add", "third_echo"))
				g.Expect(called(t, c, "echo", message("hi"))).To(Equal("first: hi"))
				g.Expect(called(t, c, "third_echo", message("hi"))).To(Equal("third: hi"))
				g.Expect(c.prompt(within(t), "greet", map[string]string{"who": "you"})).To(Equal("first greets you"))
				_, err := c.call(within(t), "stalls_own", nil, "")
				if method == "notifications/initialized" {
					g.Expect(err).NotTo(HaveOccurred())
				} else {
					g.Expect(err).To(MatchError(ContainSubstring(`target "stalls" is unavailable: `)))
				}
				g.Expect(c.close()).To(Succeed())
			})
		})
	}
}

// TestCallsDontWaitForATargetThatStalls: each call to a healthy server would otherwise take as long as a straggler may.
func TestCallsDontWaitForATargetThatStalls(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"initialize", "tools/list"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			first, stalls := newSample(t, "first"), newRawServer(t, "stalls")
			stalls.stall(method)
			gw := newGateway(t, []config.Target{first.target(), stalls.target()}, withLimits(func(l *config.Limits) {
				l.InitializeTimeout, l.ListTimeout, l.StragglerTimeout = 4*time.Second, 4*time.Second, 2*time.Second
			}))
			c := connectGo(t, gw.url)
			names(t, c, "tools")
			asked := func() int { return len(stalls.bodies("tools/list")) + len(stalls.bodies("initialize")) }
			before := asked()
			for range 20 {
				g.Expect(called(t, c, "echo", message("hi"))).To(Equal("first: hi"))
			}
			// Its stream may have been opened meanwhile, which takes another initialize.
			g.Expect(asked()-before).To(BeNumerically("<=", 1), "it is asked again for every call")

			stalls.stall("")
			stalls.answerTools()
			g.Eventually(func() (string, error) { return c.call(within(t), "stalls_own", nil, "") }).WithTimeout(patience).Should(Equal(""))
			g.Expect(c.close()).To(Succeed())
		})
	}
}

// TestServerWithoutStreamKeepsItsSession: some servers answer 404 to any GET. That does not mean that the session is lost.
func TestServerWithoutStreamKeepsItsSession(t *testing.T) {
	eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		raw, other := newRawServer(t, "raw"), newSample(t, "other")
		raw.getStatus = 404
		c := connect(t, newGateway(t, []config.Target{raw.target(), other.target()}).url)
		for range 20 {
			g.Expect(called(t, c, "other_roots", nil)).To(Equal("other: " + clientRoot))
		}
		g.Expect(raw.sessions()).To(Equal(1))
		g.Expect(c.close()).To(Succeed())
	})
}
