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
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	// systemNamespace is where config/default puts the manager.
	systemNamespace = "dynamic-mcp-system"
	managerName     = "dynamic-mcp-controller-manager"
	managerObject   = "deployment/" + managerName

	// The image that make test-e2e builds.
	imageRepository = "dynamic-mcp"
	imageTag        = "dev"
)

// installed tells whether the system is in the cluster, or was begun to be installed.
var installed bool

// failedInstall keeps all stories from waiting for what the first one has waited for in vain.
var failedInstall bool

// before is what was in the cluster before the installation.
var before []string

// install installs the system as its users do, and applies the walkthrough. Each story that needs it calls it; the first
// one does it.
func install(ctx context.Context) {
	GinkgoHelper()
	if failedInstall {
		Skip("the installation failed in an earlier story")
	}
	if installed {
		return
	}
	installed, failedInstall = true, true
	before = k.inventory(ctx)
	if !hasGatewayAPI(before) {
		k.mustKubectl(ctx, "apply", "--server-side", "-k", repository("config", "crd", "gateway-api"))
	}
	k.mustKubectl(ctx, "apply", "--server-side", "-f", manifest())
	k.rolledOut(ctx, systemNamespace, managerObject)
	Eventually(func() (string, error) {
		return k.kubectl(ctx, "", "get", "gatewayclass", "agentgateway", "--no-headers")
	}).WithContext(ctx).Should(MatchRegexp(`^agentgateway\s+dynamic-mcp.dev/gateway\s+True\s`))
	applyWalkthrough(ctx)
	failedInstall = false
}

// applyWalkthrough applies what the walkthrough does, and waits until it serves.
func applyWalkthrough(ctx context.Context) {
	GinkgoHelper()
	for _, file := range []string{"backend.yaml", "gateway.yaml", "httproute.yaml"} {
		k.mustKubectl(ctx, "apply", "-f", walkthrough(file))
	}
	k.wait(ctx, "default", "gateway/agentgateway", "condition=Programmed")
	k.rolledOut(ctx, "default", "deployment/agentgateway")
}

// uninstall removes the system in the order that users are told to: first what they made, then what makes it work. The
// CRDs of the Gateway API, which others may use, are removed last.
func uninstall(ctx context.Context) {
	GinkgoHelper()
	for _, file := range []string{"httproute.yaml", "gateway.yaml", "backend.yaml"} {
		k.mustKubectl(ctx, "delete", "--ignore-not-found", "--timeout=90s", "-f", walkthrough(file))
	}
	k.mustKubectl(ctx, "delete", "gatewayclass", "agentgateway", "--ignore-not-found")
	k.mustKubectl(ctx, "delete", "--ignore-not-found", "--timeout=90s", "-f", manifest())
	if !hasGatewayAPI(before) {
		k.mustKubectl(ctx, "delete", "--ignore-not-found", "-k", repository("config", "crd", "gateway-api"))
	}
	installed = false
}

// hasGatewayAPI tells whether the CRDs of the Gateway API are among an inventory's objects.
func hasGatewayAPI(objects []string) bool {
	return slices.ContainsFunc(objects, func(object string) bool {
		return strings.HasPrefix(object, "CustomResourceDefinition ") && strings.HasSuffix(object, "/gateways.gateway.networking.k8s.io")
	})
}

var imageOfManager = regexp.MustCompile(`(?m)^( +image:) \S*dynamic-mcp:\S+$`)

// manifest returns the path of dist/install.yaml, with the image that was built.
func manifest() string {
	GinkgoHelper()
	content, err := os.ReadFile(repository("dist", "install.yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(imageOfManager.FindAll(content, -1)).To(HaveLen(1))
	path := filepath.Join(artifacts, "install.yaml")
	Expect(os.WriteFile(path, imageOfManager.ReplaceAll(content, []byte("$1 "+imageRepository+":"+imageTag)), 0o600)).To(Succeed())
	return path
}

// comesAndGoes are the resources whose objects others make from those that count, or which change by themselves.
var comesAndGoes = []string{
	"controllerrevisions.apps", "endpoints", "endpointslices.discovery.k8s.io", "events", "events.events.k8s.io",
	"ipaddresses.networking.k8s.io", "leases.coordination.k8s.io", "pods", "replicasets.apps",
}

// inventory returns all objects in the cluster, each as "Kind namespace/name", sorted.
func (c *cluster) inventory(ctx context.Context) []string {
	GinkgoHelper()
	var resources []string
	for _, resource := range strings.Fields(c.mustKubectl(ctx, "api-resources", "--verbs=list,delete", "-o", "name")) {
		if !slices.Contains(comesAndGoes, resource) {
			resources = append(resources, resource)
		}
	}
	var objects []string
	const line = `{range .items[*]}{.kind}{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}`
	for object := range strings.Lines(c.mustKubectl(ctx, "get", "-A", strings.Join(resources, ","), "-o", "jsonpath="+line)) {
		objects = append(objects, strings.TrimSpace(object))
	}
	slices.Sort(objects)
	return objects
}

var _ = Describe("uninstalling", func() {
	It("leaves nothing in the cluster, and installing again works", longStory, func(ctx SpecContext) {
		install(ctx)
		DeferCleanup(install) // for the other stories
		uninstall(ctx)
		Eventually(func() []string {
			left := []string{}
			for _, object := range k.inventory(ctx) {
				if !slices.Contains(before, object) {
					left = append(left, object)
				}
			}
			return left
		}).WithContext(ctx).Should(BeEmpty())
		Expect(k.mustKubectl(ctx, "get", "pods", "-n", "default")).NotTo(ContainSubstring("agentgateway"))
	})
})

// gatewayAddress is for Eventually: the address at which a Gateway can be reached.
func gatewayAddress(ctx context.Context, namespace, name string) (string, error) {
	return k.kubectl(ctx, "", "get", "gateway", "-n", namespace, name, "-o", "jsonpath={.status.addresses[0].value}")
}

// hasLoadBalancer tells whether Services of type LoadBalancer get an address that answers on this machine.
func hasLoadBalancer() bool { return os.Getenv("E2E_LOAD_BALANCER") != "" }

// gatewayURL returns the URL of a Gateway's listener at the load balancer's address once that leads to it, and skips the story
// where the cluster has no load balancer: what ran the suite says so.
func gatewayURL(ctx context.Context, namespace, name string, port int) string {
	GinkgoHelper()
	if !hasLoadBalancer() {
		Skip("the cluster has no load balancer that answers on this machine (E2E_LOAD_BALANCER)")
	}
	var address string
	Eventually(func(g Gomega) {
		service, err := k.serviceAddress(ctx, namespace, name)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(service).NotTo(BeEmpty(), "address of the Service")
		address, err = gatewayAddress(ctx, namespace, name)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(address).To(Equal(service), "address of the Gateway")
	}).WithContext(ctx).Should(Succeed())
	// A Gateway is Programmed once its pods serve. The node takes a moment longer to lead the Service there.
	listener := net.JoinHostPort(address, strconv.Itoa(port))
	Eventually(func() error {
		connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", listener)
		if err != nil {
			return err
		}
		return connection.Close()
	}).WithContext(ctx).Should(Succeed())
	return "http://" + listener
}
