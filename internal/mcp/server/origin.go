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
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Site says what the Gateway itself is called.
type Site struct {
	// Names returns whether a hostname (lower case, without port) is one of the Gateway's listeners or routes: pages
	// from there may talk to it, and requests to a loopback listener may name it. Nil stands for none.
	Names func(hostname string) bool
}

func (s Site) has(host string) bool {
	return isLoopbackName(host) || (s.Names != nil && s.Names(host))
}

// checkHost refuses requests to a loopback listener that name another host: a page of the web whose name was made to
// resolve to the loopback address would send such (DNS rebinding).
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning
func checkHost(r *http.Request, site Site) *httpError {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return nil
	}
	if address, err := netip.ParseAddrPort(local.String()); err == nil && !address.Addr().Unmap().IsLoopback() {
		return nil
	}
	if site.has(hostname(r.Host)) {
		return nil
	}
	return &httpError{http.StatusForbidden, jsonrpc.CodeTransport,
		"Forbidden: the Host header names neither this machine nor a hostname of the listener or route"}
}

// checkOrigin refuses requests of browsers' pages that are not known. Requests without Origin come from programs
// other than browsers.
func (s *Server) checkOrigin(r *http.Request, site Site) *httpError {
	origins, present := r.Header["Origin"]
	if !present {
		return nil
	}
	if len(origins) == 1 && s.originAllowed(origins[0], site) {
		return nil
	}
	return &httpError{http.StatusForbidden, jsonrpc.CodeTransport, "Forbidden: Origin is not allowed"}
}

func (s *Server) originAllowed(origin string, site Site) bool {
	if slices.Contains(s.allowedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return false
	}
	return site.has(hostname(u.Host))
}

// allowOrigin sets the headers that let a page read the answer.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate")
}

// preflight answers the question of a browser whether a page may send a request.
// https://fetch.spec.whatwg.org/#cors-preflight-request
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	headers := r.Header.Get("Access-Control-Request-Headers")
	if headers == "" {
		headers = "Content-Type, Accept, Mcp-Session-Id, MCP-Protocol-Version, Last-Event-ID"
	}
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", "7200")
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}

// hostname takes the port and the brackets off a host, and folds its case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func isLoopbackName(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
