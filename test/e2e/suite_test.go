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

// Package e2e tells the walkthrough's story on a real API server: the real binary, the real server-everything, the
// real MCP Inspector and the Go SDK's client. There is no kubelet, so MCP servers run on this machine and their
// Services are of type ExternalName.
package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

// storyTimeout bounds every story. Nothing takes that long unless it hangs.
const storyTimeout = SpecTimeout(2 * time.Minute)

// What the stories share. They run one after the other; a story that changes something changes it back.
var (
	// artifacts is where logs go. It is removed if all stories pass.
	artifacts string
	api       *apiServer
	manager   *managerProcess
	npm       *node.Toolchain
	// everything is the MCP server behind the walkthrough's Service.
	everything *node.Server
	// gatewayURL is the address of the walkthrough's listener, without a path.
	gatewayURL string
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	SetDefaultConsistentlyDuration(time.Second)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "end-to-end")
}

// The suite ends in the reverse order of its beginning: each part registers its own end as soon as it has begun.
var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	artifacts, err = os.MkdirTemp("", "dynamic-mcp-e2e-")
	Expect(err).NotTo(HaveOccurred())

	npm, err = node.Install(ctx, os.Stderr)
	Expect(err).NotTo(HaveOccurred())
	everything, err = npm.StartEverything(ctx, 0, node.StreamableHTTP)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { everything.Stop() })

	api = startAPIServer()
	manager = newManager(buildBinary(ctx), api)
	DeferCleanup(expectDiscreetLogs)
	manager.start()
	DeferCleanup(func() { manager.stop() })

	gatewayURL = "http://" + manager.proxyAddress + ":8080"
	applyWalkthrough(ctx)
}, NodeTimeout(10*time.Minute))

var _ = ReportAfterEach(func(report SpecReport) {
	if report.Failed() {
		printLogs(GinkgoWriter)
	}
})

var _ = ReportAfterSuite("artifacts", func(report Report) {
	switch {
	case artifacts == "":
	case report.SuiteSucceeded:
		_ = os.RemoveAll(artifacts)
	default:
		printLogs(os.Stderr)
	}
})

func printLogs(to io.Writer) {
	if manager != nil {
		_, _ = fmt.Fprintf(to, "\nEnd of the logs of manager and proxies, which are kept in %s:\n%s\n",
			manager.logFile, tail(manager.log(), 80))
	}
}

// expectDiscreetLogs runs when everything has ended: whoever reads logs must not be able to take over sessions.
func expectDiscreetLogs(context.Context) {
	log := manager.log()
	for _, id := range sessionsSeen.all() {
		Expect(log).NotTo(ContainSubstring(id), "a session token in the log")
	}
	for _, id := range sessionsOpened(stoppedOutput + everything.Output()) {
		Expect(log).NotTo(ContainSubstring(id), "an upstream session id in the log")
	}
	Expect(log).NotTo(ContainSubstring("DATA RACE"))
	Expect(log).NotTo(ContainSubstring("panic:"))
}

// repository returns a path below the repository's root.
func repository(elements ...string) string {
	return filepath.Join(append([]string{"..", ".."}, elements...)...)
}
