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

package certs_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/certs"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
	webhookv1alpha1 "github.com/dynamic-mcp/dynamic-mcp/internal/webhook/v1alpha1"
)

const (
	day    = 24 * time.Hour
	minute = time.Minute
)

var secretKey = types.NamespacedName{Namespace: systemNamespace, Name: secretName}

// clock is the time by a shift from the real one, which the API server goes by.
type clock struct{ shift atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.shift.Load())) }
func (c *clock) shiftTo(by time.Duration) { c.shift.Store(int64(by)) }

// replica is a manager that has nothing but the webhook. It leads nothing.
type replica struct {
	address string
	rotator *certs.Rotator
	stop    func()
}

func startReplica(time *clock) *replica {
	GinkgoHelper()
	rotator := certs.New(certs.Options{
		Secret: secretKey, Configuration: configurationName, Now: time.now, Labels: map[string]string{"made-by": "test"},
	})
	port := servertest.FreePort("127.0.0.1")
	mgr, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){rotator.ServeTLS},
		}),
		Controller: config.Controller{SkipNameValidation: new(true)},
		// Nobody ever leads: the lease is somebody else's.
		LeaderElection: true, LeaderElectionID: takenLease, LeaderElectionNamespace: systemNamespace,
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(rotator.SetupWithManager(mgr)).To(Succeed())
	Expect(webhookv1alpha1.SetupBackendWebhookWithManager(mgr, validate.Options{})).To(Succeed())
	running, cancel := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(running) }()
	stop := sync.OnceFunc(func() {
		cancel()
		Eventually(stopped).Should(Receive(Not(HaveOccurred())))
	})
	DeferCleanup(stop)
	return &replica{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), rotator: rotator, stop: stop}
}

func (r *replica) ready() error { return r.rotator.Ready(nil) }

// balance listens on an address and hands connections to replicas in turn, as a Service does. It hands nothing to a
// replica that does not listen.
func balance(replicas []*replica) string {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	ending, end := context.WithCancel(ctx)
	var connections sync.WaitGroup
	connections.Go(func() {
		for turn := 0; ; turn++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", replicas[turn%len(replicas)].address)
			if err != nil {
				_ = client.Close()
				continue
			}
			stop := context.AfterFunc(ending, func() { _, _ = client.Close(), server.Close() })
			connections.Go(func() { pipe(client, server); stop() })
			connections.Go(func() { pipe(server, client) })
		}
	})
	DeferCleanup(func() {
		Expect(listener.Close()).To(Succeed())
		end()
		connections.Wait()
	})
	return listener.Addr().String()
}

// pipe copies until one side ends, and ends both.
func pipe(from, to net.Conn) {
	defer func() { _ = to.Close() }()
	defer func() { _ = from.Close() }()
	_, _ = io.Copy(to, from)
}

// ask creates a Backend that the webhook refuses. It returns an error unless the webhook has refused it.
func ask() error {
	backend := &v1alpha1.Backend{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "refused-"},
		Spec: v1alpha1.BackendSpec{Type: v1alpha1.BackendTypeMCP, MCP: &v1alpha1.MCPBackend{
			Targets: []v1alpha1.MCPTarget{{Name: "t", Static: &v1alpha1.MCPStaticTarget{Host: "169.254.169.254", Port: 80}}},
		}},
	}
	err := api.Create(ctx, backend, client.DryRunAll)
	if apierrors.IsInvalid(err) && strings.Contains(err.Error(), "spec.mcp.targets[0].static.host") {
		return nil
	}
	return fmt.Errorf("not refused by the webhook: %w", err)
}

// askOn asks all the time until the returned function is called, which returns how often, and the failures.
func askOn() func() (asked int, failures []error) {
	done := make(chan struct{})
	var asked int
	var failures []error
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				asked++
				if err := ask(); err != nil {
					failures = append(failures, err)
				}
			}
		}
	})
	return func() (int, []error) {
		close(done)
		asking.Wait()
		return asked, failures
	}
}

func secret(g Gomega) *corev1.Secret {
	found := &corev1.Secret{}
	g.Expect(api.Get(ctx, secretKey, found)).To(Succeed())
	return found
}

// wake makes replicas look again, because the clock was changed.
func wake() {
	GinkgoHelper()
	found := secret(Default)
	before := found.DeepCopy()
	found.Annotations["woken"] = time.Now().String()
	Expect(api.Patch(ctx, found, client.MergeFrom(before))).To(Succeed())
}

// served returns the certificate that a replica serves.
func served(r *replica) []byte {
	GinkgoHelper()
	connection, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true})
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(connection.Close()).To(Succeed()) }()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: connection.ConnectionState().PeerCertificates[0].Raw})
}

func trusted(g Gomega) []byte {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	g.Expect(api.Get(ctx, client.ObjectKey{Name: configurationName}, configuration)).To(Succeed())
	return configuration.Webhooks[0].ClientConfig.CABundle
}

// serves waits until the replicas serve what is in the Secret.
func serves(replicas ...*replica) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		for _, r := range replicas {
			g.Expect(served(r)).To(Equal(secret(g).Data[corev1.TLSCertKey]))
		}
	}).Should(Succeed())
}

