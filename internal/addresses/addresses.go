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

// Package addresses tells the IP addresses that an MCP server may have from those that a proxy must not be led to. The
// control plane judges what is written, the data plane what names resolve to; both by this.
package addresses

import "net/netip"

// Kind is what an address is, as far as it matters here.
type Kind int

const (
	// Ordinary addresses are those that a server may have.
	Ordinary Kind = iota
	// Unspecified is 0.0.0.0 or ::, which connects to the machine itself.
	Unspecified
	// Loopback is the machine itself.
	Loopback
	// Metadata is a cloud's metadata service, which hands out the machine's credentials to whoever asks.
	Metadata
	// LinkLocal addresses are where most metadata services are.
	LinkLocal
	// Multicast is no single server; broadcast counts as well.
	Multicast
)

// metadata are the addresses of cloud metadata services that are not link-local.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("fd00:ec2::254"):   true, // AWS
	netip.MustParseAddr("fd20:ce::254"):    true, // Google Cloud
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba Cloud
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle Cloud
	netip.MustParseAddr("168.63.129.16"):   true, // Azure
}

// embedding are prefixes of IPv6 addresses whose last four bytes are an IPv4 address that may be where packets go in
// the end.
var embedding = []netip.Prefix{
	netip.MustParsePrefix("::/96"),        // IPv4-compatible (RFC 4291, section 2.5.5.1)
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64 (RFC 6052, section 2.1)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// KindOf returns what an address is. An IPv6 address that stands for an IPv4 address is what that is; a zone does not
// matter.
func KindOf(addr netip.Addr) Kind {
	addr = addr.WithZone("").Unmap()
	if addr.Is6() && !addr.IsUnspecified() && !addr.IsLoopback() {
		for _, prefix := range embedding {
			if bytes := addr.As16(); prefix.Contains(addr) {
				addr = netip.AddrFrom4([4]byte(bytes[12:]))
			}
		}
	}
	switch {
	case addr.IsUnspecified():
		return Unspecified
	case addr.IsLoopback():
		return Loopback
	case metadata[addr]:
		return Metadata
	case addr.IsLinkLocalUnicast():
		return LinkLocal
	case addr.IsMulticast(), addr == broadcast:
		return Multicast
	default:
		return Ordinary
	}
}
