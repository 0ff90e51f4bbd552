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

// Package pods tells users' stories in real pods, on a real cluster: the installation, the walkthrough's manifests
// unchanged, and all that happens to a system that runs for long. `make test-e2e` makes the cluster and runs them; see
// hack/e2e.sh for which cluster that is.
//
// They are a package of their own, beside the stories on an API server alone (test/e2e), because nothing of those is of
// use here: no part of the system runs as a child process, everything is reached by kubectl or through a Service. And
// they are not part of `make test`: without a cluster the package says so and passes. It still compiles and is linted
// there.
package pods

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

// storyTimeout bounds every story, and longStory those that have to wait for what takes its time.
const (
	storyTimeout = SpecTimeout(3 * time.Minute)
	longStory    = SpecTimeout(8 * time.Minute)
)

// What the stories share. They run one after the other; a story that changes something changes it back.
var (
	// artifacts is where logs and objects go when a story fails.
	artifacts string
	k         *cluster
	npm       *node.Toolchain
)

func TestPods(t *testing.T) {
	if os.Getenv("E2E_KUBECONFIG") == "" {
		t.Skip("E2E_KUBECONFIG is not set: these stories need a cluster, and run by `make test-e2e`")
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	SetDefaultConsistentlyDuration(2 * time.Second)
	EnforceDefaultTimeoutsWhenUsingContexts()
	_, reporter := GinkgoConfiguration()
	reporter.NoColor = true // most of its output is read in files
	RunSpecs(t, "end-to-end in pods", reporter)
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	artifacts, err = filepath.Abs(repository("bin", "e2e"))
	Expect(err).NotTo(HaveOccurred())
	Expect(os.RemoveAll(artifacts)).To(Succeed())
	Expect(os.MkdirAll(artifacts, 0o755)).To(Succeed())

	npm, err = node.Install(ctx, os.Stderr)
	Expect(err).NotTo(HaveOccurred())
	k = connectCluster(ctx)
	DeferCleanup(restoreCluster)
	k.mustKubectl(ctx, "apply", "-f", walkthrough("mcp-server.yaml"))
	k.rolledOut(ctx, "default", "deployment/mcp-server-everything")
}, NodeTimeout(15*time.Minute))

// restoreCluster gives the cluster back as it was.
func restoreCluster(ctx context.Context) {
	if installed {
		uninstall(ctx)
	}
	k.mustKubectl(ctx, "delete", "--ignore-not-found", "-f", walkthrough("mcp-server.yaml"))
}

// Before the story's own end, which deletes what there is to see.
var _ = JustAfterEach(func(ctx SpecContext) {
	if report := CurrentSpecReport(); report.Failed() {
		k.collect(ctx, filepath.Join(artifacts, fileName(report.LeafNodeText)))
	}
}, NodeTimeout(2*time.Minute))

// repository returns a path below the repository's root.
func repository(elements ...string) string {
	return filepath.Join(append([]string{"..", "..", ".."}, elements...)...)
}

// walkthrough returns the path of one of the walkthrough's manifests.
func walkthrough(file string) string { return repository("config", "samples", "walkthrough", file) }
