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
	"net/url"
	"strings"
)

// A request's path can be read in two ways. An MCP server, or whatever stands before it, may take "%2F" for a part of
// a name or for a slash, may resolve "/a/../b" or not, and may merge "//" or not. Were only one reading matched, a
// request like "/public%2F..%2Fadmin" could reach, under the rule for "/public", what the rule for "/admin" guards.
// So paths are compared in both readings:
//
//   - literal: escapes are decoded (RFC 3986 section 6.2.2.2 makes most of them equivalent), except "%2F" and
//     "%25", which are kept, in upper case;
//   - resolved: "%2F" and "\" are slashes too, empty and "." elements are dropped, ".." drops the element before.
//
// Nearly all requests have the same path in both readings. A request whose readings lead to different rules matches
// none: it is answered with 404, like a path that no rule has.

// pathReadings returns both readings of the request's path. They are the same, without any allocation, unless the
// path has something in it that can be read in two ways.
func pathReadings(u *url.URL) (literal, resolved string) {
	literal = u.Path
	if literal == "" {
		// An empty path and "/" are the same: RFC 9110 section 4.2.3.
		return "/", "/"
	}
	if u.RawPath != "" || strings.IndexByte(literal, '%') >= 0 {
		literal = decodeLiteral(u.EscapedPath())
	}
	if !ambiguous(literal) {
		return literal, literal
	}
	return literal, resolve(literal)
}

// ambiguous returns whether a literal path could differ from its resolved reading. It may err on the side of true.
func ambiguous(literal string) bool {
	for i := range len(literal) {
		switch literal[i] {
		case '%', '\\':
			return true
		case '/':
			rest := literal[i+1:]
			if strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "..") || strings.HasPrefix(rest, "./") || rest == "." {
				return true
			}
		}
	}
	return false
}

// decodeLiteral decodes all escapes but "%2F" and "%25". What is not a valid escape stays as it is, with its percent
// sign escaped, so that every percent sign in the result begins one of the two.
func decodeLiteral(escaped string) string {
	var decoded strings.Builder
	decoded.Grow(len(escaped))
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' {
			decoded.WriteByte(escaped[i])
			continue
		}
		value, ok := unescape(escaped[i:])
		switch {
		case !ok:
			decoded.WriteString("%25")
			continue
		case value == '/':
			decoded.WriteString("%2F")
		case value == '%':
			decoded.WriteString("%25")
		default:
			decoded.WriteByte(value)
		}
		i += 2
	}
	return decoded.String()
}

// unescape returns the byte that the escape at the beginning of s stands for.
func unescape(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	high, low := unhex(s[1]), unhex(s[2])
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high<<4 | low), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// slashes turns everything that may be taken for a slash into one.
var slashes = strings.NewReplacer("%2F", "/", `\`, "/")

// resolve returns the resolved reading of a literal path. Like the algorithm of RFC 3986 section 5.2.4 it keeps a
// trailing slash, because an exact path with and without one are two different paths.
func resolve(literal string) string {
	elements := strings.Split(strings.TrimPrefix(slashes.Replace(literal), "/"), "/")
	kept := elements[:0]
	last := ""
	for _, element := range elements {
		last = element
		switch element {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, element)
		}
	}
	resolved := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && (last == "" || last == "." || last == "..") {
		resolved += "/"
	}
	return resolved
}

// compilePath returns the literal reading of the path of a rule, or why no request could ever match it. The API's
// schema says the same, except that it doesn't look behind escapes.
func compilePath(value string) (string, error) {
	if !strings.HasPrefix(value, "/") {
		return "", fmt.Errorf("path %q must start with '/'", value)
	}
	if strings.ContainsAny(value, "?#") {
		return "", fmt.Errorf("path %q must not contain '?' or '#'", value)
	}
	if _, err := url.PathUnescape(value); err != nil {
		return "", fmt.Errorf("path %q: %w", value, err)
	}
	literal := decodeLiteral(value)
	if strings.Contains(literal, "%2F") || strings.ContainsRune(literal, '\\') {
		return "", fmt.Errorf("path %q must not contain an escaped slash or a backslash", value)
	}
	if resolve(literal) != literal {
		return "", fmt.Errorf("path %q must not contain \"//\", \"/./\" or \"/../\"", value)
	}
	return literal, nil
}

// prefixOf returns the prefix as it is looked up: without trailing slash, which the specification ignores; "/" is
// then empty and a prefix of every path.
func prefixOf(literal string) string { return strings.TrimSuffix(literal, "/") }
