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

package telemetry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

func TestCountsRequestsByBackendMethodTargetAndResult(t *testing.T) {
	telemetry, registry := newTelemetry(t, Options{})
	serveCall(t, telemetry, post())
	serveCall(t, telemetry, post())

	e := telemetry.Begin(post())
	e.Backend(backend)
	e.Method("tools/list")
	e.Result(RPCError)
	e.Result(Unavailable)
	e.End()

	same(t, registry, `
# HELP dynamic_mcp_requests_total Requests of clients that have ended.
# TYPE dynamic_mcp_requests_total counter
dynamic_mcp_requests_total{backend="default/tools",method="tools/call",result="cancelled",target="weather"} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/call",result="ok",target="weather"} 2
dynamic_mcp_requests_total{backend="default/tools",method="tools/call",result="rejected",target="weather"} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/call",result="rpc_error",target="weather"} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/call",result="unavailable",target="weather"} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/list",result="cancelled",target=""} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/list",result="ok",target=""} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/list",result="rejected",target=""} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/list",result="rpc_error",target=""} 0
dynamic_mcp_requests_total{backend="default/tools",method="tools/list",result="unavailable",target=""} 1
`, "dynamic_mcp_requests_total")
	NewWithT(t).Expect(measured(t, registry)).To(Equal(map[string]uint64{"tools/call weather": 2, "tools/list ": 1}))
}

// measured returns how many durations there are by method and target.
func measured(t *testing.T, registry *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	counts := map[string]uint64{}
	for _, family := range families {
		if family.GetName() != "dynamic_mcp_request_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range m.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			counts[labels["method"]+" "+labels["target"]] = m.GetHistogram().GetSampleCount()
		}
	}
	return counts
}

func TestSaysTheResultByItselfWhereNobodyElseDoes(t *testing.T) {
	gone, leave := context.WithCancel(context.Background())
	leave()
	tests := map[string]struct {
		ctx   context.Context
		serve func(e *Exchange, w http.ResponseWriter)
		want  Result
	}{
		"nothing is written":    {context.Background(), func(*Exchange, http.ResponseWriter) {}, OK},
		"a body without status": {context.Background(), func(_ *Exchange, w http.ResponseWriter) { _, _ = io.WriteString(w, "{}") }, OK},
		"an HTTP error":         {context.Background(), func(_ *Exchange, w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, Rejected},
		"an HTTP error of a target": {context.Background(), func(e *Exchange, w http.ResponseWriter) {
			e.Target("weather")
			w.WriteHeader(http.StatusBadRequest)
		}, RPCError},
		"the client went before": {gone, func(*Exchange, http.ResponseWriter) {}, Cancelled},
		"the client went after":  {gone, func(_ *Exchange, w http.ResponseWriter) { _, _ = io.WriteString(w, "{}") }, OK},
		"the server said it": {context.Background(), func(e *Exchange, w http.ResponseWriter) {
			e.Result(Unavailable)
			w.WriteHeader(http.StatusBadGateway)
		}, Unavailable},
		"the server said it of a client that went": {gone, func(e *Exchange, _ http.ResponseWriter) { e.Result(Unavailable) }, Unavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			telemetry, _ := newTelemetry(t, Options{})
			e := telemetry.Begin(post().WithContext(test.ctx))
			e.Backend(backend)
			e.Method("ping")
			test.serve(e, e.Writer(httptest.NewRecorder()))
			e.End()
			counted := telemetry.metrics.requests.WithLabelValues(backend, "ping", e.target.target, test.want.String())
			NewWithT(t).Expect(testutil.ToFloat64(counted)).To(Equal(1.0))
		})
	}
}

