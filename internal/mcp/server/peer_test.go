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
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A peer has checked Host and Origin by the routes of the port that the client came by.
func TestRequestsOfPeersAreServedFromTheNewestSnapshot(t *testing.T) {
	g := newGateway(t, nil)
	serve := func(key string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(initializeBody))
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "https://route.example.org")
		r.Host = "route.example.org"
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})))
		w := httptest.NewRecorder()
		g.mcp.ServePeer(w, r, key)
		return w
	}
	w := serve(testKey)
	if w.Code != http.StatusOK || w.Header().Get("Mcp-Session-Id") == "" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "https://route.example.org" {
		t.Errorf("Access-Control-Allow-Origin is %q", got)
	}
	if w := serve("default/other"); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "no such Backend") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	g.mcp.Update(nil)
	if w := serve(testKey); w.Code != http.StatusInternalServerError {
		t.Errorf("a Backend that is gone: got %d %s", w.Code, w.Body)
	}
}
