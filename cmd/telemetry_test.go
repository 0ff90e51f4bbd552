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

package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/spf13/pflag"
)

// collector takes traces.
type collector struct {
	*httptest.Server
	header http.Header
	path   string
	spans  []byte
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.header, c.path = r.Header, r.URL.Path
		c.spans, _ = io.ReadAll(r.Body)
	}))
	t.Cleanup(c.Close)
	return c
}

func testLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func TestTracesAreExportedAsTheEnvironmentSays(t *testing.T) {
	g := NewWithT(t)
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=hunter2")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	var log lockedBuffer
	options, flush, err := (&telemetryFlags{accessLog: "off"}).start(t.Context(), io.Discard, testLog(&log))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(options.AccessLog).To(BeNil())
	_, span := options.Tracer.Tracer("test").Start(t.Context(), "a-span")
	span.End()
	flush()
	g.Expect(c.path).To(Equal("/v1/traces"))
	g.Expect(c.header.Get("X-Tenant")).To(Equal("hunter2"))
	for _, text := range []string{"a-span", "service.name", "dynamic-mcp", "service.version", "deployment.environment"} {
		g.Expect(string(c.spans)).To(ContainSubstring(text))
	}
	g.Expect(log.String()).To(And(ContainSubstring(c.Listener.Addr().String()), Not(ContainSubstring("hunter2"))))
}

func TestServiceCanHaveAnotherName(t *testing.T) {
	g := NewWithT(t)
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.URL+"/traces")
	t.Setenv("OTEL_SERVICE_NAME", "edge")
	options, flush, err := (&telemetryFlags{accessLog: "off"}).start(t.Context(), io.Discard, testLog(io.Discard))
	g.Expect(err).NotTo(HaveOccurred())
	_, span := options.Tracer.Tracer("test").Start(t.Context(), "a-span")
	span.End()
	flush()
	g.Expect(c.path).To(Equal("/traces"))
	g.Expect(string(c.spans)).To(And(ContainSubstring("edge"), Not(ContainSubstring("dynamic-mcp"))))
}

// lockedBuffer takes the log of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestCollectorThatIsStuckDoesNotKeepTheProgram(t *testing.T) {
	g := NewWithT(t)
	letGo := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-letGo }))
	defer s.Close()
	defer close(letGo)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	var log lockedBuffer
	provider, err := newTracerProvider(t.Context(), testLog(&log))
	g.Expect(err).NotTo(HaveOccurred())
	_, span := provider.Tracer("test").Start(t.Context(), "a-span")
	span.End()
	flushTraces(provider, 10*time.Millisecond, testLog(&log))
	g.Expect(log.String()).To(ContainSubstring("Traces are lost"))
}

func TestEnvironmentDecidesWhetherThereAreTraces(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := map[string]struct {
		environment map[string]string
		want        string // The collector; empty for none.
		wantError   string
	}{
		"nothing":              {},
		"an endpoint":          {environment: map[string]string{endpoint: "http://collector:4318"}, want: "collector:4318"},
		"one for traces":       {environment: map[string]string{endpoint: "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b/c"}, want: "b"},
		"off":                  {environment: map[string]string{endpoint: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}},
		"no exporter":          {environment: map[string]string{endpoint: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}},
		"this exporter":        {environment: map[string]string{endpoint: "http://collector:4318", "OTEL_TRACES_EXPORTER": "otlp"}, want: "collector:4318"},
		"another exporter":     {environment: map[string]string{endpoint: "http://collector:4318", "OTEL_TRACES_EXPORTER": "zipkin"}, wantError: `OTEL_TRACES_EXPORTER must be otlp or none, not "zipkin"`},
		"this protocol":        {environment: map[string]string{endpoint: "http://collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, want: "collector:4318"},
		"another protocol":     {environment: map[string]string{endpoint: "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, wantError: "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or http/json"},
		"a host alone":         {environment: map[string]string{endpoint: "collector:4318"}, wantError: endpoint + " must be a URL, like http://collector:4318"},
		"what is no URL":       {environment: map[string]string{endpoint: "http://user:hunter2@[::1"}, wantError: endpoint + " must be a URL"},
		"a URL without a host": {environment: map[string]string{endpoint: "http:///v1"}, wantError: endpoint + " must be a URL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for name, value := range test.environment {
				t.Setenv(name, value)
			}
			host, err := traceEndpoint()
			g.Expect(host).To(Equal(test.want))
			if test.wantError == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(And(ContainSubstring(test.wantError), Not(ContainSubstring("hunter2")))))
			}
		})
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no pair")
	_, _, err := (&telemetryFlags{accessLog: "off"}).start(t.Context(), io.Discard, testLog(io.Discard))
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("read OTEL_RESOURCE_ATTRIBUTES")))
}

func TestAccessLogFlags(t *testing.T) {
	for name, test := range map[string]struct {
		args      []string
		wantLog   bool
		wantError string
	}{
		"default":                {},
		"off":                    {args: []string{"--access-log=off"}},
		"json":                   {args: []string{"--access-log=json"}, wantLog: true},
		"json with addresses":    {args: []string{"--access-log=json", "--access-log-client-addresses"}, wantLog: true},
		"something else":         {args: []string{"--access-log=text"}, wantError: `--access-log must be off or json, not "text"`},
		"addresses without json": {args: []string{"--access-log-client-addresses"}, wantError: "needs --access-log=json"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var flags telemetryFlags
			set := pflag.NewFlagSet("test", pflag.ContinueOnError)
			addTelemetryFlags(set, &flags)
			g.Expect(set.Parse(test.args)).To(Succeed())
			if err := flags.check(); test.wantError != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.wantError)))
				return
			}
			options, flush, err := flags.start(t.Context(), io.Discard, testLog(io.Discard))
			g.Expect(err).NotTo(HaveOccurred())
			flush()
			g.Expect(options.AccessLog != nil).To(Equal(test.wantLog))
			g.Expect(options.ClientAddresses).To(Equal(len(test.args) == 2))
			g.Expect(options.Tracer).To(BeNil())
		})
	}
}
