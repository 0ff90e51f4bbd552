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
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	k8stypes "k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// patience is far more than anything here takes, on a busy machine too.
const patience = 30 * time.Second

// harness runs a Subprocess with fake proxies, and gives its events to nobody but the test.
type harness struct {
	*WithT
	*Subprocess
	t        *testing.T
	dir      string // where the fake proxy reads and leaves notes
	recorder *recorder
	endings  chan string // log lines about proxies that ended
	end      func()      // ends Start and waits for it
}

func newHarness(t *testing.T, mode string, change ...func(*SubprocessOptions)) *harness {
	t.Helper()
	h := &harness{WithT: NewWithT(t), t: t, dir: t.TempDir(), recorder: &recorder{seen: make(chan string, 100)}}
	h.endings = make(chan string, 1000)
	h.SetDefaultEventuallyTimeout(patience)
	options := SubprocessOptions{
		Client:      fake.NewFakeClient(),
		Args:        []string{"--fake-dir=" + h.dir, "--fake-mode=" + mode},
		Dir:         t.TempDir(),
		Backoff:     Backoff{Initial: 5 * time.Millisecond, Max: 20 * time.Millisecond, ResetAfter: time.Hour},
		Probe:       ProbeTiming{Min: 2 * time.Millisecond, Max: 10 * time.Millisecond, Serving: 5 * time.Millisecond, Timeout: patience},
		GracePeriod: patience,
		Output:      h.recorder.record,
		Log:         h.logger(),
	}
	for _, c := range change {
		c(&options)
	}
	var err error
	h.Subprocess, err = NewSubprocess(options)
	h.Expect(err).NotTo(HaveOccurred())

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Start(ctx) }()
	h.end = func() {
		cancel()
		h.Eventually(ended).Should(Receive(BeNil()))
		ended <- nil // so that it can be called again
	}
	t.Cleanup(func() {
		h.end()
		left, err := os.ReadDir(options.Dir)
		h.Expect(err).NotTo(HaveOccurred())
		h.Expect(left).To(BeEmpty(), "runtime files are removed")
	})
	return h
}

func (h *harness) logger() logr.Logger {
	return funcr.New(func(_, line string) {
		h.t.Log(line)
		if strings.Contains(line, "Proxy ended, restarting") {
			select {
			case h.endings <- line:
			default:
			}
		}
	}, funcr.Options{})
}

func (h *harness) ensure(gateway *gatewayv1.Gateway) State {
	h.t.Helper()
	state, err := h.Ensure(h.t.Context(), testWanted(gateway))
	h.Expect(err).NotTo(HaveOccurred())
	return state
}

// become waits, as the controller does, for an event after which the Gateway's proxy has the state.
func (h *harness) become(gateway *gatewayv1.Gateway, matcher types.GomegaMatcher) {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		state := h.ensure(gateway)
		if ok, err := matcher.Match(state); err == nil && ok {
			return
		}
		select {
		case e := <-h.Events():
			h.Expect(client.ObjectKeyFromObject(e.Object)).To(Equal(client.ObjectKeyFromObject(gateway)))
		case <-deadline:
			h.t.Fatal(matcher.FailureMessage(state))
		}
	}
}

// discardEvents stands in for a controller that nothing is asserted about.
func (h *harness) discardEvents() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-h.Events():
			case <-ctx.Done():
				return
			}
		}
	}()
	h.t.Cleanup(func() { cancel(); <-done })
}

func (h *harness) note(name string) string {
	content, _ := os.ReadFile(filepath.Join(h.dir, name))
	return string(content)
}

