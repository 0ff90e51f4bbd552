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

package certs

import (
	"crypto/x509"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	names = []string{"10.0.0.1", "webhook.system.svc"}
)

// begun is the state right after the first step.
func begun(t *testing.T) rotation {
	t.Helper()
	state, changed, err := rotation{}.step(names, nil, start)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(changed).To(BeTrue())
	return state
}

// steps takes a state on until nothing changes any more.
func steps(t *testing.T, state rotation, now time.Time) rotation {
	t.Helper()
	for range 5 {
		next, changed, err := state.step(names, state.current, now)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		if !changed {
			return state
		}
		state = next
	}
	t.Fatal("the state never comes to rest")
	return state
}

func TestFirstCertificateServesEveryName(t *testing.T) {
	g := NewWithT(t)
	state := begun(t)
	pool := x509.NewCertPool()
	g.Expect(pool.AppendCertsFromPEM(encodeCertificates(state.trusted()))).To(BeTrue())
	for _, name := range names {
		for _, now := range []time.Time{start.Add(-backdate / 2), start, start.Add(validity - time.Hour)} {
			_, err := state.current.certificate.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: now})
			g.Expect(err).NotTo(HaveOccurred(), "%s at %s", name, now)
		}
	}
	g.Expect(state.current.usable([]string{"other.system.svc"}, start)).To(BeFalse())
	g.Expect(state.current.certificate.IsCA).To(BeFalse(), "its key must not be able to make other certificates")
}

func TestRenewal(t *testing.T) {
	g := NewWithT(t)
	first := begun(t)
	early := steps(t, first, start.Add(renewAfter-time.Minute))
	g.Expect(early.current).To(Equal(first.current))
	g.Expect(early.next).To(BeNil())

	due := start.Add(renewAfter)
	prepared := steps(t, first, due)
	g.Expect(prepared.current).To(Equal(first.current), "the successor is not served before it is trusted")
	g.Expect(prepared.next).NotTo(BeNil())
	g.Expect(prepared.trusted()).To(HaveLen(2))
	g.Expect(prepared.wait(due)).To(BeNumerically("~", settle, 2*time.Second))
	g.Expect(steps(t, prepared, due.Add(settle-time.Minute)).current).To(Equal(first.current))

	promotion := due.Add(settle)
	promoted := steps(t, prepared, promotion)
	g.Expect(promoted.current).To(Equal(prepared.next))
	g.Expect(promoted.next).To(BeNil())
	g.Expect(promoted.trusts(first.current)).To(BeTrue(), "other replicas still serve it")

	settled := steps(t, promoted, promotion.Add(settle))
	g.Expect(settled.trusted()).To(ConsistOf(promoted.current.certificate))
	g.Expect(settled.wait(promotion.Add(settle))).To(BeNumerically("<=", recheck+time.Second))
}

func TestStepsThatMendTheState(t *testing.T) {
	renewing := func(t *testing.T) rotation { return steps(t, begun(t), start.Add(renewAfter)) }
	for name, test := range map[string]struct {
		state func(*testing.T) rotation
		spoil func(*rotation)
		now   time.Time
		// kept is whether the current certificate stays.
		kept bool
	}{
		"an expired certificate":      {state: begun, now: start.Add(validity)},
		"a certificate of tomorrow":   {state: begun, now: start.Add(-24 * time.Hour)},
		"no certificate":              {state: begun, spoil: func(r *rotation) { r.current = nil }, now: start},
		"a successor that is expired": {state: renewing, now: start.Add(renewAfter + validity - time.Hour), kept: false},
		"a successor that is missing": {state: renewing, spoil: func(r *rotation) { r.next = nil }, now: start.Add(renewAfter + settle), kept: true},
		"a successor too early": {
			state: renewing, spoil: func(r *rotation) { r.current = r.next }, now: start.Add(renewAfter + time.Minute), kept: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			state := test.state(t)
			before := state.current
			if test.spoil != nil {
				test.spoil(&state)
				before = state.current
			}
			after := steps(t, state, test.now)
			g.Expect(after.current.usable(names, test.now)).To(BeTrue())
			g.Expect(after.current.same(before)).To(Equal(test.kept))
			g.Expect(after.trusts(after.current)).To(BeTrue())
		})
	}
}

func TestNewNamesGetANewCertificate(t *testing.T) {
	g := NewWithT(t)
	state := begun(t)
	next, changed, err := state.step([]string{"other.system.svc"}, state.current, start.Add(time.Hour))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changed).To(BeTrue())
	g.Expect(next.current.certificate.DNSNames).To(ConsistOf("other.system.svc"))
	serve, _ := next.serve(state.current, []string{"other.system.svc"}, start.Add(time.Hour))
	g.Expect(serve).To(Equal(next.current), "the old one is of no use for the new name")
}

