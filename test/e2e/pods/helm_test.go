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

package pods

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// refusedBackend is one that the webhook refuses, and refusal a part of what it says.
var refusedBackend = backend(`{service: {matchLabels: {app: x}}, protocol: SSE}`)

const refusal = `Unsupported value: "SSE"`

// askWebhook applies what the webhook refuses until the returned function is called, which returns how often, and what was
// answered instead of the refusal.
func askWebhook(ctx context.Context) func() (asked int, others []string) {
	asking, stop := context.WithCancel(ctx)
	var asked int
	var others []string
	var done sync.WaitGroup
	done.Go(func() {
		defer GinkgoRecover()
		for asking.Err() == nil {
			output, _ := k.kubectl(ctx, refusedBackend, "apply", "-f", "-")
			asked++
			if !strings.Contains(output, refusal) {
				others = append(others, output)
			}
		}
	})
	return func() (int, []string) {
		stop()
		done.Wait()
		return asked, others
	}
}

// helm runs helm with the release dynamic-mcp in its namespace.
func helm(ctx context.Context, command string, args ...string) (string, error) {
	path := os.Getenv("HELM")
	if path == "" {
		return "", fmt.Errorf("HELM is not set: run the stories by `make test-e2e`")
	}
	flags := []string{command, "dynamic-mcp", "--kubeconfig", k.kubeconfig, "--namespace", systemNamespace, "--timeout", "120s"}
	if command != "test" {
		flags = append(flags, "--wait")
	}
	args = append(flags, args...)
	output, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(output), err
}

// testRelease runs `helm test`, of which nothing stays.
func testRelease(ctx context.Context) {
	GinkgoHelper()
	before := k.inventory(ctx)
	output, err := helm(ctx, "test")
	logs, _ := k.kubectl(ctx, "", "logs", "-n", systemNamespace, "--ignore-errors", "dynamic-mcp-check")
	Expect(err).NotTo(HaveOccurred(), "%s\n%s", output, logs)
	Expect(output).To(ContainSubstring("Succeeded"))
	Eventually(func() []string {
		return slices.DeleteFunc(k.inventory(ctx), func(object string) bool { return slices.Contains(before, object) })
	}).WithContext(ctx).Should(BeEmpty())
}

var _ = Describe("the webhooks' certificate", func() {
	It("is made anew when its Secret is deleted, without one failed call", storyTimeout, func(ctx SpecContext) {
		install(ctx)
		uid := func() (string, error) {
			return k.kubectl(ctx, "", "get", "secret", "-n", systemNamespace, "dynamic-mcp-webhook-certificate", "-o", "jsonpath={.metadata.uid}")
		}
		before, err := uid()
		Expect(err).NotTo(HaveOccurred())
		stop := askWebhook(ctx)
		k.mustKubectl(ctx, "delete", "secret", "-n", systemNamespace, "dynamic-mcp-webhook-certificate")
		Eventually(uid).WithContext(ctx).ShouldNot(BeElementOf(before, ""))
		// Replicas serve the new one after some seconds.
		Consistently(ctx.Err, "10s").Should(Succeed())
		asked, others := stop()
		measured("calls of the webhook while its certificate was replaced", asked)
		Expect(others).To(BeEmpty())
	})
})

var _ = Describe("Helm", func() {
	It("installs, upgrades without one failed call of the webhook, and uninstalls", longStory, func(ctx SpecContext) {
		if installed {
			uninstall(ctx)
		}
		DeferCleanup(install) // for the other stories
		found := k.inventory(ctx)
		chart := repository("charts", "dynamic-mcp")
		values := []string{chart, "--create-namespace", "--set", "image.repository=" + imageRepository + ",image.tag=" + imageTag}

		if !hasGatewayAPI(found) {
			output, err := helm(ctx, "install", values...)
			Expect(err).To(HaveOccurred())
			Expect(output).To(ContainSubstring("install the standard channel of the Gateway API"))
			k.mustKubectl(ctx, "apply", "--server-side", "-k", repository("config", "crd", "gateway-api"))
			DeferCleanup(func(ctx context.Context) {
				k.mustKubectl(ctx, "delete", "--ignore-not-found", "-k", repository("config", "crd", "gateway-api"))
			})
		}
		output, err := helm(ctx, "install", values...)
		Expect(err).NotTo(HaveOccurred(), output)
		testRelease(ctx)
		applyWalkthrough(ctx)
		refused, err := k.kubectl(ctx, refusedBackend, "apply", "-f", "-")
		Expect(err).To(HaveOccurred())
		Expect(refused).To(ContainSubstring(refusal))

		var load *load
		if hasLoadBalancer() {
			load = startLoad(gatewayURL(ctx, "default", "agentgateway", 8080) + "/mcp")
			load.goOn(ctx)
		}
		stop := askWebhook(ctx)
		output, err = helm(ctx, "upgrade", append(values, "--set", "log.level=debug")...)
		Expect(err).NotTo(HaveOccurred(), output)
		asked, others := stop()
		if load != nil {
			load.expectNoFailure(ctx, "helm upgrade")
		}
		measured("calls of the webhook during helm upgrade", asked)
		Expect(others).To(BeEmpty())
		testRelease(ctx)
		k.wait(ctx, "default", "gateway/agentgateway", "condition=Programmed")

		for _, file := range []string{"httproute.yaml", "gateway.yaml", "backend.yaml"} {
			k.mustKubectl(ctx, "delete", "--timeout=90s", "-f", walkthrough(file))
		}
		k.mustKubectl(ctx, "delete", "gatewayclass", "agentgateway")
		output, err = helm(ctx, "uninstall")
		Expect(err).NotTo(HaveOccurred(), output)
		Expect(k.mustKubectl(ctx, "get", "crd", "-o", "name")).To(ContainSubstring("backends.gateway.kgateway.dev"), "Backends must survive")
		k.mustKubectl(ctx, "delete", "crd", "backends.gateway.kgateway.dev", "gatewayparameters.gateway.kgateway.dev")
		k.mustKubectl(ctx, "delete", "namespace", systemNamespace)
		Eventually(func() []string {
			return slices.DeleteFunc(k.inventory(ctx), func(object string) bool {
				return slices.Contains(found, object) || strings.Contains(object, "gateway.networking.k8s.io")
			})
		}).WithContext(ctx).Should(BeEmpty())
	})
})