func (h *harness) exit(status int) {
	h.t.Helper()
	response, err := http.Post(fmt.Sprintf("http://%s/exit?status=%d", h.note("admin"), status), "", nil)
	if err == nil { // it may end before it has answered
		_ = response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func (h *harness) expectGone(admin string) {
	h.t.Helper()
	h.Expect(admin).NotTo(BeEmpty())
	h.Eventually(func() error { return dial(admin) }).Should(HaveOccurred(), "the process is gone")
}

func dial(address string) error {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func beServing() types.GomegaMatcher { return HaveField("Serving", BeTrue()) }

func beDown(message string) types.GomegaMatcher {
	return And(HaveField("Serving", BeFalse()), HaveField("Addresses", BeEmpty()), HaveField("Message", MatchRegexp(message)))
}

func TestProxyStartsAndServes(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	h.Expect(h.ensure(gateway)).To(beDown("^the proxy is starting$"))
	h.become(gateway, beServing())

	h.Expect(h.ensure(gateway).Addresses).To(Equal([]gatewayv1.GatewayStatusAddress{
		{Type: new(gatewayv1.IPAddressType), Value: "127.0.0.1"},
	}))
	h.Expect(startedWith(h.dir)).To(ContainElements("default/gw", "127.0.0.1", "127.0.0.1:0", "--exit-with-parent"))
	h.Eventually(h.recorder.seen).Should(Receive(Equal("default/gw: serving default/gw")))

	secret := &corev1.Secret{}
	h.Expect(h.options.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "gw-dynamic-mcp"}, secret)).To(Succeed())
}

func TestEnsureBeforeStartIsCarriedOutByStart(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(patience)
	dir := t.TempDir()
	s, err := NewSubprocess(SubprocessOptions{
		Client: fake.NewFakeClient(), Args: []string{"--fake-dir=" + dir}, Dir: dir, Output: (&recorder{}).record,
	})
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"stays", "goes"} {
		_, err = s.Ensure(t.Context(), testWanted(testGateway(name)))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(s.Remove(t.Context(), client.ObjectKeyFromObject(testGateway("goes")))).To(Succeed())
	again := testGateway("stays")
	again.UID = "made-again"
	g.Expect(s.options.Client.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace("default"))).To(Succeed())
	_, err = s.Ensure(t.Context(), testWanted(again))
	g.Expect(err).NotTo(HaveOccurred())

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	g.Eventually(func() []string { return startedWith(dir) }).Should(ContainElement("default/stays"))
	cancel()
	g.Eventually(ended).Should(Receive(BeNil()))

	state, err := s.Ensure(t.Context(), testWanted(testGateway("late")))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(state).To(beDown("the manager is shutting down"))
}

func TestServingIsAboutOneGeneration(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	h.become(gateway, beServing())

	gateway.Generation = 2
	h.Expect(h.ensure(gateway)).To(beDown("^the proxy has not taken over generation 2 yet$"))
	h.become(gateway, And(
		beDown("^the proxy is not ready: generation 1 is served, not 2 x+…$"),
		HaveField("Message", WithTransform(func(m string) int { return len(m) }, BeNumerically("<", 512))),
	))

	h.Expect(os.WriteFile(filepath.Join(h.dir, "generation"), []byte("2"), 0o600)).To(Succeed())
	h.become(gateway, beServing())
}

func TestOtherParametersTakeAnotherProcess(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	h.become(gateway, beServing())
	wanted := testWanted(gateway)
	wanted.Parameters.Spec.AllowedOrigins = []string{"https://a.example.com"}
	state, err := h.Ensure(t.Context(), wanted)
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(state.Serving).To(BeFalse())
	h.Eventually(func() bool {
		state, err := h.Ensure(t.Context(), wanted)
		return err == nil && state.Serving
	}).Should(BeTrue())
	h.Expect(startedWith(h.dir)).To(ContainElement("--allowed-origins=https://a.example.com"))
}

