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

package httproute

import (
	"fmt"
	"strings"
)

// wildcardPrefix begins a hostname whose first label is a wildcard. It stands for one or more labels.
const wildcardPrefix = "*."

// maxHost is the length of the longest DNS name. A longer Host header names nothing that a hostname could match, and
// is not looked up: its dots alone could otherwise cost a request a lot of work.
const maxHost = 253

// ValidateHostname returns why a hostname can't be compiled, or nil. Empty means any and is fine. The API's schema is
// stricter; this is what the table depends on.
func ValidateHostname(hostname string) error {
	if hostname == "" {
		return nil
	}
	if len(hostname) > maxHost {
		return fmt.Errorf("hostname %.32q… is longer than %d characters", hostname, maxHost)
	}
	labels := strings.TrimPrefix(hostname, wildcardPrefix)
	for label := range strings.SplitSeq(labels, ".") {
		if label == "" || strings.ContainsFunc(label, notInLabel) {
			return fmt.Errorf("hostname %q is not a DNS name, with or without a first label \"*\"", hostname)
		}
	}
	return nil
}

func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// HostnameMatches returns whether a hostname of a listener or route (exact, with a leading wildcard label, or empty
// for any) matches a host: a name in lower case, without port and trailing dot. "*.example.com" matches
// "a.example.com" and "a.b.example.com", but not "example.com".
func HostnameMatches(hostname, host string) bool {
	if hostname == "" {
		return true
	}
	if suffix, ok := wildcardSuffix(hostname); ok {
		return len(host) > len(suffix) && len(host) <= maxHost && strings.HasSuffix(host, suffix)
	}
	return hostname == host
}

// IntersectHostnames returns the hostname that matches what both of the two match, and whether there is one.
func IntersectHostnames(a, b string) (string, bool) {
	switch {
	case a == "":
		return b, true
	case b == "", a == b:
		return a, true
	}
	suffixA, wildcardA := wildcardSuffix(a)
	suffixB, wildcardB := wildcardSuffix(b)
	switch {
	case wildcardA && wildcardB && strings.HasSuffix(suffixB, suffixA), wildcardA && !wildcardB && HostnameMatches(a, b):
		return b, true
	case wildcardA && wildcardB && strings.HasSuffix(suffixA, suffixB), wildcardB && !wildcardA && HostnameMatches(b, a):
		return a, true
	}
	return "", false
}

// wildcardSuffix returns what follows the wildcard of a hostname, with its dot: ".example.com".
func wildcardSuffix(hostname string) (string, bool) {
	if !strings.HasPrefix(hostname, wildcardPrefix) {
		return "", false
	}
	return hostname[1:], true
}

// CanonicalHost returns the host of a Host header (or of a URL's authority) as hostnames are compared with it:
// without port, brackets and trailing dot, in lower case. It allocates only if there are upper-case letters.
func CanonicalHost(hostport string) string {
	host := hostport
	if strings.HasPrefix(host, "[") {
		// An IPv6 literal; what follows the bracket can only be the port.
		if end := strings.IndexByte(host, ']'); end >= 0 {
			host = host[1:end]
		}
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 && strings.IndexByte(host[colon+1:], ':') < 0 {
		host = host[:colon]
	}
	return lowerASCII(strings.TrimSuffix(host, "."))
}

// lowerASCII maps A to Z only: Unicode's mapping would turn the Kelvin sign into a "k" and so let one name pass for
// another.
func lowerASCII(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			lowered := []byte(s)
			for j := i; j < len(lowered); j++ {
				if lowered[j] >= 'A' && lowered[j] <= 'Z' {
					lowered[j] += 'a' - 'A'
				}
			}
			return string(lowered)
		}
	}
	return s
}
