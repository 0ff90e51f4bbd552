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
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzMatch compares the table with a naive reading of the specification, for random tables made of a small
// vocabulary and any request.
func FuzzMatch(f *testing.F) {
	for seed, line := range []string{
		"GET a.example.com/a/b?q=1", "POST b.a.example.com:80/a%2Fb", "GET example.com./a/../b", "GET [::1]:80//a//",
		"DELETE A.Example.COM/%61/b/?q=2&r=1", "GET /a/b/c", `GET x.example.org/a\..\b?q=%31`, "GET h/*", "GET h/a%25/b",
	} {
		method, rest, _ := strings.Cut(line, " ")
		slash := strings.IndexByte(rest, '/')
		f.Add(uint64(seed), method, rest[:slash], rest[slash:], "1", "")
		f.Add(uint64(seed)+100, method, rest[:slash], rest[slash:], "2", "1")
	}
	f.Fuzz(func(t *testing.T, seed uint64, method, host, target, header, second string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http answers 400 by itself.
		}
		r := &http.Request{Method: method, Host: host, URL: u, Header: http.Header{"X-A": {header}}}
		if second != "" {
			r.Header.Add("X-A", second)
		}
		listeners := randomListeners(rand.New(rand.NewPCG(seed, 0)))
		table, err := Compile(listeners)
		if err != nil {
			t.Fatal(err)
		}
		matched, ok := table.Match(r)
		got, want := "", naiveMatch(listeners, r)
		if ok {
			got = matched.Rule.Backends[0].MCP
		}
		if got != want {
			t.Errorf("%s %q %q: got rule %q, want %q\n%+v", method, host, target, got, want, listeners)
		}
	})
}

// randomListeners returns listeners that compile, dense enough for requests to match and for ties to occur.
func randomListeners(random *rand.Rand) []Listener {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	var listeners []Listener
	for _, hostname := range []string{"", "*.example.com", "*.a.example.com", "a.example.com", "h"} {
		if random.IntN(3) == 0 {
			continue
		}
		listener := Listener{Name: "l" + hostname, Port: 80, Hostname: hostname}
		for i := range random.IntN(4) {
			route := Route{Name: pick("n/a", "n/b", "m/a") + pick("", "x") + string(rune('a'+i)),
				Created: time.Unix(int64(random.IntN(2)), 0)}
			for range random.IntN(3) {
				route.Hostnames = append(route.Hostnames, pick("*.com", "*.example.com", "A.example.com", "b.a.example.com", "h"))
			}
			for j := range 1 + random.IntN(3) {
				rule := Rule{Backends: []Backend{{MCP: hostname + "|" + route.Name + "|" + string(rune('0'+j)), Weight: 1}}}
				for range random.IntN(3) {
					rule.Matches = append(rule.Matches, randomMatch(random))
				}
				route.Rules = append(route.Rules, rule)
			}
			listener.Routes = append(listener.Routes, route)
		}
		listeners = append(listeners, listener)
	}
	return listeners
}

func randomMatch(random *rand.Rand) Match {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	match := Match{Method: pick("", "", "GET", "POST")}
	switch random.IntN(4) {
	case 0:
		match.PathType, match.Path = PathExact, pick("/", "/a", "/a/", "/a/b", "/%61/b", "/a%25", "/b")
	case 1, 2:
		match.PathType, match.Path = PathPrefix, pick("/", "/a", "/a/", "/a/b/", "/a/b/c", "/a%25", "/b")
	case 3:
		match.PathType, match.Path = PathRegularExpression, pick("/a/.*", "/[ab]", "/a|/b", "/a/[^/]+")
	}
	for range random.IntN(3) {
		match.Headers = append(match.Headers, ValueMatch{
			Name: pick("X-A", "x-a", "Host"), Value: pick("1", "2", "1, 2", "h", ".*"), Regexp: random.IntN(2) == 0})
	}
	for range random.IntN(2) {
		match.QueryParams = append(match.QueryParams, ValueMatch{
			Name: pick("q", "r"), Value: pick("1", "2", "[12]"), Regexp: random.IntN(2) == 0})
	}
	return match
}

// rank is the precedence of one match for one request; the greatest wins.
type rank struct {
	exactHost, anyHost       int
	pathClass, pathLength    int
	method, headers, queries int
	created                  time.Time
	route                    string
	position                 int
	rule                     string
}

func compareRanks(a, b rank) int {
	return cmp.Or(cmp.Compare(a.exactHost, b.exactHost), cmp.Compare(a.anyHost, b.anyHost),
		cmp.Compare(a.pathClass, b.pathClass), cmp.Compare(a.pathLength, b.pathLength),
		cmp.Compare(a.method, b.method), cmp.Compare(a.headers, b.headers), cmp.Compare(a.queries, b.queries),
		b.created.Compare(a.created), cmp.Compare(b.route, a.route), cmp.Compare(b.position, a.position))
}

