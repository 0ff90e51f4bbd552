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
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

var _ = Describe("kubectl apply", func() {
	BeforeEach(install, NodeTimeout(5*time.Minute))

	DescribeTable("refuses what can't work and says what to write instead",
		func(ctx SpecContext, manifest, message string) {
			output, err := k.kubectl(ctx, manifest, "apply", "-f", "-")
			if err == nil {
				DeferCleanup(func(ctx context.Context) { k.remove(ctx, manifest) })
			}
			Expect(err).To(HaveOccurred())
			Expect(output).To(ContainSubstring(message))
		},
		Entry("a selector that asks for SSE, by the webhook", storyTimeout, backend(`{service: {matchLabels: {app: x}}, protocol: SSE}`),
			`spec.mcp.targets[0].selector.protocol: Unsupported value: "SSE": `+
				`label selectors support only StreamableHTTP; use a static target for an SSE server`),
		Entry("an operator without the values that it needs, by the webhook", storyTimeout,
			backend(`{service: {matchExpressions: [{key: app, operator: In}]}}`),
			`spec.mcp.targets[0].selector.service.matchExpressions[0].values`),
		Entry("an unknown field, by the API server", storyTimeout,
			backend(`{services: {matchLabels: {app: x}}, service: {matchLabels: {app: x}}}`),
			`unknown field "spec.mcp.targets[0].selector.services"`),
		Entry("a selector that would match every Service, by the schema", storyTimeout, backend(`{service: {}}`), `must not be empty`),
		Entry("parameters that contradict each other, by the schema", storyTimeout, `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: refused, namespace: default}
spec: {replicas: 2, autoscaling: {maxReplicas: 3}}
`, `only one of replicas and autoscaling can be set`),
	)

	It("is answered by either replica of the manager", longStory, func(ctx SpecContext) {
		pods := strings.Fields(k.mustKubectl(ctx, "get", "pods", "-n", systemNamespace, "-l", "control-plane=controller-manager", "-o", "name"))
		Expect(pods).To(HaveLen(2))
		DeferCleanup(func(ctx context.Context) { k.rolledOut(ctx, systemNamespace, managerObject) })
		for _, pod := range pods {
			k.mustKubectl(ctx, "delete", "-n", systemNamespace, pod, "--wait=false")
			for range 5 {
				output, err := k.kubectl(ctx, backend(`{service: {matchLabels: {app: x}}, protocol: SSE}`), "apply", "-f", "-")
				Expect(err).To(HaveOccurred())
				Expect(output).To(ContainSubstring(`Unsupported value: "SSE"`))
			}
			k.rolledOut(ctx, systemNamespace, managerObject)
		}
	})
})

// backend returns a Backend with a selector.
func backend(selector string) string {
	return `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: refused, namespace: default}
spec:
  type: MCP
  mcp:
    targets: [{name: tools, selector: ` + selector + `}]
`
}

