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
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

var discover = modernPost{method: methodDiscover}

const versions = `"supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"]`

func TestDiscoveryOfAModernServerIsItsOwnButForTheName(t *testing.T) {
	server := newFakeModern(t, "one")
	server.discovered = `{ "zz":9007199254740993,"supportedVersions":["2026-07-28"],"resultType":"complete","capabilities":{"tools":{"x":1},"extensions":{"a/b":{}}},` +
		`"instructions":"Be \u0062rief.","ttlMs":5,"cacheScope":"private","_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"version":"7","name":"one","title":"T"}}}`
	g := newGateway(t, server.targets())
	same(t, g.result(discover), `{ "zz":9007199254740993,`+versions+`,"resultType":"complete","capabilities":{"tools":{"x":1,"listChanged":true},"extensions":{"a/b":{}},"prompts":{"listChanged":true},"resources":{"listChanged":true}},`+
		`"instructions":"Be \u0062rief.","ttlMs":5,"cacheScope":"private","_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"version":"7","name":"virtual","title":"T"}}}`)
	sent := server.requests(methodDiscover)
	same(t, sent[len(sent)-1].body, discover.body())
	t.Run("in a static Backend its capabilities too", func(t *testing.T) {
		g := newGateway(t, server.targets(), withBackend(func(b *config.Backend) { b.Dynamic = false }))
		if got := g.result(discover); !strings.Contains(got, `"capabilities":{"tools":{"x":1},"extensions":{"a/b":{}}},`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("that says nothing but what it must", func(t *testing.T) {
		server.set(func() { server.discovered = `{"supportedVersions":["2026-07-28"]}` })
		g := newGateway(t, server.targets())
		same(t, g.result(discover), `{"resultType":"complete","ttlMs":0,"cacheScope":"private",`+versions+`,"_meta":{"`+metaServerInfo+`":{"name":"virtual","version":"test"}},`+
			`"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}}}`)
	})
	t.Run("that refuses", func(t *testing.T) {
		g := newGateway(t, server.targets(), withBackend(func(b *config.Backend) { b.FailureMode = config.FailClosed }))
		g.result(callEcho)
		server.set(func() {
			server.instead = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var m message
				_ = json.NewDecoder(r.Body).Decode(&m)
				fail(w, 200, m.ID, -32603, "")
			})
		})
		if got := g.modern(discover); got.status != 200 || !strings.Contains(got.body, "as told") {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

func TestDiscoveryOfSeveralServersIsOne(t *testing.T) {
	a, b, legacy := newFakeModern(t, "A"), newFakeModern(t, "B"), newFakeServer(t).withTools("L", "old")
	discovered := func(capabilities, hints string) string {
		return `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":` + capabilities + `,"instructions":"Use it.","extra":1` + hints + `}`
	}
	a.discovered = discovered(`{"tools":{},"logging":{}}`, `,"ttlMs":9000,"cacheScope":"public"`)
	b.discovered = discovered(`{"resources":{"subscribe":true},"completions":{}}`, `,"ttlMs":8000,"cacheScope":"public"`)
	const all = `"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"logging":{},"completions":{}}`
	const info = `"_meta":{"` + metaServerInfo + `":{"name":"virtual","version":"test"}},`
	g := newGateway(t, []config.Target{a.named("a"), b.named("b")})
	same(t, g.result(discover), `{"resultType":"complete","ttlMs":8000,"cacheScope":"public",`+info+versions+`,`+all+`,"instructions":"# a\n\nUse it.\n\n# b\n\nUse it."}`)
	t.Run("what one says is private is", func(t *testing.T) {
		g.t = t
		a.set(func() { a.discovered = discovered(`{}`, `,"ttlMs":90000000,"cacheScope":"private"`) })
		b.set(func() { b.discovered = discovered(`{}`, `,"ttlMs":90000000,"cacheScope":"public"`) })
		if got := g.result(discover); !strings.Contains(got, `"ttlMs":60000,"cacheScope":"private"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("with a legacy one among them", func(t *testing.T) {
		g := newGateway(t, []config.Target{legacy.named("l"), b.named("b")})
		got := g.result(discover)
		if !strings.Contains(got, all) || !strings.Contains(got, `"instructions":"# l\n\nUse L.\n\n# b\n\nUse it."`) || !strings.Contains(got, `"ttlMs":0,"cacheScope":"private"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("of a legacy one alone", func(t *testing.T) {
		g := newGateway(t, legacy.targets())
		got := g.result(discover)
		if !strings.Contains(got, all) || !strings.Contains(got, `"instructions":"Use L."`) || !strings.Contains(got, `"ttlMs":0,"cacheScope":"private"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("of none", func(t *testing.T) {
		g := newGateway(t, nil)
		same(t, g.result(discover), `{"resultType":"complete","ttlMs":60000,"cacheScope":"public",`+info+versions+
			`,"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}}}`)
	})
	t.Run("one that is slow is left out", func(t *testing.T) {
		slow := newFakeModern(t, "slow")
		g := newGateway(t, []config.Target{slow.named("slow"), b.named("b")}, withLimits(func(l *config.Limits) { l.StragglerTimeout = 200 * time.Millisecond }))
		g.result(modernPost{method: "tools/list"})
		slow.set(func() {
			slow.instead = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		})
		got := g.result(discover)
		if !strings.Contains(got, `"instructions":"# b\n\nUse it."`) || !strings.Contains(got, `"ttlMs":0`) {
			t.Errorf("got %s", got)
		}
	})
}
