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

package controller_test

import (
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

const keysEvery = 24 * time.Hour

var (
	keysStart = time.Now()
	// keysElapsed is how much later it is for the rotation of session keys.
	keysElapsed atomic.Int64
)

// later makes it later for the rotation of session keys.
func later(d time.Duration) { keysElapsed.Add(int64(d)) }

var _ = Describe("Session keys", func() {
	const condition = v1alpha1.GatewayConditionSessionKeys
	var (
		key     types.NamespacedName
		gateway *gatewayv1.Gateway
		secret  *corev1.Secret
		ring    *session.KeyRing
	)

	BeforeEach(func() {
		key = types.NamespacedName{Namespace: newNamespace(), Name: "agentgateway"}
		gateway = gatewayOf(key.Namespace, key.Name, v1alpha1.GatewayClassName)
		create(gateway)
		var err error
		ring, err = session.NewKeyRing()
		Expect(err).NotTo(HaveOccurred())
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: key.Namespace, Name: provision.SecretName(key.Name),
				Annotations: map[string]string{"note": "kept"},
				OwnerReferences: []metav1.OwnerReference{
					*metav1.NewControllerRef(gateway, schema.GroupVersionKind{
						Group: gatewayv1.GroupName, Version: gatewayv1.GroupVersion.Version, Kind: "Gateway",
					}),
				},
			},
			Data: map[string][]byte{provision.SecretKeySessionKeys: marshal(ring), "tls.crt": []byte("kept")},
		}
	})

	// stored returns the ring that is stored, and what else is.
	stored := func(g Gomega) (*session.KeyRing, *corev1.Secret) {
		GinkgoHelper()
		fresh := &corev1.Secret{}
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(secret), fresh)).To(Succeed())
		r, err := session.ParseKeyRing(fresh.Data[provision.SecretKeySessionKeys])
		g.Expect(err).NotTo(HaveOccurred())
		return r, fresh
	}
	settled := func(ring *session.KeyRing) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			_, s := stored(g)
			g.Expect(s.Annotations).To(HaveKeyWithValue(provision.AnnotationSessionKeysSettled, HaveSuffix(" "+ring.ID())))
		}).Should(Succeed())
	}
	// looked waits until the controller has looked at the keys, from the beginning to the end, and left them as they are.
	looked := func() {
		GinkgoHelper()
		_, before := stored(Default)
		for range 3 { // The first may have begun before, and the last is only begun.
			asked := proxies.timesAsked(key)
			proxies.tell(key)
			Eventually(func() int { return proxies.timesAsked(key) }).Should(BeNumerically(">", asked))
		}
		_, after := stored(Default)
		Expect(after.ResourceVersion).To(Equal(before.ResourceVersion))
	}
	rotated := func() []string {
		GinkgoHelper()
		var list eventsv1.EventList
		Expect(api.List(ctx, &list, client.InNamespace(key.Namespace))).To(Succeed())
		notes := []string{}
		for i := range list.Items {
			if e := &list.Items[i]; e.Reason == "SessionKeysRotated" && e.Type == corev1.EventTypeNormal && e.Regarding.Name == key.Name {
				notes = append(notes, e.Note)
			}
		}
		return notes
	}
	promotedFrom := func(before *session.KeyRing) (after *session.KeyRing) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			r, s := stored(g)
			g.Expect(r.ID()).NotTo(Equal(before.ID()))
			g.Expect(s.Annotations).NotTo(HaveKey(provision.AnnotationSessionKeysSettled))
			g.Expect(s.Annotations).To(HaveKeyWithValue("note", "kept"))
			g.Expect(s.Data).To(HaveKeyWithValue("tls.crt", []byte("kept")))
			after = r
		}).Should(Succeed())
		expectOverlap(before, after)
		Eventually(rotated).Should(ContainElement(ContainSubstring(after.ID())))
		return after
	}

	It("rotate only when every ready replica has had them for the lifetime of sessions", func() {
		create(secret)
		proxies.have(key, ring.ID(), "an-older-ring")
		looked()
		later(3 * keysEvery)
		looked()
		proxies.have(key, ring.ID(), "")
		looked()
		proxies.have(key)
		looked()

		proxies.have(key, ring.ID(), ring.ID())
		settled(ring)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(condition, metav1.ConditionTrue, "SessionKeysSettled: Every ready replica"))
		})
		looked()
		later(keysEvery - time.Hour)
		looked()
		proxies.have(key)
		later(2 * time.Hour)
		looked()
		Expect(rotated()).To(BeEmpty())

		proxies.have(key, ring.ID())
		second := promotedFrom(ring)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(condition, metav1.ConditionTrue, "SessionKeysSpreading"))
		})

		// A replica that is late goes on sealing with the key that the next promotion drops: time counts from its last.
		proxies.have(key, second.ID(), ring.ID())
		later(3 * keysEvery)
		looked()
		proxies.have(key, second.ID(), second.ID())
		settled(second)
		looked()
		later(keysEvery + time.Hour)
		proxies.have(key, second.ID(), second.ID())
		promotedFrom(second)
		Expect(rotated()).To(HaveLen(2))
	})

	It("are given more time when a replica turns up with older ones", func() {
		create(secret)
		proxies.have(key, ring.ID())
		settled(ring)
		later(2 * keysEvery)
		proxies.have(key, ring.ID(), "an-older-ring")
		Eventually(func(g Gomega) {
			r, s := stored(g)
			g.Expect(r.ID()).To(Equal(ring.ID()))
			g.Expect(s.Annotations).NotTo(HaveKey(provision.AnnotationSessionKeysSettled))
		}).Should(Succeed())
		proxies.have(key, ring.ID(), ring.ID())
		settled(ring)
		looked()
	})

	It("count their time anew when somebody puts others in their place", func() {
		create(secret)
		proxies.have(key, ring.ID())
		settled(ring)
		byHand, err := ring.Promote()
		Expect(err).NotTo(HaveOccurred())
		change(secret, func(s *corev1.Secret) { s.Data[provision.SecretKeySessionKeys] = marshal(byHand) })
		later(2 * keysEvery)
		proxies.have(key, byHand.ID())
		settled(byHand)
		looked()
	})

	It("are reported and never overwritten if they can't be read", func() {
		secret.Data[provision.SecretKeySessionKeys] = []byte(`{"version":2}`)
		create(secret)
		proxies.have(key, ring.ID())
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(And(
				haveCondition(condition, metav1.ConditionFalse, "InvalidSessionKeys: the Secret "+key.Namespace+"/"+secret.Name),
				ContainElement(HaveField("Message", ContainSubstring(`field "version" must be 1`)))))
		})
		later(2 * keysEvery)
		proxies.have(key, ring.ID())
		unchanged(secret)
		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(api.List(ctx, &list, client.InNamespace(key.Namespace))).To(Succeed())
			g.Expect(list.Items).To(ContainElement(And(HaveField("Reason", "InvalidSessionKeys"), HaveField("Type", "Warning"))))
		}).Should(Succeed())

		change(secret, func(s *corev1.Secret) { s.Data[provision.SecretKeySessionKeys] = marshal(ring) })
		proxies.have(key, ring.ID())
		settled(ring)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition(condition, metav1.ConditionTrue, "SessionKeysSettled"))
		})
	})

	It("are never touched in a Secret that is not the Gateway's", func() {
		secret.OwnerReferences = nil
		create(secret)
		proxies.have(key, ring.ID())
		unchanged(secret)
		later(2 * keysEvery)
		proxies.have(key, ring.ID())
		unchanged(secret)
		eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
			g.Expect(gw.Status.Conditions).To(haveCondition("Accepted", metav1.ConditionTrue, ""))
			g.Expect(gw.Status.Conditions).NotTo(ContainElement(HaveField("Type", condition)))
		})
	})
})

// expectOverlap expects that replicas with one of two rings each open what the other seals.
func expectOverlap(before, after *session.KeyRing) {
	GinkgoHelper()
	for _, sealed := range []*session.KeyRing{before, after} {
		token, err := sealed.SealSession(&session.Session{Expires: time.Now().Add(time.Hour)})
		Expect(err).NotTo(HaveOccurred())
		for _, opened := range []*session.KeyRing{before, after} {
			_, err := opened.OpenSession(token, time.Now())
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

func marshal(ring *session.KeyRing) []byte {
	GinkgoHelper()
	data, err := ring.Marshal()
	Expect(err).NotTo(HaveOccurred())
	return data
}
