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
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

// startOldEverything starts a server-everything that speaks HTTP+SSE. Port 0 takes a free one.
func startOldEverything(t *testing.T, port int) *node.Server {
	t.Helper()
	shared.mu.Lock()
	tools, err := shared.toolchain()
	shared.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	started, err := tools.StartEverything(t.Context(), port, node.SSE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Stop)
	return started
}

// oldTarget is a server of HTTP+SSE as a static target.
func oldTarget(t *testing.T, name string, s *node.Server) config.Target {
	t.Helper()
	old := target(t, name, fmt.Sprintf("http://127.0.0.1:%d/sse", s.Port))
	old.Protocol = config.SSE
	return old
}

// connected returns how many connections the server has.
func connected(s *node.Server) int {
	output := s.Output()
	return strings.Count(output, "Client Connected:") - strings.Count(output, "Client Disconnected:")
}

// TestServerOfHTTPSSE: clients of today use a server of 2024, alone and among others.
func TestServerOfHTTPSSE(t *testing.T) {
	for name, prefix := range map[string]string{"alone": "", "among others": "old_"} {
		t.Run(name, func(t *testing.T) {
			eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) {
				g := NewWithT(t)
				old := startOldEverything(t, 0)
				targets := []config.Target{oldTarget(t, "old", old)}
				if prefix != "" {
					targets = []config.Target{target(t, "new", everything(t, 0).URL()), newSample(t, "sample").target(), targets[0]}
				}
				c := connect(t, newGateway(t, targets).url)
				g.Expect(names(t, c, "tools")).To(ContainElements(prefix+"echo", prefix+"get-roots-list", prefix+"trigger-elicitation-request"))
				g.Expect(called(t, c, prefix+"echo", message("hi"))).To(Equal("Echo: hi"))
				tellOfOldServer(t, c, prefix)
				g.Expect(c.close()).To(Succeed())
				g.Eventually(func() int { return connected(old) }).WithTimeout(patience).Should(BeZero(), "DELETE closes the connection")
			})
		})
	}
}

// tellOfOldServer uses what is more than a request and its answer.
func tellOfOldServer(t *testing.T, c client, prefix string) {
	t.Helper()
	g := NewWithT(t)
	done := make(chan error, 2)
	for i := range cap(done) { // Two at once, with a token of their own each.
		go func() {
			_, err := c.call(within(t), prefix+"trigger-long-running-operation", map[string]any{"duration": 0.3, "steps": 3}, fmt.Sprintf("token-%d", i))
			done <- err
		}()
	}
	for range cap(done) {
		g.Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))
	}
	for i := range cap(done) {
		g.Eventually(func() map[string]int { return c.seen().all(fmt.Sprintf("progress token-%d ", i)) }).WithTimeout(patience).Should(HaveLen(3))
	}
	g.Expect(called(t, c, prefix+"trigger-elicitation-request", nil)).To(ContainSubstring("Name: " + elicitedName))
	g.Expect(called(t, c, prefix+"trigger-sampling-request", map[string]any{"prompt": "ho", "maxTokens": 10})).
		To(ContainSubstring("sampled Resource trigger-sampling-request context: ho"))
	g.Eventually(func() (string, error) { return c.call(within(t), prefix+"get-roots-list", nil, "") }).WithTimeout(patience).
		Should(ContainSubstring(clientRoot), "it asks on the client's own stream")
	g.Expect(c.addRoot(within(t), "file:///more")).To(Succeed())
	g.Eventually(func() (string, error) { return c.call(within(t), prefix+"get-roots-list", nil, "") }).WithTimeout(patience).
		Should(ContainSubstring("file:///more"))
	g.Expect(c.complete(within(t), prefix+"completable-prompt", "", "department", "E")).To(Equal([]string{"Engineering"}))
	uri := "demo://resource/dynamic/text/1"
	if prefix != "" {
		uri = "old+" + uri
	}
	g.Expect(c.subscribe(within(t), uri)).To(Succeed())
	called(t, c, prefix+"toggle-subscriber-updates", nil)
	g.Eventually(func() int { return c.seen().count("updated " + uri) }).WithTimeout(patience).Should(BeNumerically(">", 0))
	called(t, c, prefix+"toggle-subscriber-updates", nil)
	ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
	defer cancel()
	_, err := c.call(ctx, prefix+"trigger-long-running-operation", map[string]any{"duration": 600, "steps": 1}, "")
	g.Expect(err).To(HaveOccurred(), "it is cancelled")
	g.Expect(called(t, c, prefix+"echo", message("ho"))).To(Equal("Echo: ho"), "the session goes on")
}

