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
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// entry is one compiled Match of one rule. Its path is what it is found by, except for a regular expression.
type entry struct {
	// pathRegexp is nil unless the path is a regular expression.
	pathRegexp *regexp.Regexp
	method     string
	headers    []valueMatch
	query      []valueMatch

	matched Matched
	// created and position break ties: the older route, the name, the first rule, the first match.
	created  time.Time
	position int
}

// valueMatch is a compiled ValueMatch.
type valueMatch struct {
	name   string
	value  string
	regexp *regexp.Regexp
}

// Validate returns everything that keeps the match from being compiled, or nil.
func (m *Match) Validate() error {
	_, _, err := m.compile()
	return err
}

// compile returns the entry for the match and the path that it is found by.
func (m *Match) compile() (*entry, string, error) {
	var errs []error
	compiled := &entry{method: m.Method}
	path := "/"
	var err error
	switch m.PathType {
	case "":
	case PathExact, PathPrefix:
		path, err = compilePath(m.Path)
	case PathRegularExpression:
		if compiled.pathRegexp, err = compileRegexp(m.Path); err != nil {
			err = fmt.Errorf("path: %w", err)
		}
	default:
		err = fmt.Errorf("path type %q is unknown", m.PathType)
	}
	errs = append(errs, err)
	compiled.headers, err = compileValues("header", m.Headers, textproto.CanonicalMIMEHeaderKey)
	errs = append(errs, err)
	compiled.query, err = compileValues("query parameter", m.QueryParams, func(name string) string { return name })
	errs = append(errs, err)
	return compiled, path, errors.Join(errs...)
}

// compileValues compiles the matches of one kind. Of entries with equivalent names only the first is considered, as
// the specification says.
func compileValues(kind string, matches []ValueMatch, canonical func(string) string) ([]valueMatch, error) {
	var errs []error
	compiled := make([]valueMatch, 0, len(matches))
	seen := make(map[string]bool, len(matches))
	for i := range matches {
		value := valueMatch{name: canonical(matches[i].Name), value: matches[i].Value}
		if seen[value.name] {
			continue
		}
		seen[value.name] = true
		if value.name == "" {
			errs = append(errs, fmt.Errorf("%s without a name", kind))
		}
		if matches[i].Regexp {
			var err error
			if value.regexp, err = compileRegexp(matches[i].Value); err != nil {
				errs = append(errs, fmt.Errorf("%s %q: %w", kind, matches[i].Name, err))
			}
		}
		compiled = append(compiled, value)
	}
	return compiled, errors.Join(errs...)
}

// compileRegexp compiles an expression that must match the whole of a value. It is compiled as it is first, because
// "a)|(b" would be valid within the parentheses that are put around it.
func compileRegexp(expression string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expression); err != nil {
		return nil, fmt.Errorf("not a valid regular expression (RE2): %w", err)
	}
	whole, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("not a valid regular expression (RE2): %w", err)
	}
	return whole, nil
}

// compare orders entries of the same host and path by precedence: a method before none, then the number of header
// and of query matches, then the older route, its name, and the order within the route.
// https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
func compare(a, b *entry) int {
	return cmp.Or(
		-cmp.Compare(min(len(a.method), 1), min(len(b.method), 1)),
		-cmp.Compare(len(a.headers), len(b.headers)),
		-cmp.Compare(len(a.query), len(b.query)),
		a.created.Compare(b.created),
		cmp.Compare(a.matched.Route, b.matched.Route),
		cmp.Compare(a.position, b.position),
	)
}

// accepts returns whether the request meets everything but the path.
func (e *entry) accepts(r *http.Request) bool {
	if e.method != "" && e.method != r.Method {
		return false
	}
	for i := range e.headers {
		value, ok := headerValue(r, e.headers[i].name)
		if !ok || !e.headers[i].accepts(value) {
			return false
		}
	}
	for i := range e.query {
		value, ok := queryValue(r.URL.RawQuery, e.query[i].name)
		if !ok || !e.query[i].accepts(value) {
			return false
		}
	}
	return true
}

func (v *valueMatch) accepts(value string) bool {
	if v.regexp != nil {
		return v.regexp.MatchString(value)
	}
	return v.value == value
}

// headerValue returns the value of a header by its canonical name. Repeated headers are one value, joined as
// RFC 9110 section 5.3 says, so that a second value can't hide behind the first.
func headerValue(r *http.Request, name string) (string, bool) {
	if name == "Host" {
		// net/http keeps it apart.
		return r.Host, r.Host != ""
	}
	switch values := r.Header[name]; len(values) {
	case 0:
		return "", false
	case 1:
		return values[0], true
	default:
		return strings.Join(values, ", "), true
	}
}

// queryValue returns the first value of a query parameter. It reads the query as net/url does, pairs that aren't
// well-formed left out, but without building a map.
func queryValue(query, name string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if strings.IndexByte(pair, ';') >= 0 {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		if key == "" && value == "" && pair == "" {
			continue
		}
		key, ok := queryUnescape(key)
		if !ok || key != name {
			continue
		}
		if value, ok = queryUnescape(value); ok {
			return value, true
		}
	}
	return "", false
}

func queryUnescape(s string) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	unescaped, err := url.QueryUnescape(s)
	return unescaped, err == nil
}