func TestClientsMakeNoLabels(t *testing.T) {
	g := NewWithT(t)
	telemetry, registry := newTelemetry(t, Options{})
	for i := range 100 {
		e := telemetry.Begin(httptest.NewRequest(fmt.Sprintf("VERB%d", i), "/mcp", nil))
		e.Backend(fmt.Sprintf("default/backend-%d", i))
		e.Method(fmt.Sprintf("method/%d", i))
		e.Tool(fmt.Sprintf("tool-%d", i))
		e.Target(config.TargetName(fmt.Sprintf("target-%d", i)))
		e.UpstreamError(config.TargetName(fmt.Sprintf("target-%d", i)), ErrorBroken)
		telemetry.CircuitOpen(backend, config.TargetName(fmt.Sprintf("target-%d", i)), 1)
		e.End()
	}
	g.Expect(testutil.GatherAndCount(registry, "dynamic_mcp_requests_total")).To(Equal(int(resultCount - 1)))
	g.Expect(testutil.GatherAndCount(registry, "dynamic_mcp_request_duration_seconds")).To(Equal(1))
	g.Expect(testutil.GatherAndCount(registry, "dynamic_mcp_upstream_errors_total")).To(Equal(int(errorCount - 1)))
	g.Expect(testutil.GatherAndCount(registry, "dynamic_mcp_circuit_open")).To(Equal(0))
	g.Expect(testutil.ToFloat64(telemetry.metrics.requests.WithLabelValues("", "other", "", "ok"))).To(Equal(100.0))
}

func TestTargetsThatAreGoneLeaveNoSeries(t *testing.T) {
	g := NewWithT(t)
	telemetry, registry := newTelemetry(t, Options{})
	late := telemetry.Begin(post())
	late.Backend(backend)
	late.Method("tools/call")
	late.Target("weather")
	early := telemetry.Begin(post())
	early.Backend(backend)
	serveCall(t, telemetry, post())
	late.UpstreamError("weather", ErrorTimeout)
	telemetry.CircuitOpen(backend, "weather", 2)
	g.Expect(testutil.GatherAndCount(registry)).To(BeNumerically(">", 15))

	telemetry.SetBackends(backends("mail"))
	// Those that had begun end now, one with children that were made before, one that would make new ones.
	late.End()
	early.Method("prompts/get")
	early.Target("weather")
	early.UpstreamError("weather", ErrorTimeout)
	early.End()
	telemetry.CircuitOpen(backend, "weather", 2)
	g.Expect(labelled(t, registry, "target")).To(ConsistOf("mail"))

	// What comes back begins anew.
	telemetry.SetBackends(backends("mail", "weather"))
	serveCall(t, telemetry, post())
	g.Expect(testutil.ToFloat64(telemetry.metrics.requests.WithLabelValues(backend, "tools/call", "weather", "ok"))).To(Equal(1.0))

	telemetry.SetBackends(nil)
	g.Expect(labelled(t, registry, "backend")).To(BeEmpty())
}

// labelled returns the values that a label has anywhere.
func labelled(t *testing.T, registry *prometheus.Registry, name string) []string {
	t.Helper()
	families, err := registry.Gather()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var values []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == name && label.GetValue() != "" && !slices.Contains(values, label.GetValue()) {
					values = append(values, label.GetValue())
				}
			}
		}
	}
	return values
}

func TestTargetsThatStayKeepTheirCounts(t *testing.T) {
	telemetry, _ := newTelemetry(t, Options{})
	serveCall(t, telemetry, post())
	telemetry.SetBackends(backends("weather"))
	serveCall(t, telemetry, post())
	counted := telemetry.metrics.requests.WithLabelValues(backend, "tools/call", "weather", "ok")
	NewWithT(t).Expect(testutil.ToFloat64(counted)).To(Equal(2.0))
}

func TestReadinessIsThatOfTheConfiguration(t *testing.T) {
	telemetry, registry := newTelemetry(t, Options{})
	changed := backends("weather", "mail")
	changed[backend].Targets[1].Unready = "it has no ready endpoints"
	telemetry.SetBackends(changed)
	telemetry.CircuitOpen(backend, "weather", 2)
	telemetry.CircuitOpen("default/unknown", "weather", 2)
	same(t, registry, `
# HELP dynamic_mcp_circuit_open Endpoints of a target that get no requests for now because they failed.
# TYPE dynamic_mcp_circuit_open gauge
dynamic_mcp_circuit_open{backend="default/tools",target="weather"} 2
# HELP dynamic_mcp_target_ready Whether a target can be used: 1 or 0.
# TYPE dynamic_mcp_target_ready gauge
dynamic_mcp_target_ready{backend="default/tools",target="mail"} 0
dynamic_mcp_target_ready{backend="default/tools",target="weather"} 1
`, "dynamic_mcp_target_ready", "dynamic_mcp_circuit_open")
}

