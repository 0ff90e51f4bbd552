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
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// manifests returns the objects of one of the walkthrough's files.
func manifests(file string) []*unstructured.Unstructured {
	GinkgoHelper()
	content, err := os.ReadFile(repository("config", "samples", "walkthrough", file))
	Expect(err).NotTo(HaveOccurred())
	var objects []*unstructured.Unstructured
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		Expect(yaml.Unmarshal(document, &object.Object)).To(Succeed())
		objects = append(objects, object)
	}
	return objects
}

// runsHere makes a Service stand for a server on this machine, because there are no pods that it could select. All
// else of it stays: name, labels, appProtocol.
func runsHere(service *unstructured.Unstructured, port int) {
	GinkgoHelper()
	Expect(service.GetKind()).To(Equal("Service"))
	spec := service.Object["spec"].(map[string]any)
	spec["type"] = "ExternalName"
	spec["externalName"] = "localhost"
	delete(spec, "selector")
	for _, p := range spec["ports"].([]any) {
		p.(map[string]any)["port"] = int64(port)
		p.(map[string]any)["targetPort"] = int64(port)
	}
}

func toYAML(objects ...*unstructured.Unstructured) string {
	GinkgoHelper()
	var documents []string
	for _, object := range objects {
		document, err := yaml.Marshal(object.Object)
		Expect(err).NotTo(HaveOccurred())
		documents = append(documents, string(document))
	}
	return strings.Join(documents, "---\n")
}

// applyWalkthrough applies the walkthrough's manifests and waits until clients are served.
func applyWalkthrough(ctx context.Context) {
	GinkgoHelper()
	server := manifests("mcp-server.yaml")
	Expect(server).To(HaveLen(2))
	runsHere(server[1], everything.Port)
	output, err := api.kubectl(ctx, toYAML(server...), "apply", "-f", "-")
	Expect(err).NotTo(HaveOccurred(), output)
	for _, file := range []string{"backend.yaml", "gateway.yaml", "httproute.yaml"} {
		api.mustKubectl(ctx, "apply", "-f", repository("config", "samples", "walkthrough", file))
	}
	expectWalkthroughServes(ctx)
}

// expectWalkthroughServes waits until everything is as the walkthrough says.
func expectWalkthroughServes(ctx context.Context) {
	GinkgoHelper()
	Eventually(backendSummary).WithArguments(ctx, "default", "mcp-backend").Should(Equal("1/1"))
	expectProgrammed(ctx, "default", "agentgateway")
	expectServes(ctx, gatewayURL+"/mcp", "echo")
}

var _ = Describe("the walkthrough", func() {
	It("has a GatewayClass that is accepted", storyTimeout, func(ctx SpecContext) {
		Eventually(func() []string {
			return fields(api.mustKubectl(ctx, "get", "gatewayclass", "agentgateway", "--no-headers"))
		}).Should(HaveExactElements("agentgateway", "dynamic-mcp.dev/gateway", "True", Not(BeEmpty())))
	})

	It("shows the Gateway's class, its address, and that it serves", storyTimeout, func(ctx SpecContext) {
		lines := strings.Split(api.mustKubectl(ctx, "get", "gateway", "agentgateway"), "\n")
		Expect(fields(lines[0])).To(Equal([]string{"NAME", "CLASS", "ADDRESS", "PROGRAMMED", "AGE"}))
		Expect(fields(lines[1])).To(HaveExactElements(
			"agentgateway", "agentgateway", manager.proxyAddress, "True", Not(BeEmpty())))

		gateway := getGateway(ctx, "default", "agentgateway")
		Expect(gateway.Status.Conditions).To(ContainElement(isCondition("Accepted", "True", "Accepted")))
		Expect(gateway.Status.Listeners).To(HaveLen(1))
		listener := gateway.Status.Listeners[0]
		Expect(listener.AttachedRoutes).To(BeEquivalentTo(1))
		Expect(listener.SupportedKinds).To(ContainElement(HaveField("Kind", BeEquivalentTo("HTTPRoute"))))
		for _, condition := range []string{"Accepted", "Programmed", "ResolvedRefs"} {
			Expect(listener.Conditions).To(ContainElement(isCondition(condition, "True", condition)))
		}
	})

	It("shows what the Backend's selector found", storyTimeout, func(ctx SpecContext) {
		lines := strings.Split(api.mustKubectl(ctx, "get", "backend"), "\n")
		Expect(fields(lines[0])).To(Equal([]string{"NAME", "TYPE", "TARGETS", "READY", "AGE"}))
		Expect(lines).To(ContainElement(WithTransform(fields,
			HaveExactElements("mcp-backend", "MCP", "1/1", "True", Not(BeEmpty())))))

		status := getBackend(ctx, "default", "mcp-backend").Status
		Expect(status.Targets).To(HaveLen(1))
		target := status.Targets[0]
		Expect(target.Name).To(BeEquivalentTo("mcp-server-everything"))
		Expect(target.Host).To(Equal("localhost"))
		Expect(target.Port).To(BeEquivalentTo(everything.Port))
		Expect(target.Path).To(Equal("/mcp"))
		Expect(target.Ready).To(HaveValue(BeTrue()))
		Expect(status.Skipped).To(BeEmpty())
	})

	It("attaches the HTTPRoute", storyTimeout, func(ctx SpecContext) {
		parents := getRoute(ctx, "default", "mcp").Status.Parents
		Expect(parents).To(HaveLen(1))
		Expect(parents[0].ControllerName).To(BeEquivalentTo("dynamic-mcp.dev/gateway"))
		Expect(parents[0].Conditions).To(ContainElements(
			isCondition("Accepted", "True", "Accepted"),
			isCondition("ResolvedRefs", "True", "ResolvedRefs")))
	})

	It("leaves nothing behind when its objects are deleted", storyTimeout, func(ctx SpecContext) {
		const namespace = "cleanup"
		api.createNamespace(ctx, namespace)
		manifest, port := walkthroughIn(namespace)
		before := manager.proxies()
		api.apply(ctx, manifest)
		expectProgrammed(ctx, namespace, "agentgateway")
		url := "http://" + manager.proxyAddress + ":" + port + "/mcp"
		expectServes(ctx, url, "echo")
		Expect(manager.proxies()).To(HaveLen(len(before) + 1))

		api.remove(ctx, manifest)
		Eventually(manager.proxies).Should(ConsistOf(before))
		_, err := rawClient{url: url}.send(ctx, initializeRequest)
		Expect(err).To(MatchError(ContainSubstring("connection refused")))
		expectNoSecretOfGateway(ctx, namespace, "agentgateway")
	})
})

// walkthroughIn returns the walkthrough's manifests for another namespace, and the port of their Gateway there.
func walkthroughIn(namespace string) (manifest, port string) {
	GinkgoHelper()
	port = strconv.Itoa(servertest.FreePort(manager.proxyAddress))
	var all []*unstructured.Unstructured
	for _, file := range []string{"mcp-server.yaml", "backend.yaml", "gateway.yaml", "httproute.yaml"} {
		all = append(all, manifests(file)...)
	}
	for _, object := range all {
		object.SetNamespace(namespace)
		switch spec := object.Object["spec"].(map[string]any); object.GetKind() {
		case "Service":
			runsHere(object, everything.Port)
		case "Gateway":
			spec["listeners"].([]any)[0].(map[string]any)["port"] = toNumber(port)
		case "HTTPRoute":
			spec["parentRefs"].([]any)[0].(map[string]any)["namespace"] = namespace
		}
	}
	return toYAML(all...), port
}
