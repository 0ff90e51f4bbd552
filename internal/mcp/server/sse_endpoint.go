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
	"errors"
	"net/url"
	"strings"
)

// maxSSEEndpoint bounds the URL to which a server wants messages to be posted.
const maxSSEEndpoint = 8 << 10

var (
	errEndpointUnreadable = errors.New("the endpoint that it sent for messages is no URL")
	errEndpointTooLong    = errors.New("the endpoint that it sent for messages is too long")
	errEndpointElsewhere  = errors.New(
		"the endpoint that it sent for messages is of another origin than its event stream; scheme, host and port must be the same")
)

// ssePath returns the path and query to which messages are posted, from what a server's endpoint event says: a URI reference,
// relative to the URL of the stream. One of another origin is refused, or the server could send the gateway's requests
// anywhere. What is dialled never depends on it.
func ssePath(stream *url.URL, endpoint string) (string, error) {
	if len(endpoint) > maxSSEEndpoint {
		return "", errEndpointTooLong
	}
	reference, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil || reference.Opaque != "" {
		return "", errEndpointUnreadable
	}
	resolved := stream.ResolveReference(reference)
	if !sameOrigin(resolved, stream) {
		return "", errEndpointElsewhere
	}
	return resolved.RequestURI(), nil
}

// sameOrigin returns whether two URLs have the same scheme, host and port.
// https://www.rfc-editor.org/rfc/rfc6454#section-5
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

// portOf returns a URL's port, or that of its scheme.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	default:
		return "80"
	}
}
