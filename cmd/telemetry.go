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
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/version"
)

// telemetryFlags are the flags about what is shown of requests.
type telemetryFlags struct {
	accessLog       string
	clientAddresses bool
}

// addTelemetryFlags adds the flags that all commands with a data plane have. Traces have none: the environment variables
// OTEL_* are the same for every program.
func addTelemetryFlags(f *pflag.FlagSet, t *telemetryFlags) {
	f.StringVar(&t.accessLog, "access-log", "off", "off, or json: a line for each request of a client on standard output")
	f.BoolVar(&t.clientAddresses, "access-log-client-addresses", false, "put the IP addresses of clients into the access log")
}

func (t *telemetryFlags) check() error {
	switch {
	case t.accessLog != "off" && t.accessLog != "json":
		return fmt.Errorf("--access-log must be off or json, not %q", t.accessLog)
	case t.accessLog == "off" && t.clientAddresses:
		return errors.New("--access-log-client-addresses needs --access-log=json")
	default:
		return nil
	}
}

// start returns where traces and the access log go. At the end, the caller calls flush, which waits for what has not been
// exported yet, but not for long.
func (t *telemetryFlags) start(ctx context.Context, stdout io.Writer, log *slog.Logger) (o telemetry.Options, flush func(), err error) {
	if t.accessLog == "json" {
		o.AccessLog, o.ClientAddresses = telemetry.NewAccessLog(stdout), t.clientAddresses
	}
	provider, err := newTracerProvider(ctx, log)
	if err != nil {
		return o, nil, err
	}
	if provider == nil {
		return o, func() {}, nil
	}
	o.Tracer = provider
	return o, func() { flushTraces(provider, flushTimeout, log) }, nil
}

// flushTimeout is how long a program may take at its end to export the spans that it still has.
const flushTimeout = 5 * time.Second

func flushTraces(provider *sdktrace.TracerProvider, limit time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := provider.Shutdown(ctx); err != nil {
		log.Warn("Traces are lost that were not exported yet", "error", err)
	}
}

// newTracerProvider returns what makes and exports spans as the environment says; nil if it names no collector.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func newTracerProvider(ctx context.Context, log *slog.Logger) (*sdktrace.TracerProvider, error) {
	endpoint, err := traceEndpoint()
	if err != nil || endpoint == "" {
		return nil, err
	}
	// Otherwise both write to standard error as they like.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("Traces can't be exported", "error", err) }))
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "dynamic-mcp"), attribute.String("service.version", version.String())),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv()) // The last one counts.
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	log.Info("Exporting traces", "collector", endpoint)
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described)), nil
}

// traceEndpoint returns the host of the collector that the environment names; empty for no traces. The variables themselves
// are the exporter's to read, but it would fall back to defaults where it can't.
func traceEndpoint() (string, error) {
	if off, _ := strconv.ParseBool(os.Getenv("OTEL_SDK_DISABLED")); off {
		return "", nil
	}
	name, value := firstSet("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	if value == "" || exporter == "none" {
		return "", nil
	}
	if exporter != "" && exporter != "otlp" {
		return "", fmt.Errorf("OTEL_TRACES_EXPORTER must be otlp or none, not %q", exporter)
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%s must be a URL, like http://collector:4318", name) // It may have a password.
	}
	switch name, protocol := firstSet("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "http/protobuf", "http/json":
		return u.Host, nil
	default:
		return "", fmt.Errorf("%s must be http/protobuf or http/json, and the endpoint the collector's port for it (usually 4318), not %q",
			name, protocol)
	}
}

// firstSet returns the first of those environment variables that has a value.
func firstSet(names ...string) (name, value string) {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}
