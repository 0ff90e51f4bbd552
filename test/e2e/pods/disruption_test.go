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
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

const (
	// apiServerAway is how long the API server is away in the story about that, and followedWithin how soon after its return
	// the clients have to learn what has changed since.
	apiServerAway  = time.Minute
	followedWithin = 15 * time.Second
)

// proxiesOfLoaded selects the pods of the Gateway that the stories of this file are about.
var proxiesOfLoaded = client.MatchingLabels{gatewayv1.GatewayNameLabelKey: "loaded"}

// replicatedGateway is a Gateway with two replicas of its proxy, in a namespace of its own, to the walkthrough's Backend.
const replicatedGateway = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: loaded, namespace: loaded}
spec: {replicas: 2}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: loaded, namespace: loaded}
spec:
  gatewayClassName: agentgateway
  infrastructure: {parametersRef: {group: gateway.kgateway.dev, kind: GatewayParameters, name: loaded}}
  listeners: [{name: http, protocol: HTTP, port: 8080, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: loaded, namespace: default}
spec:
  parentRefs: [{name: loaded, namespace: loaded}]
  rules: [{backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: mcp-backend}]}]
`

// besideTheLoad is a second Backend of the same server at another path, for changes that must not disturb the load.
const besideTheLoad = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: beside, namespace: default}
spec:
  type: MCP
  mcp: {targets: [{name: tools, selector: {service: {matchLabels: {beside: "true"}}}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: beside, namespace: default}
spec:
  parentRefs: [{name: loaded, namespace: loaded}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /beside}}]
      backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: beside}]
`

