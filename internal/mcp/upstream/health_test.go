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

package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// withClock returns a Client whose clock stands still.
func withClock(t *testing.T, change ...func(*Options)) (*Client, *fakeClock) {
	t.Helper()
	c, clock := newClient(t, change...), newFakeClock()
	c.now = clock.now
	return c, clock
}

// wantHealth checks the states of all endpoints, in their order.
func wantHealth(t *testing.T, c *Client, want ...State) {
	t.Helper()
	var got []State
	for _, h := range c.Health() {
		got = append(got, h.State)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// wantRefused checks that a request was not sent, and why.
func wantRefused(t *testing.T, err error, reason string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindCircuitOpen || !strings.HasPrefix(e.Reason, reason+" (") {
		t.Fatalf("got %+v, want that the circuit is open: %s", err, reason)
	}
	wantReason(t, err, e.Reason)
}

// fail sends as many requests to an endpoint as open its circuit.
func fail(t *testing.T, c *Client, target *Target, endpoint string) {
	t.Helper()
	for range failureThreshold {
		_, _, err := post(t.Context(), t, c, target, &Request{Endpoint: endpoint})
		var e *Error
		if errors.As(err, &e) && e.Kind == KindCircuitOpen {
			t.Fatalf("the circuit opened early: %v", err)
		}
	}
}

func TestOpenEndpointIsPassedOver(t *testing.T) {
	t.Parallel()
	bad, good := newFlakyServer(t), newFlakyServer(t)
	bad.set(breaksOff)
	c, clock := withClock(t)
	target := compile(t, c, testTarget(bad.address, good.address))
	fail(t, c, target, bad.address)
	for range 50 {
		if _, endpoint, err := post(t.Context(), t, c, target, &Request{}); err != nil || endpoint != good.address {
			t.Fatalf("got %q, %v", endpoint, err)
		}
	}
	if n := bad.requests.Load(); n != failureThreshold {
		t.Errorf("%d requests reached the endpoint", n)
	}

	// When it is back, the first request that it takes brings it back into use.
	bad.set(answers(200))
	clock.advance(minBackoff)
	used := map[string]int{}
	for range 100 { // Both are used, but for a chance of 2 in 2^100.
		_, endpoint, err := post(t.Context(), t, c, target, &Request{})
		if err != nil {
			t.Fatal(err)
		}
		used[endpoint]++
	}
	if used[bad.address] == 0 || used[good.address] == 0 {
		t.Errorf("got %v", used)
	}
	wantHealth(t, c, Closed, Closed)
}

// probedBy sends 50 requests at once, of which the server takes one only when all others have ended.
func probedBy(t *testing.T, c *Client, target *Target, s *flakyServer, r Request) (errs []error) {
	t.Helper()
	const requests = 50
	arrived, release := make(chan struct{}, requests), make(chan struct{})
	s.set(func(w http.ResponseWriter, _ *http.Request) { arrived <- struct{}{}; <-release; w.WriteHeader(200) })
	ended := make(chan error, requests)
	var senders sync.WaitGroup
	for range requests {
		senders.Go(func() {
			one := r
			_, _, err := post(t.Context(), t, c, target, &one)
			ended <- err
		})
	}
	for range requests - 1 {
		errs = append(errs, <-ended)
	}
	<-arrived
	wantState(t, circuitOf(target, s.address), &fakeClock{begun: c.now()}, HalfOpen)
	close(release)
	senders.Wait()
	if err := <-ended; err != nil {
		t.Errorf("the probe failed: %v", err)
	}
	if len(arrived) > 0 {
		t.Errorf("%d more requests reached the endpoint", len(arrived))
	}
	wantState(t, circuitOf(target, s.address), &fakeClock{begun: c.now()}, Closed)
	return errs
}

func circuitOf(t *Target, address string) *circuit {
	return t.endpoints[slices.IndexFunc(t.endpoints, func(e endpoint) bool { return e.address == address })].circuit
}

func TestHalfOpenLetsOneRequestThrough(t *testing.T) {
	t.Parallel()
	t.Run("the others go elsewhere", func(t *testing.T) {
		t.Parallel()
		bad, good := newFlakyServer(t), newFlakyServer(t)
		bad.set(breaksOff)
		c, clock := withClock(t)
		target := compile(t, c, testTarget(bad.address, good.address))
		fail(t, c, target, bad.address)
		clock.advance(minBackoff)
		for _, err := range probedBy(t, c, target, bad, Request{}) {
			if err != nil {
				t.Errorf("got %v", err)
			}
		}
		if n := good.requests.Load(); n != 49 {
			t.Errorf("%d requests went elsewhere, want 49", n)
		}
	})
	for name, pinned := range map[string]bool{"the others fail at once": false, "pinned ones too": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := newFlakyServer(t)
			bad.set(breaksOff)
			c, clock := withClock(t)
			endpoints, r := []string{bad.address}, Request{}
			if pinned {
				endpoints, r.Endpoint = append(endpoints, newFlakyServer(t).address), bad.address
			}
			target := compile(t, c, testTarget(endpoints...))
			fail(t, c, target, bad.address)
			clock.advance(minBackoff)
			for _, err := range probedBy(t, c, target, bad, r) {
				wantReason(t, err, "it closed the connection without an answer (being tried again)")
			}
		})
	}
}

