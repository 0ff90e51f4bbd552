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
	"net/http"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// TestTwoReplicas: one session is served by two replicas that know nothing of each other but the keys.
func TestTwoReplicas(t *testing.T) {
	eachPinning(t, func(t *testing.T, pinned map[string]int, connect func(*testing.T, string) client) {
		first, second := newSample(t, "first"), newSample(t, "second")
		targets := []config.Target{first.target(), second.target(), target(t, "everything", everything(t, 0).URL())}
		gw := newGateway(t, targets, withReplicas(2))
		story := replicasStory{balancer: gw.balancer, pinned: pinned, first: first, second: second}
		story.thirdLeaves = func() { gw.update(targets[0], targets[1]) }
		story.tell(t, connect)
	})
}

// eachPinning tells a story for each way in which requests of one session may be spread.
func eachPinning(t *testing.T, story func(t *testing.T, pinned map[string]int, connect func(*testing.T, string) client)) {
	for name, pinned := range map[string]map[string]int{
		"each request another one":         {},
		"GET at first and DELETE at other": {http.MethodGet: 0, http.MethodDelete: 1},
		"GET at other and DELETE at first": {http.MethodGet: 1, http.MethodDelete: 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) { story(t, pinned, connect) })
		})
	}
}

// replicasStory is of a session with three servers, named first, second and everything, behind two replicas.
type replicasStory struct {
	balancer      *balancer
	pinned        map[string]int
	first, second *sample
	thirdLeaves   func()
}

func (s *replicasStory) tell(t *testing.T, connect func(*testing.T, string) client) {
	g := NewWithT(t)
	for method, replica := range s.pinned {
		s.balancer.pin(method, replica)
	}
	c := connect(t, s.balancer.url+"/mcp")
	for range 2 {
		g.Expect(names(t, c, "tools")).To(ContainElements("echo", "second_echo", "everything_echo"))
		g.Expect(called(t, c, "echo", message("hi"))).To(Equal("first: hi"))
		g.Expect(called(t, c, "second_echo", message("hi"))).To(Equal("second: hi"))
		// The question comes by one replica's stream, the answer by the other one's POST.
		g.Expect(called(t, c, "elicit", nil)).To(Equal("first: accept " + elicitedName))
		g.Expect(called(t, c, "second_ask-model", message("hi"))).To(Equal("second: sampled hi by " + sampledBy))
		g.Expect(called(t, c, "second_roots", nil)).To(Equal("second: " + clientRoot))
	}
	g.Eventually(func() (string, error) { return c.call(within(t), "get-roots-list", nil, "") }).WithTimeout(patience).
		Should(ContainSubstring(clientRoot), "it asks on the GET stream")
	g.Expect(c.subscribe(within(t), "second+demo://note")).To(Succeed())
	g.Eventually(func() map[string]int {
		updateNote(s.second)
		return c.seen().all("updated ")
	}).WithTimeout(patience).Should(HaveKey("updated second+demo://note"))
	g.Expect(c.seen().all("updated ")).To(HaveLen(1))

	before := c.seen().count("tools changed")
	s.thirdLeaves()
	g.Eventually(func() int { return c.seen().count("tools changed") }).WithTimeout(patience).Should(BeNumerically(">", before))
	for range 2 { // Another replica may be told a moment later.
		g.Eventually(func() ([]string, error) { return c.list(within(t), "tools") }).WithTimeout(patience).
			Should(And(ContainElements("echo", "second_echo"), Not(ContainElement("everything_echo"))))
	}

	g.Expect(c.close()).To(Succeed())
	for replica := range 2 {
		g.Expect(s.balancer.count(http.MethodPost, replica)).To(BeNumerically(">", 1))
	}
	for method, replica := range s.pinned {
		g.Expect(s.balancer.count(method, replica)).To(BeNumerically(">", 0), method)
		g.Expect(s.balancer.count(method, 1-replica)).To(BeZero(), method)
	}
	for _, server := range []*sample{s.first, s.second} {
		g.Eventually(server.sessions).WithTimeout(patience).Should(BeZero(), "DELETE has ended it everywhere")
	}
}
