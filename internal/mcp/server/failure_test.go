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
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

const callBody = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{}}}`

// unavailableWith is a call's answer that names the target and says why.
func unavailableWith(reason string) string {
	return `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"target \"everything\" is unavailable: ` + reason +
		`","data":{"target":"everything","reason":"` + reason + `"}}}`
}

func TestCallToAServerThatFailsNamesItAndSaysWhy(t *testing.T) {
	tests := map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, m *message)
		want   string
	}{
		"HTTP 500": {func(w http.ResponseWriter, _ *http.Request, _ *message) { w.WriteHeader(500) },
			unavailableWith("it answered HTTP status 500")},
		"a redirect": {func(w http.ResponseWriter, r *http.Request, _ *message) {
			http.Redirect(w, r, "http://192.0.2.1/", 307)
		},
			unavailableWith("it answered HTTP status 307")},
		"a credential refused": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(401)
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"who"}}`))
		}, unavailableWith("it answered HTTP status 401")},
		"no answer at all": {func(http.ResponseWriter, *http.Request, *message) { panic(http.ErrAbortHandler) },
			unavailableWith("it closed the connection without an answer")},
		"silence": {func(_ http.ResponseWriter, r *http.Request, _ *message) { <-r.Context().Done() },
			unavailableWith("it was silent for 300ms")},
		"half of an answer": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"jsonrpc"`))
		}, unavailableWith("its answer broke off")},
		"an answer that is too large": {func(w http.ResponseWriter, _ *http.Request, _ *message) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "2000001")
			_, _ = w.Write([]byte(`{"jsonrpc"`))
		}, unavailableWith("its answer is larger than 2000000 bytes")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) {
				l.MaxMessage = 2000000
				if name == "silence" { // The others must not be taken for it where all is slow.
					l.CallTimeout = 300 * time.Millisecond
				}
			}))
			id := g.open()
			server.set(func() { server.answer = test.answer })
			if got := g.do(call{body: callBody, session: id}); got.status != http.StatusOK || got.body != test.want {
				t.Errorf("got  %d %s\nwant %s", got.status, got.body, test.want)
			}
			server.set(func() { server.answer = nil })
			if got := g.do(call{body: callBody, session: id}); !strings.HasPrefix(got.body, `{"result":`) {
				t.Errorf("it does not work again: %s", got.body)
			}
		})
	}
}

func TestStreamThatBreaksOffEndsWithAnError(t *testing.T) {
	event := "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"
	tests := map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		want   string // The last event; empty if there is none.
	}{
		"in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			events(w)(event)
			panic(http.ErrAbortHandler)
		}, unavailableWith("its answer broke off")},
		"by silence": {func(w http.ResponseWriter, r *http.Request) {
			events(w)(event)
			<-r.Context().Done()
		}, unavailableWith("it was silent for 300ms")},
		"without an answer": {func(w http.ResponseWriter, _ *http.Request) { events(w)(event) },
			unavailableWith("its answer broke off")},
		"by an event that is too large": {func(w http.ResponseWriter, _ *http.Request) {
			write := events(w)
			write(event)
			write("data: %s\n\n", strings.Repeat("x", 2000001))
		}, unavailableWith("its answer broke off")},
		"for the client to come back": {func(w http.ResponseWriter, _ *http.Request) {
			write := events(w)
			write("id: 1\ndata: \n\n")
			write(event)
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			g := newGateway(t, server.targets(), withLimits(func(l *config.Limits) {
				l.MaxMessage = 2000000
				if name == "by silence" { // The others must not be taken for it where all is slow.
					l.CallTimeout = 300 * time.Millisecond
				}
			}))
			id := g.open()
			server.set(func() {
				server.answer = func(w http.ResponseWriter, r *http.Request, _ *message) { test.answer(w, r) }
			})
			s := g.stream(call{body: callBody, session: id})
			var last string
			for data := range s.events {
				last = data
			}
			if test.want != "" && last != test.want {
				t.Errorf("got  %s\nwant %s", last, test.want)
			}
			if test.want == "" && strings.Contains(last, "error") {
				t.Errorf("got %s", last)
			}
		})
	}
}