// naiveMatch looks at everything and sorts. It returns the name of the rule, "" for none.
func naiveMatch(listeners []Listener, r *http.Request) string {
	host := CanonicalHost(r.Host)
	var chosen *Listener
	for i := range listeners {
		hostname := listeners[i].Hostname
		switch {
		case !HostnameMatches(hostname, host):
		case chosen == nil, hostname == host, chosen.Hostname != host && len(hostname) > len(chosen.Hostname):
			chosen = &listeners[i]
		}
	}
	if chosen == nil {
		return ""
	}
	literal, resolved := naivePaths(r.URL)
	first := naiveBest(chosen, host, literal, r)
	if naiveBest(chosen, host, resolved, r) != first {
		return ""
	}
	return first
}

// naivePaths decodes without any short cut.
func naivePaths(u *url.URL) (literal, resolved string) {
	escaped := u.EscapedPath()
	if escaped == "" {
		escaped = "/"
	}
	escaped = regexp.MustCompile(`(?i)%2f`).ReplaceAllString(escaped, "%252F")
	escaped = strings.ReplaceAll(escaped, "%25", "%2525")
	escaped = strings.ReplaceAll(escaped, "%25252F", "%252F")
	literal, err := url.PathUnescape(escaped)
	if err != nil {
		panic(err)
	}
	all := strings.ReplaceAll(strings.ReplaceAll(literal, "%2F", "/"), `\`, "/")
	if !strings.ContainsAny(all, "/") {
		return literal, literal
	}
	stack := []string{}
	for _, element := range strings.Split(all, "/") {
		switch element {
		case "", ".":
		case "..":
			if len(stack) > 0 {
				stack = stack[:len(stack)-1]
			}
		default:
			stack = append(stack, element)
		}
	}
	resolved = "/" + strings.Join(stack, "/")
	directory := slices.ContainsFunc([]string{"/", "/.", "/.."}, func(end string) bool { return strings.HasSuffix(all, end) })
	if directory && resolved != "/" {
		resolved += "/"
	}
	return literal, resolved
}

func naiveBest(listener *Listener, host, path string, r *http.Request) string {
	var ranks []rank
	for _, route := range listener.Routes {
		hostnames := route.Hostnames
		if len(hostnames) == 0 {
			hostnames = []string{""}
		}
		for _, hostname := range hostnames {
			if hostname = strings.ToLower(hostname); !HostnameMatches(hostname, host) {
				continue
			}
			position := 0
			for _, rule := range route.Rules {
				matches := rule.Matches
				if len(matches) == 0 {
					matches = []Match{{PathType: PathPrefix, Path: "/"}}
				}
				for _, match := range matches {
					position++
					found := rank{created: route.Created, route: route.Name, position: position,
						rule: rule.Backends[0].MCP, anyHost: len(hostname)}
					if !strings.HasPrefix(hostname, "*") {
						found.exactHost = len(hostname)
					}
					if found.fill(match, path, r) {
						ranks = append(ranks, found)
					}
				}
			}
		}
	}
	if len(ranks) == 0 {
		return ""
	}
	return slices.MaxFunc(ranks, compareRanks).rule
}

// fill completes the rank, and returns whether the request meets the match.
func (k *rank) fill(match Match, path string, r *http.Request) bool {
	want := strings.ReplaceAll(match.Path, "%61", "a")
	switch match.PathType {
	case PathExact:
		k.pathClass = 2
		if path != want {
			return false
		}
	case PathRegularExpression:
		k.pathClass = 1
		if !wholeMatch(match.Path, path) {
			return false
		}
	default:
		want = strings.TrimSuffix(want, "/")
		k.pathLength = len(want)
		if path != want && !strings.HasPrefix(path, want+"/") && want != "" {
			return false
		}
	}
	if match.Method != "" {
		if k.method = 1; match.Method != r.Method {
			return false
		}
	}
	seen := map[string]bool{}
	for _, header := range match.Headers {
		name := http.CanonicalHeaderKey(header.Name)
		if seen[name] {
			continue
		}
		seen[name] = true
		value, ok := strings.Join(r.Header[name], ", "), len(r.Header[name]) > 0
		if name == "Host" {
			value, ok = r.Host, r.Host != ""
		}
		if !ok || !naiveValue(header, value) {
			return false
		}
	}
	k.headers = len(seen)
	k.queries = len(match.QueryParams)
	for _, param := range match.QueryParams {
		if values := r.URL.Query()[param.Name]; len(values) == 0 || !naiveValue(param, values[0]) {
			return false
		}
	}
	return true
}

func naiveValue(match ValueMatch, value string) bool {
	if match.Regexp {
		return wholeMatch(match.Value, value)
	}
	return match.Value == value
}

// wholeMatch returns whether the longest match of an expression is the whole text.
func wholeMatch(expression, text string) bool {
	compiled := regexp.MustCompile(expression)
	compiled.Longest()
	for _, span := range compiled.FindAllStringIndex(text, -1) {
		if span[0] == 0 && span[1] == len(text) {
			return true
		}
	}
	return false
}
