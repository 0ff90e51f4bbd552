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

package upstream

import (
	"net/http"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Whatever the path says, it is asked of the target's endpoint.
func TestPathOfARequestTakesThePlaceOfTheTargets(t *testing.T) {
	var uri, host string
	_, address := newServer(t, func(_ http.ResponseWriter, r *http.Request) { uri, host = r.RequestURI, r.Host })
	c := newClient(t)
	target := compile(t, c, testTarget(address))
	for _, test := range []struct{ path, want string }{
		{"", "/secret-path/mcp"},
		{"/messages?sessionId=1&x=%26", "/messages?sessionId=1&x=%26"},
		{"/a%2Fb/%20", "/a%2Fb/%20"},
		{"//other.example.com/x", "//other.example.com/x"},
		{"/x?", "/x?"},
	} {
		uri, host = "", ""
		_, endpoint, err := post(t.Context(), t, c, target, &Request{Path: test.path})
		if err != nil || endpoint != address || uri != test.want || host != "tools.default.svc.cluster.local" {
			t.Errorf("%q: got %v from %s, asked for %s of %s", test.path, err, endpoint, uri, host)
		}
	}
	for _, path := range []string{"messages", "http://other.example.com/x", "/%zz", "/a b\x7f"} {
		uri = ""
		if _, _, err := post(t.Context(), t, c, target, &Request{Path: path}); err == nil || uri != "" {
			t.Errorf("%q: got %v, asked for %s", path, err, uri)
		}
	}
}

func TestURLIsTheServersOwn(t *testing.T) {
	c := newClient(t)
	for want, target := range map[string]*config.Target{
		"http://tools.default.svc.cluster.local/secret-path/mcp": testTarget("127.0.0.1:1"),
		"http://[fd00::1]/mcp?x=1":                               {Host: "fd00::1", Port: 80, Path: "/mcp?x=1"},
		"http://[fd00::1]:8080/mcp":                              {Host: "fd00::1", Port: 8080, Path: "/mcp"},
		"https://a.example.com/a%2Fb":                            {Host: "a.example.com", Port: 443, Path: "/a%2Fb", TLS: &config.TLS{ServerName: "b"}},
		"https://a.example.com:80/":                              {Host: "a.example.com", Port: 80, Path: "/", TLS: &config.TLS{ServerName: "b"}},
	} {
		if got := compile(t, c, target).URL().String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