func TestProbeThatTheClientCancels(t *testing.T) {
	t.Parallel()
	s := newFlakyServer(t)
	s.set(breaksOff)
	c, clock := withClock(t)
	target := compile(t, c, testTarget(s.address))
	fail(t, c, target, "")
	clock.advance(minBackoff)
	ctx, cancel := context.WithCancel(t.Context())
	s.set(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, _, err := post(ctx, t, c, target, &Request{})
	wantReason(t, err, "the request was cancelled")
	s.set(answers(200))
	if _, _, err := post(t.Context(), t, c, target, &Request{}); err != nil {
		t.Errorf("the next one is no probe: %v", err)
	}
	wantHealth(t, c, Closed)
}

// A server that fails costs nothing, and one that is back is found within the backoff.
func TestAllEndpointsFail(t *testing.T) {
	t.Parallel()
	a, b := newFlakyServer(t), newFlakyServer(t)
	a.set(breaksOff)
	b.set(breaksOff)
	c, clock := withClock(t)
	target := compile(t, c, testTarget(a.address, b.address))
	fail(t, c, target, a.address)
	fail(t, c, target, b.address)
	wantHealth(t, c, Open, Open)
	requests := func() int32 { return a.requests.Load() + b.requests.Load() }
	before := requests()
	for range 100 {
		_, _, err := post(t.Context(), t, c, target, &Request{})
		wantRefused(t, err, "it closed the connection without an answer")
	}
	if n := requests(); n != before {
		t.Errorf("%d requests were sent", n-before)
	}
	for range 20 { // It fails for long: each endpoint takes one request, time and again.
		clock.advance(maxBackoff)
		for range 2 {
			_, _, err := post(t.Context(), t, c, target, &Request{})
			wantReason(t, err, "it closed the connection without an answer")
		}
		_, _, err := post(t.Context(), t, c, target, &Request{})
		wantRefused(t, err, "it closed the connection without an answer")
	}
	a.set(answers(200))
	b.set(answers(200))
	clock.advance(maxBackoff)
	for range 100 { // Both are used, but for a chance of 2 in 2^100.
		if _, _, err := post(t.Context(), t, c, target, &Request{}); err != nil {
			t.Fatalf("it is refused after the server is back: %v", err)
		}
	}
	wantHealth(t, c, Closed, Closed)
}

// switchable makes connections of a target be refused while the switch is on, and counts the attempts to make some.
func switchable(target *Target, only ...string) (refuses *atomic.Bool, dials *atomic.Int32) {
	refuses, dials = &atomic.Bool{}, &atomic.Int32{}
	dial := target.transport.DialContext
	target.transport.DisableKeepAlives = true
	target.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if len(only) == 0 || slices.Contains(only, address) {
			dials.Add(1)
			if refuses.Load() {
				address = "127.0.0.1:1" // Nobody listens there.
			}
		}
		return dial(ctx, network, address)
	}
	return refuses, dials
}

