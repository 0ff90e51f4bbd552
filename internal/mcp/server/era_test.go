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
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// probed is a target whose server answers the probe, and nothing else.
func probed(t *testing.T, answer http.HandlerFunc) config.Target {
	t.Helper()
	server := servertest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		answer(w, r)
	}))
	u, _ := url.Parse(server.URL)
	port, _ := strconv.Atoi(u.Port())
	return config.Target{
		Name: "probed", Service: "svc-probed:80", Protocol: config.StreamableHTTP, Host: "probed", Port: int32(port), Path: "/mcp", Endpoints: []string{u.Host},
	}
}

func TestEraOfAServerIsKnownByItsAnswer(t *testing.T) {
	const modern = `{"jsonrpc":"2.0","id":"probe","result":{"supportedVersions":["2026-07-28","2025-11-25"]}}`
	refusal := func(code int, data string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":"probe","error":{"code":%d,"message":"m"%s}}`, code, data)
	}
	const text, stream, some = "text/plain", "text/event-stream", "application/json"
	for name, test := range map[string]struct {
		status            int // 0: it closes the connection; 1: it is silent.
		contentType, body string
		want              era
	}{
		"a result":                         {200, some, modern, eraModern},
		"a result in a stream":             {200, stream, "data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\ndata: " + modern + "\n\n", eraModern},
		"a result of another revision":     {200, some, `{"jsonrpc":"2.0","id":"probe","result":{"supportedVersions":["2025-11-25"]}}`, eraLegacy},
		"a result without revisions":       {200, some, `{"jsonrpc":"2.0","id":"probe","result":{}}`, eraLegacy},
		"revisions that are none":          {200, some, `{"jsonrpc":"2.0","id":"probe","result":{"supportedVersions":{"2026-07-28":1}}}`, eraLegacy},
		"an unknown method":                {200, some, refusal(-32601, ""), eraLegacy},
		"an unknown method, 404":           {404, some, refusal(-32601, ""), eraLegacy},
		"a header mismatch":                {400, some, refusal(-32020, ""), eraModern},
		"a capability missing":             {400, some, refusal(-32021, ""), eraModern},
		"a revision that it does not know": {400, some, refusal(-32022, `,"data":{"supported":["2025-11-25"]}`), eraLegacy},
		"another that it does know":        {400, some, refusal(-32022, `,"data":{"supported":["2026-07-28"]}`), eraModern},
		"one in a result":                  {200, some, refusal(-32022, `,"data":{"supported":["2026-07-28"]}`), eraModern},
		"a bad request":                    {400, some, refusal(-32000, ""), eraLegacy},
		"a bad request in words":           {400, text, "Bad Request", eraLegacy},
		"not found":                        {404, text, "", eraLegacy},
		"not allowed":                      {405, "", "", eraLegacy},
		"not acceptable":                   {406, "", "", eraLegacy},
		"unauthorized":                     {401, "", "", eraLegacy},
		"a failure":                        {500, "", "", eraLegacy},
		"accepted":                         {202, "", "", eraLegacy},
		"a page":                           {200, "text/html", "<html>", eraLegacy},
		"no message":                       {200, some, `{`, eraLegacy},
		"a stream without an answer":       {200, stream, "data: {}\n\n", eraLegacy},
		"a gateway's failure":              {502, "", "", eraUnknown},
		"nobody there":                     {503, some, refusal(-32020, ""), eraUnknown},
		"a gateway that waits":             {504, "", "", eraUnknown},
		"no answer":                        {0, "", "", eraUnknown},
		"silence":                          {1, "", "", eraLegacy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			target := probed(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if wrong := strictly(r, body); wrong != "" {
					t.Errorf("the probe: %s", wrong)
				}
				n.Add(1)
				switch test.status {
				case 0:
					panic(http.ErrAbortHandler)
				case 1:
					<-r.Context().Done()
					return
				}
				w.Header().Set("Content-Type", test.contentType)
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			g := newGateway(t, []config.Target{target})
			compiled := g.snapshot.backends[testKey].targets[0]
			for range 3 {
				got, err := g.mcp.eraOf(t.Context(), compiled)
				if got != test.want || (err != nil) != (test.want == eraUnknown) {
					t.Fatalf("got %d, %v, want %d", got, err, test.want)
				}
			}
			// What is not known is asked for again; else one answer is enough.
			if want := int32(1); test.want != eraUnknown && n.Load() != want || test.want == eraUnknown && n.Load() < 3 {
				t.Errorf("%d probes", n.Load())
			}
		})
	}
}

