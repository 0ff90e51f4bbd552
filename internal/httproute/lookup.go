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
	"slices"
	"strings"
)

// hosts finds what belongs to a host: first by its exact name, then by wildcards, the longest first, then "any". That
// is the order of the specification both for listeners and for the hostnames of routes.
type hosts[T any] struct {
	exact map[string]*T
	// wildcard is by what follows the wildcard label, with its dot: ".example.com".
	wildcard map[string]*T
	anyHost  *T
}

// firstStep is where a walk with next begins.
const firstStep = 0

// next returns the next value for the host, the most specific first, and the step to go on with. Nil: no more.
func (h *hosts[T]) next(host string, step int) (*T, int) {
	end := len(host) + 2
	if len(host) > maxHost && step != end {
		return h.anyHost, end
	}
	if step == firstStep {
		step++ // A wildcard stands for at least one character, so the first dot that counts is the second byte.
		if found := h.exact[host]; found != nil {
			return found, step
		}
	}
	for step < len(host) {
		dot := strings.IndexByte(host[step:], '.')
		if dot < 0 {
			break
		}
		suffix := host[step+dot:]
		step += dot + 1
		if found := h.wildcard[suffix]; found != nil {
			return found, step
		}
	}
	if step < end {
		return h.anyHost, end
	}
	return nil, end
}

// get returns the value of a hostname, not of a host; nil if there is none.
func (h *hosts[T]) get(hostname string) *T {
	if hostname == "" {
		return h.anyHost
	}
	if suffix, ok := wildcardSuffix(hostname); ok {
		return h.wildcard[suffix]
	}
	return h.exact[hostname]
}

// set sets the value of a hostname.
func (h *hosts[T]) set(hostname string, value *T) {
	if hostname == "" {
		h.anyHost = value
		return
	}
	into, key := &h.exact, hostname
	if suffix, ok := wildcardSuffix(hostname); ok {
		into, key = &h.wildcard, suffix
	}
	if *into == nil {
		*into = map[string]*T{}
	}
	(*into)[key] = value
}

// each calls a function with every value.
func (h *hosts[T]) each(do func(*T)) {
	for _, value := range h.exact {
		do(value)
	}
	for _, value := range h.wildcard {
		do(value)
	}
	if h.anyHost != nil {
		do(h.anyHost)
	}
}

// rules finds the entries for a path, among those of one hostname of one listener. Slices are in order of precedence.
type rules struct {
	exact  map[string][]*entry
	regexp []*entry
	// prefix is by the prefix without its trailing slash; "" is a prefix of every path.
	prefix map[string][]*entry
	// longest is the length of the longest prefix.
	longest int
}

// add adds an entry; sort must follow.
func (s *rules) add(pathType PathType, path string, e *entry) {
	switch pathType {
	case PathRegularExpression:
		s.regexp = append(s.regexp, e)
	case PathExact:
		if s.exact == nil {
			s.exact = map[string][]*entry{}
		}
		s.exact[path] = append(s.exact[path], e)
	default:
		if s.prefix == nil {
			s.prefix = map[string][]*entry{}
		}
		prefix := prefixOf(path)
		s.prefix[prefix] = append(s.prefix[prefix], e)
		s.longest = max(s.longest, len(prefix))
	}
}

// sort puts every slice in order of precedence.
func (s *rules) sort() {
	slices.SortFunc(s.regexp, compare)
	for _, entries := range s.exact {
		slices.SortFunc(entries, compare)
	}
	for _, entries := range s.prefix {
		slices.SortFunc(entries, compare)
	}
}

// find returns the entry with the highest precedence that matches the path and the request, or nil.
func (s *rules) find(path string, r *http.Request) *entry {
	if found := firstAccepting(s.exact[path], r); found != nil {
		return found
	}
	for _, candidate := range s.regexp {
		if candidate.pathRegexp.MatchString(path) && candidate.accepts(r) {
			return candidate
		}
	}
	// The candidates are the path without its trailing slash, and what is left as one element after the other is
	// taken off. A path that is longer than all prefixes is first cut to the element that could match.
	prefix := prefixOf(path)
	if len(prefix) > s.longest {
		prefix = cutToElement(prefix, s.longest)
	}
	for {
		if found := firstAccepting(s.prefix[prefix], r); found != nil {
			return found
		}
		if prefix == "" {
			return nil
		}
		prefix = prefix[:max(strings.LastIndexByte(prefix, '/'), 0)]
	}
}

// cutToElement returns the longest beginning of the path that is no longer than a number of bytes and ends where an
// element ends. It bounds the work for very long paths.
func cutToElement(path string, longest int) string {
	if path[longest] == '/' {
		return path[:longest]
	}
	return path[:max(strings.LastIndexByte(path[:longest], '/'), 0)]
}

func firstAccepting(entries []*entry, r *http.Request) *entry {
	for _, candidate := range entries {
		if candidate.accepts(r) {
			return candidate
		}
	}
	return nil
}
