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

package standalone

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/evaluate"
	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
)

// Table returns what is served, for people: the URLs of each Gateway, the targets of each Backend, and the Services that
// are not used, with the reasons. bind is the address that the listeners bind.
func Table(state *evaluate.State, bind string) string {
	tables := []*table{gatewayTable(state, bind), targetTable(state), skippedTable(state)}
	var texts []string
	for _, t := range tables {
		if len(t.rows) > 0 {
			texts = append(texts, t.String())
		}
	}
	if len(texts) == 0 {
		return "Nothing to serve: there is no Gateway of class " + v1alpha1.GatewayClassName + " and no Backend\n"
	}
	return strings.Join(texts, "\n")
}

// table is rows of cells below a header. A row can have a line below it.
type table struct {
	header []string
	rows   []row
}

type row struct {
	cells []string
	below string
}

func (t *table) add(below string, cells ...string) {
	t.rows = append(t.rows, row{cells, below})
}

// String returns the table with columns as wide as they need to be.
func (t *table) String() string {
	widths := make([]int, len(t.header))
	for _, r := range append([]row{{cells: t.header}}, t.rows...) {
		for i, cell := range r.cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, r := range append([]row{{cells: t.header}}, t.rows...) {
		var line strings.Builder
		for i, cell := range r.cells {
			fmt.Fprintf(&line, "%-*s   ", widths[i], cell)
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		if r.below != "" {
			text.WriteString("    " + strings.ReplaceAll(r.below, "\n", " ") + "\n")
		}
	}
	return text.String()
}

func gatewayTable(state *evaluate.State, bind string) *table {
	t := &table{header: []string{"GATEWAY", "URL", "HTTPROUTE", "BACKEND"}}
	for i := range state.Gateways {
		g := &state.Gateways[i]
		name := g.Key().String()
		if !g.Accepted.Status {
			t.add(g.Accepted.Reason+": "+g.Accepted.Message, name, "not accepted", "-", "-")
			continue
		}
		served := servedURLs(g, bind)
		if len(served) == 0 {
			t.add("", name, "no HTTPRoute is attached", "-", "-")
		}
		for _, u := range served {
			t.add("", name, u.url, u.route, u.backend)
		}
	}
	return t
}

// servedURL is a URL at which a Backend is served.
type servedURL struct {
	url, route, backend string
}

// servedURLs returns the URLs of a Gateway, in the order of its listeners, each once.
func servedURLs(g *evaluate.Gateway, bind string) []servedURL {
	var urls []servedURL
	for i := range g.Config.Listeners {
		l := &g.Config.Listeners[i]
		for j := range l.Routes {
			route := &l.Routes[j]
			for k := range route.Rules {
				rule := &route.Rules[k]
				for _, host := range hostsOf(l, route, bind) {
					for _, path := range pathsOf(rule) {
						url := "http://" + net.JoinHostPort(host, strconv.Itoa(int(l.Port))) + path
						urls = append(urls, servedURL{url, route.Name, backendsOf(rule)})
					}
				}
			}
		}
	}
	slices.SortStableFunc(urls, func(a, b servedURL) int {
		return cmp.Or(cmp.Compare(a.url, b.url), cmp.Compare(a.route, b.route))
	})
	return slices.Compact(urls)
}

// hostsOf returns the hosts to write into URLs: those of the route and of the listener, or otherwise the address that is
// bound. A route that is not for the bound address answers to its hostnames only.
func hostsOf(l *httproute.Listener, route *httproute.Route, bind string) []string {
	if len(route.Hostnames) == 0 {
		return []string{cmp.Or(l.Hostname, connectAddress(bind))}
	}
	var hosts []string
	for _, hostname := range route.Hostnames {
		if host, ok := httproute.IntersectHostnames(l.Hostname, hostname); ok {
			hosts = append(hosts, cmp.Or(host, connectAddress(bind)))
		}
	}
	return hosts
}

// connectAddress returns the address at which this machine reaches a listener.
func connectAddress(bind string) string {
	address, err := netip.ParseAddr(strings.Trim(bind, "[]"))
	switch {
	case err != nil, address == netip.IPv4Unspecified():
		return "127.0.0.1"
	case address == netip.IPv6Unspecified():
		return "::1"
	}
	return address.String()
}

// pathsOf returns the paths that a rule is for. For a rule that takes every path it is the one that MCP clients expect.
func pathsOf(rule *httproute.Rule) []string {
	if len(rule.Matches) == 0 {
		return []string{v1alpha1.DefaultPathStreamableHTTP}
	}
	var paths []string
	for i := range rule.Matches {
		match := &rule.Matches[i]
		switch {
		case match.PathType == httproute.PathRegularExpression:
			paths = append(paths, " (paths like "+match.Path+")")
		case match.PathType == httproute.PathPrefix && match.Path == "/":
			paths = append(paths, v1alpha1.DefaultPathStreamableHTTP)
		default:
			paths = append(paths, match.Path)
		}
		if conditions := len(match.Headers) + len(match.QueryParams); conditions > 0 {
			paths[len(paths)-1] += " (with certain headers or parameters)"
		}
	}
	return paths
}

func backendsOf(rule *httproute.Rule) string {
	var names []string
	for _, backend := range rule.Backends {
		if backend.Invalid != "" {
			names = append(names, "none: "+backend.Invalid)
			continue
		}
		names = append(names, backend.MCP)
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

func targetTable(state *evaluate.State) *table {
	t := &table{header: []string{"BACKEND", "TARGET", "SERVICE", "ADDRESS", "READY"}}
	for i := range state.Backends {
		b := &state.Backends[i]
		name := b.Namespace + "/" + b.Name
		if len(b.Status.Targets) == 0 {
			t.add("", name, "none", "-", "-", "-")
		}
		for j := range b.Status.Targets {
			target := &b.Status.Targets[j]
			ready := "yes"
			if !target.IsReady() {
				ready = "no: " + target.Reason
			}
			t.add(target.Message, name, target.Name, serviceOf(target), addressOf(target), ready)
		}
	}
	return t
}

func serviceOf(t *v1alpha1.ResolvedTarget) string {
	if t.Service == nil {
		return "static"
	}
	return fmt.Sprintf("%s/%s:%d", t.Service.Namespace, t.Service.Name, t.Service.Port)
}

func addressOf(t *v1alpha1.ResolvedTarget) string {
	if len(t.Endpoints) == 0 {
		return "-"
	}
	scheme := "http"
	if t.TLS != nil {
		scheme = "https"
	}
	address := fmt.Sprintf("%s://%s%s", scheme, t.Endpoints[0], t.Path)
	if t.Protocol == v1alpha1.MCPProtocolSSE {
		address += " (SSE)"
	}
	if more := len(t.Endpoints) - 1; more > 0 {
		address += fmt.Sprintf(" and %d more", more)
	}
	return address
}

func skippedTable(state *evaluate.State) *table {
	t := &table{header: []string{"SKIPPED SERVICE", "BACKEND", "TARGET", "REASON"}}
	for i := range state.Backends {
		b := &state.Backends[i]
		for j := range b.Status.Skipped {
			skipped := &b.Status.Skipped[j]
			name := fmt.Sprintf("%d in other namespaces", skipped.Count)
			if skipped.Service != nil {
				name = skipped.Service.Namespace + "/" + skipped.Service.Name
			}
			t.add(skipped.Message, name, b.Namespace+"/"+b.Name, skipped.Target, skipped.Reason)
		}
		if more := int(b.Status.SkippedCount) - len(b.Status.Skipped); more > 0 && len(b.Status.Skipped) == v1alpha1.MaxSkipped {
			t.add("", fmt.Sprintf("and %d more", more), b.Namespace+"/"+b.Name, "-", "-")
		}
	}
	return t
}
