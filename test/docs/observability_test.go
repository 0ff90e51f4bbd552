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

package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/proxy"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

const observability = "docs/observability.md"

// rows returns the rows of the table whose first column has that heading.
func rows(t *testing.T, page, heading string) [][]string {
	t.Helper()
	_, table, found := strings.Cut(read(t, page), "\n| "+heading+" |")
	NewWithT(t).Expect(found).To(BeTrue(), "%s has no table of %s", page, heading)
	var all [][]string
	for i, line := range strings.Split(table, "\n") {
		if i > 0 && !strings.HasPrefix(line, "|") {
			break
		}
		if i < 2 { // The headings and the line below.
			continue
		}
		row := strings.Split(strings.Trim(line, "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		all = append(all, row)
	}
	return all
}

var quoted = regexp.MustCompile("`([^`]+)`")

// names returns what is quoted in a text, sorted.
func names(text string) []string {
	all := []string{}
	for _, match := range quoted.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return all
}

// shown is what a data plane shows after a request of each kind.
type shown struct {
	// metrics are types and labels by name; labels are the values that each label has.
	metrics map[string][]string
	values  map[string][]string
	// attributes are the kinds of spans that have them, by their keys.
	attributes map[string][]string
	// fields are those of the access log.
	fields []string
}

func (s *shown) gather(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	families, err := registry.Gather()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		labels := []string{}
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		slices.Sort(labels)
		s.metrics[family.GetName()] = append([]string{strings.ToLower(dto.MetricType_name[int32(family.GetType())])}, labels...)
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				key := family.GetName() + " " + label.GetName()
				if !slices.Contains(s.values[key], label.GetValue()) {
					s.values[key] = append(s.values[key], label.GetValue())
				}
			}
		}
	}
}

// show has a data plane show everything that it can.
func show(t *testing.T) *shown {
	t.Helper()
	g := NewWithT(t)
	s := &shown{metrics: map[string][]string{}, values: map[string][]string{}, attributes: map[string][]string{}}

	plane := prometheus.NewRegistry()
	d := proxy.NewDataPlane(proxy.Options{Limits: config.DefaultLimits(), Log: slog.New(slog.DiscardHandler)}, plane)
	g.Expect(d.Apply(&translate.Config{})).To(Succeed())
	s.gather(t, plane)
	d.Close(0)

	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	o, err := telemetry.New(telemetry.Options{
		Registerer: registry, Tracer: provider, AccessLog: telemetry.NewAccessLog(&log), ClientAddresses: true,
	})
	g.Expect(err).NotTo(HaveOccurred())
	o.SetBackends(map[string]*config.Backend{"default/tools": {Key: "default/tools", Targets: []config.Target{{Name: "weather"}}}})
	o.CircuitOpen("default/tools", "weather", 1)
	exchange(t, o, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forecast"}}`, telemetry.Unavailable)
	exchange(t, o, `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"greet"}}`, telemetry.OK)
	s.gather(t, registry)
	for _, span := range spans.GetSpans() {
		for _, a := range span.Attributes {
			if kinds := s.attributes[string(a.Key)]; !slices.Contains(kinds, span.SpanKind.String()) {
				s.attributes[string(a.Key)] = append(kinds, span.SpanKind.String())
			}
		}
	}
	var line map[string]any
	g.Expect(json.NewDecoder(&log).Decode(&line)).To(Succeed())
	s.fields = slices.Collect(maps.Keys(line))
	return s
}

func exchange(t *testing.T, o *telemetry.Telemetry, body string, result telemetry.Result) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	e := o.Begin(r)
	defer e.End()
	e.Backend("default/tools")
	var m jsonrpc.Message
	NewWithT(t).Expect(jsonrpc.Scan([]byte(body), &m)).To(Succeed())
	e.Message([]byte(body), &m)
	e.Era(telemetry.EraLegacy)
	e.Target("weather")
	attempt := e.Attempt(m.Method, "weather")
	answer := &http.Response{StatusCode: http.StatusBadGateway, Body: io.NopCloser(strings.NewReader(""))}
	attempt.Done(t.Context(), answer, "127.0.0.1:1", nil)
	_ = answer.Body.Close()
	e.Result(result)
}

func TestPageHasTheMetricsThatThereAre(t *testing.T) {
	g := NewWithT(t)
	s := show(t)
	written := map[string][]string{}
	for _, row := range rows(t, observability, "name") {
		g.Expect(row).To(HaveLen(4), row[0])
		name := names(row[0])[0]
		written[name] = append([]string{row[1]}, names(row[2])...)
		g.Expect(row[3]).NotTo(BeEmpty(), name)
	}
	g.Expect(written).To(Equal(s.metrics))
	column := func(heading string) []string {
		var values []string
		for _, row := range rows(t, observability, heading) {
			values = append(values, names(row[0])...)
		}
		return values
	}
	g.Expect(column("`result`")).To(ConsistOf(s.values["dynamic_mcp_requests_total result"]))
	g.Expect(column("`kind` of `dynamic_mcp_upstream_errors_total`")).To(ConsistOf(s.values["dynamic_mcp_upstream_errors_total kind"]))
	_, streams, _ := strings.Cut(read(t, observability), "`kind` of `dynamic_mcp_active_streams` is ")
	streams, _, _ = strings.Cut(streams, ".")
	g.Expect(names(streams)).To(ContainElements(s.values["dynamic_mcp_active_streams kind"]))
}

func TestPageHasTheAttributesAndFieldsThatThereAre(t *testing.T) {
	g := NewWithT(t)
	s := show(t)
	written := map[string][]string{}
	for _, row := range rows(t, observability, "attribute") {
		kinds := []string{trace.SpanKindClient.String(), trace.SpanKindServer.String()}
		if row[1] != "both" {
			kinds = []string{row[1]}
		}
		written[names(row[0])[0]] = kinds
	}
	for _, kinds := range s.attributes {
		slices.Sort(kinds)
	}
	g.Expect(written).To(Equal(s.attributes))

	var fields []string
	for _, row := range rows(t, observability, "field") {
		fields = append(fields, names(row[0])...)
	}
	g.Expect(fields).To(ConsistOf(s.fields))

	_, example, _ := strings.Cut(read(t, observability), "```json\n")
	var line map[string]any
	g.Expect(json.NewDecoder(strings.NewReader(example)).Decode(&line)).To(Succeed())
	g.Expect(slices.Collect(maps.Keys(line))).To(ConsistOf(slices.DeleteFunc(fields, func(f string) bool { return f == "client" })))
}
