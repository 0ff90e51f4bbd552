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

package peer

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

func TestPostIsServedByTheHome(t *testing.T) {
	_, replicas := newReplicas(t, 3)
	replicas[1].serve = func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Mcp-Session-Id", "abc")
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h["Vary"] = []string{"Origin", "Accept"}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"answer":1}`)
	}
	response := replicas[0].do(t, http.MethodPost, "/a%2Fb/mcp?x=1&y=%20&", `{"call":1}`, http.Header{
		"Content-Type": {"application/json"}, "Mcp-Session-Id": {"abc"}, "X-Many": {"1", "2"}, "Accept-Encoding": {"br"},
		"X-Hop": {"1"}, "Connection": {"close, x-hop"}, "Te": {"trailers"}, "Upgrade": {"h2c"}, "Proxy-Authorization": {"Basic x"},
		"User-Agent": {""}, headerPeer: {"forged"}, headerPeerHost: {"forged.example.com"},
	})
	if body := readAll(t, response); response.StatusCode != http.StatusAccepted || body != `{"answer":1}` {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
	if h := response.Header; h.Get("Mcp-Session-Id") != "abc" || h.Get("Content-Length") != "12" || len(h["Vary"]) != 2 ||
		len(h["X-Hop"]) != 0 || len(h[headerPeer]) != 0 {
		t.Errorf("got header %v", h)
	}
	got := within(t, "the call", replicas[1].calls)
	want := http.Header{
		"Content-Type": {"application/json"}, "Mcp-Session-Id": {"abc"}, "X-Many": {"1", "2"}, "Accept-Encoding": {"br"}, "Content-Length": {"10"},
	}
	for name := range got.header {
		if !slices.Equal(got.header[name], want[name]) {
			t.Errorf("got %s: %q, want %q", name, got.header[name], want[name])
		}
	}
	if len(got.header) != len(want) {
		t.Errorf("got header %v", got.header)
	}
	got.header = nil
	if got.method != http.MethodPost || got.uri != "/a%2Fb/mcp?x=1&y=%20&" || got.path != "/a/b/mcp" || got.host != "mcp.example.com" ||
		got.backend != "default/tools" || got.body != `{"call":1}` || !got.fromPeer {
		t.Errorf("got %+v", got)
	}
	if len(replicas[2].calls) != 0 {
		t.Error("another replica was asked as well")
	}
}

func TestMethodsWithoutBodyAreForwarded(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPost} {
		response := replicas[0].do(t, method, "//mcp", "", nil)
		if body := readAll(t, response); response.StatusCode != http.StatusOK || body != "" {
			t.Errorf("%s: got %d %s", method, response.StatusCode, body)
		}
		if got := within(t, "the call", replicas[1].calls); got.method != method || got.body != "" || got.uri != "//mcp" {
			t.Errorf("%s: got %+v", method, got)
		}
	}
}

func TestWhatTheHomeRefusesToItsClientIsItsAnswer(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	replicas[1].serve = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) }
	response := replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil)
	if body := readAll(t, response); response.StatusCode != http.StatusForbidden || body != "not you\n" {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
}

func TestEventsArriveOneByOne(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	next := make(chan string)
	replicas[1].serve = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for event := range next {
			_, _ = io.WriteString(w, event)
			_ = http.NewResponseController(w).Flush()
		}
	}
	response := replicas[0].do(t, http.MethodGet, "/mcp", "", http.Header{"Accept": {"text/event-stream"}})
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d %v", response.StatusCode, response.Header)
	}
	lines := bufio.NewReader(response.Body)
	for i := range 20 {
		// The next one is only sent once this one has arrived.
		next <- "data: " + strconv.Itoa(i) + "\n"
		if line, err := lines.ReadString('\n'); err != nil || line != "data: "+strconv.Itoa(i)+"\n" {
			t.Fatalf("got %q and error %v", line, err)
		}
	}
	close(next)
	if _, err := lines.ReadString('\n'); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestLargeAnswersArriveWhole(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	large := strings.Repeat("0123456789", 1<<20)
	replicas[1].serve = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) }
	if body := readAll(t, replicas[0].do(t, http.MethodPost, "/mcp", large[:1<<20], nil)); body != large {
		t.Errorf("got %d bytes", len(body))
	}
	if got := within(t, "the call", replicas[1].calls); got.body != large[:1<<20] {
		t.Errorf("a body of %d bytes arrived", len(got.body))
	}
}

func TestTheClientsGoingAwayEndsTheRequestAtTheHome(t *testing.T) {
	for name, begin := range map[string]bool{"while it waits for the answer": false, "in a stream": true} {
		t.Run(name, func(t *testing.T) {
			_, replicas := newReplicas(t, 2)
			ended := make(chan struct{})
			replicas[1].serve = func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				if begin {
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, replicas[0].client.URL, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			begun := make(chan struct{})
			go func() {
				defer close(done)
				response, err := replicas[0].client.Client().Do(request)
				if err != nil {
					return
				}
				close(begun)
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}()
			within(t, "the call", replicas[1].calls)
			if begin {
				within(t, "the begin of the stream", begun)
			}
			cancel()
			within(t, "the end at the home", ended)
			within(t, "the end at the client", done)
			if len(replicas[0].errors) != 0 {
				t.Error("the request was to be served again")
			}
		})
	}
}

func TestAHomeThatCantBeReachedIsAnError(t *testing.T) {
	p, replicas := newReplicas(t, 1)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	replicas[0].home = l.Addr().String()
	_ = l.Close()
	p.set(replicas[0].Self(), replicas[0].home)
	replicas[0].wantServedHere(t, replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil), "reach the replica: dial tcp "+replicas[0].home)
}

func TestAHomeThatHasEndedIsAnError(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	if response := replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil); response.StatusCode != http.StatusOK {
		t.Fatalf("got %d", response.StatusCode)
	}
	replicas[1].port.Close()
	replicas[0].Close() // The transport notices closed connections by itself, but not at once.
	replicas[0].wantServedHere(t, replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil), "reach the replica")
}

func TestAddressesOfNobodyAreNotDialled(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	var dialled atomic.Int32
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { dialled.Add(1) }))
	stranger.Config.ConnState = func(net.Conn, http.ConnState) { dialled.Add(1) }
	defer stranger.Close()
	_, port, _ := net.SplitHostPort(stranger.Listener.Addr().String())
	for _, home := range []string{
		stranger.Listener.Addr().String(), "localhost:" + port, "127.0.0.1:0" + port, "", "127.0.0.1", ":" + port, "[::ffff:127.0.0.1]:" + port,
		replicas[1].Self() + "/x", replicas[1].Self() + "@" + stranger.Listener.Addr().String(),
	} {
		replicas[0].home = home
		replicas[0].wantServedHere(t, replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil), "no replica's")
	}
	replicas[0].home = replicas[0].Self()
	replicas[0].wantServedHere(t, replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil), "own")
	if dialled.Load() != 0 || len(replicas[0].calls)+len(replicas[1].calls) != 0 {
		t.Error("somebody was dialled")
	}
}

func TestWhoeverIsNoReplicaAnswersNoClient(t *testing.T) {
	p, replicas := newReplicas(t, 1)
	for name, answer := range map[string]http.HandlerFunc{
		"another program": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"other words":    func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(headerPeer, "no") },
		"twice the word": func(w http.ResponseWriter, _ *http.Request) { w.Header()[headerPeer] = []string{served, served} },
	} {
		t.Run(name, func(t *testing.T) {
			other := httptest.NewServer(answer)
			defer other.Close()
			defer replicas[0].Close()
			replicas[0].home = other.Listener.Addr().String()
			replicas[0].addresses = &addressBook{resolve: p.resolve}
			p.set(replicas[0].home)
			replicas[0].wantServedHere(t, replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil), "refused")
		})
	}
}

func TestWhatMayHaveBeenServedIsNotServedAgain(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	replicas[1].serve = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for body, id := range map[string]string{`{"jsonrpc":"2.0","id":"x","method":"tools/call"}`: `"x"`, "": "null"} {
		response := replicas[0].do(t, http.MethodPost, "/mcp", body, nil)
		want := `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32603,"message":"the replica of the gateway that holds this session gave no answer"}}`
		if got := readAll(t, response); response.StatusCode != http.StatusBadGateway || got != want {
			t.Errorf("got  %d %s\nwant 502 %s", response.StatusCode, got, want)
		}
	}
	if len(replicas[0].errors) != 0 {
		t.Error("the request was to be served again")
	}
}

func TestAnAnswerThatBreaksOffIsNotMadeToLookWhole(t *testing.T) {
	_, replicas := newReplicas(t, 2)
	replicas[1].serve = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	response := replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil)
	if body, err := io.ReadAll(response.Body); err == nil || string(body) != "data: 1\n\n" {
		t.Errorf("got %q and error %v", body, err)
	}
}

func TestWithoutPeersEverythingIsServedHere(t *testing.T) {
	p := &proxy{keys: newRing(t)}
	alone := p.add(t, func(o *Options) { o.Self = "" })
	for name, peers := range map[string]*Peers{"no address": alone.Peers, "none": nil} {
		t.Run(name, func(t *testing.T) {
			defer peers.Close()
			if got := peers.Self(); got != "" {
				t.Errorf("got address %s", got)
			}
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/mcp", nil)
			if err := peers.Forward(w, r, nil, "default/tools", alone.port.Listener.Addr().String()); err == nil {
				t.Error("no error")
			}
			peers.Tell(t.Context(), r, nil, "default/tools")
			if w.Body.Len() != 0 || len(w.Header()) != 0 || len(alone.calls) != 0 {
				t.Error("something was written or sent")
			}
		})
	}
}

func TestWithoutKeysEverythingIsServedHere(t *testing.T) {
	p, replicas := newReplicas(t, 2)
	p.keys = nil
	replicas[0].wantServedHere(t, replicas[0].do(t, http.MethodPost, "/mcp", "{}", nil), "no keys yet")
}

func TestReplicasAfterAPromotionUnderstandEachOther(t *testing.T) {
	ring := newRing(t)
	promoted, err := ring.Promote()
	if err != nil {
		t.Fatal(err)
	}
	for name, rings := range map[string][2]*session.KeyRing{"sender first": {promoted, ring}, "receiver first": {ring, promoted}} {
		t.Run(name, func(t *testing.T) {
			p := &proxy{}
			from := p.add(t, func(o *Options) { o.Keys = func() *session.KeyRing { return rings[0] } })
			to := p.add(t, func(o *Options) { o.Keys = func() *session.KeyRing { return rings[1] } })
			from.home = to.Self()
			if response := from.do(t, http.MethodPost, "/mcp", "{}", nil); response.StatusCode != http.StatusOK {
				t.Errorf("got %d", response.StatusCode)
			}
		})
	}
}

func TestAllOthersAreTold(t *testing.T) {
	p, replicas := newReplicas(t, 4)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	_ = l.Close()
	p.set(replicas[0].Self(), replicas[1].Self(), gone, replicas[2].Self(), replicas[1].Self(), replicas[3].Self())
	replicas[1].serve = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	replicas[2].serve = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	r := httptest.NewRequest(http.MethodDelete, "/mcp?x=1", nil)
	r.Header.Set("Mcp-Session-Id", "secret")
	replicas[0].Tell(t.Context(), r, nil, "default/tools")
	for i, told := range replicas[1:] {
		got := within(t, "what it is told", told.calls)
		if got.method != http.MethodDelete || got.uri != "/mcp?x=1" || got.header.Get("Mcp-Session-Id") != "secret" || !got.fromPeer || got.host != "example.com" {
			t.Errorf("replica %d: got %+v", i+1, got)
		}
		if len(told.calls) != 0 {
			t.Errorf("replica %d was told twice", i+1)
		}
	}
	if len(replicas[0].calls) != 0 {
		t.Error("it told itself")
	}
	log := replicas[0].logs.String()
	if !strings.Contains(log, gone) || strings.Contains(log, "secret") || strings.Count(log, "Replica not told") != 2 {
		t.Errorf("got log %s", log)
	}
}

func TestWithoutAddressesNobodyIsTold(t *testing.T) {
	p, replicas := newReplicas(t, 2)
	p.set()
	replicas[0].Tell(t.Context(), httptest.NewRequest(http.MethodDelete, "/mcp", nil), nil, "default/tools")
	if log := replicas[0].logs.String(); !strings.Contains(log, "no addresses of replicas") || len(replicas[1].calls) != 0 {
		t.Errorf("got log %s", log)
	}
}
