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

package translate

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
)

// translatedRoute is an HTTPRoute apart from its parents.
type translatedRoute struct {
	route *gatewayv1.HTTPRoute
	rules []httproute.Rule
	// refused is why no parent can accept the route; nil if one can.
	refused *Condition
	// partiallyInvalid is set if some rules are invalid and others are not.
	partiallyInvalid *Condition
	resolvedRefs     Condition
}

// translateRoute translates the rules. A route whose rules all use what is not supported is refused. If only some
// do, the specification wants the others to work: the condition PartiallyInvalid names the dropped ones. Requests
// that a dropped rule matches get 500 rather than falling through to a broader rule, which might let pass what the
// dropped one's filters were there to stop.
// https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule (filters)
func translateRoute(route *gatewayv1.HTTPRoute, objects *objects) *translatedRoute {
	t := &translatedRoute{route: route}
	refs := &refResolver{route: route, objects: objects}
	var unsupported, dropped problems
	valid := 0
	for i := range routeRules(route) {
		spec := &routeRules(route)[i]
		matches, problems := translateMatches(i, spec)
		problems.list = append(problems.list, unsupportedFeatures(i, spec)...)
		backends := refs.resolve(i, spec.BackendRefs)
		if message := problems.String(); message != "" {
			unsupported.list = append(unsupported.list, problems.list...)
			dropped.add("Dropped Rule %d: %s", i, message)
			backends = []httproute.Backend{{Weight: 1, Invalid: truncate("the rule is not supported: "+message, maxQuoted)}}
			if len(matches) == 0 && len(spec.Matches) > 0 {
				continue // Nothing is left to match by, and a rule without matches would match everything.
			}
		} else {
			valid++
		}
		t.rules = append(t.rules, httproute.Rule{Matches: matches, Backends: backends})
	}
	for i, hostname := range route.Spec.Hostnames {
		if err := httproute.ValidateHostname(string(hostname)); err != nil {
			unsupported.add("spec.hostnames[%d]: %v", i, err)
			valid = 0
		}
	}
	t.resolvedRefs = refs.condition()
	switch {
	case valid == 0:
		refused := rejected(string(gatewayv1.RouteReasonUnsupportedValue), unsupported.String())
		t.refused = &refused
	case len(dropped.list) > 0:
		partial := accepted(string(gatewayv1.RouteReasonUnsupportedValue), dropped.String())
		t.partiallyInvalid = &partial
	}
	return t
}

// routeRules returns the route's rules. The API server's default for none is one rule that matches everything.
func routeRules(route *gatewayv1.HTTPRoute) []gatewayv1.HTTPRouteRule {
	if len(route.Spec.Rules) == 0 {
		return []gatewayv1.HTTPRouteRule{{}}
	}
	return route.Spec.Rules
}

// unsupportedFeatures returns what a rule asks for, besides matching, that can't be done yet. To ignore it could mean
// to do the opposite of what was asked for.
func unsupportedFeatures(index int, rule *gatewayv1.HTTPRouteRule) []string {
	var problems problems
	path := fmt.Sprintf("spec.rules[%d]", index)
	if len(rule.Filters) > 0 {
		problems.add("%s.filters: filters (%s) are not supported yet: remove them", path, filterTypes(rule.Filters))
	}
	if rule.Timeouts != nil && (rule.Timeouts.Request != nil || rule.Timeouts.BackendRequest != nil) {
		problems.add("%s.timeouts: timeouts are not supported yet: remove them", path)
	}
	if rule.Retry != nil {
		problems.add("%s.retry: retries are not supported yet: remove the field", path)
	}
	if rule.SessionPersistence != nil {
		problems.add("%s.sessionPersistence: not supported, and not needed, because any replica serves any MCP "+
			"session: remove the field", path)
	}
	for i := range rule.BackendRefs {
		if filters := rule.BackendRefs[i].Filters; len(filters) > 0 {
			problems.add("%s.backendRefs[%d].filters: filters (%s) are not supported yet: remove them",
				path, i, filterTypes(filters))
		}
	}
	return problems.list
}

