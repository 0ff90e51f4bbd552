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

package e2e

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var _ = Describe("kubectl apply", func() {
	DescribeTable("refuses a Backend that can't work and says what to write instead",
		func(ctx SpecContext, selector, message string) {
			output, err := api.kubectl(ctx, fmt.Sprintf(`
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata:
  name: refused
  namespace: default
spec:
  type: MCP
  mcp:
    targets:
      - name: tools
        selector: %s
`, selector), "apply", "-f", "-")
			Expect(err).To(HaveOccurred())
			Expect(output).To(ContainSubstring(message))
			Expect(apierrors.IsNotFound(api.Get(ctx, key("default", "refused"), &v1alpha1.Backend{}))).To(BeTrue())
		},
		Entry("a selector that asks for SSE", storyTimeout,
			`{service: {matchLabels: {app: x}}, protocol: SSE}`,
			`spec.mcp.targets[0].selector.protocol: Unsupported value: "SSE": `+
				`label selectors support only StreamableHTTP; use a static target for an SSE server`),
		Entry("an unknown field", storyTimeout,
			`{services: {matchLabels: {app: x}}, service: {matchLabels: {app: x}}}`,
			`unknown field "spec.mcp.targets[0].selector.services"`),
		Entry("a selector that would match every Service", storyTimeout,
			`{service: {}}`,
			`must not be empty`),
		Entry("an operator without the values that it needs", storyTimeout,
			`{service: {matchExpressions: [{key: app, operator: In}]}}`,
			`spec.mcp.targets[0].selector.service.matchExpressions[0].values`),
	)
})