func TestKeyRingsOfProxiesThatServe(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	rings := func() []string {
		h.t.Helper()
		rings, err := h.KeyRings(t.Context(), gateway)
		h.Expect(err).NotTo(HaveOccurred())
		return rings
	}
	// has waits, as the controller does, for an event after which the proxy has the ring.
	has := func(ids ...string) {
		h.t.Helper()
		for deadline := time.After(patience); !slices.Equal(rings(), ids); {
			select {
			case <-h.Events():
			case <-deadline:
				h.t.Fatalf("got %q, want %q", rings(), ids)
			}
		}
	}
	take := func(id string) {
		h.t.Helper()
		h.Expect(os.WriteFile(filepath.Join(h.dir, "key-ring"), []byte(id), 0o600)).To(Succeed())
	}

	h.Expect(rings()).To(BeEmpty(), "nobody has asked for the proxy")
	h.ensure(gateway)
	h.become(gateway, beServing())
	h.Expect(rings()).To(Equal([]string{""}), "it does not say")
	take("0011-2233")
	has("0011-2233")
	take("2233-4455")
	has("2233-4455")
	take(strings.Repeat("0", maxKeyRingID+1))
	has("")

	h.Expect(os.WriteFile(filepath.Join(h.dir, "generation"), []byte("none"), 0o600)).To(Succeed())
	h.become(gateway, beDown("generation none is served"))
	h.Expect(rings()).To(BeEmpty(), "it does not serve")

	h.Expect(os.WriteFile(filepath.Join(h.dir, "generation"), []byte("1"), 0o600)).To(Succeed())
	h.become(gateway, beServing())
	gateway.UID = "made-again"
	h.Expect(rings()).To(BeEmpty(), "it is of an earlier Gateway")
}

func TestProxyThatStopsServingIsNoticed(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	h.become(gateway, beServing())
	h.Expect(os.WriteFile(filepath.Join(h.dir, "generation"), []byte("none"), 0o600)).To(Succeed())
	h.become(gateway, beDown("generation none is served"))
}

func TestCrashedProxyIsRestarted(t *testing.T) {
	h := newHarness(t, fakeServes)
	h.discardEvents()
	gateway := testGateway("gw")
	servingAt := func() string {
		if !h.ensure(gateway).Serving {
			return ""
		}
		return h.note("admin")
	}
	h.Eventually(servingAt).ShouldNot(BeEmpty())
	first := h.note("admin")
	h.exit(7)
	h.Eventually(servingAt).ShouldNot(Or(BeEmpty(), Equal(first)))
	h.Eventually(h.endings).Should(Receive(ContainSubstring(`"reason"="exit status 7"`)))
}

func TestCrashingProxyIsRestartedWithBackoffAndSaysWhy(t *testing.T) {
	h := newHarness(t, fakeCrashes)
	gateway := testGateway("gw")
	h.become(gateway, beDown(`^proxy exited \(exit status 3\); restarting in 20ms: Error: nothing to serve \[0m$`))
	h.become(gateway, beDown(`^the proxy is starting again; it had exited \(exit status 3\): Error: nothing to serve \[0m$`))
	for _, delay := range []string{"5ms", "10ms", "20ms", "20ms"} {
		h.Eventually(h.endings).Should(Receive(ContainSubstring(`"delay"="` + delay + `"`)))
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{}
	b.setDefaults()
	var delays []time.Duration
	for delay := time.Duration(0); len(delays) < 7; {
		delay = b.next(delay)
		delays = append(delays, delay)
	}
	const s = time.Second
	NewWithT(t).Expect(delays).To(Equal([]time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}))
}

func TestBackoffBeginsAnewAfterTheProxyServed(t *testing.T) {
	h := newHarness(t, fakeServes, func(o *SubprocessOptions) {
		o.Backoff = Backoff{Initial: time.Millisecond, Max: time.Hour, ResetAfter: time.Nanosecond}
	})
	h.discardEvents()
	gateway := testGateway("gw")
	admin := ""
	for range 4 {
		h.Eventually(func() bool { return h.ensure(gateway).Serving && h.note("admin") != admin }).Should(BeTrue())
		admin = h.note("admin")
		h.exit(1)
		h.Eventually(h.endings).Should(Receive(ContainSubstring(`"delay"="1ms"`)))
	}
}

func TestExecutableThatIsNotThereIsReported(t *testing.T) {
	h := newHarness(t, fakeServes, func(o *SubprocessOptions) { o.Executable = filepath.Join(o.Dir, "missing") })
	h.become(testGateway("gw"), beDown(`^proxy exited \(it could not be started: .*no such file or directory\); restarting in`))
}