var _ = Describe("rights", func() {
	BeforeEach(install, NodeTimeout(5*time.Minute))

	It("let a proxy read its own Secret and no other, and write nothing", storyTimeout, func(ctx SpecContext) {
		own := provision.SecretName("agentgateway")
		k.apply(ctx, `
apiVersion: v1
kind: Secret
metadata: {name: somebody-elses, namespace: default}
stringData: {password: x}
`)
		account := k.mustKubectl(ctx, "get", "deployment", "agentgateway", "-o", "jsonpath={.spec.template.spec.serviceAccountName}")
		kubeconfig := kubeconfigOf(strings.TrimSpace(k.mustKubectl(ctx, "create", "token", account)))
		as := func(args ...string) (string, error) {
			return k.kubectl(ctx, "", append([]string{"--kubeconfig=" + kubeconfig}, args...)...)
		}

		Expect(as("get", "secret", own, "-o", "name")).To(Equal("secret/" + own + "\n"))
		Expect(as("get", "gateways,backends", "-A", "-o", "name")).To(ContainSubstring("agentgateway"))
		for _, args := range [][]string{
			{"get", "secret", "somebody-elses"},
			{"get", "secrets"},
			{"get", "secrets", "-A"},
			{"get", "secrets", "-n", systemNamespace},
			{"get", "configmaps", "-A"},
			{"get", "services", "-A"},
			{"delete", "secret", own},
			{"label", "gateway", "agentgateway", "a=b"},
			{"label", "backend", "mcp-backend", "a=b"},
			{"scale", "deployment", "agentgateway", "--replicas=2"},
			{"create", "token", account},
			{"get", "pods", "-A"},
		} {
			output, err := as(args...)
			Expect(err).To(HaveOccurred(), "kubectl %v: %s", args, output)
			Expect(output).To(ContainSubstring("orbidden"), "kubectl %v", args)
		}
	})

	It("let the manager write only what carries its label and belongs to a Gateway", storyTimeout, func(ctx SpecContext) {
		account := k.mustKubectl(ctx, "get", "-n", systemNamespace, managerObject, "-o", "jsonpath={.spec.template.spec.serviceAccountName}")
		kubeconfig := kubeconfigOf(strings.TrimSpace(k.mustKubectl(ctx, "create", "token", "-n", systemNamespace, account)))
		as := func(input string, args ...string) (string, error) {
			return k.kubectl(ctx, input, append([]string{"--kubeconfig=" + kubeconfig}, args...)...)
		}
		const (
			byPolicy = "ValidatingAdmissionPolicy 'dynamic-mcp-manager-"
			byRBAC   = "orbidden"
		)
		for _, try := range []struct {
			by, input string
			args      []string
		}{
			{by: byPolicy, args: []string{"create", "deployment", "intruder", "--image=node:20-alpine"}},
			{by: byPolicy, args: []string{"create", "service", "clusterip", "intruder", "--tcp=80"}},
			{by: byPolicy, args: []string{"create", "serviceaccount", "intruder"}},
			{by: byPolicy, args: []string{"create", "secret", "generic", "intruder"}},
			{by: byPolicy, args: []string{"create", "-f", "-"}, input: `
apiVersion: v1
kind: Secret
metadata: {name: nobodys, namespace: default, labels: {app.kubernetes.io/managed-by: dynamic-mcp}}
`},
			{by: byPolicy, args: []string{"label", "deployment", "mcp-server-everything", "a=b"}},
			{by: byPolicy, args: []string{"delete", "service", "mcp-server-everything"}},
			{by: byRBAC, args: []string{"scale", "deployment", "mcp-server-everything", "--replicas=0"}},
			{by: byRBAC, args: []string{"create", "clusterrolebinding", "intruder", "--clusterrole=cluster-admin", "--user=x"}},
			{by: byRBAC, args: []string{"delete", "gateway", "agentgateway"}},
			{by: byRBAC, args: []string{"delete", "backend", "mcp-backend"}},
			{by: byRBAC, args: []string{"get", "secrets", "-A"}},
			{by: byRBAC, args: []string{"run", "intruder", "--image=node:20-alpine"}},
			{by: byRBAC, args: []string{"get", "nodes"}},
		} {
			args := try.args
			if args[0] != "get" {
				args = append(args, "--dry-run=server")
			}
			output, err := as(try.input, args...)
			Expect(err).To(HaveOccurred(), "kubectl %v: %s", args, output)
			Expect(output).To(ContainSubstring(try.by), "kubectl %v", args)
		}
		rights, err := as("", "auth", "can-i", "--list")
		Expect(err).NotTo(HaveOccurred())
		Expect(rights).NotTo(ContainSubstring("[*]"), "no wildcards")
	})
})

// kubeconfigOf writes a kubeconfig that has a token and nothing else of a user: beside a token, the administrator's
// certificate would count more.
func kubeconfigOf(token string) string {
	GinkgoHelper()
	config, err := clientcmd.LoadFromFile(k.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &api.AuthInfo{Token: token}
	}
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	return path
}
