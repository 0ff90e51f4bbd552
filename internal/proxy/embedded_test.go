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

package proxy

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

func newEmbedded(registry prometheus.Registerer) *DataPlane {
	return NewDataPlane(Options{BindAddress: "127.0.0.1", Limits: config.DefaultLimits(), Log: slog.New(slog.DiscardHandler), Version: "test"}, registry)
}

func TestTargetsOfTheConfigurationAreMeasured(t *testing.T) {
	registry := prometheus.NewRegistry()
	plane := newEmbedded(registry)
	defer plane.Close(0)
	apply := func(targets ...config.Target) {
		t.Helper()
		if err := plane.Apply(configOf(1, targets)); err != nil {
			t.Fatal(err)
		}
	}
	compare := func(want string) {
		t.Helper()
		const head = "# HELP dynamic_mcp_target_ready Whether a target can be used: 1 or 0.\n# TYPE dynamic_mcp_target_ready gauge\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(head+want), "dynamic_mcp_target_ready"); err != nil {
			t.Error(err)
		}
	}
	mail := config.Target{Name: "mail", Service: "svc-1", Path: "/mcp", Unready: "it has no ready endpoints"}
	weather := config.Target{Name: "weather", Service: "svc-2", Path: "/mcp", Endpoints: []string{"127.0.0.1:1"}}
	apply(mail, weather)
	compare(`dynamic_mcp_target_ready{backend="default/tools",target="mail"} 0
dynamic_mcp_target_ready{backend="default/tools",target="weather"} 1
`)
	apply(weather)
	compare(`dynamic_mcp_target_ready{backend="default/tools",target="weather"} 1
`)
}

func TestRetiredDataPlaneLeavesItsMetricsToTheNext(t *testing.T) {
	registry := prometheus.NewRegistry()
	first := newEmbedded(registry)
	first.Retire()
	second := newEmbedded(registry)
	first.Close(0)
	if n, err := testutil.GatherAndCount(registry, "dynamic_mcp_active_sessions", "dynamic_mcp_snapshots_total"); n != 2 || err != nil {
		t.Errorf("metrics of the second one: %d, %v", n, err)
	}
	second.Close(0)
	if n, err := testutil.GatherAndCount(registry); n != 0 || err != nil {
		t.Errorf("what is left: %d, %v", n, err)
	}
}
