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
	"regexp"
	"testing"

	. "github.com/onsi/gomega"
)

func TestOrigins(t *testing.T) {
	for text, want := range map[string]string{
		"https://inspector.example.com":       "",
		"http://localhost:6274":               "",
		"http://192.0.2.1:3000":               "",
		"http://[2001:db8::1]":                "",
		"https://xn--bcher-kva.example:8443":  "",
		"http://inspector.example.com:443":    "",
		"":                                    "must be an absolute URI",
		"*":                                   "must be one origin",
		"null":                                "must be an absolute URI",
		"inspector.example.com":               "must be an absolute URI",
		"//inspector.example.com":             "must be an absolute URI",
		"inspector.example.com:443":           "must be an absolute URI",
		"https:inspector.example.com":         "must be an absolute URI",
		"https://":                            "must be an absolute URI",
		"https://:443":                        "must be an absolute URI",
		"https://a b":                         "must be an absolute URI",
		"chrome-extension://abcdefgh":         "must have the scheme http or https",
		"https://*.example.com":               `"*.example.com" is no host`,
		"https://under_score.example.com":     `"under_score.example.com" is no host`,
		"https://inspector.example.com:0":     `"0" is no port`,
		"https://inspector.example.com:65536": `"65536" is no port`,
		"https://inspector.example.com/":      `write "https://inspector.example.com"`,
		"https://inspector.example.com/a?b#c": `write "https://inspector.example.com"`,
		"HTTPS://Inspector.Example.com":       `write "https://inspector.example.com"`,
		"https://me@inspector.example.com":    `write "https://inspector.example.com"`,
		"https://inspector.example.com:443":   `write "https://inspector.example.com"`,
		"http://[2001:DB8::1]:80":             `write "http://[2001:db8::1]"`,
		"https://inspector.example.com:":      `write "https://inspector.example.com"`,
		"https://inspector.example.com?":      `write "https://inspector.example.com"`,
	} {
		t.Run(text, func(t *testing.T) {
			err := Origin(text)
			if want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(want)))
		})
	}
}

var suggestion = regexp.MustCompile(`write "(.*)"$`)

// FuzzOrigin holds that what is suggested is accepted.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://a.example.com:443/", "http://[::1%25lo]:80", "HTTP://user:secret@B:80?c", "https://a:b:443"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := Origin(text)
		if err == nil {
			return
		}
		if found := suggestion.FindStringSubmatch(err.Error()); found != nil && Origin(found[1]) != nil {
			t.Errorf("%q: suggests %q, which is refused: %v", text, found[1], Origin(found[1]))
		}
	})
}
