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

package translate_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// FuzzGateway holds the promise that whatever users write, httproute compiles the result: one bad route must never
// keep the proxy from taking a new configuration. What the API server's schema refuses comes here too, because
// objects read from files have no API server.
func FuzzGateway(f *testing.F) {
	f.Add("a.example.com", "*.example.com", "PathPrefix", "/a", "X-A", "RegularExpression", "a.*", "GET", int32(80))
	f.Add("", "", "RegularExpression", "/a)|(b", "x", "Exact", "", "", int32(0))
	f.Add("A.*", "*", "Exact", "/%2F", "", "RegularExpression", "(", "get", int32(70000))
	f.Add("\u212A.io", "k.io", "Exact", "/\\", ":", "", "\\", "PATCH", int32(1))
	f.Fuzz(func(t *testing.T, listenerHost, routeHost, pathType, path, name, valueType, value, method string, port int32) {
		gateway := &gatewayv1.Gateway{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "gw"},
			Spec: gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{
				{Name: "a", Port: port, Protocol: "HTTP", Hostname: new(gatewayv1.Hostname(listenerHost))},
				{Name: "b", Port: port, Protocol: "HTTP", Hostname: new(gatewayv1.Hostname(routeHost))},
				{Name: "c", Port: port, Protocol: "HTTP"},
			}},
		}
		parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}}
		matches := []gatewayv1.HTTPRouteMatch{
			{
				Path:   &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchType(pathType)), Value: &path},
				Method: new(gatewayv1.HTTPMethod(method)),
			},
			{Headers: []gatewayv1.HTTPHeaderMatch{
				{Type: new(gatewayv1.HeaderMatchType(valueType)), Name: gatewayv1.HTTPHeaderName(name), Value: value}}},
			{QueryParams: []gatewayv1.HTTPQueryParamMatch{
				{Type: new(gatewayv1.QueryParamMatchType(valueType)), Name: gatewayv1.HTTPHeaderName(name), Value: value}}},
		}
		spec := gatewayv1.HTTPRouteSpec{CommonRouteSpec: parents, Hostnames: []gatewayv1.Hostname{gatewayv1.Hostname(routeHost)}}
		for i := range matches {
			spec.Rules = append(spec.Rules, gatewayv1.HTTPRouteRule{Matches: matches[i : i+1]})
		}
		result := translate.Gateway(translate.Inputs{Gateway: gateway, HTTPRoutes: []gatewayv1.HTTPRoute{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "hosted"}, Spec: spec},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "any"},
				Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.HTTPRouteRule{{Matches: matches}}}},
		}})
		requireCompiles(t, result)
		requireConditions(t, result)
	})
}
