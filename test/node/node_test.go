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

// Package node runs the real MCP server and the real MCP client that tests are made against, both from npm:
package node

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestEverythingAnswersTheInspector(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	tools, err := Install(ctx, os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	server, err := tools.StartEverything(ctx, 0, StreamableHTTP)
	g.Expect(err).NotTo(HaveOccurred())
	defer server.Stop()

	list, err := tools.Inspect(ctx, server.URL(), "--method", "tools/list")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(list.ExitStatus).To(Equal(InspectorOK), list.Stderr)
	var result struct {
		Tools []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	g.Expect(json.Unmarshal(list.Result, &result)).To(Succeed())
	g.Expect(result.Tools).NotTo(BeEmpty())
	g.Expect(result.Tools[0].Name).To(Equal("echo"))
	g.Expect(server.Output()).To(ContainSubstring("Session initialized with ID: "))

	server.Stop()
	refused, err := tools.Inspect(ctx, server.URL(), "--method", "tools/list")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(refused.ExitStatus).To(Equal(InspectorUnreachable))
	g.Expect(refused.Result).To(BeNil())
}

func TestEverythingEndsWithItsStandardInput(t *testing.T) {
	g := NewWithT(t)
	tools, err := Install(t.Context(), os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	server, err := tools.StartEverything(t.Context(), 0, SSE)
	g.Expect(err).NotTo(HaveOccurred())
	defer server.Stop()

	g.Expect(server.stdin.Close()).To(Succeed())
	g.Eventually(server.exited).WithTimeout(10 * time.Second).Should(BeClosed())
}

func TestEverythingThatCannotStartSaysWhy(t *testing.T) {
	g := NewWithT(t)
	tools, err := Install(t.Context(), os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = tools.StartEverything(t.Context(), 0, Mode("carrier-pigeon"))
	g.Expect(err).To(MatchError(ContainSubstring("it ended")))
	g.Expect(err.Error()).To(ContainSubstring("carrier-pigeon"))
}

func TestLockFileNamesNoRegistry(t *testing.T) {
	g := NewWithT(t)
	// npm takes the packages from the registry that the user has configured; the lock file's hashes say what they are.
	g.Expect(strings.Contains(string(packageLock), `"resolved"`)).To(BeFalse())
}
