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

package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
)

func TestHeadersThatMirrorAMessageGoWithNoOther(t *testing.T) {
	legacy, modern := newFakeServer(t).withTools("A", "echo"), newFakeModern(t, "B")
	modern.set(func() {
		modern.lists["resources/templates/list"] = `{"resultType":"complete","resourceTemplates":[{"uriTemplate":"demo://item/{id}","name":"i"}],"ttlMs":0,"cacheScope":"public"}`
	})
	g := newGateway(t, []config.Target{legacy.named("a"), modern.named("b")})
	header := map[string]string{"Mcp-Param-Region": "eu", "Traceparent": "00-1-2-01"}
	g.result(modernPost{method: "tools/call", params: `"name":"echo"`, header: header})
	g.result(modernPost{method: "tools/call", params: `"name":"b_echo"`, header: header})
	for _, seen := range append(legacy.requests(http.MethodPost), legacy.requests(http.MethodDelete)...) {
		for name := range seen.header {
			if strings.HasPrefix(name, "Mcp-") && name != "Mcp-Session-Id" && name != "Mcp-Protocol-Version" {
				t.Errorf("%s was sent with %s", name, seen.body)
			}
		}
	}
	if got := legacy.requests("tools/call"); len(got) != 1 || got[0].header.Get("Traceparent") != "00-1-2-01" {
		t.Errorf("got %v", got)
	}
	for _, seen := range modern.requests("tools/list") {
		for name := range seen.header {
			if strings.HasPrefix(name, mirror.HeaderParamPrefix) {
				t.Errorf("%s was sent with %s", name, seen.body)
			}
		}
	}
	called := modern.requests("tools/call")
	if len(called) != 1 || called[0].header.Get("Mcp-Name") != "echo" || called[0].header.Get("Mcp-Param-Region") != "eu" {
		t.Errorf("got %v", called)
	}
	t.Run("completions have no name to mirror", func(t *testing.T) {
		got := g.result(modernPost{method: "completion/complete", params: `"ref":{"type":"ref/prompt","name":"b_ask"},"argument":{"name":"x","value":""}`})
		if !strings.Contains(got, `"by":"B"`) || !strings.Contains(got, `"name":"ask"`) {
			t.Errorf("got %s", got)
		}
	})
}

func TestHeadersOfALegacyToolsParametersAreChecked(t *testing.T) {
	const tool = `{"name":"echo","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},` +
		`"deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}}`
	server := newFakeServer(t).withTools("A", "echo")
	usual := server.answer
	server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
		if m.Method == "tools/list" {
			_, _ = fmt.Fprintf(contentJSON(w), `{"jsonrpc":"2.0","id":%s,"result":{"tools":[%s,{"name":"other"}]}}`, m.ID, tool)
			return
		}
		usual(w, r, m)
	}
	second := newFakeServer(t).withTools("B", "echo")
	second.answer = server.answer
	g := newGateway(t, []config.Target{server.named("a"), second.named("b")})
	for name, test := range map[string]struct {
		tool, arguments string
		header          map[string]string
		refused         bool
	}{
		"as the arguments say":     {"echo", `{"region":"eu","deep":{"n":42}}`, map[string]string{"Mcp-Param-Region": "eu", "Mcp-Param-N": "42.0"}, false},
		"in Base64":                {"echo", `{"region":"é"}`, map[string]string{"Mcp-Param-Region": "=?base64?w6k=?="}, false},
		"nothing to mirror":        {"echo", `{"region":null}`, nil, false},
		"missing":                  {"echo", `{"region":"eu"}`, nil, true},
		"another value":            {"echo", `{"region":"eu"}`, map[string]string{"Mcp-Param-Region": "us"}, true},
		"another value deep in it": {"echo", `{"deep":{"n":42}}`, map[string]string{"Mcp-Param-N": "43"}, true},
		"without an argument":      {"echo", `{}`, map[string]string{"Mcp-Param-Region": "eu"}, true},
		"by its qualified name":    {"b_echo", `{"region":"eu"}`, map[string]string{"Mcp-Param-Region": "us"}, true},
		"of a tool without any":    {"other", `{"region":"eu"}`, map[string]string{"Mcp-Param-Region": "us"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			p := modernPost{method: toolCall, params: `"name":"` + test.tool + `","arguments":` + test.arguments, header: test.header}
			if test.refused {
				refused(t, g.modern(p), 400, -32020, "Mcp-Param-")
				return
			}
			g.result(p)
		})
	}
}

func TestServerThatDoesNotListCostsItsCallsNoTime(t *testing.T) {
	server := newFakeServer(t).withTools("A", "echo")
	usual := server.answer
	server.answer = func(w http.ResponseWriter, r *http.Request, m *message) {
		if m.Method == "tools/list" {
			<-r.Context().Done()
			return
		}
		usual(w, r, m)
	}
	g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) { l.ListTimeout = 200 * time.Millisecond }))
	for range 3 {
		g.result(callEcho)
	}
	if n := len(server.requests("tools/list")); n != 1 {
		t.Errorf("%d times asked", n)
	}
}
