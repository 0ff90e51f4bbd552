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

// Package httproute matches HTTP requests to the rules of HTTPRoutes, with the precedence of the Gateway API
// specification. It knows nothing of Kubernetes.
// https://gateway-api.sigs.k8s.io/reference/spec/#httproute
package httproute

import "time"

// Listener is one HTTP listener of a Gateway with the routes attached to it.
type Listener struct {
	// Name is unique within the Gateway.
	Name string
	// Port to listen on, 1 to 65535. Several listeners may share one port if their hostnames differ.
	Port int32
	// Hostname that requests must have: exact, with a leading wildcard label ("*.example.com"), or empty for any.
	Hostname string
	// Routes attached to the listener, in any order.
	Routes []Route
}

// Route is one HTTPRoute as one listener sees it.
type Route struct {
	// Name is "namespace/name".
	Name string
	// Created breaks ties: the older route wins, then the alphabetically first name.
	Created time.Time
	// Hostnames of the route that overlap with the listener's, as the route has them, because precedence among
	// routes goes by them; empty for any. A request reaches the route only through the listener's hostname, so they
	// need not be narrowed to it.
	Hostnames []string
	// Rules in the order of the HTTPRoute. A rule without matches matches every path.
	Rules []Rule
}

// Rule is one rule of an HTTPRoute.
type Rule struct {
	// Matches: at least one must match. Empty: every request matches, as by the path prefix "/".
	Matches []Match
	// Backends share the requests by weight. None, or a weight of zero altogether: 500.
	Backends []Backend
}

// PathType says how a path is compared.
type PathType string

const (
	// PathExact compares the whole path.
	PathExact PathType = "Exact"
	// PathPrefix compares path elements: "/a" matches "/a" and "/a/b", not "/ab".
	PathPrefix PathType = "PathPrefix"
	// PathRegularExpression matches the whole path by an RE2 expression. The specification leaves its place in the
	// precedence open: here it comes after every exact path and before every prefix.
	PathRegularExpression PathType = "RegularExpression"
)

// Match is a set of conditions that must all be met.
type Match struct {
	// PathType and Path; an empty PathType stands for the prefix "/".
	PathType PathType
	Path     string
	// Headers and QueryParams that the request must have. Of several entries with one name only the first counts.
	Headers     []ValueMatch
	QueryParams []ValueMatch
	// Method that the request must have; empty for any.
	Method string
}

// ValueMatch compares a header or a query parameter. A header that the request has several times is compared as the
// one value that RFC 9110 section 5.3 makes of it, joined by ", "; of a repeated query parameter the first value is
// compared.
type ValueMatch struct {
	// Name of the header (any case) or query parameter (case-sensitive).
	Name string
	// Value to compare with.
	Value string
	// Regexp is whether Value is an RE2 expression that must match the whole value.
	Regexp bool
}

// Backend is where a rule sends requests.
type Backend struct {
	// MCP is the key ("namespace/name") of an MCP Backend. Empty if the reference can't be served.
	MCP string
	// Weight, 0 to MaxWeight.
	Weight int32
	// Invalid says why the reference can't be served, for logs and not for clients: it may name objects of other
	// namespaces. Such requests get 500.
	Invalid string
}
