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
	"net/url"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// MaxPathLength is the longest path of an MCP endpoint, in bytes. A Backend's status can't hold a longer one.
const MaxPathLength = 1024

// maxSuggestion bounds what an error proposes to write instead, because errors end up in bounded status messages.
const maxSuggestion = 128

// Path checks the path of an MCP endpoint: an absolute path as RFC 3986, section 3.3, has it in a URL. The error says
// what is wrong and what to write instead; it is meant to follow the name of the field or annotation.
func Path(p string) error {
	if p == "" {
		return fmt.Errorf("must be an absolute path, like %q", v1alpha1.DefaultPathStreamableHTTP)
	}
	if len(p) > MaxPathLength {
		return fmt.Errorf("must be at most %d bytes long, but has %d", MaxPathLength, len(p))
	}
	problem, meant := moreThanPath(p)
	if problem == "" {
		if err := pathBytes(p); err != nil {
			return err
		}
		if problem, meant = pathStart(p); problem == "" {
			return nil
		}
	}
	if !canPropose(meant) {
		return fmt.Errorf("%s: write an absolute path, like %q", problem, v1alpha1.DefaultPathStreamableHTTP)
	}
	return fmt.Errorf("%s: write %q", problem, meant)
}

// canPropose is whether an error may say that p is to be written. What is proposed must not be refused in turn.
func canPropose(p string) bool {
	more, _ := moreThanPath(p)
	start, _ := pathStart(p)
	return more == "" && start == "" && pathBytes(p) == nil && p != "/" && len(p) <= maxSuggestion
}

// moreThanPath returns which other part of a URL p has, and its path; "" if it has none.
func moreThanPath(p string) (problem, path string) {
	if u, err := url.Parse(p); strings.Contains(p, "://") && (err != nil || u.Scheme != "") {
		if err != nil {
			return "must be only the path, not a whole URL", ""
		}
		return "must be only the path, not a whole URL", u.EscapedPath()
	}
	if before, _, found := strings.Cut(p, "?"); found {
		return "must not have a query (encode a '?' that is part of the path as %3F)", before
	}
	if before, _, found := strings.Cut(p, "#"); found {
		return "must not have a fragment (encode a '#' that is part of the path as %23)", before
	}
	return "", ""
}

// pathStart returns why p is no absolute path, and the path that was probably meant; "" if it is one.
func pathStart(p string) (problem, meant string) {
	if strings.HasPrefix(p, "//") {
		// A URL would read what follows as a host name.
		return "must start with one '/' only", "/" + strings.TrimLeft(p, "/")
	}
	if !strings.HasPrefix(p, "/") {
		return "must start with '/'", "/" + strings.TrimPrefix(p, "./")
	}
	return "", ""
}

// pathBytes checks that every byte may stand in a URL's path.
func pathBytes(p string) error {
	for i := range len(p) {
		switch c := p[i]; {
		case c == '%':
			if len(p) < i+3 || !isHex(p[i+1]) || !isHex(p[i+2]) {
				return errors.New("has a '%' that is not followed by two hexadecimal digits: write %25 for a '%' itself")
			}
		case c == ' ':
			return errors.New("must not contain spaces: remove them, or write %20 for a space that is part of the path")
		case c < ' ' || c == 0x7f:
			return fmt.Errorf("must not contain control characters, but has %q: remove it", c)
		case c >= 0x80:
			return errors.New("must contain ASCII characters only: percent-encode the others, like %C3%A9 for é")
		case !isPathByte(c):
			return fmt.Errorf("must not contain %q: write %%%02X if it is part of the path", c, c)
		}
	}
	return nil
}

// isPathByte is whether c is '/' or a pchar of RFC 3986 that needs no encoding.
func isPathByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isHex(c byte) bool {
	return 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' || '0' <= c && c <= '9'
}
