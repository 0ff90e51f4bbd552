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
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The story that needs nothing of the project: if it fails, the cluster or the image is to blame.
var _ = Describe("the walkthrough's MCP server", Label("cluster"), func() {
	It("runs in a pod, and answers a client that is forwarded to it", storyTimeout, func(ctx SpecContext) {
		k.wait(ctx, "default", "deployment/mcp-server-everything", "condition=Available")
		pods, err := k.pods(ctx, "default", client.MatchingLabels{"app": "mcp-server-everything"})
		Expect(err).NotTo(HaveOccurred())
		Expect(pods).To(HaveLen(1))
		Eventually(func() string {
			return k.mustKubectl(ctx, "logs", pods[0])
		}).Should(ContainSubstring("listening on port 3001"))

		url := fmt.Sprintf("http://%s/mcp", k.portForward(ctx, "default", "deployment/mcp-server-everything", 3001))
		Expect(connect(ctx, url).echo(ctx, "directly")).To(Equal("Echo: directly"))
		expectInspected(ctx, url)
	})
})
