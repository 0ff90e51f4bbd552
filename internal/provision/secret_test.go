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
	"strings"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
)

func testGateway(name string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, UID: types.UID("uid-of-" + name), Generation: 1,
	}}
}

func testWanted(gateway *gatewayv1.Gateway) *Wanted {
	return &Wanted{Gateway: gateway, Ports: []int32{8080}, Parameters: parameters.Merge(nil, nil).WithDefaults()}
}

func ownedBy(gateway *gatewayv1.Gateway, uid types.UID) []metav1.OwnerReference {
	owner := metav1.NewControllerRef(gateway, gatewayOwner)
	owner.UID = uid
	owner.BlockOwnerDeletion = new(false)
	return []metav1.OwnerReference{*owner}
}

func testSecret(gateway *gatewayv1.Gateway, change func(*corev1.Secret)) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       gateway.Namespace,
			Name:            SecretName(gateway.Name),
			Labels:          labelsOf(gateway),
			OwnerReferences: ownedBy(gateway, gateway.UID),
		},
		Type: corev1.SecretTypeOpaque,
	}
	change(secret)
	return secret
}

func TestSecretName(t *testing.T) {
	long := strings.Repeat("a", 252)
	for name, test := range map[string]struct{ gateway, want string }{
		"short":                   {"agentgateway", "agentgateway-dynamic-mcp"},
		"the longest that fits":   {strings.Repeat("a", 241), strings.Repeat("a", 241) + "-dynamic-mcp"},
		"one more is cut, hashed": {strings.Repeat("a", 242), strings.Repeat("a", 232) + "-8fded59c-dynamic-mcp"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(SecretName(test.gateway)).To(Equal(test.want))
			g.Expect(len(SecretName(test.gateway))).To(BeNumerically("<=", 253))
		})
	}
	g := NewWithT(t)
	g.Expect(SecretName(long+"a")).NotTo(Equal(SecretName(long+"b")), "names that differ only in what is cut off")
}

func TestDesiredSecret(t *testing.T) {
	gateway := testGateway("gw")
	usable, err := newSessionKeys()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	fresh := []byte("fresh")

	keys := func(data string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data = map[string][]byte{SecretKeySessionKeys: []byte(data)} }
	}
	for name, test := range map[string]struct {
		current *corev1.Secret
		want    *corev1.Secret
		err     string
	}{
		"absent: made with fresh keys": {
			want: testSecret(gateway, keys("fresh")),
		},
		"usable: kept": {
			current: testSecret(gateway, keys(string(usable))),
			want:    testSecret(gateway, keys(string(usable))),
		},
		"unreadable keys: kept": {
			current: testSecret(gateway, keys("{")),
			want:    testSecret(gateway, keys("{")),
		},
		"no keys: made": {
			current: testSecret(gateway, func(*corev1.Secret) {}),
			want:    testSecret(gateway, keys("fresh")),
		},
		"other entries, labels and annotations: kept": {
			current: testSecret(gateway, func(s *corev1.Secret) {
				s.Labels = map[string]string{"team": "a"}
				s.Annotations = map[string]string{"note": "b"}
				s.Data = map[string][]byte{"tls.crt": []byte("certificate")}
			}),
			want: testSecret(gateway, func(s *corev1.Secret) {
				s.Labels["team"] = "a"
				s.Annotations = map[string]string{"note": "b"}
				s.Data = map[string][]byte{"tls.crt": []byte("certificate"), SecretKeySessionKeys: fresh}
			}),
		},
		"nobody's: refused": {
			current: testSecret(gateway, func(s *corev1.Secret) { s.OwnerReferences = nil }),
			err:     "never taken over",
		},
		"another object's, ours as well but not as controller: refused": {
			current: testSecret(gateway, func(s *corev1.Secret) { s.OwnerReferences[0].Controller = nil }),
			err:     "never taken over",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := test.current.DeepCopy()
			got, err := desiredSecret(gateway, test.current, func() ([]byte, error) { return fresh, nil })
			g.Expect(test.current).To(Equal(before), "the argument is not changed")
			if test.err != "" {
				_, ok := errors.AsType[*ObjectConflictError](err)
				g.Expect(ok).To(BeTrue())
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
				g.Expect(err).To(MatchError(ContainSubstring("default/gw-dynamic-mcp")))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(test.want))
		})
	}

	t.Run("no randomness: an error", func(t *testing.T) {
		_, err := desiredSecret(gateway, nil, func() ([]byte, error) { return nil, errors.New("no entropy") })
		NewWithT(t).Expect(err).To(MatchError("make session keys: no entropy"))
	})
}

