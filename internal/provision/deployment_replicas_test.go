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
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
)

// fakeReplicas answers for pods.
type fakeReplicas struct {
	mu     sync.Mutex
	byHost map[string]func(w http.ResponseWriter)
	asked  map[string]int
}

func (f *fakeReplicas) says(host string, say func(w http.ResponseWriter)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byHost[host] = say
}

func (f *fakeReplicas) timesAsked(host string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[host]
}

// RoundTrip answers without a network, so that time can be faked.
func (f *fakeReplicas) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	say := f.byHost[r.URL.Hostname()]
	f.asked[r.URL.Hostname()]++
	f.mu.Unlock()
	if say == nil {
		return nil, errors.New("no route to host")
	}
	w := &answerWriter{header: http.Header{}, status: http.StatusOK}
	say(w)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(strings.NewReader(w.body.String()))}, nil
}

type answerWriter struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *answerWriter) Header() http.Header         { return w.header }
func (w *answerWriter) WriteHeader(status int)      { w.status = status }
func (w *answerWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

func serves(ring string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.Header().Set(keyring.Header, ring) }
}

func refuses(why string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { http.Error(w, why, http.StatusServiceUnavailable) }
}

// testReplicas runs replicas in a bubble of fake time, until the test ends.
func testReplicas(t *testing.T, test func(g *WithT, r *replicas, f *fakeReplicas, told func() int)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeReplicas{byHost: map[string]func(http.ResponseWriter){}, asked: map[string]int{}}
		p := newProber(time.Second, nil)
		p.client.Transport = f
		timing := ProbeTiming{Serving: 10 * time.Second}
		timing.setDefaults()
		var mu sync.Mutex
		count := 0
		r := newReplicas(p, timing, func(types.NamespacedName) {
			mu.Lock()
			defer mu.Unlock()
			count++
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.run(ctx)
		}()
		synctest.Wait()
		test(NewWithT(t), r, f, func() int {
			mu.Lock()
			defer mu.Unlock()
			return count
		})
		cancel()
		<-ended
	})
}

func addressesOf(hosts ...string) []netip.AddrPort {
	found := make([]netip.AddrPort, len(hosts))
	for i, host := range hosts {
		found[i] = netip.MustParseAddrPort(net.JoinHostPort(host, "19000"))
	}
	return found
}

func TestReplicasSayWhatTheyServe(t *testing.T) {
	testReplicas(t, func(g *WithT, r *replicas, f *fakeReplicas, told func() int) {
		gw := types.NamespacedName{Namespace: "ns", Name: "gw"}
		f.says("10.0.0.1", serves("ring-1"))
		f.says("10.0.0.2", refuses("no configuration yet"))
		want := func(generation int64, hosts ...string) string {
			return r.want(gw, "uid", generation, addressesOf(hosts...)).message
		}
		g.Expect(want(1, "10.0.0.1", "10.0.0.2")).To(Equal("the pods have not said yet whether they serve generation 1"))
		synctest.Wait()
		g.Expect(told()).To(Equal(1))
		g.Expect(want(1, "10.0.0.1", "10.0.0.2")).To(Equal("the pod at 10.0.0.2: the proxy is not ready: no configuration yet"))
		g.Expect(r.keyRings(gw, "uid")).To(Equal([]string{"ring-1", ""}))
		g.Expect(r.keyRings(gw, "another")).To(BeNil())

		f.says("10.0.0.2", serves("ring-1"))
		time.Sleep(time.Second)
		synctest.Wait()
		g.Expect(want(1, "10.0.0.1", "10.0.0.2")).To(BeEmpty())
		g.Expect(r.keyRings(gw, "uid")).To(Equal([]string{"ring-1", "ring-1"}))
		g.Expect(told()).To(Equal(2))

		// Those that serve are asked from time to time, and not often.
		before := f.timesAsked("10.0.0.1")
		time.Sleep(time.Minute)
		synctest.Wait()
		g.Expect(f.timesAsked("10.0.0.1") - before).To(And(BeNumerically(">=", 5), BeNumerically("<=", 7)))
		g.Expect(told()).To(Equal(2))
		f.says("10.0.0.2", serves("ring-2"))
		time.Sleep(15 * time.Second)
		synctest.Wait()
		g.Expect(told()).To(Equal(3), "another ring is news")

		// A new generation and a new pod are asked about at once.
		g.Expect(want(2, "10.0.0.1", "10.0.0.2")).To(Equal("the pods have not said yet whether they serve generation 2"))
		synctest.Wait()
		g.Expect(want(2, "10.0.0.1", "10.0.0.2")).To(BeEmpty())
		f.says("10.0.0.3", serves("ring-2"))
		g.Expect(want(2, "10.0.0.2", "10.0.0.3")).NotTo(BeEmpty())
		synctest.Wait()
		g.Expect(want(2, "10.0.0.2", "10.0.0.3")).To(BeEmpty())
		g.Expect(r.keyRings(gw, "uid")).To(Equal([]string{"ring-2", "ring-2"}))

		r.forget(gw)
		synctest.Wait()
		before = f.timesAsked("10.0.0.2")
		time.Sleep(time.Minute)
		g.Expect(f.timesAsked("10.0.0.2")).To(Equal(before), "nobody asks any more")
		g.Expect(r.keyRings(gw, "uid")).To(BeNil())
	})
}

