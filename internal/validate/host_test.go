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
	"net"
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestHostAccepts(t *testing.T) {
	for _, host := range []string{
		"mcp", "mcp.example.com", "mcp-1.default.svc.cluster.local", "1password.com", "x.0xyz", "localhost.example.com",
		"10.0.0.1", "192.0.2.10", "2001:db8::1", "::ffff:192.0.2.10", "64:ff9b::192.0.2.10",
		strings.Repeat("a", 63) + ".example.com",
	} {
		NewWithT(t).Expect(Host(host, Options{})).To(Succeed(), host)
	}
}

func TestHostRefusesWhatIsMoreThanAHost(t *testing.T) {
	const elsewhere = "write a DNS name or an IP address in host, and the rest of it in port and path"
	const name = "must be a DNS name (letters, digits, '-' and '.', each label at most 63 characters and starting and " +
		"ending with a letter or digit), like mcp.example.com, or an IP address"
	const spaces = "must not contain spaces or control characters: remove them"
	for host, want := range map[string]string{
		"":                       "must be a DNS name or an IP address",
		"http://x:80":            "must be a host only, not a URL: write host: x, port: 80",
		"https://x.example/a/b":  "must be a host only, not a URL: write host: x.example, path: /a/b",
		"http://x/":              "must be a host only, not a URL: write host: x",
		"http://[2001:db8::1]:8": "must be a host only, not a URL: write host: 2001:db8::1, port: 8",
		"http://":                "must be a host only, not a URL: " + elsewhere,
		"http://x:port":          "must be a host only, not a URL: " + elsewhere,
		"x:80":                   "must be a host only, without a port: write host: x, port: 80",
		"[2001:db8::1]:80":       "must be a host only, without a port: write host: 2001:db8::1, port: 80",
		":80":                    "must be a host only, without a port: " + elsewhere,
		"x/mcp":                  "must be a host only, without a path: write host: x, path: /mcp",
		"x:80/mcp":               "must be a host only, without a path: write host: x, port: 80, path: /mcp",
		"10.0.0.0/8":             "must be a host only, without a path: write host: 10.0.0.0, path: /8",
		"me@x":                   "must be a host only, without user or password: write host: x",
		"[2001:db8::1]":          `must be without brackets: write "2001:db8::1"`,
		"[MCP]":                  `must be without brackets; and "MCP" must be lowercase: write "mcp"`,
		"http://my_server:80":    `must be a host only, not a URL; and "my_server" ` + name,
		"[::1]:80": `must be a host only, without a port; and "::1" must not be a loopback address, where the proxy ` +
			"would reach only itself: write an address that other machines know the MCP server by (loopback needs " +
			"proxies on this machine: --proxy-runtime=subprocess)",
		"[2001:db8::1":                       name,
		"2001:db8::g":                        name,
		"a b":                                spaces,
		"x\t":                                spaces,
		"x\x00":                              spaces,
		"*.example.com":                      "must be one host, not a wildcard: add one target for each host, or use a selector",
		"my_server":                          name,
		"-x":                                 name,
		"a..b":                               name,
		".":                                  name,
		"exämple.com":                        name,
		strings.Repeat("a", 64):              name,
		"MCP.example.com":                    `must be lowercase: write "mcp.example.com"`,
		"mcp.example.com.":                   `must not end in a dot: write "mcp.example.com"`,
		"http://" + strings.Repeat("a", 200): "must be a host only, not a URL: " + elsewhere,
	} {
		NewWithT(t).Expect(Host(host, Options{})).To(MatchError(want), "%q", host)
	}
}

func TestHostRefusesAddressesThatAreNoServers(t *testing.T) {
	for problem, hosts := range map[string][]string{
		"unspecified": {"0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::"},
		"loopback": {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "::1%lo",
			"localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "ip6-loopback"},
		"link-local": {"169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1",
			"fe80::1%eth0", "febf::1"},
		"metadata": {"fd00:ec2::254", "fd00:ec2::254%eth0", "fd20:ce::254", "100.100.100.200", "metadata.google.internal",
			"Metadata.Google.Internal.", "instance-data.ec2.internal"},
		"multicast":            {"224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:239.0.0.1"},
		"zone":                 {"2001:db8::1%eth0"},
		"four decimal numbers": {"127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "10.0.0.256", "1.2.3.4.5", "x.1"},
	} {
		for _, host := range hosts {
			NewWithT(t).Expect(Host(host, Options{})).To(MatchError(ContainSubstring(problem)), host)
		}
	}
}

func TestHostAllowsLoopbackAlone(t *testing.T) {
	allow := Options{AllowLoopback: true}
	for _, host := range []string{"127.0.0.1", "::1", "localhost", "a.localhost", "::ffff:127.0.0.1"} {
		NewWithT(t).Expect(Host(host, allow)).To(Succeed(), host)
	}
	for _, host := range []string{"0.0.0.0", "169.254.169.254", "metadata.google.internal", "localhost:80", "127.1", "Localhost"} {
		NewWithT(t).Expect(Host(host, allow)).NotTo(Succeed(), host)
	}
}

// FuzzHost checks that it ends, that errors fit into a status message, and that what is accepted is a host in a URL.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"", "x", "::1", "[::1]:80", "http://x:80/y", "a@b", "x.localhost", "0x7f.1", "fe80::1%25"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if err := Host(host, Options{}); err != nil {
			if len(err.Error()) > 1024 {
				t.Fatalf("long error: %v", err)
			}
			return
		}
		u, err := url.Parse("http://" + net.JoinHostPort(host, "80"))
		if err != nil || u.Hostname() != host {
			t.Fatalf("%q: %v, %v", host, u, err)
		}
	})
}