var _ = Describe("The webhook's certificate", func() {
	var replicas []*replica

	// start starts two replicas and waits until both are ready. None of them leads.
	start := func(time *clock) {
		GinkgoHelper()
		replicas = []*replica{startReplica(time), startReplica(time)}
		install(balance(replicas))
		for _, r := range replicas {
			Eventually(r.ready).Should(Succeed())
		}
		Eventually(ask).Should(Succeed())
	}

	It("is there at once, on every replica, without a leader", func() {
		start(&clock{})
		serves(replicas...)
		made := secret(Default)
		Expect(made.OwnerReferences).To(ConsistOf(HaveField("Name", configurationName)), "it goes with the installation")
		Expect(made.Labels).To(HaveKeyWithValue("made-by", "test"))
		Expect(trusted(Default)).To(Equal(made.Data["ca.crt"]))
	})

	It("survives a restart", func() {
		start(&clock{})
		before := served(replicas[0])
		replicas[0].stop()
		replicas[1].stop()
		again := startReplica(&clock{})
		Eventually(again.ready).Should(Succeed())
		Expect(served(again)).To(Equal(before))
	})

	It("makes a replica ready once there is something to serve it for", func() {
		replicas = []*replica{startReplica(&clock{})}
		Consistently(replicas[0].ready, "300ms").Should(MatchError(ContainSubstring("is the ValidatingWebhookConfiguration")))
		install(replicas[0].address)
		Eventually(replicas[0].ready).Should(Succeed())
		Eventually(ask).Should(Succeed())
	})

	It("is replaced before it ends, without one failed call", func() {
		// It was made long ago, and is due.
		time := &clock{}
		time.shiftTo(-91 * day)
		start(time)
		before := secret(Default)
		stop := askOn()
		time.shiftTo(-11 * minute)
		wake()
		Eventually(func(g Gomega) {
			prepared := secret(g)
			g.Expect(prepared.Data).To(HaveKey("next.crt"))
			g.Expect(trusted(g)).To(ContainSubstring(string(prepared.Data["next.crt"])))
		}).Should(Succeed())
		Expect(served(replicas[0])).To(Equal(before.Data["tls.crt"]), "it is not served before it is trusted")
		prepared := secret(Default)
		time.shiftTo(0)
		wake()
		Eventually(func(g Gomega) { g.Expect(secret(g).Data["tls.crt"]).To(Equal(prepared.Data["next.crt"])) }).Should(Succeed())
		serves(replicas...)
		asked, failures := stop()
		Expect(failures).To(BeEmpty())
		Expect(asked).To(BeNumerically(">", 0))
		time.shiftTo(11 * minute)
		wake()
		Eventually(trusted).Should(Equal(prepared.Data["next.crt"]), "the old one is forgotten")
	})

	It("is made anew when its Secret is deleted or spoiled, without one failed call", func() {
		start(&clock{})
		stop := askOn()
		before := secret(Default)
		Expect(api.Delete(ctx, before)).To(Succeed())
		Eventually(func(g Gomega) { g.Expect(secret(g).UID).NotTo(Equal(before.UID)) }).Should(Succeed())
		serves(replicas...)
		Expect(served(replicas[0])).NotTo(Equal(before.Data["tls.crt"]))

		spoiled := secret(Default)
		spoiled.Data = map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("y")}
		Expect(api.Update(ctx, spoiled)).To(Succeed())
		Eventually(func(g Gomega) { g.Expect(secret(g).Data).To(HaveKey("ca.crt")) }).Should(Succeed())
		serves(replicas...)
		asked, failures := stop()
		Expect(failures).To(BeEmpty())
		Expect(asked).To(BeNumerically(">", 0))
	})

	It("is trusted again when somebody takes it out of the configuration, or installs that anew", func() {
		start(&clock{})
		configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		Expect(api.Get(ctx, client.ObjectKey{Name: configurationName}, configuration)).To(Succeed())
		configuration.Webhooks[0].ClientConfig.CABundle = nil
		Expect(api.Update(ctx, configuration)).To(Succeed())
		Eventually(trusted).ShouldNot(BeEmpty())
		Expect(api.Delete(ctx, configuration)).To(Succeed())
		again := configuration.DeepCopy()
		again.ResourceVersion, again.UID, again.Webhooks[0].ClientConfig.CABundle = "", "", nil
		Expect(api.Create(ctx, again)).To(Succeed())
		Eventually(trusted).ShouldNot(BeEmpty())
		Eventually(func(g Gomega) {
			g.Expect(secret(g).OwnerReferences).To(ConsistOf(HaveField("UID", again.UID)))
		}).Should(Succeed())
		Eventually(ask).Should(Succeed())
	})

	It("never overwrites somebody else's Secret", func() {
		foreign := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: secretName}, StringData: map[string]string{"a": "b"},
		}
		Expect(api.Create(ctx, foreign)).To(Succeed())
		replicas = []*replica{startReplica(&clock{})}
		install(replicas[0].address)
		Consistently(func(g Gomega) {
			g.Expect(secret(g).Data).To(HaveLen(1))
			g.Expect(replicas[0].ready()).NotTo(Succeed())
		}, "500ms").Should(Succeed())
		Expect(api.Delete(ctx, foreign)).To(Succeed())
		Eventually(replicas[0].ready).Should(Succeed())
	})
})
