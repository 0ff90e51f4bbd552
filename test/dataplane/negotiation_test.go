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

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// TestClientThatSpeaksBothErasFindsOut: a client that asks first speaks the newest revision, whatever the servers are of.
func TestClientThatSpeaksBothErasFindsOut(t *testing.T) {
	for name, server := range matrixServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			gw := newGateway(t, []config.Target{server(t, "server").target()})
			asks := nodeKind{mode: "auto"}.connect(t, gw.url)
			g.Expect(asks.modern()).To(BeTrue())
			g.Expect(called(t, asks, "echo", message("hi"))).To(Equal("server: hi"))

			// HTTP+SSE has no newer revision than its own: it says so, and the same connection goes on.
			older := nodeKind{mode: "auto", sse: true}.connect(t, gw.url+"/sse")
			g.Expect(older.modern()).To(BeFalse())
			g.Expect(called(t, older, "echo", message("hi"))).To(Equal("server: hi"))
			_, err := nodeKind{mode: modernVersion, sse: true}.dial(t, gw.url+"/sse")
			g.Expect(err).To(MatchError(ContainSubstring("did not offer")))
		})
	}
}

// TestHeadersOfParametersAreLearnedWhenTheyLack: a client that has listed no tools is told that a header lacks, and comes back
// with it.
func TestHeadersOfParametersAreLearnedWhenTheyLack(t *testing.T) {
	for name, targets := range modernBackends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := nodeKind{mode: modernVersion}.connect(t, newGateway(t, targets(t, newModernSample(t, "modern"))).url)
			NewWithT(t).Expect(called(t, c, "region", map[string]any{"region": "eu"})).To(Equal("eu"))
		})
	}
}

// TestListenersAreToldThatTheReplicaEnds, and need not find out by a broken connection.
func TestListenersAreToldThatTheReplicaEnds(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	gw := newGateway(t, []config.Target{newSample(t, "server").target()})
	c := nodeKind{mode: modernVersion}.connect(t, gw.url)
	g.Expect(c.subscribe(within(t), "demo://note")).To(Succeed())
	gw.replicas[0].mcp.Drain()
	g.Eventually(func() map[string]int { return c.seen().all("subscription ended") }).WithTimeout(patience).
		Should(Equal(map[string]int{"subscription ended graceful": 1}))
}
