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

package status

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func listener(name gatewayv1.SectionName, attached int32, conditions ...metav1.Condition) gatewayv1.ListenerStatus {
	return gatewayv1.ListenerStatus{Name: name, AttachedRoutes: attached, Conditions: conditions,
		SupportedKinds: []gatewayv1.RouteGroupKind{{Kind: "HTTPRoute"}}}
}

func TestListeners(t *testing.T) {
	unset := metav1.Time{}
	accepted := func(since metav1.Time) metav1.Condition { return condition("Accepted", true, 1, since) }
	programmed := condition("Programmed", true, 1, before)
	noKinds := listener("a", 1, accepted(before))
	noKinds.SupportedKinds = []gatewayv1.RouteGroupKind{}
	nilKinds := noKinds
	nilKinds.SupportedKinds = nil
	tests := []struct {
		name              string
		existing, desired []gatewayv1.ListenerStatus
		owned             []string
		want              []gatewayv1.ListenerStatus
		changed           bool
	}{
		{
			name:    "adds",
			desired: []gatewayv1.ListenerStatus{listener("a", 1, accepted(unset))},
			want:    []gatewayv1.ListenerStatus{listener("a", 1, accepted(now))},
			changed: true,
		},
		{
			name:     "keeps everything when nothing changed, with what the caller doesn't mention",
			existing: []gatewayv1.ListenerStatus{listener("a", 1, accepted(before), programmed)},
			desired:  []gatewayv1.ListenerStatus{listener("a", 1, accepted(unset))},
			want:     []gatewayv1.ListenerStatus{listener("a", 1, accepted(before), programmed)},
		},
		{
			name:     "removes its own conditions that are not desired",
			existing: []gatewayv1.ListenerStatus{listener("a", 1, accepted(before), programmed)},
			desired:  []gatewayv1.ListenerStatus{listener("a", 1, accepted(unset))},
			owned:    []string{"Programmed"},
			want:     []gatewayv1.ListenerStatus{listener("a", 1, accepted(before))},
			changed:  true,
		},
		{
			name:     "sees the number of routes",
			existing: []gatewayv1.ListenerStatus{listener("a", 1, accepted(before))},
			desired:  []gatewayv1.ListenerStatus{listener("a", 2, accepted(unset))},
			want:     []gatewayv1.ListenerStatus{listener("a", 2, accepted(before))},
			changed:  true,
		},
		{
			name:     "follows the order of the Gateway and drops what is gone",
			existing: []gatewayv1.ListenerStatus{listener("a", 1, accepted(before)), listener("gone", 1), listener("b", 1, accepted(before))},
			desired:  []gatewayv1.ListenerStatus{listener("b", 1, accepted(unset)), listener("a", 1, accepted(unset))},
			want:     []gatewayv1.ListenerStatus{listener("b", 1, accepted(before)), listener("a", 1, accepted(before))},
			changed:  true,
		},
		{
			name:     "takes no kinds and an empty list of kinds for the same",
			existing: []gatewayv1.ListenerStatus{nilKinds},
			desired:  []gatewayv1.ListenerStatus{noKinds},
			want:     []gatewayv1.ListenerStatus{nilKinds},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, changed := Listeners(test.existing, test.desired, now, test.owned...)
			if changed != test.changed {
				t.Errorf("changed = %v, want %v", changed, test.changed)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if _, changed := Listeners(got, test.desired, now, test.owned...); changed {
				t.Error("the same once more is a change again")
			}
		})
	}
}
