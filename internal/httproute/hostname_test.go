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

import "testing"

func TestCanonicalHost(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"example.com":              "example.com",
		"example.com:8080":         "example.com",
		"EXAMPLE.com.:8080":        "example.com",
		"example.com.":             "example.com",
		"127.0.0.1:80":             "127.0.0.1",
		"[::1]:8080":               "::1",
		"[2001:DB8::1]":            "2001:db8::1",
		"::1":                      "::1",
		"[::1":                     "[::1",
		":80":                      "",
		"\u212Aubernetes.io":       "\u212Aubernetes.io", // The Kelvin sign is no "k".
		"a.b.c.EXAMPLE.COM:443":    "a.b.c.example.com",
		"xn--mnchen-3ya.DE:443":    "xn--mnchen-3ya.de",
		"localhost:notaport":       "localhost",
		"[fe80::1%25eth0]:80":      "fe80::1%25eth0",
		"under_score.Example.com.": "under_score.example.com",
	} {
		if got := CanonicalHost(in); got != want {
			t.Errorf("CanonicalHost(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHostnameMatches(t *testing.T) {
	tests := []struct {
		hostname, host string
		want           bool
	}{
		{"", "anything", true},
		{"", "", true},
		{"a.example.com", "a.example.com", true},
		{"a.example.com", "b.example.com", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "aexample.com", false},
		{"*.example.com", "a.example.com.evil.org", false},
	}
	for _, test := range tests {
		if got := HostnameMatches(test.hostname, test.host); got != test.want {
			t.Errorf("HostnameMatches(%q, %q) = %v, want %v", test.hostname, test.host, got, test.want)
		}
	}
}

func TestIntersectHostnames(t *testing.T) {
	tests := []struct {
		a, b, want string
		ok         bool
	}{
		{"", "", "", true},
		{"", "a.example.com", "a.example.com", true},
		{"a.example.com", "a.example.com", "a.example.com", true},
		{"a.example.com", "b.example.com", "", false},
		{"*.example.com", "a.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", "", false},
		{"*.example.com", "*.b.example.com", "*.b.example.com", true},
		{"*.example.com", "*.example.com", "*.example.com", true},
		{"*.example.com", "*.example.org", "", false},
		{"*.example.com", "*.anexample.com", "", false},
	}
	for _, test := range tests {
		for _, pair := range [][2]string{{test.a, test.b}, {test.b, test.a}} {
			if got, ok := IntersectHostnames(pair[0], pair[1]); got != test.want || ok != test.ok {
				t.Errorf("IntersectHostnames(%q, %q) = %q, %v, want %q, %v", pair[0], pair[1], got, ok, test.want, test.ok)
			}
		}
	}
}

func TestValidateHostname(t *testing.T) {
	for _, hostname := range []string{"", "a", "a.example.com", "*.example.com", "A.Example.com", "*.com", "1.2.3.4"} {
		if err := ValidateHostname(hostname); err != nil {
			t.Errorf("ValidateHostname(%q) = %v", hostname, err)
		}
	}
	for _, hostname := range []string{"*", "*.", "*.*.com", "a.*", "a..b", ".a", "a.", "a:80", "[::1]", "a/b", "é.com"} {
		if err := ValidateHostname(hostname); err == nil {
			t.Errorf("ValidateHostname(%q) = nil, want an error", hostname)
		}
	}
}