func TestReplicaThatServesMayMissAFewQuestions(t *testing.T) {
	testReplicas(t, func(g *WithT, r *replicas, f *fakeReplicas, _ func() int) {
		gw := types.NamespacedName{Namespace: "ns", Name: "gw"}
		want := func() string { return r.want(gw, "uid", 1, addressesOf("10.0.0.1")).message }
		f.says("10.0.0.1", serves("ring"))
		want()
		synctest.Wait()
		g.Expect(want()).To(BeEmpty())
		f.says("10.0.0.1", nil)
		time.Sleep(25 * time.Second) // two questions
		synctest.Wait()
		g.Expect(want()).To(BeEmpty())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		g.Expect(want()).To(HavePrefix("the pod at 10.0.0.1: its admin port does not answer the manager"))
		g.Expect(r.keyRings(gw, "uid")).To(Equal([]string{"ring"}), "what it said last: it goes back to no earlier one")
		f.says("10.0.0.1", serves("ring"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		g.Expect(want()).To(BeEmpty())
	})
}

func TestGatewayThatIsMadeAgainIsAskedAnew(t *testing.T) {
	testReplicas(t, func(g *WithT, r *replicas, f *fakeReplicas, _ func() int) {
		gw := types.NamespacedName{Namespace: "ns", Name: "gw"}
		f.says("10.0.0.1", serves("ring"))
		r.want(gw, "uid-1", 1, addressesOf("10.0.0.1"))
		synctest.Wait()
		g.Expect(r.want(gw, "uid-1", 1, addressesOf("10.0.0.1")).message).To(BeEmpty())
		g.Expect(r.want(gw, "uid-2", 1, addressesOf("10.0.0.1")).message).NotTo(BeEmpty())
		synctest.Wait()
		g.Expect(r.want(gw, "uid-2", 1, addressesOf("10.0.0.1")).message).To(BeEmpty())
	})
}

func TestManyReplicasAreAskedAFewAtATime(t *testing.T) {
	testReplicas(t, func(g *WithT, r *replicas, f *fakeReplicas, _ func() int) {
		var mu sync.Mutex
		asking, most := 0, 0
		var hosts []string
		for i := range 100 {
			host := fmt.Sprintf("10.0.1.%d", i)
			hosts = append(hosts, host)
			f.says(host, func(http.ResponseWriter) {
				mu.Lock()
				asking++
				most = max(most, asking)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				asking--
				mu.Unlock()
			})
		}
		gw := types.NamespacedName{Namespace: "ns", Name: "gw"}
		r.want(gw, "uid", 1, addressesOf(hosts...))
		time.Sleep(time.Second)
		synctest.Wait()
		g.Expect(r.want(gw, "uid", 1, addressesOf(hosts...)).message).To(BeEmpty())
		g.Expect(most).To(And(BeNumerically(">", 1), BeNumerically("<=", maxAsked)))
	})
}
