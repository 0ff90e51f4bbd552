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
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a Gateway of another class", func() {
	It("is left alone", storyTimeout, func(ctx SpecContext) {
		api.apply(ctx, `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: foreign}
spec: {controllerName: example.com/another-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foreign, namespace: default}
spec:
  gatewayClassName: foreign
  listeners: [{name: http, protocol: HTTP, port: 8099}]
`)
		created := getGateway(ctx, "default", "foreign").ResourceVersion
		proxies := manager.proxies()
		Consistently(func(g Gomega) {
			g.Expect(getGateway(ctx, "default", "foreign").ResourceVersion).To(Equal(created))
			g.Expect(manager.proxies()).To(Equal(proxies))
		}).Should(Succeed())
	})
})

var _ = Describe("an HTTPRoute to a Backend that does not exist", func() {
	It("says so, answers 500, and works as soon as the Backend is there", storyTimeout, func(ctx SpecContext) {
		api.apply(ctx, routeTo("missing"))
		Eventually(routeConditions).WithArguments(ctx, "default", "missing").Should(ContainElements(
			isCondition("Accepted", "True", "Accepted"),
			isCondition("ResolvedRefs", "False", "BackendNotFound")))
		status := func() (int, error) {
			answer, err := rawClient{url: gatewayURL + "/missing"}.send(ctx, initializeRequest)
			return answer.status, err
		}
		Eventually(status).Should(Equal(500))

		api.apply(ctx, `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: missing, namespace: default}
spec:
  type: MCP
  mcp:
    targets: [{name: tools, selector: {service: {matchLabels: {app: mcp-server-everything}}}}]
`)
		Eventually(routeConditions).WithArguments(ctx, "default", "missing").Should(
			ContainElement(isCondition("ResolvedRefs", "True", "ResolvedRefs")))
		Eventually(status).Should(Equal(200))
	})
})

var _ = Describe("an HTTPRoute to a Backend of another namespace", func() {
	It("is refused without a grant", storyTimeout, func(ctx SpecContext) {
		api.createNamespace(ctx, "guests")
		api.apply(ctx, `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: guest, namespace: guests}
spec:
  parentRefs: [{name: agentgateway, namespace: default}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /guest}}]
      backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: mcp-backend, namespace: default}]
`)
		Eventually(routeConditions).WithArguments(ctx, "guests", "guest").Should(
			ContainElement(isCondition("ResolvedRefs", "False", "RefNotPermitted")))
		Eventually(func() (int, error) {
			answer, err := rawClient{url: gatewayURL + "/guest"}.send(ctx, initializeRequest)
			return answer.status, err
		}).Should(Equal(500))

		api.apply(ctx, `
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: guests, namespace: default}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: guests}]
  to: [{group: gateway.kgateway.dev, kind: Backend, name: mcp-backend}]
`)
		Eventually(routeConditions).WithArguments(ctx, "guests", "guest").Should(
			ContainElement(isCondition("ResolvedRefs", "True", "ResolvedRefs")))
		expectServes(ctx, gatewayURL+"/guest", "echo")
	})
})
