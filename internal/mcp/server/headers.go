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
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Header names as Go's canonical form has them; MCP writes Mcp-Session-Id and MCP-Protocol-Version.
const (
	headerSessionID       = "Mcp-Session-Id"
	headerProtocolVersion = "Mcp-Protocol-Version"
	headerLastEventID     = "Last-Event-Id"
	headerMethod          = "Mcp-Method"
	headerName            = "Mcp-Name"
)

// What requests of the modern era carry in params._meta.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta
const (
	metaProtocolVersion    = "io.modelcontextprotocol/protocolVersion"
	metaClientInfo         = "io.modelcontextprotocol/clientInfo"
	metaClientCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaLogLevel           = "io.modelcontextprotocol/logLevel"
	metaSubscriptionID     = "io.modelcontextprotocol/subscriptionId"
	metaServerInfo         = "io.modelcontextprotocol/serverInfo"
)

// Methods of the modern era.
const (
	methodDiscover = "server/discover"
	methodListen   = "subscriptions/listen"
)

// supportedVersions are the revisions that clients may speak, newest first.
// https://modelcontextprotocol.io/specification/versioning
var supportedVersions = []string{"2025-11-25", "2025-06-18", "2025-03-26"}

// oldestVersion is what an old server may have agreed on with a client over streamable HTTP, which it does not have.
const oldestVersion = "2024-11-05"

// latestVersion is offered to a client that asks for a revision that the gateway does not have.
const latestVersion = "2025-11-25"

// forwardedHeaders are handed to upstreams besides those that begin with Mcp-. Nothing else is: neither Cookie nor
// Authorization are the upstream's.
var forwardedHeaders = []string{"Traceparent", "Tracestate", "Baggage"}

// upstreamHeader returns the header of a request to a target.
func (s *Server) upstreamHeader(client http.Header, us upstreamSession) http.Header {
	h := make(http.Header, 8)
	for name, values := range client {
		if strings.HasPrefix(name, "Mcp-") || slices.Contains(forwardedHeaders, name) {
			h[name] = values
		}
	}
	s.setOwnHeaders(h, us)
	return h
}

// setOwnHeaders sets what the gateway answers for, in place of anything that the client sent.
func (s *Server) setOwnHeaders(h http.Header, us upstreamSession) {
	h["Accept"] = acceptBoth
	h["Accept-Encoding"] = acceptIdentity
	h["Content-Type"] = contentTypeJSON
	h["User-Agent"] = []string{s.upstream.UserAgent()}
	delete(h, headerSessionID)
	delete(h, headerProtocolVersion)
	if us.id != "" {
		h[headerSessionID] = []string{string(us.id)}
	}
	if us.version != "" {
		h[headerProtocolVersion] = []string{us.version}
	}
}

// checkVersion refuses requests of a revision that the gateway does not speak. No header stands for 2025-03-26.
func checkVersion(h http.Header) *httpError {
	values := h[headerProtocolVersion]
	if len(values) == 0 || len(values) == 1 && isLegacyVersion(values[0]) {
		return nil
	}
	return &httpError{http.StatusBadRequest, jsonrpc.CodeTransport, fmt.Sprintf(
		"Bad Request: Unsupported protocol version (supported versions: %s)", strings.Join(supportedVersions, ", "))}
}

// checkAccept refuses clients that can't take the answers that a server may give.
func checkAccept(h http.Header, types ...string) *httpError {
	for _, t := range types {
		if !accepts(h["Accept"], t) {
			return &httpError{http.StatusNotAcceptable, jsonrpc.CodeTransport,
				"Not Acceptable: the client must accept " + strings.Join(types, " and ")}
		}
	}
	return nil
}

// accepts returns whether a media type is among those of Accept header fields.
func accepts(fields []string, mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, "/")
	for _, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			name = strings.TrimSpace(name)
			if !strings.EqualFold(name, mediaType) && name != "*/*" && !strings.EqualFold(name, kind+"/*") {
				continue
			}
			if q := strings.TrimSpace(parameters); q != "q=0" && q != "q=0.0" {
				return true
			}
		}
	}
	return false
}

// checkContentType refuses bodies that say that they are something else than JSON.
func checkContentType(h http.Header) *httpError {
	field := h.Get("Content-Type")
	if field == "application/json" {
		return nil
	}
	if mediaType, _, err := mime.ParseMediaType(field); err == nil && mediaType == "application/json" {
		return nil
	}
	return &httpError{http.StatusUnsupportedMediaType, jsonrpc.CodeTransport,
		"Unsupported Media Type: Content-Type must be application/json"}
}

// isEventStream and isJSON tell the two kinds of answers apart.
func isEventStream(h http.Header) bool { return mediaType(h) == "text/event-stream" }
func isJSON(h http.Header) bool        { return mediaType(h) == "application/json" }

func mediaType(h http.Header) string {
	name, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(name))
}
