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
	_ "embed" // The server's source is part of the tests.
	"io"
	"regexp"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

//go:embed server.mjs
var serverSource string

// nodeServer is a server of the TypeScript SDK 2.x, in a process of its own.
type nodeServer struct {
	url    string
	stdin  io.Writer
	output *lockedBuffer
}

var nodeServerPort = regexp.MustCompile(`port (\d+);`)

func startNodeServer(t *testing.T) *nodeServer {
	t.Helper()
	shared.mu.Lock()
	tools, err := shared.toolchain()
	shared.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	command, output := tools.Script(serverSource), &lockedBuffer{}
	command.Stdout, command.Stderr = output, output
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("the server of the TypeScript SDK: %v\n%s", err, output)
		}
	})
	s := &nodeServer{stdin: stdin, output: output}
	NewWithT(t).Eventually(func() bool {
		said := nodeServerPort.FindStringSubmatch(output.String())
		if said != nil {
			s.url = "http://127.0.0.1:" + said[1] + "/mcp"
		}
		return said != nil
	}).WithTimeout(patience).Should(BeTrue(), output.String)
	return s
}

// tell has the server do what a word stands for.
func (s *nodeServer) tell(word string) { _, _ = io.WriteString(s.stdin, word+"\n") }

// TestServerOfTheTypeScriptSDK: modern servers are not all made with the Go SDK.
func TestServerOfTheTypeScriptSDK(t *testing.T) {
	for _, with := range []string{"alone", "beside a legacy server"} {
		t.Run(with, func(t *testing.T) {
			eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
				g := NewWithT(t)
				s := startNodeServer(t)
				targets := []config.Target{target(t, "modern", s.url)}
				if with != "alone" {
					targets = append(targets, newSample(t, "legacy").target())
				}
				c := connect(t, newGateway(t, targets).url)
				g.Expect(names(t, c, "tools")).To(ContainElements("echo", "region", "interview"))
				g.Expect(called(t, c, "echo", message("hi"))).To(Equal("modern: hi"))
				g.Expect(called(t, c, "region", map[string]any{"region": "Zürich"})).To(Equal("Zürich"))
				g.Expect(c.prompt(within(t), "greet", map[string]string{"who": "Ada"})).To(Equal("modern greets Ada"))
				g.Expect(c.read(within(t), "demo://note")).To(Equal("demo://note: modern"))
				_, err := c.call(within(t), "nope", nil, "")
				g.Expect(err).To(MatchError(ContainSubstring("nope")))
				modernProgress(t, c)
				rounds(t, c)
				modernLogging(t, c)
				s.cancels(t, c)
				s.tells(t, c)
				g.Expect(c.close()).To(Succeed())
			})
		})
	}
}

// tells of changes: of its tools, and of a resource.
func (s *nodeServer) tells(t *testing.T, c client) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(c.subscribe(within(t), "demo://note")).To(Succeed())
	for word, note := range map[string]string{"tool": "tools changed", "note": "updated demo://note"} {
		before := c.seen().count(note)
		g.Eventually(func() int {
			s.tell(word)
			return c.seen().count(note)
		}).WithTimeout(patience).WithPolling(50*time.Millisecond).Should(BeNumerically(">", before), note)
	}
	g.Expect(names(t, c, "tools")).To(ContainElement("more-1"))
}

// cancels a call, of which the server is told.
func (s *nodeServer) cancels(t *testing.T, c client) {
	t.Helper()
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(within(t))
	failed := make(chan error, 1)
	go func() {
		_, err := c.call(ctx, "wait", message("for the client's word"), "")
		failed <- err
	}()
	g.Eventually(s.output.String).WithTimeout(patience).Should(ContainSubstring("waiting for the client's word"))
	cancel()
	g.Eventually(failed).WithTimeout(patience).Should(Receive(HaveOccurred()))
	g.Eventually(s.output.String).WithTimeout(patience).Should(ContainSubstring("cancelled for the client's word"))
}