var _ = Describe("no call fails while", Ordered, ContinueOnFailure, func() {
	var url string

	BeforeAll(func(ctx context.Context) {
		install(ctx)
		k.namespace(ctx, "loaded")
		k.apply(ctx, replicatedGateway+"---"+besideTheLoad)
		relabel(ctx, "beside=true")
		DeferCleanup(func(ctx context.Context) { relabel(ctx, "beside-") })
		k.wait(ctx, "loaded", "gateway/loaded", "condition=Programmed")
		k.rolledOut(ctx, "loaded", "deployment/loaded")
		url = gatewayURL(ctx, "loaded", "loaded", 8080) + "/mcp"
		Expect(connect(ctx, url).echo(ctx, "ready")).To(Equal("Echo: ready"))
	}, NodeTimeout(8*time.Minute))

	// through makes something happen under load, and waits until it is over.
	through := func(ctx context.Context, what string, happens func()) {
		GinkgoHelper()
		load := startLoad(url)
		load.goOn(ctx)
		begin := time.Now()
		happens()
		took := time.Since(begin).Round(time.Second)
		load.expectNoFailure(ctx, what+", which took "+took.String())
	}

	// gone waits until a pod has ended.
	gone := func(ctx context.Context, pod string) {
		GinkgoHelper()
		k.mustKubectl(ctx, "wait", "-n", "loaded", "pod/"+pod, "--for=delete", "--timeout=120s")
	}

	It("a pod of the proxy is deleted", longStory, func(ctx SpecContext) {
		through(ctx, "deleted one of two pods", func() {
			pods, err := k.pods(ctx, "loaded", proxiesOfLoaded)
			Expect(err).NotTo(HaveOccurred())
			Expect(pods).To(HaveLen(2))
			k.mustKubectl(ctx, "delete", "pod", "-n", "loaded", pods[0], "--wait=false")
			gone(ctx, pods[0])
			k.rolledOut(ctx, "loaded", "deployment/loaded")
		})
	})

	It("the proxy's Deployment is rolled", longStory, func(ctx SpecContext) {
		through(ctx, "rolled the Deployment", func() {
			old, err := k.pods(ctx, "loaded", proxiesOfLoaded)
			Expect(err).NotTo(HaveOccurred())
			k.mustKubectl(ctx, "rollout", "restart", "-n", "loaded", "deployment/loaded")
			k.rolledOut(ctx, "loaded", "deployment/loaded")
			for _, pod := range old {
				gone(ctx, pod)
			}
		})
	})

	It("the proxy scales from two pods to three and to one", longStory, func(ctx SpecContext) {
		scale := func(ctx context.Context, replicas string) {
			GinkgoHelper()
			old, err := k.pods(ctx, "loaded", proxiesOfLoaded)
			Expect(err).NotTo(HaveOccurred())
			k.mustKubectl(ctx, "patch", "gatewayparameters", "-n", "loaded", "loaded", "--type=merge", "-p", `{"spec":{"replicas":`+replicas+`}}`)
			k.wait(ctx, "loaded", "deployment/loaded", "jsonpath={.status.replicas}="+replicas)
			k.rolledOut(ctx, "loaded", "deployment/loaded")
			remaining, err := k.pods(ctx, "loaded", proxiesOfLoaded)
			Expect(err).NotTo(HaveOccurred())
			for _, pod := range old {
				if !slices.Contains(remaining, pod) {
					gone(ctx, pod)
				}
			}
		}
		DeferCleanup(func(ctx context.Context) { scale(ctx, "2") })
		through(ctx, "scaled the proxy 2 to 3 to 1", func() {
			scale(ctx, "3")
			scale(ctx, "1")
		})
	})

	It("the keys of sessions rotate", longStory, func(ctx SpecContext) {
		stored := func(g Gomega) (*corev1.Secret, *session.KeyRing) {
			secret := &corev1.Secret{}
			g.Expect(k.Get(ctx, key("loaded", provision.SecretName("loaded")), secret)).To(Succeed())
			ring, err := session.ParseKeyRing(secret.Data[provision.SecretKeySessionKeys])
			g.Expect(err).NotTo(HaveOccurred())
			return secret, ring
		}
		settled := func(g Gomega) {
			secret, ring := stored(g)
			g.Expect(secret.Annotations).To(HaveKeyWithValue(provision.AnnotationSessionKeysSettled, HaveSuffix(" "+ring.ID())))
		}
		Eventually(settled).WithContext(ctx).Should(Succeed())
		through(ctx, "rotated the keys", func() {
			Eventually(func(g Gomega) { // The manager writes to the Secret too.
				secret, ring := stored(g)
				promoted, err := ring.Promote()
				g.Expect(err).NotTo(HaveOccurred())
				secret.Data[provision.SecretKeySessionKeys], err = promoted.Marshal()
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(k.Update(ctx, secret)).To(Succeed())
			}).WithContext(ctx).Should(Succeed())
			Eventually(settled).WithContext(ctx).Should(Succeed())
			k.wait(ctx, "loaded", "gateway/loaded", "condition="+v1alpha1.GatewayConditionSessionKeys)
		})
	})

	It("a change of its GatewayParameters replaces the proxy's pods", longStory, func(ctx SpecContext) {
		through(ctx, "changed the GatewayParameters", func() {
			old, err := k.pods(ctx, "loaded", proxiesOfLoaded)
			Expect(err).NotTo(HaveOccurred())
			k.mustKubectl(ctx, "patch", "gatewayparameters", "-n", "loaded", "loaded", "--type=merge",
				"-p", `{"spec":{"env":[{"name":"E2E","value":"changed"}]}}`)
			const changed = `jsonpath={.spec.template.spec.containers[0].env[?(@.name=="E2E")].value}`
			k.wait(ctx, "loaded", "deployment/loaded", changed+"=changed")
			k.rolledOut(ctx, "loaded", "deployment/loaded")
			for _, pod := range old {
				gone(ctx, pod)
			}
			k.wait(ctx, "loaded", "gateway/loaded", "condition=Programmed")
		})
	})

	// follow makes a change, and returns how long it took until a client that is connected was told, and has seen it.
	follow := func(ctx context.Context, c *sdkClient, label string, tools types.GomegaMatcher) time.Duration {
		GinkgoHelper()
		begin, told := time.Now(), c.toolChanges.Load()
		relabel(ctx, label)
		Eventually(c.toolChanges.Load).WithContext(ctx).WithTimeout(2 * time.Minute).Should(BeNumerically(">", told))
		Eventually(c.toolNames).WithContext(ctx).Should(tools)
		return time.Since(begin)
	}
	beside := func() string { return strings.TrimSuffix(url, "/mcp") + "/beside" }

	It("the manager restarts", longStory, func(ctx SpecContext) {
		c := connect(ctx, beside())
		Eventually(c.toolNames).WithContext(ctx).ShouldNot(BeEmpty())
		managers := client.MatchingLabels{"control-plane": "controller-manager"}
		old, err := k.pods(ctx, systemNamespace, managers)
		Expect(err).NotTo(HaveOccurred())
		through(ctx, "restarted the manager", func() {
			k.mustKubectl(ctx, "rollout", "restart", "-n", systemNamespace, managerObject)
			k.rolledOut(ctx, systemNamespace, managerObject)
			for _, pod := range old {
				k.mustKubectl(ctx, "wait", "-n", systemNamespace, "pod/"+pod, "--for=delete", "--timeout=120s")
			}
			took := follow(ctx, c, "beside=false", BeEmpty())
			measured("a change after that was followed after", took.Round(time.Millisecond))
			follow(ctx, c, "beside=true", Not(BeEmpty()))
			Expect(k.mustKubectl(ctx, "get", "gateway", "-n", "loaded", "loaded", "-o",
				`jsonpath={.status.conditions[?(@.type=="Programmed")].status}`)).To(Equal("True"))
		})
	})

	It("the API server is away for a minute, and what changes then is followed soon", longStory, func(ctx SpecContext) {
		if os.Getenv("E2E_STOP_APISERVER") == "" {
			Skip("nobody said how to stop this cluster's API server (E2E_STOP_APISERVER, E2E_START_APISERVER)")
		}
		answers := func() error {
			_, err := k.kubectl(ctx, "", "get", "--raw", "/readyz", "--request-timeout=2s")
			return err
		}
		c := connect(ctx, beside())
		Eventually(c.toolNames).WithContext(ctx).ShouldNot(BeEmpty())
		through(ctx, "the API server was away", func() {
			script(ctx, "E2E_STOP_APISERVER")
			stopped := true
			defer func() {
				if stopped {
					script(ctx, "E2E_START_APISERVER")
				}
			}()
			Eventually(answers).WithContext(ctx).ShouldNot(Succeed())
			Consistently(answers).WithContext(ctx).WithTimeout(apiServerAway).WithPolling(time.Second).ShouldNot(Succeed())
			stopped = false
			script(ctx, "E2E_START_APISERVER")
			Eventually(answers).WithContext(ctx).Should(Succeed())
			took := follow(ctx, c, "beside=false", BeEmpty())
			measured("a change after its return was followed after", took.Round(time.Millisecond))
			Expect(took).To(BeNumerically("<", followedWithin))
			follow(ctx, c, "beside=true", Not(BeEmpty()))
		})
		k.rolledOut(ctx, systemNamespace, managerObject)
	})
})

// relabel changes a label of the walkthrough's MCP server.
func relabel(ctx context.Context, label string) {
	GinkgoHelper()
	k.mustKubectl(ctx, "label", "service", "mcp-server-everything", "--overwrite", label)
}
