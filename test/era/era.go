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

// Package era keeps MCP clients of tests to the revisions with sessions. The Go SDK's client tries revision 2026-07-28
// first, and falls back where a server has never heard of it.
package era

import (
	"io"
	"net/http"
	"strings"
)

// modernRevision is the one without sessions.
const modernRevision = "2026-07-28"

// LegacyOnly returns a transport to servers that seem never to have heard of revision 2026-07-28.
func LegacyOnly(next http.RoundTripper) http.RoundTripper { return legacyOnly{next} }

type legacyOnly struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l legacyOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Mcp-Protocol-Version") != modernRevision {
		return l.next.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return &http.Response{
		Status: "400 Bad Request", StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader("Unsupported protocol version")),
		Request: r,
	}, nil
}
