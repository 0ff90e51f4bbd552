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
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// request returns a request as net/http's server makes it of "METHOD host/path?query".
func request(t testing.TB, line string, headers ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	slash := strings.IndexByte(target, '/')
	u, err := url.ParseRequestURI(target[slash:])
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	r := &http.Request{Method: method, Host: target[:slash], URL: u, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// rule returns a rule that is known by the name of its only backend.
func rule(name string, matches ...Match) Rule {
	return Rule{Matches: matches, Backends: []Backend{{MCP: name, Weight: 1}}}
}

func route(name string, rules ...Rule) Route { return Route{Name: name, Rules: rules} }

func prefix(path string) Match { return Match{PathType: PathPrefix, Path: path} }
func exact(path string) Match  { return Match{PathType: PathExact, Path: path} }
func expression(path string) Match {
	return Match{PathType: PathRegularExpression, Path: path}
}

func anyHost(routes ...Route) []Listener {
	return []Listener{{Name: "http", Port: 80, Routes: routes}}
}

func compile(t testing.TB, listeners []Listener) *Table {
	t.Helper()
	table, err := Compile(listeners)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// matchName returns the name of the rule that a request goes to, "" for 404.
func matchName(table *Table, r *http.Request) string {
	matched, ok := table.Match(r)
	if !ok {
		return ""
	}
	return matched.Rule.Backends[0].MCP
}

func TestMatchChoosesByHost(t *testing.T) {
	table := compile(t, []Listener{
		{Name: "any", Port: 80, Routes: []Route{
			route("ns/any", rule("any")),
			{Name: "ns/org", Hostnames: []string{"*.example.org"}, Rules: []Rule{rule("org")}},
			{Name: "ns/deep", Hostnames: []string{"*.deep.example.org"}, Rules: []Rule{rule("deep", prefix("/deep"))}},
			{Name: "ns/exact", Hostnames: []string{"A.deep.example.org"}, Rules: []Rule{rule("exact", prefix("/exact"))}},
		}},
		{Name: "wild", Port: 80, Hostname: "*.example.com", Routes: []Route{route("ns/wild", rule("wild"))}},
		{Name: "deeper", Port: 80, Hostname: "*.b.example.com", Routes: []Route{route("ns/deeper", rule("deeper"))}},
		{Name: "exact", Port: 80, Hostname: "a.b.Example.com", Routes: []Route{route("ns/one", rule("one", prefix("/one")))}},
		{Name: "empty", Port: 80, Hostname: "empty.example.com"},
	})
	for line, want := range map[string]string{
		"GET example.com/":                    "any",
		"GET /":                               "any",
		"GET [::1]:80/":                       "any",
		"GET x.example.com/":                  "wild",
		"GET X.EXAMPLE.COM.:8080/":            "wild",
		"GET x.y.example.com/":                "wild",
		"GET x.b.example.com/":                "deeper",
		"GET b.example.com/":                  "wild",
		"GET a.b.example.com/one":             "one",
		"GET a.b.example.com/two":             "", // No falling back to a listener with a less specific hostname.
		"GET empty.example.com/":              "",
		"GET x.example.org/":                  "org",
		"GET a.deep.example.org/exact":        "exact",
		"GET a.deep.example.org/deep":         "deep", // Within a listener, other routes have their turn.
		"GET a.deep.example.org/other":        "org",
		"GET deep.example.org/deep":           "org",
		"GET example.org/":                    "any",
		"GET a.deep.example.org.evil.net/one": "any",
	} {
		if got := matchName(table, request(t, line)); got != want {
			t.Errorf("%s: got rule %q, want %q", line, got, want)
		}
	}
	want := []string{"*.b.example.com", "*.deep.example.org", "*.example.com", "*.example.org", "a.b.example.com",
		"a.deep.example.org", "empty.example.com"}
	if got := table.Hostnames(); !slices.Equal(got, want) {
		t.Errorf("Hostnames() = %v, want %v", got, want)
	}
}

// Looking every suffix of a header of a megabyte up would take minutes.
func TestMatchIsFastForHugeRequests(t *testing.T) {
	table := compile(t, append(anyHost(route("ns/any", rule("any", prefix("/"+strings.Repeat("a/", 500))), rule("all"))),
		Listener{Name: "wild", Port: 80, Hostname: "*.a", Routes: []Route{route("ns/r", rule("wild"))}}))
	r := request(t, "GET "+strings.Repeat("a.", 1<<19)+"a/"+strings.Repeat("a/../", 1<<17))
	done := make(chan string, 1)
	go func() { done <- matchName(table, r) }()
	select {
	case got := <-done:
		if got != "all" {
			t.Errorf("got rule %q, want the one of the listener for any host", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("matching takes longer than ten seconds")
	}
}

func TestMatchComparesPathsByElement(t *testing.T) {
	table := compile(t, anyHost(route("ns/r",
		rule("exact", exact("/abc")),
		rule("prefix", prefix("/abc")),
		rule("slash", prefix("/slash/")),
		rule("exact-slash", exact("/end/")),
		rule("long", prefix("/abc/def/ghi")),
		rule("escaped", prefix("/caf%C3%A9")),
		rule("percent", exact("/100%25")),
		rule("expression", expression("/v[0-9]+")),
	)))
	for line, want := range map[string]string{
		"GET h/abc":              "exact",
		"GET h/abc/":             "prefix",
		"GET h/abc/def":          "prefix",
		"GET h/abc/def/ghi":      "long",
		"GET h/abc/def/ghi/":     "long",
		"GET h/abc/def/ghijk":    "prefix",
		"GET h/abcd":             "",
		"GET h/Abc":              "",
		"GET h/%61bc":            "exact", // The same path, spelled differently: RFC 3986 section 6.2.2.2.
		"GET h/slash":            "slash",
		"GET h/slash/a":          "slash",
		"GET h/end/":             "exact-slash",
		"GET h/end":              "",
		"GET h/café":             "escaped",
		"GET h/caf%c3%a9/x":      "escaped",
		"GET h/100%25":           "percent",
		"GET h/100%2525":         "",
		"GET h/v12":              "expression",
		"GET h/v12/":             "",
		"GET h/x/v12":            "",
		"GET h/":                 "",
		"GET h/abc?x=/other":     "exact",
		"GET h/.well-known/abc":  "",
		"GET h/abc/.well-known/": "prefix",
	} {
		if got := matchName(table, request(t, line)); got != want {
			t.Errorf("%s: got rule %q, want %q", line, got, want)
		}
	}
}

// A path that a server may read in another way than this table must never reach a rule by one reading only.
func TestMatchRefusesPathsWithTwoMeanings(t *testing.T) {
	table := compile(t, anyHost(route("ns/r",
		rule("public", prefix("/public")),
		rule("admin", prefix("/admin")),
		rule("exact", exact("/public/exact")),
		rule("projects", prefix("/projects")),
		rule("one", expression("/one/[^/]+")),
	)))
	for line, want := range map[string]string{
		"GET h/public/../admin":           "",
		"GET h/public/%2e%2e/admin":       "",
		"GET h/public/%2E./admin":         "",
		"GET h/public%2F..%2Fadmin":       "",
		"GET h/public/..%2fadmin":         "",
		`GET h/public/..\admin`:           "",
		"GET h/public/..%5Cadmin":         "",
		"GET h//admin":                    "",
		"GET h/./admin":                   "",
		"GET h/admin%2F..%2Fpublic":       "",
		"GET h/public/a/..":               "public",
		"GET h/public//a":                 "public",
		"GET h/public/./exact":            "",
		"GET h/public/exact/..":           "public",
		"GET h/projects/group%2Fname":     "projects", // Both readings lead to the same rule.
		"GET h/projects/group%2Fname/x":   "projects",
		"GET h/one/a%2Fb":                 "",
		"GET h/one/a%252Fb":               "one", // A literal "%2F" in the name, decoded once.
		"GET h/projects/%2e%2e/projects/": "projects",
		"GET h/public/..":                 "",
	} {
		if got := matchName(table, request(t, line)); got != want {
			t.Errorf("%s: got rule %q, want %q", line, got, want)
		}
	}
}

func TestMatchPrecedence(t *testing.T) {
	old, young := time.Unix(1, 0), time.Unix(2, 0)
	get := func(m Match) Match { m.Method = "GET"; return m }
	header := func(m Match, names ...string) Match {
		for _, name := range names {
			m.Headers = append(m.Headers, ValueMatch{Name: name, Value: "1"})
		}
		return m
	}
	query := func(m Match, names ...string) Match {
		for _, name := range names {
			m.QueryParams = append(m.QueryParams, ValueMatch{Name: name, Value: "1"})
		}
		return m
	}
	tests := []struct {
		name   string
		routes []Route
		want   string
	}{
		{"exact path before a prefix with everything", []Route{route("n/a",
			rule("prefix", header(get(prefix("/mcp/a")), "X-A", "X-B")), rule("exact", exact("/mcp/a")))}, "exact"},
		{"exact path before a regular expression", []Route{route("n/a",
			rule("re", expression("/mcp/.*")), rule("exact", exact("/mcp/a")))}, "exact"},
		{"regular expression before a prefix", []Route{route("n/a",
			rule("prefix", prefix("/mcp/a")), rule("re", expression("/mcp/.*")))}, "re"},
		{"longest prefix before method", []Route{route("n/a",
			rule("short", get(prefix("/mcp"))), rule("long", prefix("/mcp/a/")))}, "long"},
		{"method before headers", []Route{route("n/a",
			rule("headers", header(prefix("/mcp"), "X-A", "X-B")), rule("method", get(prefix("/mcp"))))}, "method"},
		{"most headers before query", []Route{route("n/a",
			rule("query", query(header(prefix("/mcp"), "X-A"), "a", "b")),
			rule("headers", header(prefix("/mcp"), "X-A", "X-B")))}, "headers"},
		{"most query parameters", []Route{route("n/a",
			rule("one", query(prefix("/mcp"), "a")), rule("two", query(prefix("/mcp"), "a", "b")))}, "two"},
		{"equivalent header names count once", []Route{route("n/a",
			rule("same", header(prefix("/mcp"), "X-A", "x-a")), rule("two", header(prefix("/mcp"), "X-A", "X-B")))}, "two"},
		{"older route", []Route{
			{Name: "n/a", Created: young, Rules: []Rule{rule("young")}},
			{Name: "n/b", Created: old, Rules: []Rule{rule("old")}}}, "old"},
		{"name decides among routes of one age", []Route{route("n/b", rule("b")), route("n/a", rule("a"))}, "a"},
		{"namespace decides before name", []Route{route("o/a", rule("o")), route("n/b", rule("n"))}, "n"},
		{"first rule", []Route{route("n/a", rule("first"), rule("second"))}, "first"},
		{"any of a rule's matches, the best of them", []Route{route("n/a",
			rule("one", prefix("/mcp")), rule("two", prefix("/other"), exact("/mcp/a")))}, "two"},
		{"the more specific hostname before the better path", []Route{
			{Name: "n/a", Hostnames: []string{"*.com"}, Rules: []Rule{rule("path", exact("/mcp/a"))}},
			{Name: "n/b", Hostnames: []string{"h.com"}, Rules: []Rule{rule("host")}}}, "host"},
		{"an unmet condition gives way", []Route{route("n/a",
			rule("unmet", header(exact("/mcp/a"), "X-None")), rule("met", prefix("/")))}, "met"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request(t, "GET h.com/mcp/a?a=1&b=1", "X-A", "1", "X-B", "1")
			if got := matchName(compile(t, anyHost(test.routes...)), r); got != test.want {
				t.Errorf("got rule %q, want %q", got, test.want)
			}
			slices.Reverse(test.routes)
			if got := matchName(compile(t, anyHost(test.routes...)), r); got != test.want {
				t.Errorf("with the routes in reverse order: got rule %q, want %q", got, test.want)
			}
		})
	}
}
