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
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// flakyServer is a server that fails as it is told to.
type flakyServer struct {
	address  string
	requests atomic.Int32
	behavior atomic.Pointer[http.HandlerFunc]
}

func newFlakyServer(t *testing.T) *flakyServer {
	t.Helper()
	s := &flakyServer{}
	s.set(answers(http.StatusOK))
	_, s.address = newServer(t, func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // The server notices that a client has gone once the body is read.
		(*s.behavior.Load())(w, r)
	})
	return s
}

func (s *flakyServer) set(h http.HandlerFunc) { s.behavior.Store(&h) }

func answers(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func breaksOff(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func speaksNoHTTP(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(connection, "token\r\n\r\n")
	_ = connection.Close()
}

func TestWhatOpensACircuit(t *testing.T) {
	t.Parallel()
	deadline := errors.New("it did not answer within 15s")
	for _, test := range []struct {
		name   string
		server http.HandlerFunc // Nil for an address at which nobody listens.
		method string
		cause  error // Of the context's end, while the server is silent.
		change func(*config.Target)
		opens  string // The reason, if so.
		kind   Kind   // Of each attempt.
	}{
		{name: "refused connections", opens: "it refuses connections", kind: KindConnect},
		{name: "addresses that may not be dialled", change: func(t *config.Target) { t.Endpoints = []string{"169.254.169.254:80"} },
			opens: "its address is not permitted", kind: KindRefusedAddress},
		{name: "TLS", server: answers(200), change: func(t *config.Target) { t.TLS = &config.TLS{ServerName: "tools.example.com"} },
			opens: "it does not speak TLS", kind: KindTLS},
		{name: "no answer", server: breaksOff, opens: "it closed the connection without an answer", kind: KindClosed},
		{name: "a deadline", cause: deadline, opens: "it did not answer within 15s", kind: KindTimeout},
		{name: "502", server: answers(502), opens: "it answered HTTP status 502", kind: KindStatus},
		{name: "503", server: answers(503), opens: "it answered HTTP status 503", kind: KindStatus},
		{name: "504", server: answers(504), opens: "it answered HTTP status 504", kind: KindStatus},
		{name: "refused connections of a stream", method: http.MethodGet, opens: "it refuses connections", kind: KindConnect},
		{name: "no answer to a stream", method: http.MethodGet, server: breaksOff,
			opens: "it closed the connection without an answer", kind: KindClosed},

		{name: "200", server: answers(200)},
		{name: "202", server: answers(202)},
		{name: "400", server: answers(400)},
		{name: "404", server: answers(404)},
		{name: "429", server: answers(429)},
		{name: "500", server: answers(500)},
		{name: "501", server: answers(501)},
		{name: "what is no HTTP", server: speaksNoHTTP, kind: KindOther},
		{name: "a client that goes", cause: context.Canceled, kind: KindCancelled},
		{name: "a client that says why it goes", cause: fmt.Errorf("cancelled by the client: %w", context.Canceled), kind: KindCancelled},
		{name: "the silence of a stream", method: http.MethodGet, cause: deadline, kind: KindTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			handle := test.server
			var end atomic.Pointer[context.CancelCauseFunc]
			if test.cause != nil {
				handle = func(_ http.ResponseWriter, r *http.Request) { (*end.Load())(test.cause); <-r.Context().Done() }
			}
			config := testTarget("127.0.0.1:1") // Nobody listens there.
			if handle != nil {
				s := newFlakyServer(t)
				s.set(handle)
				config.Endpoints[0] = s.address
			}
			if test.change != nil {
				test.change(config)
			}
			var kinds []Kind
			c, clock := withClock(t, func(o *Options) { o.Observe = observer(t, &kinds, config.Endpoints[0]) })
			target := compile(t, c, config)
			do := func() error {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				end.Store(&cancel)
				_, _, err := post(ctx, t, c, target, &Request{Method: test.method, Stream: test.method == http.MethodGet})
				return err
			}
			for range failureThreshold - 1 {
				_ = do()
			}
			wantHealth(t, c, Closed)
			_ = do()
			if test.opens == "" {
				_ = do()
				wantHealth(t, c, Closed)
				var want []Kind
				if test.kind != "" {
					want = slices.Repeat([]Kind{test.kind}, failureThreshold+1)
				}
				if !slices.Equal(kinds, want) {
					t.Errorf("observed %v, want %v", kinds, want)
				}
				return
			}
			wantHealth(t, c, Open)
			if h := c.Health()[0]; h.Reason != test.opens || h.Target != "tools" || h.Address != config.Endpoints[0] || h.Since != clock.now() {
				t.Errorf("got %+v", h)
			}
			last := KindCircuitOpen
			if test.kind == KindConnect {
				// It costs nothing to be refused once more.
				wantReason(t, do(), test.opens)
				last = KindConnect
			} else {
				wantRefused(t, do(), test.opens)
			}
			if !slices.Equal(kinds, append(slices.Repeat([]Kind{test.kind}, failureThreshold), last)) {
				t.Errorf("observed %v", kinds)
			}
			clock.advance(maxBackoff)
			wantHealth(t, c, HalfOpen)
		})
	}
}

// A dialer's deadline can't be waited for in a test.
func TestConnectingThatTimesOutIsTheEndpoints(t *testing.T) {
	t.Parallel()
	slow := explain(t.Context(), &net.OpError{Op: "dial", Net: "tcp", Err: timeout{}})
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if !slow.isEndpoints(method) {
			t.Errorf("not with %s", method)
		}
	}
}