func TestRemoveEndsTheProxyAndWaitsForIt(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	h.become(gateway, beServing())
	admin := h.note("admin")

	h.Expect(h.Remove(t.Context(), client.ObjectKeyFromObject(gateway))).To(Succeed())
	h.Expect(dial(admin)).NotTo(Succeed())
	h.Expect(h.note("got-terminated")+h.note("got-eof")).To(BeEmpty(), "notes are empty files")
	h.Expect(filepath.Glob(filepath.Join(h.dir, "got-*"))).NotTo(BeEmpty(), "it was asked to end, not killed")

	h.Expect(h.Remove(t.Context(), client.ObjectKeyFromObject(gateway))).To(Succeed(), "nothing to do")
	h.become(gateway, beServing())
	h.Expect(h.note("admin")).NotTo(Equal(admin), "a new one")
}

func TestGatewayThatWasMadeAgainGetsANewProxy(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	h.become(gateway, beServing())
	admin := h.note("admin")

	again := gateway.DeepCopy()
	again.UID = "another"
	h.Expect(h.ensure(again)).To(beDown("^the proxy is starting$"))
	h.become(again, beServing())
	h.Expect(h.note("admin")).NotTo(Equal(admin))
	h.expectGone(admin)
}

func TestHangingProxyIsKilledAfterTheGracePeriod(t *testing.T) {
	h := newHarness(t, fakeHangs, func(o *SubprocessOptions) { o.GracePeriod = 50 * time.Millisecond })
	gateway := testGateway("gw")
	h.become(gateway, beServing())
	admin := h.note("admin")
	h.Expect(h.Remove(t.Context(), client.ObjectKeyFromObject(gateway))).To(Succeed())
	h.Expect(dial(admin)).NotTo(Succeed())
}

func TestRemoveGivesUpWithItsContext(t *testing.T) {
	h := newHarness(t, fakeHangs, func(o *SubprocessOptions) { o.GracePeriod = time.Second })
	gateway := testGateway("gw")
	h.become(gateway, beServing())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.Expect(h.Remove(ctx, client.ObjectKeyFromObject(gateway))).To(MatchError(context.Canceled))
}

func TestProxiesEndWithStart(t *testing.T) {
	h := newHarness(t, fakeServes)
	gateway := testGateway("gw")
	h.become(gateway, beServing())
	admin := h.note("admin")
	h.end()
	h.Expect(dial(admin)).NotTo(Succeed())
	h.Expect(h.ensure(gateway)).To(beDown("the manager is shutting down"))
}

func TestProxyWithoutAdminEndpointIsNotServing(t *testing.T) {
	h := newHarness(t, fakeMute)
	gateway := testGateway("gw")
	h.ensure(gateway)
	h.Eventually(h.recorder.seen).Should(Receive(ContainSubstring("serving")))
	h.Expect(h.ensure(gateway)).To(beDown("^the proxy is starting$"))
}

func TestFloodOfOutputBlocksNothing(t *testing.T) {
	blocked := make(chan struct{})
	h := newHarness(t, fakeFloods, func(o *SubprocessOptions) {
		record := o.Output
		o.Output = func(gateway k8stypes.NamespacedName, line string) {
			<-blocked
			record(gateway, line)
		}
	})
	gateway := testGateway("gw")
	h.become(gateway, beServing()) // although nobody reads
	close(blocked)

	var first string
	h.Eventually(h.recorder.seen).Should(Receive(&first))
	h.Expect(first).To(MatchRegexp(`^default/gw: (long)+… \(1040384 bytes cut\)$`))
	h.end()
	h.Expect(h.recorder.lines.Load()).To(BeNumerically("<=", maxQueuedLines+2), "the rest was dropped")
}

func TestEventsNeverBlockTheSupervisor(t *testing.T) {
	h := newHarness(t, fakeCrashes)
	gateway := testGateway("gw")
	h.ensure(gateway)
	// Nobody reads events, and the proxy goes on being restarted.
	for range 20 {
		h.Expect(os.RemoveAll(filepath.Join(h.dir, "started"))).To(Succeed())
		h.Eventually(func() []string { return startedWith(h.dir) }).ShouldNot(BeEmpty())
	}
	h.Expect(len(h.notifier.pending)).To(BeNumerically("<=", 1))
}

