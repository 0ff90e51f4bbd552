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
	"fmt"
	"net/http"
	"slices"
)

// Matched is the rule that a request goes to, and where it comes from.
type Matched struct {
	// Rule is never nil. It belongs to the table and must not be changed.
	Rule *Rule
	// Listener and Route are the names of the listener and of the route.
	Listener, Route string
	// Index is the position of the rule among the rules of the Route that was compiled.
	Index int
}

// Table holds the compiled routes of all listeners of one port. It never changes and may be used by any number of
// goroutines.
type Table struct {
	listeners hosts[hosts[rules]]
	hostnames []string
}

// Compile makes the table of the listeners that share one port; their hostnames must differ. The listeners may be
// changed afterwards. The error has everything that is wrong, each with listener, route and rule; (*Match).Validate
// and ValidateHostname say beforehand what would be refused.
func Compile(listeners []Listener) (*Table, error) {
	table := &Table{}
	var errs []error
	hostnames := map[string]bool{}
	for i := range listeners {
		listener := &listeners[i]
		if listener.Port != listeners[0].Port {
			errs = append(errs, fmt.Errorf("listener %s is on port %d, listener %s on port %d: one table is for one port",
				listener.Name, listener.Port, listeners[0].Name, listeners[0].Port))
			continue
		}
		hostname := lowerASCII(listener.Hostname)
		if err := ValidateHostname(hostname); err != nil {
			errs = append(errs, fmt.Errorf("listener %s: %w", listener.Name, err))
			continue
		}
		if table.listeners.get(hostname) != nil {
			errs = append(errs, fmt.Errorf("listener %s: another listener has the hostname %q on port %d",
				listener.Name, listener.Hostname, listener.Port))
			continue
		}
		compiled := &hosts[rules]{}
		table.listeners.set(hostname, compiled)
		for j := range listener.Routes {
			errs = append(errs, compileRoute(compiled, listener, &listener.Routes[j], hostnames))
		}
		compiled.each((*rules).sort)
		if hostname != "" {
			hostnames[hostname] = true
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for hostname := range hostnames {
		table.hostnames = append(table.hostnames, hostname)
	}
	slices.Sort(table.hostnames)
	return table, nil
}

// compileRoute adds a route to what is compiled for its listener, and its hostnames, as far as the listener has
// them, to the table's.
func compileRoute(into *hosts[rules], listener *Listener, route *Route, hostnames map[string]bool) error {
	var errs []error
	own := make([]string, 0, max(len(route.Hostnames), 1))
	for _, hostname := range route.Hostnames {
		hostname = lowerASCII(hostname)
		if err := ValidateHostname(hostname); err != nil {
			errs = append(errs, fmt.Errorf("listener %s: route %s: %w", listener.Name, route.Name, err))
			continue
		}
		shared, ok := IntersectHostnames(lowerASCII(listener.Hostname), hostname)
		if ok && shared != "" {
			hostnames[shared] = true
		}
		if !slices.Contains(own, hostname) {
			own = append(own, hostname)
		}
	}
	if len(route.Hostnames) == 0 {
		own = append(own, "")
	}
	position := 0
	for i := range route.Rules {
		matches := route.Rules[i].Matches
		if len(matches) == 0 {
			matches = []Match{{}}
		}
		rule := route.Rules[i]
		rule.Backends = slices.Clone(rule.Backends)
		for j := range matches {
			compiled, path, err := matches[j].compile()
			if err != nil {
				errs = append(errs, fmt.Errorf("listener %s: route %s: rule %d: match %d: %w",
					listener.Name, route.Name, i, j, err))
				continue
			}
			compiled.matched = Matched{Rule: &rule, Listener: listener.Name, Route: route.Name, Index: i}
			compiled.created, compiled.position = route.Created, position
			position++
			for _, hostname := range own {
				if into.get(hostname) == nil {
					into.set(hostname, &rules{})
				}
				into.get(hostname).add(matches[j].PathType, path, compiled)
			}
		}
	}
	return errors.Join(errs...)
}

// Match returns the rule that the request goes to. Without one the answer is 404: a request never falls back to a
// listener with a less specific hostname. Among the rules of the listener those of routes with the more specific
// hostname come first; where none of them matches, the others have their turn.
func (t *Table) Match(r *http.Request) (Matched, bool) {
	host := CanonicalHost(r.Host)
	listener, _ := t.listeners.next(host, firstStep)
	if listener == nil {
		return Matched{}, false
	}
	literal, resolved := pathReadings(r.URL)
	found := find(listener, host, literal, r)
	if found == nil {
		return Matched{}, false
	}
	if resolved != literal {
		if other := find(listener, host, resolved, r); other == nil || other.matched.Rule != found.matched.Rule {
			return Matched{}, false
		}
	}
	return found.matched, true
}

// find returns the entry with the highest precedence for a request to the host, with one reading of its path, or nil.
func find(listener *hosts[rules], host, path string, r *http.Request) *entry {
	for routes, step := listener.next(host, firstStep); routes != nil; routes, step = listener.next(host, step) {
		if found := routes.find(path, r); found != nil {
			return found
		}
	}
	return nil
}

// Hostnames returns, sorted, all hostnames of the listeners and, as far as their listeners have them, of the routes,
// for example to know which origins are the Gateway's own. They are to be compared with HostnameMatches.
func (t *Table) Hostnames() []string { return slices.Clone(t.hostnames) }
