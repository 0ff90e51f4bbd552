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

package validate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dynamic-mcp/dynamic-mcp/internal/addresses"
)

// metadataNames are the names of cloud metadata services, which hand out the machine's credentials to whoever asks.
var metadataNames = map[string]bool{
	"metadata.google.internal":   true,
	"metadata.goog":              true,
	"instance-data.ec2.internal": true,
}

// loopbackNames resolve to a loopback address by convention; so does everything below localhost (RFC 6761,
// section 6.3).
var loopbackNames = map[string]bool{
	"localhost":             true,
	"localhost.localdomain": true,
	"ip6-localhost":         true,
	"ip6-loopback":          true,
}

// Host checks the host of a static address: a DNS name or an IP address, and none that only the proxy's own machine
// answers on. What a name resolves to is the dialer's to check. The error says what is wrong and what to write instead;
// it is meant to follow the name of the field.
func Host(h string, o Options) error {
	if h == "" {
		return errors.New("must be a DNS name or an IP address")
	}
	if addr, err := netip.ParseAddr(h); err == nil {
		return hostAddress(addr, o)
	}
	if err := hostShape(h, o); err != nil {
		return err
	}
	return hostName(h, o)
}

// hostAddress refuses addresses that are no server's, or that a Backend must not reach.
func hostAddress(addr netip.Addr, o Options) error {
	switch addresses.KindOf(addr) {
	case addresses.Unspecified:
		return errors.New("must not be the unspecified address, which servers listen on but clients can't mean: " +
			"write the address of the MCP server")
	case addresses.Loopback:
		return loopbackError(o)
	case addresses.Metadata:
		return metadataError()
	case addresses.LinkLocal:
		return errors.New("must not be a link-local address, where cloud metadata services answer: " +
			"write a routable address or a DNS name of the MCP server")
	case addresses.Multicast:
		return errors.New("must not be a multicast or broadcast address: write the address of one MCP server")
	}
	if addr.Zone() != "" {
		return errors.New("must not have a zone: write the address without '%' and what follows it")
	}
	return nil
}

// hostShape refuses what is more than a host, and says which field the rest belongs to.
func hostShape(h string, o Options) error {
	if strings.ContainsFunc(h, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("must not contain spaces or control characters: remove them")
	}
	if strings.Contains(h, "://") {
		return hostParts("must be a host only, not a URL", h, o)
	}
	if strings.Contains(h, "/") {
		return hostParts("must be a host only, without a path", "//"+h, o)
	}
	if strings.Contains(h, "@") {
		return hostParts("must be a host only, without user or password", "//"+h, o)
	}
	if strings.HasPrefix(h, "[") {
		if bare, found := strings.CutSuffix(h[1:], "]"); found {
			if err := Host(bare, o); err != nil {
				return fmt.Errorf("must be without brackets; and %q %w", bare, err)
			}
			return fmt.Errorf("must be without brackets: write %q", bare)
		}
	}
	if _, _, err := net.SplitHostPort(h); err == nil {
		return hostParts("must be a host only, without a port", "//"+h, o)
	}
	return nil
}

// hostParts returns an error that says which part of a URL goes to which field. A host that would itself be refused
// is not proposed; its error follows, so that nobody has to correct the field twice.
func hostParts(problem, rawURL string, o Options) error {
	general := fmt.Errorf("%s: write a DNS name or an IP address in host, and the rest of it in port and path", problem)
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || len(rawURL) > maxSuggestion {
		return general
	}
	if err := Host(u.Hostname(), o); err != nil {
		return fmt.Errorf("%s; and %q %w", problem, u.Hostname(), err)
	}
	write := "host: " + u.Hostname()
	if u.Port() != "" {
		write += ", port: " + u.Port()
	}
	if path := u.EscapedPath(); Path(path) == nil && path != "/" {
		write += ", path: " + path
	}
	return fmt.Errorf("%s: write %s", problem, write)
}

// hostName checks a DNS name.
func hostName(h string, o Options) error {
	lower := strings.ToLower(strings.TrimSuffix(h, "."))
	switch {
	case metadataNames[lower]:
		return metadataError()
	case loopbackNames[lower], strings.HasSuffix(lower, ".localhost"):
		if err := loopbackError(o); err != nil {
			return err
		}
	}
	if strings.HasPrefix(h, "*") {
		return errors.New("must be one host, not a wildcard: add one target for each host, or use a selector")
	}
	if !isDNSName(lower) {
		return errors.New("must be a DNS name (letters, digits, '-' and '.', each label at most 63 characters and " +
			"starting and ending with a letter or digit), like mcp.example.com, or an IP address")
	}
	if isNumber(lower[strings.LastIndexByte(lower, '.')+1:]) {
		// No top-level domain is a number, but some resolvers read such names as IPv4 addresses: 127.1, 0x7f000001.
		return errors.New("must be a DNS name or a whole IP address: write four decimal numbers without leading " +
			"zeros, like 192.0.2.10")
	}
	// Names are compared and shown as they are written, in Host headers and TLS server names too.
	if strings.HasSuffix(h, ".") {
		return fmt.Errorf("must not end in a dot: write %q", lower)
	}
	if lower != h {
		return fmt.Errorf("must be lowercase: write %q", lower)
	}
	return nil
}

func isDNSName(name string) bool {
	if len(name) > validation.DNS1123SubdomainMaxLength {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(validation.IsDNS1123Label(label)) > 0 {
			return false
		}
	}
	return true
}

// isNumber is whether a resolver may take label for a part of an IPv4 address: decimal, octal or hexadecimal.
func isNumber(label string) bool {
	digits, hexadecimal := strings.CutPrefix(label, "0x")
	for i := range len(digits) {
		if c := digits[i]; c < '0' || c > '9' && !(hexadecimal && isHex(c)) {
			return false
		}
	}
	return true
}

func loopbackError(o Options) error {
	if o.AllowLoopback {
		return nil
	}
	return errors.New("must not be a loopback address, where the proxy would reach only itself: write an address " +
		"that other machines know the MCP server by (loopback needs proxies on this machine: --proxy-runtime=subprocess)")
}

func metadataError() error {
	return errors.New("must not be a cloud metadata service, which would hand the machine's credentials to MCP " +
		"clients: write the address of an MCP server")
}