func TestServerThatIsDown(t *testing.T) {
	server := newFakeServer(t)
	targets := server.targets()
	server.server.Close()

	t.Run("a dynamic Backend goes on without it", func(t *testing.T) {
		g := newGateway(t, targets)
		id := g.open()
		if got := g.do(call{body: listBody, session: id}); got.body != `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}` {
			t.Errorf("got %s", got.body)
		}
		if got := g.do(call{body: callBody, session: id}); got.body != unavailableWith("it refuses connections") {
			t.Errorf("got %s", got.body)
		}
		back := newFakeServer(t)
		targets := back.targets()
		g.update(testBackend(targets))
		if got := g.do(call{body: callBody, session: id}); !strings.HasPrefix(got.body, `{"result":`) {
			t.Errorf("it does not work again: %s", got.body)
		}
	})
	t.Run("FailClosed says so at once", func(t *testing.T) {
		g := newGateway(t, targets, withBackend(func(b *config.Backend) { b.FailureMode = config.FailClosed }))
		if got := g.do(call{body: initializeBody}); !strings.Contains(got.body, `target \"everything\" is unavailable: it refuses connections`) ||
			got.header.Get("Mcp-Session-Id") != "" {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("so does a static one", func(t *testing.T) {
		g := newGateway(t, targets, withBackend(func(b *config.Backend) { b.Dynamic = false }))
		if got := g.do(call{body: initializeBody}); !strings.Contains(got.body, "it refuses connections") {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("one that is not ready is not asked", func(t *testing.T) {
		unready := targets[0]
		unready.Unready, unready.Endpoints = "NoReadyEndpoints: no Pod is ready", nil
		g := newGateway(t, []config.Target{unready})
		id := g.open()
		if got := g.do(call{body: callBody, session: id}); got.body != unavailableWith("NoReadyEndpoints: no Pod is ready") {
			t.Errorf("got %s", got.body)
		}
	})
}

func TestEndpointThatIsDownIsPassedOver(t *testing.T) {
	down, up := newFakeServer(t), newFakeServer(t)
	target := up.target()
	target.Endpoints = append(down.target().Endpoints, target.Endpoints...)
	down.server.Close()
	g := newGateway(t, []config.Target{target})
	for range 10 {
		if got := g.do(call{body: listBody, session: g.open()}); got.body != `{"result":{},"jsonrpc":"2.0","id":1}` {
			t.Fatalf("got %s", got.body)
		}
	}
}

func TestInitializeThatStalls(t *testing.T) {
	stalls := newFakeServer(t)
	stalls.server.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // The server notices that a client has gone once the body is read.
		<-r.Context().Done()
	})
	g := newGateway(t, stalls.targets(), withLimits(func(l *config.Limits) { l.InitializeTimeout = 200 * time.Millisecond }))
	id := g.open()
	if got := g.do(call{body: callBody, session: id}); got.body != unavailableWith("it did not answer initialize within 200ms") {
		t.Errorf("got %s", got.body)
	}
}

func TestLogHasNoSecrets(t *testing.T) {
	server := newFakeServer(t)
	g := newGateway(t, server.targets())
	id := g.open()
	server.set(func() {
		server.answer = func(w http.ResponseWriter, _ *http.Request, _ *message) { w.WriteHeader(500) }
	})
	g.do(call{body: strings.Replace(callBody, "echo", "body-of-the-call", 1), session: id, header: map[string]string{"Authorization": "Bearer the-token"}})
	server.forget()
	g.do(call{body: callBody, session: id})
	log := g.log.String()
	if log == "" {
		t.Fatal("the failure is not logged")
	}
	for _, secret := range []string{id, "upstream-session", "the-token", "body-of-the-call"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q: %s", secret, log)
		}
	}
}
