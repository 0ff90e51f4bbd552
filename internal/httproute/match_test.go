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
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
)

func TestMatchComparesHeaders(t *testing.T) {
	table := compile(t, anyHost(route("ns/r",
		rule("regexp", Match{Headers: []ValueMatch{{Name: "x-version", Value: "v[0-9]+", Regexp: true}}}),
		rule("exact", Match{Headers: []ValueMatch{{Name: "X-Version", Value: "beta"}}}),
		rule("joined", Match{Headers: []ValueMatch{{Name: "X-Version", Value: "a, b"}}}),
		rule("first-counts", Match{Headers: []ValueMatch{
			{Name: "X-Twice", Value: "1"}, {Name: "x-twice", Value: "2"}}}),
		rule("host", Match{Headers: []ValueMatch{{Name: "host", Value: "internal:8080"}}}),
		rule("bar", Match{Headers: []ValueMatch{{Name: "X-Bar", Value: "a|b", Regexp: true}}}),
	)))
	tests := []struct {
		headers []string
		host    string
		want    string
	}{
		{[]string{"X-Version", "v12"}, "h", "regexp"},
		{[]string{"X-Version", "xv12"}, "h", ""},
		{[]string{"X-Version", "v12x"}, "h", ""},
		{[]string{"x-version", "beta"}, "h", "exact"},
		{[]string{"X-Version", "Beta"}, "h", ""},
		{[]string{"X-Version", "a", "X-Version", "b"}, "h", "joined"},
		{[]string{"X-Version", "beta", "X-Version", "v12"}, "h", ""},
		{[]string{"X-Twice", "1"}, "h", "first-counts"},
		{[]string{"X-Twice", "2"}, "h", ""},
		{[]string{"X-Bar", "a"}, "h", "bar"},
		{[]string{"X-Bar", "ab"}, "h", ""},
		{nil, "internal:8080", "host"},
		{nil, "h", ""},
	}
	for _, test := range tests {
		if got := matchName(table, request(t, "GET "+test.host+"/", test.headers...)); got != test.want {
			t.Errorf("%v to %s: got rule %q, want %q", test.headers, test.host, got, test.want)
		}
	}
}

func TestMatchComparesQueryParameters(t *testing.T) {
	table := compile(t, anyHost(route("ns/r",
		rule("both", Match{QueryParams: []ValueMatch{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}}),
		rule("regexp", Match{QueryParams: []ValueMatch{{Name: "a", Value: "x+", Regexp: true}}}),
		rule("exact", Match{QueryParams: []ValueMatch{{Name: "a", Value: "1"}}}),
		rule("space", Match{QueryParams: []ValueMatch{{Name: "a b", Value: "c d"}}}),
		rule("empty", Match{QueryParams: []ValueMatch{{Name: "a", Value: ""}}}),
	)))
	for query, want := range map[string]string{
		"a=1":           "exact",
		"x=y&a=1":       "exact",
		"a=1&a=2":       "exact",
		"a=2&a=1":       "", // Of a repeated parameter the first value counts.
		"a=1&b=2":       "both",
		"%61=%31":       "exact",
		"a=xx":          "regexp",
		"a=xxy":         "",
		"A=1":           "",
		"a+b=c%20d":     "space",
		"a":             "empty",
		"a=":            "empty",
		"":              "",
		"a=%zz&a=1":     "exact", // What is not well-formed is left out, as net/url does.
		"a=1;b=2":       "",
		"a=2;&a=1":      "exact",
		"&&a=1":         "exact",
		"xa=1&a=1&b=22": "exact",
	} {
		if got := matchName(table, request(t, "GET h/?"+query)); got != want {
			t.Errorf("?%s: got rule %q, want %q", query, got, want)
		}
	}
}

func TestMatchComparesMethod(t *testing.T) {
	table := compile(t, anyHost(route("ns/r", rule("post", Match{Method: "POST"}), rule("delete", Match{Method: "DELETE"}))))
	for line, want := range map[string]string{
		"POST h/": "post", "DELETE h/": "delete", "GET h/": "", "post h/": "",
	} {
		if got := matchName(table, request(t, line)); got != want {
			t.Errorf("%s: got rule %q, want %q", line, got, want)
		}
	}
}

func TestMatchSaysWhereTheRuleComesFrom(t *testing.T) {
	table := compile(t, []Listener{{Name: "web", Port: 80, Routes: []Route{
		route("ns/a", rule("zero", prefix("/zero")), rule("one", prefix("/one")))}}})
	matched, ok := table.Match(request(t, "GET h/one"))
	if !ok || matched.Listener != "web" || matched.Route != "ns/a" || matched.Index != 1 {
		t.Errorf("got %+v, %v", matched, ok)
	}
	star := request(t, "OPTIONS h/")
	star.URL.Path = "*"
	if _, ok := table.Match(star); ok {
		t.Error("OPTIONS * matches a path that it doesn't have")
	}
	if _, ok := compile(t, nil).Match(star); ok {
		t.Error("a table without listeners matches")
	}
}

