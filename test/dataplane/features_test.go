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
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// TestFeaturesWithThreeServers: what is more than a request and its answer works with each of the three.
func TestFeaturesWithThreeServers(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		targets, third := three(t)
		c := connect(t, newGateway(t, targets).url)
		for name, feature := range map[string]func(*testing.T, client, *sample){
			"progress": progress, "cancellation": cancellation, "elicitation": elicitation, "sampling": sampling,
			"roots": roots, "subscriptions": subscriptions, "completion": completion, "logging": logging,
		} {
			t.Run(name, func(t *testing.T) { feature(t, c, third) })
		}
		NewWithT(t).Expect(c.close()).To(Succeed())
	})
}

func progress(t *testing.T, c client, _ *sample) {
	g := NewWithT(t)
	got, err := c.call(within(t), "slow", map[string]any{"steps": 3}, "token-of-sample")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal("sample: done"))
	for _, tool := range []string{"trigger-long-running-operation", "second_trigger-long-running-operation"} {
		_, err := c.call(within(t), tool, map[string]any{"duration": 0.1, "steps": 2}, "token-of-"+tool)
		g.Expect(err).NotTo(HaveOccurred())
		g.Eventually(func() map[string]int { return c.seen().all("progress token-of-" + tool + " ") }).WithTimeout(patience).Should(Equal(map[string]int{
			"progress token-of-" + tool + " 1/2": 1, "progress token-of-" + tool + " 2/2": 1,
		}))
	}
	g.Eventually(func() map[string]int { return c.seen().all("progress token-of-sample ") }).WithTimeout(patience).Should(HaveLen(3))
}

func cancellation(t *testing.T, c client, s *sample) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(within(t))
	failed := make(chan error, 1)
	go func() {
		_, err := c.call(ctx, "wait", message("for the client's word"), "")
		failed <- err
	}()
	g.Eventually(s.waiting).WithTimeout(patience).Should(Receive(Equal("for the client's word")))
	cancel()
	g.Eventually(failed).WithTimeout(patience).Should(Receive(HaveOccurred()))
	g.Eventually(s.cancelled).WithTimeout(patience).Should(Receive(Equal("for the client's word")))
	g.Expect(called(t, c, "add", map[string]any{"a": 2, "b": 3})).To(Equal("5"), "the session goes on")
}

func elicitation(t *testing.T, c client, _ *sample) {
	g := NewWithT(t)
	before := c.seen().count("elicitation")
	g.Expect(called(t, c, "elicit", nil)).To(Equal("sample: accept " + elicitedName))
	for _, tool := range []string{"trigger-elicitation-request", "second_trigger-elicitation-request"} {
		g.Expect(called(t, c, tool, nil)).To(ContainSubstring("Name: " + elicitedName))
	}
	g.Expect(c.seen().count("elicitation") - before).To(Equal(3))
}

func sampling(t *testing.T, c client, _ *sample) {
	g := NewWithT(t)
	before := c.seen().count("sampling")
	g.Expect(called(t, c, "ask-model", message("hi"))).To(Equal("sample: sampled hi by " + sampledBy))
	for _, tool := range []string{"trigger-sampling-request", "second_trigger-sampling-request"} {
		got := called(t, c, tool, map[string]any{"prompt": "ho", "maxTokens": 10})
		g.Expect(got).To(And(ContainSubstring("sampled Resource trigger-sampling-request context: ho"), ContainSubstring(sampledBy)))
	}
	g.Expect(c.seen().count("sampling") - before).To(Equal(3))
}

func roots(t *testing.T, c client, _ *sample) {
	g := NewWithT(t)
	tools := []string{"get-roots-list", "second_get-roots-list", "roots"}
	for _, tool := range tools {
		g.Eventually(func() (string, error) { return c.call(within(t), tool, nil, "") }).WithTimeout(patience).
			Should(ContainSubstring(clientRoot), tool)
	}
	g.Expect(c.addRoot(within(t), "file:///more")).To(Succeed())
	for _, tool := range tools {
		g.Eventually(func() (string, error) { return c.call(within(t), tool, nil, "") }).WithTimeout(patience).
			Should(And(ContainSubstring(clientRoot), ContainSubstring("file:///more")), tool)
	}
}

func subscriptions(t *testing.T, c client, s *sample) {
	g := NewWithT(t)
	const first, second = "demo://resource/dynamic/text/1", "second+demo://resource/dynamic/text/2"
	for _, uri := range []string{first, second, "demo://note"} {
		g.Expect(c.subscribe(within(t), uri)).To(Succeed())
	}
	// server-everything tells the session in which it was called, and each call of a modern client has one of its own.
	toggle, updated := []string{"toggle-subscriber-updates", "second_toggle-subscriber-updates"}, []string{first, second, "demo://note"}
	if c.modern() {
		toggle, updated = nil, []string{"demo://note"}
	}
	for _, tool := range toggle {
		called(t, c, tool, nil)
	}
	g.Eventually(func() []string {
		updateNote(s)
		var told []string
		for note := range c.seen().all("updated ") {
			told = append(told, strings.TrimPrefix(note, "updated "))
		}
		return told
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(ConsistOf(updated))
	for _, tool := range toggle {
		called(t, c, tool, nil)
	}
	for _, uri := range []string{first, second, "demo://note"} {
		g.Expect(c.unsubscribe(within(t), uri)).To(Succeed())
	}
}

func completion(t *testing.T, c client, _ *sample) {
	g := NewWithT(t)
	for _, prompt := range []string{"completable-prompt", "second_completable-prompt"} {
		g.Expect(c.complete(within(t), prompt, "", "department", "E")).To(Equal([]string{"Engineering"}))
	}
	g.Expect(c.complete(within(t), "greet", "", "who", "A")).To(Equal([]string{"sample greet A"}))
	g.Expect(c.complete(within(t), "sample_greet", "", "who", "A")).To(Equal([]string{"sample greet A"}))
	const template = "demo://resource/dynamic/text/{resourceId}"
	for _, uri := range []string{template, "second+" + template} {
		g.Expect(c.complete(within(t), "", uri, "resourceId", "7")).To(Equal([]string{"7"}))
	}
	g.Expect(c.complete(within(t), "", "demo://item/{id}", "id", "7")).To(Equal([]string{"sample demo://item/{id} 7"}))
}

func logging(t *testing.T, c client, _ *sample) {
	g := NewWithT(t)
	g.Expect(c.setLevel(within(t), "debug")).To(Succeed())
	called(t, c, "log", message("a word"))
	g.Eventually(func() int { return c.seen().count("log warning sample: a word") }).WithTimeout(patience).Should(Equal(1))
	prefixes := []string{"", "second_"}
	if c.modern() { // What is told outside of a call is told to the session of that call, which has ended.
		prefixes = nil
	}
	for i, prefix := range prefixes {
		before := len(c.seen().all("log "))
		called(t, c, prefix+"toggle-simulated-logging", nil)
		g.Eventually(func() int { return len(c.seen().all("log ")) }).WithTimeout(patience).Should(BeNumerically(">", before), fmt.Sprint(i))
		called(t, c, prefix+"toggle-simulated-logging", nil)
	}
	g.Expect(c.setLevel(within(t), "error")).To(Succeed())
	called(t, c, "log", message("not heard"))
	called(t, c, "log", message("not heard"))
	g.Expect(c.seen().all("log warning sample: not heard")).To(BeEmpty())
}