func TestSecretOfAnotherOwnerIsReportedAndLookedAtAgain(t *testing.T) {
	gateway := testGateway("gw")
	foreign := testSecret(gateway, func(s *corev1.Secret) { s.OwnerReferences = nil })
	h := newHarness(t, fakeServes, func(o *SubprocessOptions) { o.Client = fake.NewFakeClient(foreign) })
	h.Expect(h.ensure(gateway)).To(beDown("^the Secret default/gw-dynamic-mcp exists and is not controlled by"))
	h.Expect(startedWith(h.dir)).To(BeEmpty(), "no proxy without keys")
	h.Expect(h.notifier.delayed).To(HaveKey(client.ObjectKeyFromObject(gateway)))

	h.Expect(h.options.Client.Delete(t.Context(), foreign)).To(Succeed())
	h.become(gateway, beServing())
}

func TestProxyEndsWhenTheManagerIsKilled(t *testing.T) {
	h := &harness{WithT: NewWithT(t), t: t, dir: t.TempDir()}
	h.SetDefaultEventuallyTimeout(patience)
	manager := exec.Command(os.Args[0], "fake-manager", h.dir)
	h.Expect(manager.Start()).To(Succeed())
	h.Eventually(func() string { return h.note("admin") }).ShouldNot(BeEmpty())
	admin := h.note("admin")
	h.Expect(dial(admin)).To(Succeed())

	h.Expect(manager.Process.Kill()).To(Succeed())
	_ = manager.Wait()
	h.Eventually(func() error {
		_, err := os.Stat(filepath.Join(h.dir, "got-eof"))
		return err
	}).Should(Succeed())
	h.expectGone(admin)
}

func TestReachableAddress(t *testing.T) {
	g := NewWithT(t)
	for _, address := range []string{"127.0.0.1", "::1", "192.0.2.7"} {
		g.Expect(reachableAddress(netip.MustParseAddr(address)).String()).To(Equal(address))
	}
	for _, address := range []string{"0.0.0.0", "::"} {
		got := reachableAddress(netip.MustParseAddr(address))
		g.Expect(got.IsUnspecified()).To(BeFalse())
		g.Expect(got.Is4()).To(Equal(netip.MustParseAddr(address).Is4()))
	}
}

func TestNewSubprocessNeedsAClient(t *testing.T) {
	_, err := NewSubprocess(SubprocessOptions{})
	NewWithT(t).Expect(err).To(MatchError("a client is required"))
}

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLineBytes)
	for name, test := range map[string]struct {
		writes    []string
		want      []string
		lastWords string
	}{
		"lines, however they are cut": {[]string{"a", "b\nc", "\r\n\nd"}, []string{"ab", "c", "", "d"}, "d"},
		"the longest":                 {[]string{long + "\n"}, []string{long}, long[:maxMessageBytes] + "…"},
		"longer": {
			[]string{long, "yy", "yyy\nnext\n"}, []string{long + "… (5 bytes cut)", "next"}, "next",
		},
		"blank lines are not last words":    {[]string{"why\n \n\n"}, []string{"why", " ", ""}, "why"},
		"a panic is worth more than stacks": {[]string{"panic: oh\n\ngoroutine 1\n"}, []string{"panic: oh", "", "goroutine 1"}, "panic: oh"},
		"control characters":                {[]string{"a\x00b\x1b[1m\xff\tc\n"}, []string{"a\x00b\x1b[1m\xff\tc"}, "a b [1m c"},
		"nothing":                           {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var got []string
			w := &lineWriter{emit: func(line string) { got = append(got, line) }}
			for _, data := range test.writes {
				g.Expect(w.Write([]byte(data))).To(Equal(len(data)))
			}
			w.flush()
			g.Expect(got).To(Equal(test.want))
			g.Expect(w.lastWords()).To(Equal(test.lastWords))
		})
	}
}
