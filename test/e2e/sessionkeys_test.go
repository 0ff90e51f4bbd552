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
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

var _ = Describe("session keys", func() {
	It("rotate by hand without ending a session", storyTimeout, func(ctx SpecContext) {
		stored := func(g Gomega) (*corev1.Secret, *session.KeyRing) {
			secret := &corev1.Secret{}
			g.Expect(api.Get(ctx, key("default", provision.SecretName("agentgateway")), secret)).To(Succeed())
			ring, err := session.ParseKeyRing(secret.Data[provision.SecretKeySessionKeys])
			g.Expect(err).NotTo(HaveOccurred())
			return secret, ring
		}
		expectSettled := func(g Gomega) {
			secret, ring := stored(g)
			g.Expect(secret.Annotations).To(HaveKeyWithValue(provision.AnnotationSessionKeysSettled, HaveSuffix(" "+ring.ID())))
			g.Expect(getGateway(ctx, "default", "agentgateway").Status.Conditions).To(ContainElement(
				isCondition(v1alpha1.GatewayConditionSessionKeys, "True", v1alpha1.GatewayReasonSessionKeysSettled)))
		}
		Eventually(expectSettled).Should(Succeed())
		opened := openSession(ctx, gatewayURL+"/mcp")
		expectGoesOn := func() {
			GinkgoHelper()
			list := opened.mustSend(ctx, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			Expect(list.status).To(Equal(http.StatusOK), list.body)
			Expect(tools(list)).NotTo(BeEmpty())
		}
		expectGoesOn()

		Eventually(func(g Gomega) { // Others write to the Secret too.
			secret, ring := stored(g)
			promoted, err := ring.Promote()
			g.Expect(err).NotTo(HaveOccurred())
			secret.Data[provision.SecretKeySessionKeys], err = promoted.Marshal()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(api.Update(ctx, secret)).To(Succeed())
		}).Should(Succeed())
		Eventually(func(g Gomega) {
			expectGoesOn()
			expectSettled(g)
		}).Should(Succeed())
		expectGoesOn()
	})
})