func TestStreamsAreCountedWhileTheyAreOpenAndNotMeasured(t *testing.T) {
	telemetry, registry := newTelemetry(t, Options{})
	sessions := 3
	telemetry.CountSessions(func() int { return sessions })
	begin := func(r *http.Request, method string, kind Stream) *Exchange {
		e := telemetry.Begin(r)
		e.Backend(backend)
		if method != "" {
			e.Method(method)
		}
		e.Stream(kind)
		e.Stream(kind)
		return e
	}
	open := []*Exchange{
		begin(httptest.NewRequest(http.MethodGet, "/mcp", nil), "", StreamGet),
		begin(httptest.NewRequest(http.MethodGet, "/mcp", nil), "", StreamGet),
		begin(post(), "subscriptions/listen", StreamListen),
		begin(post(), "tools/call", StreamCall),
	}
	const heads = `
# HELP dynamic_mcp_active_sessions Sessions of clients that this replica keeps something for.
# TYPE dynamic_mcp_active_sessions gauge
dynamic_mcp_active_sessions %d
# HELP dynamic_mcp_active_streams Streams that are open to clients.
# TYPE dynamic_mcp_active_streams gauge
dynamic_mcp_active_streams{kind="call"} %d
dynamic_mcp_active_streams{kind="get"} %d
dynamic_mcp_active_streams{kind="listen"} %d
dynamic_mcp_active_streams{kind="sse"} 0
`
	same(t, registry, fmt.Sprintf(heads, 3, 1, 2, 1), "dynamic_mcp_active_streams", "dynamic_mcp_active_sessions")
	for _, e := range open {
		e.End()
	}
	sessions = 0
	same(t, registry, fmt.Sprintf(heads, 0, 0, 0, 0), "dynamic_mcp_active_streams", "dynamic_mcp_active_sessions")
	NewWithT(t).Expect(measured(t, registry)).To(Equal(map[string]uint64{"tools/call ": 1}))
}

// silent is an error as of a deadline that has passed.
type silent struct{ error }

func (silent) Timeout() bool { return true }

func TestFailuresOfTargetsAreCountedByTheirKind(t *testing.T) {
	cancelled, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("the client cancelled the request: %w", context.Canceled))
	tooLate, expire := context.WithCancelCause(context.Background())
	expire(errors.New("it was silent for 5m0s"))
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	ctx := context.Background()
	tests := []struct {
		ctx    context.Context
		status int
		err    error
		want   ErrorKind
	}{
		{ctx, 0, fmt.Errorf("send: %w", refused), ErrorConnect},
		{ctx, 0, &net.DNSError{Err: "no such host"}, ErrorConnect},
		{ctx, 0, &net.OpError{Op: "dial", Err: silent{errors.New("i/o timeout")}}, ErrorConnect},
		{ctx, 0, silent{errors.New("no answer")}, ErrorTimeout},
		{ctx, 0, context.DeadlineExceeded, ErrorTimeout},
		{tooLate, 0, context.Canceled, ErrorTimeout},
		{ctx, 0, x509.UnknownAuthorityError{}, ErrorTLS},
		{ctx, 0, io.ErrUnexpectedEOF, ErrorClosed},
		{ctx, 0, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, ErrorClosed},
		{ctx, 0, errors.New("malformed HTTP response"), ErrorOther},
		{cancelled, 0, context.Canceled, NoError},
		{ctx, 0, context.Canceled, NoError},
		{ctx, http.StatusOK, nil, NoError},
		{ctx, http.StatusBadRequest, nil, NoError},
		{ctx, http.StatusNotFound, nil, NoError},
		{ctx, http.StatusMethodNotAllowed, nil, NoError},
		{ctx, http.StatusUnauthorized, nil, ErrorStatus},
		{ctx, http.StatusTooManyRequests, nil, ErrorStatus},
		{ctx, http.StatusBadGateway, nil, ErrorStatus},
	}
	for _, test := range tests {
		telemetry, _ := newTelemetry(t, Options{})
		e := telemetry.Begin(post())
		e.Backend(backend)
		var response *http.Response
		if test.err == nil {
			response = &http.Response{StatusCode: test.status}
		}
		e.Attempt("tools/call", "weather").Done(test.ctx, response, "", test.err)
		e.End()
		for kind := NoError + 1; kind < errorCount; kind++ {
			want := 0.0
			if kind == test.want {
				want = 1
			}
			counted := testutil.ToFloat64(telemetry.metrics.errors.WithLabelValues(backend, "weather", kind.String()))
			NewWithT(t).Expect(counted).To(Equal(want), "%v, status %d: %s", test.err, test.status, kind)
		}
	}
}

