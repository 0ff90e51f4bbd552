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

package provision

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
)

func TestReadSessionKeys(t *testing.T) {
	gateway := testGateway("gw")
	usable, err := newSessionKeys()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	keys := func(data string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data = map[string][]byte{SecretKeySessionKeys: []byte(data)} }
	}
	for name, test := range map[string]struct {
		secret  *corev1.Secret
		found   bool
		invalid string
	}{
		"no Secret":   {},
		"no keys":     {secret: testSecret(gateway, func(*corev1.Secret) {})},
		"usable keys": {secret: testSecret(gateway, keys(string(usable))), found: true},
		"keys that can't be read": {
			secret: testSecret(gateway, keys(`{"version":2}`)), invalid: `the Secret default/gw-dynamic-mcp, key session-keys.json: key ring: `,
		},
		"empty keys": {secret: testSecret(gateway, keys("")), invalid: "expected one JSON object"},
		"another's Secret": {secret: testSecret(gateway, func(s *corev1.Secret) {
			keys("{")(s)
			s.OwnerReferences = nil
		})},
		"an earlier Gateway's Secret": {secret: testSecret(gateway, func(s *corev1.Secret) {
			keys(string(usable))(s)
			s.OwnerReferences = ownedBy(gateway, "an-earlier-uid")
		})},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := fake.NewFakeClient()
			if test.secret != nil {
				c = fake.NewFakeClient(test.secret)
			}
			got, err := ReadSessionKeys(t.Context(), c, gateway)
			g.Expect(got != nil).To(Equal(test.found))
			if test.invalid == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			invalid, ok := errors.AsType[*InvalidSessionKeysError](err)
			g.Expect(ok).To(BeTrue())
			g.Expect(invalid).To(MatchError(And(ContainSubstring(test.invalid), ContainSubstring("running proxies keep the keys they have"))))
			g.Expect(invalid.Secret).To(Equal(client.ObjectKeyFromObject(test.secret)))
		})
	}
}

func TestWriteSessionKeys(t *testing.T) {
	g := NewWithT(t)
	gateway := testGateway("gw")
	ring, err := newSessionKeys()
	g.Expect(err).NotTo(HaveOccurred())
	ring = append([]byte(" "), ring...) // as somebody has formatted it
	c := fake.NewFakeClient(testSecret(gateway, func(s *corev1.Secret) {
		s.Annotations = map[string]string{"note": "kept"}
		s.Data = map[string][]byte{SecretKeySessionKeys: ring, "tls.crt": []byte("kept")}
	}))
	read := func() (*SessionKeys, *corev1.Secret) {
		keys, err := ReadSessionKeys(t.Context(), c, gateway)
		g.Expect(err).NotTo(HaveOccurred())
		secret := &corev1.Secret{}
		g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(keys.secret), secret)).To(Succeed())
		g.Expect(secret.Annotations).To(HaveKeyWithValue("note", "kept"))
		g.Expect(secret.Data).To(HaveKeyWithValue("tls.crt", []byte("kept")))
		return keys, secret
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	step := func(keys *SessionKeys, step keyring.Step) error {
		next, err := keys.After(step, noon)
		g.Expect(err).NotTo(HaveOccurred())
		return keys.Write(t.Context(), c, next)
	}

	first, _ := read()
	g.Expect(first.Settled).To(BeZero())
	g.Expect(step(first, keyring.Settle)).To(Succeed())
	settled, secret := read()
	g.Expect(settled.Settled).To(BeTemporally("==", noon))
	g.Expect(secret.Data).To(HaveKeyWithValue(SecretKeySessionKeys, ring))
	g.Expect(secret.Annotations).To(HaveKeyWithValue(AnnotationSessionKeysSettled, "2026-03-01T12:00:00Z "+first.Ring.ID()))

	g.Expect(apierrors.IsConflict(step(first, keyring.Promote))).To(BeTrue(), "what has changed since it was read")
	after, _ := read()
	g.Expect(after.Ring.ID()).To(Equal(first.Ring.ID()))

	g.Expect(step(settled, keyring.Promote)).To(Succeed())
	promoted, secret := read()
	g.Expect(promoted.Ring.ID()).NotTo(Equal(first.Ring.ID()))
	g.Expect(promoted.Settled).To(BeZero())
	g.Expect(secret.Annotations).NotTo(HaveKey(AnnotationSessionKeysSettled))
	g.Expect(step(promoted, keyring.Settle)).To(Succeed())
	settled, _ = read()
	g.Expect(step(settled, keyring.Unsettle)).To(Succeed())
	unsettled, _ := read()
	g.Expect(unsettled.Settled).To(BeZero())
	g.Expect(unsettled.Ring.ID()).To(Equal(promoted.Ring.ID()))
}