func TestServerIsProbedOnceForAllThatWait(t *testing.T) {
	modern, legacy := newFakeModern(t, "one"), newFakeServer(t).withTools("A", "echo")
	var legacyProbes atomic.Int32
	front := probed(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), methodDiscover) {
			legacyProbes.Add(1)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		legacy.serve(w, r)
	})
	for _, test := range []struct {
		target config.Target
		probes func() int
	}{
		{modern.named("one"), modern.probes}, {front, func() int { return int(legacyProbes.Load()) }},
	} {
		g := newGateway(t, []config.Target{test.target})
		var calling sync.WaitGroup
		for range 50 {
			calling.Go(func() {
				if got := g.modern(callEcho); got.status != http.StatusOK || !strings.Contains(got.body, `"result":`) {
					t.Errorf("got %d %s", got.status, got.body)
				}
			})
		}
		calling.Wait()
		g.open()
		same(t, test.probes(), 1)
	}
}

func TestServerIsProbedAgainWhenItIsReachedInAnotherWay(t *testing.T) {
	server, legacy := newFakeModern(t, "one"), newFakeServer(t).withTools("A", "echo")
	g := newGateway(t, server.targets())
	g.result(callEcho)
	same(t, server.probes(), 1)
	renamed := server.named("one")
	renamed.Name = "other"
	g.update(testBackend([]config.Target{renamed}))
	g.result(callEcho)
	same(t, server.probes(), 1)
	scaled := renamed
	scaled.Endpoints = append([]string{"127.0.0.1:1"}, scaled.Endpoints...)
	g.update(testBackend([]config.Target{scaled}))
	g.result(callEcho)
	same(t, server.probes(), 1)
	replaced := renamed
	replaced.Endpoints = legacy.target().Endpoints
	g.update(testBackend([]config.Target{replaced}))
	if got := g.result(callEcho); !strings.Contains(got, `"by":"A"`) {
		t.Errorf("got %s", got)
	}
	same(t, server.probes(), 1)
	back := renamed
	g.update(testBackend([]config.Target{back}))
	if got := g.result(callEcho); !strings.Contains(got, `"by":"one"`) {
		t.Errorf("got %s", got)
	}
	same(t, server.probes(), 2)
}

func TestServerIsReplacedByOneOfTheOtherEraWhileCallsGoOn(t *testing.T) {
	stateful, stateless := newFakeServer(t).withTools("A", "echo"), newFakeServer(t).withTools("A", "echo")
	stateless.stateless = true
	strict := newFakeServer(t).withTools("A", "echo")
	strict.lost = lostAsTypeScript
	for name, legacy := range map[string]*fakeServer{"stateful": stateful, "stateless": stateless, "as the TypeScript SDK": strict} {
		t.Run(name, func(t *testing.T) {
			modern := newFakeModern(t, "M")
			g := newGateway(t, modern.targets())
			session := g.open()
			stop := make(chan struct{})
			var calling sync.WaitGroup
			var rounds [3]atomic.Int32
			call := func(i int, c call) {
				calling.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if got := g.do(c); got.status != http.StatusOK || !strings.Contains(got.body, `"result":`) {
							t.Errorf("got %d %s", got.status, got.body)
						}
						rounds[i].Add(1)
					}
				})
			}
			call(0, callEcho.call())
			call(1, modernPost{method: "tools/list"}.call())
			call(2, discover.call())
			answers := func(by string) {
				t.Helper()
				eventually(t, by+" answers modern clients", func() bool { return strings.Contains(g.result(callEcho), `"by":"`+by+`"`) })
				eventually(t, by+" answers legacy clients", func() bool {
					return strings.HasPrefix(g.callTool(session, "echo"), by+" ")
				})
				for i := range rounds {
					begun := rounds[i].Load() // Nobody is to see the server replaced twice.
					eventually(t, "all have been answered since", func() bool { return rounds[i].Load() > begun+1 })
				}
			}
			for range 3 {
				answers("M")
				modern.set(func() { modern.instead = http.HandlerFunc(legacy.serve) })
				answers("A")
				modern.set(func() { modern.instead = nil })
			}
			answers("M")
			close(stop)
			calling.Wait()
		})
	}
}