func TestEnsureSecret(t *testing.T) {
	gateway := testGateway("gw")
	key := client.ObjectKey{Namespace: "default", Name: "gw-dynamic-mcp"}
	read := func(g *WithT, c client.Client) *corev1.Secret {
		secret := &corev1.Secret{}
		g.Expect(c.Get(t.Context(), key, secret)).To(Succeed())
		return secret
	}

	t.Run("creates it once and then leaves it alone", func(t *testing.T) {
		g := NewWithT(t)
		c := fake.NewFakeClient()
		g.Expect(ensureSecret(t.Context(), c, gateway, logr.Discard())).To(Succeed())
		first := read(g, c)
		_, err := session.ParseKeyRing(first.Data[SecretKeySessionKeys])
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(metav1.IsControlledBy(first, gateway)).To(BeTrue())

		g.Expect(ensureSecret(t.Context(), c, gateway, logr.Discard())).To(Succeed())
		g.Expect(read(g, c)).To(Equal(first), "resourceVersion included")
	})

	t.Run("makes keys that are missing", func(t *testing.T) {
		g := NewWithT(t)
		c := fake.NewFakeClient(testSecret(gateway, func(s *corev1.Secret) {
			s.Data = map[string][]byte{"other": []byte("kept")}
		}))
		g.Expect(ensureSecret(t.Context(), c, gateway, logr.Discard())).To(Succeed())
		got := read(g, c)
		_, err := session.ParseKeyRing(got.Data[SecretKeySessionKeys])
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Data).To(HaveKeyWithValue("other", []byte("kept")))
	})

	t.Run("never overwrites keys that can't be read", func(t *testing.T) {
		g := NewWithT(t)
		c := fake.NewFakeClient(testSecret(gateway, func(s *corev1.Secret) {
			s.Data = map[string][]byte{SecretKeySessionKeys: []byte("nonsense")}
		}))
		before := read(g, c)
		g.Expect(ensureSecret(t.Context(), c, gateway, logr.Discard())).To(Succeed())
		g.Expect(read(g, c)).To(Equal(before))
	})

	t.Run("replaces what an earlier Gateway of that name left behind", func(t *testing.T) {
		g := NewWithT(t)
		old, err := newSessionKeys()
		g.Expect(err).NotTo(HaveOccurred())
		c := fake.NewFakeClient(testSecret(gateway, func(s *corev1.Secret) {
			s.OwnerReferences = ownedBy(gateway, "an-earlier-uid")
			s.Data = map[string][]byte{SecretKeySessionKeys: old}
		}))
		g.Expect(ensureSecret(t.Context(), c, gateway, logr.Discard())).To(Succeed())
		got := read(g, c)
		g.Expect(metav1.IsControlledBy(got, gateway)).To(BeTrue())
		g.Expect(got.Data[SecretKeySessionKeys]).NotTo(Equal(old))
	})

	t.Run("never takes over another's", func(t *testing.T) {
		for name, change := range map[string]func(*corev1.Secret){
			"nobody's":                        func(s *corev1.Secret) { s.OwnerReferences = nil },
			"another Gateway's":               func(s *corev1.Secret) { s.OwnerReferences = ownedBy(testGateway("other"), "x") },
			"an unlabelled leftover":          func(s *corev1.Secret) { s.OwnerReferences, s.Labels = ownedBy(gateway, "x"), nil },
			"another group's Gateway's":       func(s *corev1.Secret) { s.OwnerReferences[0].APIVersion, s.OwnerReferences[0].UID = "x/v1", "x" },
			"another kind of the same name's": func(s *corev1.Secret) { s.OwnerReferences[0].Kind, s.OwnerReferences[0].UID = "Pod", "x" },
		} {
			t.Run(name, func(t *testing.T) {
				g := NewWithT(t)
				c := fake.NewFakeClient(testSecret(gateway, change))
				before := read(g, c)
				err := ensureSecret(t.Context(), c, gateway, logr.Discard())
				g.Expect(err).To(MatchError(ContainSubstring("never taken over")))
				g.Expect(apierrors.ReasonForError(err)).To(Equal(metav1.StatusReasonUnknown), "not an API error")
				g.Expect(read(g, c)).To(Equal(before))
			})
		}
	})
}