// observer notes the kinds of failures, all of which must be of one endpoint.
func observer(t *testing.T, kinds *[]Kind, endpoint string) func(config.TargetName, string, Kind) {
	return func(target config.TargetName, address string, k Kind) {
		if target != "tools" || address != endpoint {
			t.Errorf("observed a failure of %q at %q", target, address)
		}
		*kinds = append(*kinds, k)
	}
}

func TestBodyIsNotCounted(t *testing.T) {
	t.Parallel()
	s := newFlakyServer(t)
	s.set(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c, _ := withClock(t)
	target := compile(t, c, testTarget(s.address))
	for range 2 * failureThreshold {
		ctx, cancel := context.WithCancelCause(t.Context())
		response, _, err := c.Do(ctx, target, &Request{Method: http.MethodPost, Header: http.Header{}})
		if err != nil {
			t.Fatal(err)
		}
		cancel(errors.New("it was silent for 5m0s"))
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	wantHealth(t, c, Closed)
}

// A request whose time was over before it came blames nobody.
func TestDeadlineThatWasOverBefore(t *testing.T) {
	t.Parallel()
	s := newFlakyServer(t)
	var kinds []Kind
	c, _ := withClock(t, func(o *Options) { o.Observe = observer(t, &kinds, "") })
	target := compile(t, c, testTarget(s.address))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("it did not answer within 15s"))
	for range 2 * failureThreshold {
		_, _, err := post(ctx, t, c, target, &Request{})
		wantReason(t, err, "it did not answer within 15s")
	}
	wantHealth(t, c, Closed)
	if n := s.requests.Load(); n != 0 || !slices.Equal(kinds, slices.Repeat([]Kind{KindTimeout}, 2*failureThreshold)) {
		t.Errorf("%d requests were sent, observed %v", n, kinds)
	}
}

func TestNoEndpointIsObserved(t *testing.T) {
	t.Parallel()
	var kinds []Kind
	c, _ := withClock(t, func(o *Options) { o.Observe = observer(t, &kinds, "") })
	_, _, err := post(t.Context(), t, c, compile(t, c, testTarget()), &Request{})
	wantReason(t, err, "it has no ready endpoints")
	// Which endpoint that was is the client's word, and no label.
	_, _, err = post(t.Context(), t, c, compile(t, c, testTarget("127.0.0.1:1")), &Request{Endpoint: "127.0.0.1:2"})
	wantReason(t, err, "the endpoint that holds the session is gone")
	if !slices.Equal(kinds, []Kind{KindNoEndpoints, KindNoEndpoints}) {
		t.Errorf("observed %v", kinds)
	}
}