func TestModernServerThatDoesNotKnowInitializeIsProbedAgain(t *testing.T) {
	modern := newFakeModern(t, "M")
	var silent atomic.Bool
	silent.Store(true)
	target := probed(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		var m message
		_ = json.Unmarshal(body, &m)
		switch {
		case m.Method == "initialize":
			fail(w, http.StatusNotFound, m.ID, -32601, "")
		case silent.Swap(false):
			w.WriteHeader(http.StatusInternalServerError) // It begins, and is taken for a legacy server.
		default:
			modern.serve(w, r)
		}
	})
	g := newGateway(t, []config.Target{target})
	if got := g.result(callEcho); !strings.Contains(got, `"by":"M"`) {
		t.Errorf("got %s", got)
	}
	silent.Store(true)
	other := newGateway(t, []config.Target{target})
	if got := other.callTool(other.open(), "echo"); !strings.HasPrefix(got, "M ") {
		t.Errorf("got %s", got)
	}
}

func TestSessionThatTheProbeHasBegunIsEnded(t *testing.T) {
	var ended atomic.Value
	target := probed(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			ended.Store(r.Header.Get("Mcp-Session-Id"))
			return
		}
		w.Header().Set("Mcp-Session-Id", "of the probe")
		contentJSON(w)
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":"probe","result":{"supportedVersions":["2025-11-25"]}}`))
	})
	g := newGateway(t, []config.Target{target})
	if got, err := g.mcp.eraOf(t.Context(), g.snapshot.backends[testKey].targets[0]); got != eraLegacy || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	eventually(t, "the session is ended", func() bool { return ended.Load() == "of the probe" })
}

func TestClientThatGoesDoesNotEndTheProbeForOthers(t *testing.T) {
	proceed := make(chan struct{})
	var n atomic.Int32
	modern := newFakeModern(t, "M")
	target := probed(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			<-proceed
		}
		modern.serve(w, r)
	})
	g := newGateway(t, []config.Target{target})
	compiled := g.snapshot.backends[testKey].targets[0]
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := g.mcp.eraOf(ctx, compiled)
		first <- err
	}()
	eventually(t, "the server is probed", func() bool { return n.Load() == 1 })
	cancel()
	if err := <-first; err == nil {
		t.Error("it did not notice that its client went")
	}
	close(proceed)
	if got, err := g.mcp.eraOf(t.Context(), compiled); got != eraModern || err != nil || n.Load() != 1 {
		t.Errorf("got %d, %v after %d probes", got, err, n.Load())
	}
}

func TestServerThatInitializesTheModernRevisionIsUnavailable(t *testing.T) {
	legacy := newFakeServer(t).withTools("A", "echo")
	legacy.initializeResult = `{"protocolVersion":"2026-07-28","capabilities":{},"serverInfo":{"name":"fake","version":"1"}}`
	g := newGateway(t, legacy.targets())
	if got := g.callTool(g.open(), "echo"); !strings.Contains(got, "it answered initialize with a revision that has none") {
		t.Errorf("got %s", got)
	}
	if n := len(legacy.requests("initialize")); n > 2 {
		t.Errorf("initialized %d times", n)
	}
}
