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
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// send sends a request to a peer port as it is, and returns the answer.
func send(t *testing.T, request *http.Request) (status int, body string, header http.Header) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(all), response.Header
}

func TestThePeerPortServesPeersAlone(t *testing.T) {
	p, replicas := newReplicas(t, 2)
	from, to := replicas[0], replicas[1]
	const body = `{"call":1}`
	client := httptest.NewRequest(http.MethodPost, "/mcp?x=1", strings.NewReader(body))
	// signed is the request as the peer sends it.
	signed := func(t *testing.T) *http.Request {
		t.Helper()
		request, err := from.request(t.Context(), client, []byte(body), "default/tools", to.Self())
		if err != nil {
			t.Fatal(err)
		}
		return request
	}
	sealed := func(keys *session.KeyRing, peer session.PeerRequest) func(r *http.Request) {
		return func(r *http.Request) {
			token, err := keys.SealPeerRequest(peer)
			if err != nil {
				panic(err)
			}
			r.Header.Set(headerPeer, token)
		}
	}
	right := session.PeerRequest{
		Backend: "default/tools", Expires: time.Now().Add(lifetime),
		Digest: digest(http.MethodPost, "/mcp?x=1", "example.com", "default/tools", []byte(body)),
	}
	other := func(change func(*session.PeerRequest)) session.PeerRequest {
		changed := right
		change(&changed)
		return changed
	}
	setBody := func(body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
	}
	for name, test := range map[string]struct {
		change func(r *http.Request)
		served bool
	}{
		"as it was sent":      {func(*http.Request) {}, true},
		"signed again":        {sealed(p.keys, right), true},
		"other header":        {func(r *http.Request) { r.Header.Set("X-Request-Id", "1") }, true},
		"no token":            {func(r *http.Request) { r.Header.Del(headerPeer) }, false},
		"empty token":         {func(r *http.Request) { r.Header.Set(headerPeer, "") }, false},
		"two tokens":          {func(r *http.Request) { r.Header.Add(headerPeer, r.Header.Get(headerPeer)) }, false},
		"no host":             {func(r *http.Request) { r.Header.Del(headerPeerHost) }, false},
		"other host":          {func(r *http.Request) { r.Header.Set(headerPeerHost, "evil.example.com") }, false},
		"two hosts":           {func(r *http.Request) { r.Header.Add(headerPeerHost, "evil.example.com") }, false},
		"changed token":       {func(r *http.Request) { r.Header.Set(headerPeer, "B"+r.Header.Get(headerPeer)[1:]) }, false},
		"wrong key":           {sealed(newRing(t), right), false},
		"expired":             {sealed(p.keys, other(func(r *session.PeerRequest) { r.Expires = time.Now() })), false},
		"other backend":       {sealed(p.keys, other(func(r *session.PeerRequest) { r.Backend = "default/other" })), false},
		"other digest":        {sealed(p.keys, other(func(r *session.PeerRequest) { r.Digest[31] ^= 1 })), false},
		"other body":          {setBody(`{"call":2}`), false},
		"longer body":         {setBody(body + " "), false},
		"no body":             {setBody(""), false},
		"other method":        {func(r *http.Request) { r.Method = http.MethodPut }, false},
		"other path":          {func(r *http.Request) { r.URL.Path = "/" }, false},
		"other query":         {func(r *http.Request) { r.URL.RawQuery = "x=2" }, false},
		"a token for clients": {func(r *http.Request) { r.Header.Set(headerPeer, connectionToken(t, p.keys)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			request := signed(t)
			test.change(request)
			status, answer, header := send(t, request)
			if test.served {
				if got := within(t, "the call", to.calls); status != http.StatusOK || got.body != body || header.Get(headerPeer) != served {
					t.Errorf("got %d and call %+v", status, got)
				}
				return
			}
			if status != http.StatusForbidden || answer != "Forbidden\n" || len(header[headerPeer]) != 0 || len(to.calls) != 0 {
				t.Errorf("got %d %s, %v", status, answer, header)
			}
		})
	}
	if log := to.logs.String(); strings.Contains(log, "call") || strings.Contains(log, "evil") {
		t.Errorf("got log %s", log)
	}
}

func connectionToken(t *testing.T, keys *session.KeyRing) string {
	t.Helper()
	token, err := keys.SealConnection(session.ConnectionID{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestBodiesOfPeersAreBounded(t *testing.T) {
	p, replicas := newReplicas(t, 1)
	strict := p.add(t, func(o *Options) { o.Limits.MaxRequestBody = 10 })
	from := replicas[0]
	from.home = strict.Self()
	if response := from.do(t, http.MethodPost, "/mcp", "0123456789", nil); response.StatusCode != http.StatusOK {
		t.Errorf("a body of the limit: got %d", response.StatusCode)
	}
	within(t, "the call", strict.calls)
	from.wantServedHere(t, from.do(t, http.MethodPost, "/mcp", "0123456789a", nil), "refused")
	// The same without saying how long it is.
	request, err := from.request(t.Context(), httptest.NewRequest(http.MethodPost, "/mcp", nil), []byte("0123456789a"), "default/tools", strict.Self())
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = -1
	if status, _, _ := send(t, request); status != http.StatusForbidden || len(strict.calls) != 0 {
		t.Errorf("a body of unknown length: got %d", status)
	}
}

func TestWithoutKeysThePeerPortServesNobody(t *testing.T) {
	p, replicas := newReplicas(t, 2)
	request, err := replicas[0].request(t.Context(), httptest.NewRequest(http.MethodGet, "/mcp", nil), nil, "default/tools", replicas[1].Self())
	if err != nil {
		t.Fatal(err)
	}
	p.keys = nil
	if status, _, _ := send(t, request); status != http.StatusForbidden {
		t.Errorf("got %d", status)
	}
}

func TestOtherRequestsAreOfNoPeer(t *testing.T) {
	if FromPeer(context.Background()) {
		t.Error("a request of nobody is one of a peer")
	}
}