func TestRouteWithoutHostnamesOrMatchesTakesEverything(t *testing.T) {
	table := compile(t, anyHost(route("ns/r", rule("all"))))
	star := request(t, "OPTIONS h/")
	star.URL.Path = "*"
	empty := request(t, "CONNECT h/")
	empty.URL.Path = ""
	for _, r := range []*requestCase{{"star", star}, {"empty", empty}, {"deep", request(t, "PATCH h/a/b/c?d=e")}} {
		if matchName(table, r.Request) != "all" {
			t.Errorf("%s: not matched", r.name)
		}
	}
}

func TestCompileNamesRouteAndRuleOfEveryError(t *testing.T) {
	_, err := Compile([]Listener{
		{Name: "a", Port: 80, Routes: []Route{
			route("ns/r", rule("ok"), rule("bad", prefix("/"), expression("("))),
			route("ns/s", rule("bad", Match{Headers: []ValueMatch{{Name: "X", Value: "a)|(b", Regexp: true}}})),
			{Name: "ns/t", Hostnames: []string{"a.*"}},
			route("ns/u", rule("bad", Match{PathType: "Glob"}), rule("bad", Match{QueryParams: []ValueMatch{{}}})),
		}},
		{Name: "b", Port: 81},
		{Name: "c", Port: 80, Hostname: "*"},
		{Name: "d", Port: 80},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"listener a: route ns/r: rule 1: match 1: path: not a valid regular expression",
		`listener a: route ns/s: rule 0: match 0: header "X": not a valid regular expression`,
		"listener a: route ns/t: hostname",
		`listener a: route ns/u: rule 0: match 0: path type "Glob" is unknown`,
		"listener a: route ns/u: rule 1: match 0: query parameter without a name",
		"listener b is on port 81",
		"listener c: hostname",
		"listener d: another listener has the hostname",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't say %q:\n%v", want, err)
		}
	}
}

func TestValidateSaysWhatCompileRefuses(t *testing.T) {
	for _, path := range []string{"", "a", "//", "/a//b", "/a/../b", "/a/.", "/%2e%2e/a", "/a%2fb", "/a%5Cb", "/a%",
		"/a%g0", "/a?b", "/a#b"} {
		for _, match := range []Match{prefix(path), exact(path)} {
			_, err := Compile(anyHost(route("ns/r", rule("bad", match))))
			if own := match.Validate(); (own == nil) != (err == nil) || err == nil {
				t.Errorf("%s %q: Validate says %v, Compile %v", match.PathType, path, own, err)
			}
		}
	}
	if err := errors.Join(new(Match).Validate(), new(exact("/a/")).Validate()); err != nil {
		t.Error(err)
	}
}

func TestPickSharesByWeight(t *testing.T) {
	r := Rule{Backends: []Backend{
		{MCP: "a", Weight: 1}, {MCP: "none"}, {MCP: "b", Weight: 3}, {Invalid: "broken", Weight: 4}, {MCP: "c", Weight: -1}}}
	counts := map[string]int{}
	const draws = 8000
	for i := range draws {
		picked := r.Pick(uint32(uint64(i) * (math.MaxUint32 + 1) / draws))
		counts[picked.MCP+picked.Invalid]++
	}
	if counts["a"] != 1000 || counts["b"] != 3000 || counts["broken"] != 4000 || len(counts) != 3 {
		t.Errorf("got %v, want a: 1000, b: 3000, broken: 4000", counts)
	}
	if picked := r.Pick(math.MaxUint32); picked == nil || picked.Invalid == "" {
		t.Errorf("the largest number picks %+v, want the last backend with a weight", picked)
	}
}

func TestPickFindsNothingWithoutWeight(t *testing.T) {
	for _, backends := range [][]Backend{nil, {{MCP: "a"}}, {{MCP: "a", Weight: -5}, {MCP: "b"}}} {
		if picked := (&Rule{Backends: backends}).Pick(7); picked != nil {
			t.Errorf("%v: picked %+v", backends, picked)
		}
	}
	heavy := Rule{Backends: []Backend{{MCP: "a", Weight: math.MaxInt32}, {MCP: "b", Weight: math.MaxInt32}}}
	if heavy.Pick(0).MCP != "a" || heavy.Pick(math.MaxUint32).MCP != "b" {
		t.Error("weights beyond the maximum don't share evenly")
	}
}

// The configuration belongs to whoever made it; the table must not see what becomes of it.
func TestTableIsNotAffectedByLaterChanges(t *testing.T) {
	listeners := anyHost(route("ns/r", rule("before", prefix("/a"))))
	table := compile(t, listeners)
	listeners[0].Routes[0].Rules[0].Backends[0].MCP = "after"
	listeners[0].Routes[0].Rules[0].Matches[0].Path = "/b"
	listeners[0].Hostname = "x"
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 100 {
				if got := matchName(table, request(t, "GET h/a")); got != "before" {
					t.Errorf("got rule %q", got)
				}
			}
		})
	}
	group.Wait()
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table := benchmarkTable(t)
	for name, r := range benchmarkRequests(t) {
		if allocs := testing.AllocsPerRun(100, func() { table.Match(r) }); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}