func TestWhatIsServedStaysTrustedWhenTheStateIsLost(t *testing.T) {
	g := NewWithT(t)
	lost := begun(t)
	now := start.Add(24 * time.Hour)
	state, _, err := rotation{}.step(names, lost.current, now)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(state.current.same(lost.current)).To(BeFalse())
	g.Expect(state.trusts(lost.current)).To(BeTrue())

	serve, wait := state.serve(lost.current, names, now)
	g.Expect(serve).To(Equal(lost.current), "API servers may not trust the new one yet")
	g.Expect(wait).To(Equal(handover))
	serve, wait = state.serve(lost.current, names, now.Add(handover))
	g.Expect(serve).To(Equal(state.current))
	g.Expect(wait).To(BeZero())
	serve, _ = state.serve(nil, names, now)
	g.Expect(serve).To(Equal(state.current), "nothing else is trusted of a replica that begins")
	stranger, err := newPair(names, now)
	g.Expect(err).NotTo(HaveOccurred())
	serve, _ = state.serve(stranger, names, now)
	g.Expect(serve).To(Equal(state.current), "what is not trusted is of no use")

	g.Expect(steps(t, state, now.Add(settle)).trusts(lost.current)).To(BeFalse(),
		"after that, a key that got into wrong hands is worthless")
}

func TestSecretKeepsTheState(t *testing.T) {
	g := NewWithT(t)
	now := start.Add(renewAfter)
	prepared := steps(t, begun(t), now)
	promoted := steps(t, prepared, now.Add(settle))
	for _, state := range []rotation{begun(t), prepared, promoted} {
		secret := &corev1.Secret{}
		encode(state, secret, map[string]string{"a": "b"})
		g.Expect(secret.Labels).To(HaveKeyWithValue("a", "b"))
		g.Expect(secret.Type).To(Equal(corev1.SecretTypeTLS))
		decoded := decode(secret)
		g.Expect(decoded.current.same(state.current)).To(BeTrue())
		g.Expect(decoded.since).To(BeTemporally("==", state.since))
		g.Expect(decoded.next == nil).To(Equal(state.next == nil))
		g.Expect(decoded.trusted()).To(HaveLen(len(state.trusted())))
		g.Expect(encodeCertificates(decoded.trusted())).To(Equal(secret.Data[keyTrusted]))
	}
}

func TestSecretThatCantBeReadStartsAnew(t *testing.T) {
	for name, spoil := range map[string]func(*corev1.Secret){
		"no key":                  func(s *corev1.Secret) { delete(s.Data, corev1.TLSPrivateKeyKey) },
		"a certificate of others": func(s *corev1.Secret) { s.Data[corev1.TLSCertKey] = begun(t).current.certPEM },
		"no PEM":                  func(s *corev1.Secret) { s.Data[corev1.TLSCertKey] = []byte("x") },
		"nothing":                 func(s *corev1.Secret) { s.Data = nil },
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{}
			encode(begun(t), secret, nil)
			spoil(secret)
			NewWithT(t).Expect(decode(secret).current).To(BeNil())
		})
	}
	t.Run("a bundle that can't be read", func(t *testing.T) {
		g := NewWithT(t)
		secret := &corev1.Secret{}
		encode(begun(t), secret, nil)
		secret.Data[keyTrusted] = []byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
		state := decode(secret)
		g.Expect(state.current).NotTo(BeNil())
		g.Expect(state.trusted()).To(HaveLen(1))
	})
}

func TestServerNames(t *testing.T) {
	service := func(name string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{
			Service: &admissionregistrationv1.ServiceReference{Namespace: "system", Name: name},
		}
	}
	address := func(url string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
	for name, test := range map[string]struct {
		configs []admissionregistrationv1.WebhookClientConfig
		want    []string
	}{
		"one Service for several": {[]admissionregistrationv1.WebhookClientConfig{service("b"), service("b")}, []string{"b.system.svc"}},
		"several":                 {[]admissionregistrationv1.WebhookClientConfig{service("b"), service("a")}, []string{"a.system.svc", "b.system.svc"}},
		"an address":              {[]admissionregistrationv1.WebhookClientConfig{address("https://127.0.0.1:9443/x")}, []string{"127.0.0.1"}},
		"an IPv6 address":         {[]admissionregistrationv1.WebhookClientConfig{address("https://[0:0::1]/x")}, []string{"::1"}},
		"a host":                  {[]admissionregistrationv1.WebhookClientConfig{address("https://host.example/x")}, []string{"host.example"}},
		"no host":                 {[]admissionregistrationv1.WebhookClientConfig{address("/x")}, nil},
		"none":                    {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
			for _, config := range test.configs {
				configuration.Webhooks = append(configuration.Webhooks, admissionregistrationv1.ValidatingWebhook{ClientConfig: config})
			}
			got, err := serverNames(configuration)
			g.Expect(got).To(Equal(test.want))
			g.Expect(err != nil).To(Equal(test.want == nil))
		})
	}
}
