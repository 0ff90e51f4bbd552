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

package addresses

import (
	"net/netip"
	"testing"
)

func TestKindOf(t *testing.T) {
	for text, want := range map[string]Kind{
		"10.0.0.1":              Ordinary,
		"2001:db8::1":           Ordinary,
		"0.0.0.0":               Unspecified,
		"::":                    Unspecified,
		"127.0.0.1":             Loopback,
		"127.255.0.1":           Loopback,
		"::1":                   Loopback,
		"::ffff:127.0.0.1":      Loopback,
		"::127.0.0.1":           Loopback,
		"64:ff9b::7f00:1":       Loopback,
		"169.254.169.254":       LinkLocal,
		"::ffff:169.254.1.1":    LinkLocal,
		"64:ff9b::169.254.1.1":  LinkLocal,
		"fe80::1":               LinkLocal,
		"fe80::1%eth0":          LinkLocal,
		"fd00:ec2::254":         Metadata,
		"100.100.100.200":       Metadata,
		"::ffff:168.63.129.16":  Metadata,
		"224.0.0.1":             Multicast,
		"ff02::1":               Multicast,
		"255.255.255.255":       Multicast,
		"64:ff9b::10.0.0.1":     Ordinary,
		"fd00::1":               Ordinary,
		"192.168.1.1":           Ordinary,
		"::ffff:192.168.1.1":    Ordinary,
		"64:ff9b::100.64.0.200": Ordinary,
	} {
		if got := KindOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}