// What refuses connections does so at once, and is asked by each request that has nowhere else to go: a server that is
// back is not refused to anybody.
func TestAllEndpointsRefuseConnections(t *testing.T) {
	t.Parallel()
	for name, pinned := range map[string]bool{"all endpoints": false, "the pinned one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFlakyServer(t)
			c, _ := withClock(t)
			target, r := compile(t, c, testTarget(s.address)), Request{}
			if pinned {
				target, r.Endpoint = compile(t, c, testTarget(s.address, newFlakyServer(t).address)), s.address
			}
			refuses, dials := switchable(target, s.address)
			refuses.Store(true)
			for range 10 * failureThreshold {
				one := r
				_, _, err := post(t.Context(), t, c, target, &one)
				wantReason(t, err, "it refuses connections")
			}
			wantState(t, circuitOf(target, s.address), &fakeClock{begun: c.now()}, Open)
			if n := dials.Load(); n != 10*failureThreshold {
				t.Errorf("%d dials", n)
			}
			refuses.Store(false)
			for range 10 {
				one := r
				if _, endpoint, err := post(t.Context(), t, c, target, &one); err != nil || endpoint != s.address {
					t.Errorf("the server is back: %q, %v", endpoint, err)
				}
			}
			wantState(t, circuitOf(target, s.address), &fakeClock{begun: c.now()}, Closed)
		})
	}
}

