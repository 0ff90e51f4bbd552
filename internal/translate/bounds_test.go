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
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// A status that the API server refuses is a status that nobody sees.
func TestMessagesStayWithinTheBoundsOfConditions(t *testing.T) {
	long := strings.Repeat("é", 200)
	var rules []gatewayv1.HTTPRouteRule
	for i := range 16 {
		rule := gatewayv1.HTTPRouteRule{}
		for j := range 8 {
			path := fmt.Sprintf("(%s-%d-%d", long, i, j)
			rule.Matches = append(rule.Matches, gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{
				Type: new(gatewayv1.PathMatchRegularExpression), Value: &path}})
		}
		for range 16 {
			rule.BackendRefs = append(rule.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{
				BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(strings.Repeat("n", 253))}}})
		}
		rules = append(rules, rule)
	}
	for name, rules := range map[string][]gatewayv1.HTTPRouteRule{
		"refused":           rules,
		"partially invalid": append([]gatewayv1.HTTPRouteRule{{}}, rules...),
	} {
		t.Run(name, func(t *testing.T) {
			result := translate.Gateway(translate.Inputs{
				Gateway: &gatewayv1.Gateway{
					ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "gw"},
					Spec:       gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{{Name: "a", Port: 80, Protocol: "HTTP"}}},
				},
				HTTPRoutes: []gatewayv1.HTTPRoute{{
					ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r"},
					Spec: gatewayv1.HTTPRouteSpec{Rules: rules, CommonRouteSpec: gatewayv1.CommonRouteSpec{
						ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}}},
				}},
			})
			requireCompiles(t, result)
			requireConditions(t, result)
			for _, condition := range result.Routes[types.NamespacedName{Namespace: "ns", Name: "r"}][0].Conditions {
				if condition.Status == metav1.ConditionTrue && condition.Type != "PartiallyInvalid" {
					continue
				}
				if len(condition.Message) < 1000 || strings.ContainsRune(condition.Message, '\uFFFD') {
					t.Errorf("%s: cut badly: %q", condition.Type, condition.Message)
				}
			}
		})
	}
}

func TestPortsGroupsListenersByPort(t *testing.T) {
	config := translate.Config{Listeners: []httproute.Listener{
		{Name: "c", Port: 8080}, {Name: "a", Port: 80}, {Name: "b", Port: 8080}}}
	var got []string
	for _, port := range config.Ports() {
		for _, listener := range port.Listeners {
			got = append(got, fmt.Sprint(port.Port, listener.Name))
		}
	}
	if want := "80a 8080c 8080b"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
