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
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestPathAccepts(t *testing.T) {
	for _, path := range []string{
		"/", "/mcp", "/mcp/", "/a/b//c", "/v1.2/~user/a-b_c", "/tenants/a:b@c", "/%20%C3%A9", "/a;v=1,2/(x)!$&'*+",
		"/" + strings.Repeat("a", MaxPathLength-1),
	} {
		NewWithT(t).Expect(Path(path)).To(Succeed(), "%q", path)
	}
}

func TestPathRefuses(t *testing.T) {
	for path, want := range map[string]string{
		"":                                       `must be an absolute path, like "/mcp"`,
		"mcp":                                    `must start with '/': write "/mcp"`,
		"./mcp":                                  `must start with '/': write "/mcp"`,
		"//mcp":                                  `must start with one '/' only: write "/mcp"`,
		"//":                                     `must start with one '/' only: write an absolute path, like "/mcp"`,
		"http://x:80/mcp":                        `must be only the path, not a whole URL: write "/mcp"`,
		"http://x:80/a?b=c":                      `must be only the path, not a whole URL: write "/a"`,
		"http://x":                               `must be only the path, not a whole URL: write an absolute path, like "/mcp"`,
		"http://x:y z/":                          `must be only the path, not a whole URL: write an absolute path, like "/mcp"`,
		"/mcp?a=b":                               `must not have a query (encode a '?' that is part of the path as %3F): write "/mcp"`,
		"?a=b":                                   `must not have a query (encode a '?' that is part of the path as %3F): write an absolute path, like "/mcp"`,
		"/mcp#top":                               `must not have a fragment (encode a '#' that is part of the path as %23): write "/mcp"`,
		"/my mcp":                                "must not contain spaces: remove them, or write %20 for a space that is part of the path",
		" /mcp":                                  "must not contain spaces: remove them, or write %20 for a space that is part of the path",
		"/mcp\n":                                 `must not contain control characters, but has '\n': remove it`,
		"/mcp\x7f":                               `must not contain control characters, but has '\x7f': remove it`,
		"/café":                                  "must contain ASCII characters only: percent-encode the others, like %C3%A9 for é",
		"/\xff":                                  "must contain ASCII characters only: percent-encode the others, like %C3%A9 for é",
		"/100%":                                  "has a '%' that is not followed by two hexadecimal digits: write %25 for a '%' itself",
		"/%zz":                                   "has a '%' that is not followed by two hexadecimal digits: write %25 for a '%' itself",
		"/%4":                                    "has a '%' that is not followed by two hexadecimal digits: write %25 for a '%' itself",
		"/{tenant}":                              "must not contain '{': write %7B if it is part of the path",
		`\mcp`:                                   `must not contain '\\': write %5C if it is part of the path`,
		"/" + strings.Repeat("a", MaxPathLength): "must be at most 1024 bytes long, but has 1025",
		strings.Repeat("a", 200):                 `must start with '/': write an absolute path, like "/mcp"`,
	} {
		NewWithT(t).Expect(Path(path)).To(MatchError(want), "%q", path)
	}
}

// FuzzPath checks that what is accepted goes through a URL unchanged, and that errors fit into a status message.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"", "/mcp", "//h/mcp", "http://h/mcp", "/%2F", "/%", "/é", "mcp?x"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if err := Path(path); err != nil {
			if len(err.Error()) > 512 {
				t.Fatalf("long error: %v", err)
			}
			return
		}
		u, err := url.Parse("http://h" + path + "?q#f")
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		if got := u.EscapedPath(); got != path || u.Host != "h" {
			t.Fatalf("%q became %q on host %q", path, got, u.Host)
		}
	})
}