func TestOneEndpointRefusesConnections(t *testing.T) {
	t.Parallel()
	down, up := newFlakyServer(t), newFlakyServer(t)
	c, clock := withClock(t)
	target := compile(t, c, testTarget(down.address, up.address))
	refuses, dials := switchable(target, down.address)
	refuses.Store(true)
	fail(t, c, target, down.address)
	dials.Store(0)
	for range 50 {
		if _, endpoint, err := post(t.Context(), t, c, target, &Request{}); err != nil || endpoint != up.address {
			t.Fatalf("got %q, %v", endpoint, err)
		}
	}
	if n := dials.Load(); n != 0 {
		t.Errorf("%d requests tried it", n)
	}
	clock.advance(minBackoff)
	for range 50 { // One of them tries it, but for a chance of 1 in 2^50.
		if _, endpoint, err := post(t.Context(), t, c, target, &Request{}); err != nil || endpoint != up.address {
			t.Fatalf("got %q, %v", endpoint, err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d requests tried it after the backoff", n)
	}
}

func TestRefusalNamesTheEndpointThatIsTriedFirst(t *testing.T) {
	t.Parallel()
	var observed []string
	c, clock := withClock(t, func(o *Options) {
		o.Observe = func(_ config.TargetName, address string, k Kind) {
			if k == KindCircuitOpen {
				observed = append(observed, address)
			}
		}
	})
	target := compile(t, c, testTarget("127.0.0.1:1", "127.0.0.1:2"))
	for i, wait := range []time.Duration{5 * time.Second, 400 * time.Millisecond} {
		one := target.endpoints[i].circuit
		one.open(clock.now(), failure{kind: KindTimeout, reason: fmt.Sprintf("it did not answer within %ds", i+1)})
		one.next = clock.now().Add(wait)
	}
	_, _, err := post(t.Context(), t, c, target, &Request{})
	wantReason(t, err, "it did not answer within 2s (tried again in 400ms)")
	_, _, err = post(t.Context(), t, c, target, &Request{Endpoint: "127.0.0.1:1"})
	wantReason(t, err, "it did not answer within 1s (tried again in 5s)")
	if !slices.Equal(observed, []string{"127.0.0.1:2", "127.0.0.1:1"}) {
		t.Errorf("observed %v", observed)
	}
}

func TestPinnedRequests(t *testing.T) {
	t.Parallel()
	bad, good := newFlakyServer(t), newFlakyServer(t)
	bad.set(answers(503))
	c, clock := withClock(t)
	target := compile(t, c, testTarget(bad.address, good.address))
	fail(t, c, target, bad.address)
	_, _, err := post(t.Context(), t, c, target, &Request{Endpoint: bad.address})
	wantRefused(t, err, "it answered HTTP status 503")
	if n := good.requests.Load(); n != 0 {
		t.Errorf("%d requests went to the other endpoint", n)
	}
	if _, endpoint, err := post(t.Context(), t, c, target, &Request{Endpoint: good.address}); err != nil || endpoint != good.address {
		t.Errorf("the other endpoint: %q, %v", endpoint, err)
	}
	bad.set(answers(200))
	clock.advance(minBackoff)
	for range 10 {
		if _, endpoint, err := post(t.Context(), t, c, target, &Request{Endpoint: bad.address}); err != nil || endpoint != bad.address {
			t.Errorf("back again: %q, %v", endpoint, err)
		}
	}
}

func TestHealthOutlivesConfigurations(t *testing.T) {
	t.Parallel()
	const a, b = "127.0.0.1:1", "127.0.0.2:1"
	secure := func(t *config.Target) { t.TLS = &config.TLS{ServerName: "tools.example.com"} }
	for _, test := range []struct {
		name   string
		change func(*config.Target)
		want   []State
	}{
		{"the same", func(*config.Target) {}, []State{Open}},
		{"another name, host and path", func(t *config.Target) { t.Name, t.Host, t.Path = "renamed", "x", "/" }, []State{Open}},
		{"another endpoint beside it", func(t *config.Target) { t.Endpoints = []string{a, b} }, []State{Open, Closed}},
		{"another endpoint instead", func(t *config.Target) { t.Endpoints = []string{b} }, []State{Closed}},
		{"another Service", func(t *config.Target) { t.Service = "svc-2:80" }, []State{Closed}},
		{"TLS", secure, []State{Closed}},
		{"no endpoint", func(t *config.Target) { t.Endpoints = nil }, nil},
		{"no valid configuration", func(t *config.Target) { t.Path = "" }, nil},
	} {
		c, _ := withClock(t)
		fail(t, c, compile(t, c, testTarget(a)), "")
		changed := testTarget(a)
		test.change(changed)
		_, _ = c.Compile([]*config.Target{changed})
		t.Log(test.name)
		wantHealth(t, c, test.want...)
		// What was forgotten is new when it comes back.
		target := compile(t, c, testTarget(a))
		want := Closed
		if slices.Contains(test.want, Open) {
			want = Open
		}
		wantHealth(t, c, want)
		if want == Closed {
			_, _, err := post(t.Context(), t, c, target, &Request{})
			wantReason(t, err, "it refuses connections")
		}
		_, _ = c.Compile(nil)
		if len(c.circuits) != 0 {
			t.Errorf("%d circuits are kept", len(c.circuits))
		}
	}
}

func TestHealthOfTargetsThatShareEndpoints(t *testing.T) {
	t.Parallel()
	const a, b = "127.0.0.1:1", "127.0.0.2:1"
	c, clock := withClock(t)
	// The same server as a target of two Backends, under the same and under another name; and another of the same name.
	alike, renamed, other := testTarget(b, a), testTarget(a), testTarget(a)
	renamed.Name, other.Service = "renamed", "svc-2:80"
	compiled, errs := c.Compile([]*config.Target{testTarget(a, a), alike, renamed, other})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	begun := clock.now()
	clock.advance(time.Minute)
	fail(t, c, compiled[2], "")
	opened := clock.now()
	clock.advance(time.Second)
	want := []EndpointHealth{
		{"renamed", a, HalfOpen, opened, "it refuses connections"},
		{"tools", a, HalfOpen, opened, "it refuses connections"},
		{"tools", b, Closed, begun, ""},
	}
	if got := c.Health(); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