func filterTypes(filters []gatewayv1.HTTPRouteFilter) string {
	types := make([]string, 0, len(filters))
	for i := range filters {
		types = append(types, string(filters[i].Type))
	}
	slices.Sort(types)
	return strings.Join(slices.Compact(types), ", ")
}

// methods are the values of HTTPMethod.
var methods = []gatewayv1.HTTPMethod{
	gatewayv1.HTTPMethodGet, gatewayv1.HTTPMethodHead, gatewayv1.HTTPMethodPost, gatewayv1.HTTPMethodPut,
	gatewayv1.HTTPMethodDelete, gatewayv1.HTTPMethodConnect, gatewayv1.HTTPMethodOptions, gatewayv1.HTTPMethodTrace,
	gatewayv1.HTTPMethodPatch,
}

// translateMatches returns the rule's matches that can be compiled, and what is wrong with the others.
func translateMatches(index int, rule *gatewayv1.HTTPRouteRule) ([]httproute.Match, problems) {
	var problems problems
	matches := make([]httproute.Match, 0, len(rule.Matches))
	for i := range rule.Matches {
		match, err := translateMatch(&rule.Matches[i])
		if err == nil {
			err = match.Validate()
		}
		if err != nil {
			problems.add("spec.rules[%d].matches[%d]: %s", index, i, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		matches = append(matches, match)
	}
	return matches, problems
}

// translateMatch fills in the defaults of the API and refuses values of enumerations that it doesn't know, which may
// come with a newer version of the API.
func translateMatch(match *gatewayv1.HTTPRouteMatch) (httproute.Match, error) {
	translated := httproute.Match{
		PathType: httproute.PathPrefix, Path: "/", Method: string(valueOr(match.Method, "")),
	}
	if translated.Method != "" && !slices.Contains(methods, *match.Method) {
		return translated, fmt.Errorf("method %q is not supported", translated.Method)
	}
	if path := match.Path; path != nil {
		translated.Path = valueOr(path.Value, "/")
		switch pathType := valueOr(path.Type, gatewayv1.PathMatchPathPrefix); pathType {
		case gatewayv1.PathMatchExact:
			translated.PathType = httproute.PathExact
		case gatewayv1.PathMatchPathPrefix:
		case gatewayv1.PathMatchRegularExpression:
			translated.PathType = httproute.PathRegularExpression
		default:
			return translated, fmt.Errorf("path type %q is not supported", pathType)
		}
	}
	for i := range match.Headers {
		header := &match.Headers[i]
		value, err := translateValue(
			string(header.Name), header.Value, string(valueOr(header.Type, gatewayv1.HeaderMatchExact)))
		if err != nil {
			return translated, fmt.Errorf("header %q: %w", header.Name, err)
		}
		translated.Headers = append(translated.Headers, value)
	}
	for i := range match.QueryParams {
		param := &match.QueryParams[i]
		value, err := translateValue(
			string(param.Name), param.Value, string(valueOr(param.Type, gatewayv1.QueryParamMatchExact)))
		if err != nil {
			return translated, fmt.Errorf("query parameter %q: %w", param.Name, err)
		}
		translated.QueryParams = append(translated.QueryParams, value)
	}
	return translated, nil
}

// translateValue translates a header's or a query parameter's match: both have the same types.
func translateValue(name, value, matchType string) (httproute.ValueMatch, error) {
	switch matchType {
	case string(gatewayv1.HeaderMatchExact):
		return httproute.ValueMatch{Name: name, Value: value}, nil
	case string(gatewayv1.HeaderMatchRegularExpression):
		return httproute.ValueMatch{Name: name, Value: value, Regexp: true}, nil
	}
	return httproute.ValueMatch{}, fmt.Errorf("match type %q is not supported", matchType)
}