// TestServerOfHTTPSSEIsKilledAndRestarted: its clients' sessions outlive it.
func TestServerOfHTTPSSEIsKilledAndRestarted(t *testing.T) {
	eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		mortal := startOldEverything(t, 0)
		c := connect(t, newGateway(t, []config.Target{oldTarget(t, "mortal", mortal), newSample(t, "sample").target()}).url)
		g.Expect(called(t, c, "mortal_echo", message("hi"))).To(Equal("Echo: hi"))
		failed := make(chan error, 1)
		go func() {
			_, err := c.call(within(t), "trigger-long-running-operation", map[string]any{"duration": 600, "steps": 1}, "")
			failed <- err
		}()
		g.Eventually(mortal.Output).WithTimeout(patience).Should(ContainSubstring("Client Message"))
		mortal.Stop()
		g.Eventually(failed).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring(`target "mortal" is unavailable`))))
		_, err := c.call(within(t), "echo", message("hi"), "")
		g.Expect(err).To(MatchError(ContainSubstring(`target "mortal" is unavailable`)))
		g.Expect(called(t, c, "add", map[string]any{"a": 2, "b": 3})).To(Equal("5"))

		again := startOldEverything(t, mortal.Port)
		var errs []error
		for range 5 {
			if _, err := c.call(within(t), "echo", message("hi"), ""); err != nil {
				errs = append(errs, err)
			}
		}
		g.Expect(errs).To(BeEmpty())
		g.Expect(names(t, c, "tools")).To(ContainElement("get-roots-list"), "it knows what the client can do")
		g.Eventually(func() (string, error) { return c.call(within(t), "get-roots-list", nil, "") }).WithTimeout(patience).
			Should(ContainSubstring(clientRoot))
		g.Expect(called(t, c, "trigger-elicitation-request", nil)).To(ContainSubstring(elicitedName))
		g.Expect(connected(again)).To(Equal(1))
		g.Expect(c.close()).To(Succeed())
		g.Eventually(func() int { return connected(again) }).WithTimeout(patience).Should(BeZero())
	})
}

// TestServerOfHTTPSSEBehindTwoReplicas: each request comes to another replica, and all are served by one connection.
func TestServerOfHTTPSSEBehindTwoReplicas(t *testing.T) {
	eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		old := startOldEverything(t, 0)
		b := newGateway(t, []config.Target{oldTarget(t, "old", old), newSample(t, "sample").target()}, withReplicas(2)).balancer
		c := connect(t, b.url+"/mcp")
		for range 4 {
			g.Expect(called(t, c, "old_echo", message("hi"))).To(Equal("Echo: hi"))
			g.Expect(called(t, c, "trigger-elicitation-request", nil)).To(ContainSubstring("Name: " + elicitedName))
		}
		tellOfOldServer(t, c, "")
		g.Expect(connected(old)).To(Equal(1))
		g.Expect(c.close()).To(Succeed())
		g.Eventually(func() int { return connected(old) }).WithTimeout(patience).Should(BeZero())
		for replica := range 2 {
			g.Expect(b.count(http.MethodPost, replica)).To(BeNumerically(">", 1))
		}
	})
}

// TestModernClientOfAServerOfHTTPSSE: the newest client with the oldest server; each call has a connection of its own.
func TestModernClientOfAServerOfHTTPSSE(t *testing.T) {
	for sdk, dial := range matrixClients["modern"] {
		t.Run(sdk, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			old := startOldEverything(t, 0)
			c, err := dial(t, newGateway(t, []config.Target{oldTarget(t, "old", old)}).url)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(names(t, c, "tools")).To(ContainElements("echo", "trigger-elicitation-request"))
			listing := connected(old)
			for range 3 {
				g.Expect(called(t, c, "echo", message("hi"))).To(Equal("Echo: hi"))
			}
			_, err = c.call(within(t), "trigger-long-running-operation", map[string]any{"duration": 0.3, "steps": 3}, "token")
			g.Expect(err).NotTo(HaveOccurred())
			for i := range 3 {
				g.Eventually(func() int { return c.seen().count(fmt.Sprintf("progress token %d/3", i+1)) }).WithTimeout(patience).Should(Equal(1))
			}
			g.Expect(called(t, c, "trigger-elicitation-request", nil)).To(ContainSubstring("Name: " + elicitedName))
			g.Eventually(func() int { return connected(old) }).WithTimeout(patience).Should(Equal(listing), "calls leave none behind")
			g.Expect(c.close()).To(Succeed())
		})
	}
}
