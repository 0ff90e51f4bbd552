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
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const ours gatewayv1.GatewayController = "example.com/ours"

// parent returns an entry of the controller for a Gateway in the route's namespace.
func parent(controller gatewayv1.GatewayController, gateway gatewayv1.ObjectName, conditions ...metav1.Condition) gatewayv1.RouteParentStatus {
	return gatewayv1.RouteParentStatus{
		ControllerName: controller, ParentRef: gatewayv1.ParentReference{Name: gateway}, Conditions: conditions,
	}
}

func at(p gatewayv1.RouteParentStatus, change func(*gatewayv1.ParentReference)) gatewayv1.RouteParentStatus {
	change(&p.ParentRef)
	return p
}

func section(name gatewayv1.SectionName) func(*gatewayv1.ParentReference) {
	return func(ref *gatewayv1.ParentReference) { ref.SectionName = &name }
}

func spelledOut(ref *gatewayv1.ParentReference) {
	ref.Group, ref.Kind = new(gatewayv1.Group(gatewayv1.GroupName)), new(gatewayv1.Kind("Gateway"))
	ref.Namespace = new(gatewayv1.Namespace("ns"))
}

func TestRouteParents(t *testing.T) {
	old, fresh := condition("Accepted", true, 1, before), condition("Accepted", true, 1, metav1.Time{})
	added := condition("Accepted", true, 1, now)
	partial := condition("PartiallyInvalid", true, 1, before)
	foreign := condition("example.com/Note", true, 1, before)
	only := func(names ...string) []types.NamespacedName {
		var keys []types.NamespacedName
		for _, name := range names {
			keys = append(keys, types.NamespacedName{Namespace: "ns", Name: name})
		}
		return keys
	}
	tests := []struct {
		name              string
		existing, desired []gatewayv1.RouteParentStatus
		gateways          []types.NamespacedName
		want              []gatewayv1.RouteParentStatus
		changed           bool
	}{
		{
			name:     "adds its entry after others' for the same Gateway",
			existing: []gatewayv1.RouteParentStatus{parent("other/one", "gw", old)},
			desired:  []gatewayv1.RouteParentStatus{parent(ours, "gw", fresh)},
			want:     []gatewayv1.RouteParentStatus{parent("other/one", "gw", old), parent(ours, "gw", added)},
			changed:  true,
		},
		{
			name:     "keeps everything when nothing changed",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "b", old), parent("other/one", "x", old), parent(ours, "a", old)},
			desired:  []gatewayv1.RouteParentStatus{parent(ours, "a", fresh), parent(ours, "b", fresh)},
			want:     []gatewayv1.RouteParentStatus{parent(ours, "b", old), parent("other/one", "x", old), parent(ours, "a", old)},
		},
		{
			name:     "removes its entry for a parent that is gone",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "gone", old), parent(ours, "a", old), parent("other/one", "gone", old)},
			desired:  []gatewayv1.RouteParentStatus{parent(ours, "a", fresh)},
			want:     []gatewayv1.RouteParentStatus{parent(ours, "a", old), parent("other/one", "gone", old)},
			changed:  true,
		},
		{
			name:     "removes all of its entries when nothing is desired",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "gone", old)},
			want:     []gatewayv1.RouteParentStatus{},
			changed:  true,
		},
		{
			name:     "keeps its entries for Gateways that the caller doesn't speak for",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "b", old), at(parent(ours, "a", old), section("gone"))},
			desired:  []gatewayv1.RouteParentStatus{parent(ours, "a", fresh)},
			gateways: only("a"),
			want:     []gatewayv1.RouteParentStatus{parent(ours, "b", old), parent(ours, "a", added)},
			changed:  true,
		},
		{
			name:     "speaking for no Gateway changes nothing",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "a", old)},
			gateways: []types.NamespacedName{},
			want:     []gatewayv1.RouteParentStatus{parent(ours, "a", old)},
		},
		{
			name:     "tells sections apart",
			existing: []gatewayv1.RouteParentStatus{at(parent(ours, "a", old), section("x"))},
			desired:  []gatewayv1.RouteParentStatus{at(parent(ours, "a", fresh), section("x")), at(parent(ours, "a", fresh), section("y"))},
			want:     []gatewayv1.RouteParentStatus{at(parent(ours, "a", old), section("x")), at(parent(ours, "a", added), section("y"))},
			changed:  true,
		},
		{
			name:     "takes a spelled-out reference for the same parent, and writes it as given",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "a", old)},
			desired:  []gatewayv1.RouteParentStatus{at(parent(ours, "a", fresh), spelledOut)},
			gateways: only("a"),
			want:     []gatewayv1.RouteParentStatus{at(parent(ours, "a", old), spelledOut)},
			changed:  true,
		},
		{
			name:     "removes PartiallyInvalid when the route is valid again, and keeps others' conditions",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "a", old, partial, foreign)},
			desired:  []gatewayv1.RouteParentStatus{parent(ours, "a", fresh)},
			want:     []gatewayv1.RouteParentStatus{parent(ours, "a", old, foreign)},
			changed:  true,
		},
		{
			name:     "repairs doubles",
			existing: []gatewayv1.RouteParentStatus{parent(ours, "a", old), parent(ours, "a", old)},
			desired:  []gatewayv1.RouteParentStatus{parent(ours, "a", fresh), parent(ours, "a", fresh)},
			want:     []gatewayv1.RouteParentStatus{parent(ours, "a", old)},
			changed:  true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			owner := Owner{Controller: ours, RouteNamespace: "ns", Gateways: test.gateways}
			copied := (&gatewayv1.RouteStatus{Parents: test.existing}).DeepCopy().Parents
			got, changed := RouteParents(test.existing, test.desired, owner, now)
			if changed != test.changed {
				t.Errorf("changed = %v, want %v", changed, test.changed)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(copied, test.existing); diff != "" {
				t.Errorf("the existing entries were changed in place:\n%s", diff)
			}
			if _, changed := RouteParents(got, test.desired, owner, now); changed {
				t.Error("the same once more is a change again")
			}
		})
	}
}

func TestRouteParentsStaysWithinTheLimitAtItsOwnExpense(t *testing.T) {
	var existing, desired []gatewayv1.RouteParentStatus
	for i := range 30 {
		existing = append(existing, parent("other/one", gatewayv1.ObjectName(fmt.Sprint("other", i))))
	}
	for i := range 5 {
		desired = append(desired, parent(ours, gatewayv1.ObjectName(fmt.Sprint("gw", i)), condition("Accepted", true, 1, now)))
	}
	got, changed := RouteParents(existing, desired, Owner{Controller: ours, RouteNamespace: "ns"}, now)
	if !changed || len(got) != MaxRouteParents || got[31].ParentRef.Name != "gw1" || got[29].ControllerName != "other/one" {
		t.Errorf("got %d entries, changed %v: %+v", len(got), changed, got)
	}
	if _, changed := RouteParents(got, desired, Owner{Controller: ours, RouteNamespace: "ns"}, now); changed {
		t.Error("what has no room is a change every time")
	}
}