func TestSecondOneOfTheSameMetricsIsRefused(t *testing.T) {
	g := NewWithT(t)
	telemetry, registry := newTelemetry(t, Options{})
	_, err := New(Options{Registerer: registry})
	g.Expect(err).To(MatchError(ContainSubstring("register the metrics of the data plane")))
	telemetry.Close()
	_, err = New(Options{Registerer: registry})
	g.Expect(err).NotTo(HaveOccurred())

	// One that could register only some of them has taken those back.
	half := prometheus.NewRegistry()
	g.Expect(half.Register(telemetry.metrics.sessions)).To(Succeed())
	_, err = New(Options{Registerer: half})
	g.Expect(err).To(HaveOccurred())
	g.Expect(half.Unregister(telemetry.metrics.sessions)).To(BeTrue())
	_, err = New(Options{Registerer: half})
	g.Expect(err).NotTo(HaveOccurred())
}

func TestWithoutTelemetryEverythingWorks(*testing.T) {
	var telemetry *Telemetry
	telemetry.SetBackends(backends("weather"))
	telemetry.CountSessions(func() int { return 1 })
	telemetry.CircuitOpen(backend, "weather", 1)
	w := httptest.NewRecorder()
	e := telemetry.Begin(post())
	if e.Writer(w) != http.ResponseWriter(w) {
		panic("another writer")
	}
	e.Backend(backend)
	e.Message([]byte(call), nil)
	e.Method("tools/call")
	e.Tool("forecast")
	e.Era(EraModern)
	e.Target("weather")
	e.Stream(StreamCall)
	e.UpstreamError("weather", ErrorBroken)
	e.Result(OK)
	attempt := e.Attempt("tools/call", "weather")
	attempt.Inject(http.Header{})
	attempt.Done(context.Background(), nil, "", io.EOF)
	e.End()
	telemetry.Close()
}

func TestWithoutARegistryEverythingWorks(t *testing.T) {
	telemetry, err := New(Options{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	telemetry.SetBackends(backends("weather"))
	serveCall(t, telemetry, post())
	telemetry.Close()
}

func TestManyAtOnce(t *testing.T) {
	telemetry, registry := newTelemetry(t, Options{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				serveCall(t, telemetry, post())
			}
		})
	}
	all.Go(func() {
		for i := range 50 {
			telemetry.SetBackends(backends([]config.TargetName{"weather", "mail"}[i%2]))
			_, _ = registry.Gather()
		}
	})
	all.Wait()
	telemetry.SetBackends(nil)
	NewWithT(t).Expect(labelled(t, registry, "target")).To(BeEmpty())
}

func TestWriterPassesOnWhatControllersAsk(t *testing.T) {
	g := NewWithT(t)
	telemetry, registry := newTelemetry(t, Options{})
	errs := make(chan error, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := telemetry.Begin(r)
		defer e.End()
		w = e.Writer(w)
		controller := http.NewResponseController(w)
		errs <- controller.SetWriteDeadline(time.Now().Add(time.Minute))
		errs <- controller.SetReadDeadline(time.Now().Add(time.Minute))
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		_, err := io.WriteString(w, "streamed")
		errs <- err
		errs <- controller.Flush()
	}))
	defer s.Close()
	response, err := s.Client().Get(s.URL)
	g.Expect(err).NotTo(HaveOccurred())
	body, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.Body.Close()).To(Succeed())
	g.Expect(response.StatusCode).To(Equal(http.StatusAccepted))
	g.Expect(string(body)).To(Equal("streamed"))
	for range 4 {
		g.Expect(<-errs).NotTo(HaveOccurred())
	}
	s.Close()
	g.Expect(labelled(t, registry, "method")).To(ConsistOf("GET"))
}

func TestLabelsFollowTheRulesOfPrometheus(t *testing.T) {
	telemetry, registry := newTelemetry(t, Options{})
	serveCall(t, telemetry, post())
	problems, err := testutil.GatherAndLint(registry)
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())
}
