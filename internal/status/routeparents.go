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
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// MaxRouteParents is the largest number of parents in a route's status.
// https://gateway-api.sigs.k8s.io/reference/spec/#routestatus
const MaxRouteParents = 32

// RouteConditionTypes are the condition types of a route's parent that this implementation decides. In its own
// entries, those that are not desired any more are removed: PartiallyInvalid must not be there unless it is True.
var RouteConditionTypes = []string{
	string(gatewayv1.RouteConditionAccepted),
	string(gatewayv1.RouteConditionResolvedRefs),
	string(gatewayv1.RouteConditionPartiallyInvalid),
}

// Owner says which entries of a route's parents the caller answers for. All others are kept as they are.
type Owner struct {
	// Controller is the caller's controllerName.
	Controller gatewayv1.GatewayController
	// RouteNamespace is the route's namespace, which a parentRef without a namespace means.
	RouteNamespace string
	// Gateways that the desired entries are about. The controller's entries for other Gateways are kept. Nil: all
	// of the controller's entries, which is what a reconciler says that looked at every parentRef of the route.
	Gateways []types.NamespacedName
}

// RouteParents merges the desired parents into the existing ones and returns the result, and whether it differs from
// what exists. The owner's entries that are not desired are removed: their parent is gone, or is not the owner's any
// more. The order of the existing entries is kept and new ones come after them. At most MaxRouteParents are
// returned; it is never another owner's entry that gives way.
func RouteParents(
	existing, desired []gatewayv1.RouteParentStatus, owner Owner, now metav1.Time,
) ([]gatewayv1.RouteParentStatus, bool) {
	merged := make([]gatewayv1.RouteParentStatus, 0, len(existing)+len(desired))
	done := make([]bool, len(desired))
	for i := range existing {
		if !owner.owns(&existing[i]) {
			merged = append(merged, existing[i])
			continue
		}
		wanted := owner.index(desired, existing[i].ParentRef)
		if wanted < 0 || done[wanted] {
			continue
		}
		done[wanted] = true
		merged = append(merged, owner.merge(existing[i].Conditions, desired[wanted], now))
	}
	kept := len(merged)
	for i := range desired {
		if !done[i] && owner.index(desired, desired[i].ParentRef) == i {
			merged = append(merged, owner.merge(nil, desired[i], now))
		}
	}
	if len(merged) > MaxRouteParents {
		merged = merged[:max(kept, MaxRouteParents)]
	}
	if equality.Semantic.DeepEqual(existing, merged) {
		return existing, false
	}
	return merged, true
}

// merge returns the desired entry with conditions merged into the existing ones.
func (o Owner) merge(
	existing []metav1.Condition, desired gatewayv1.RouteParentStatus, now metav1.Time,
) gatewayv1.RouteParentStatus {
	conditions := slices.Clone(existing)
	Conditions(&conditions, desired.Conditions, now, RouteConditionTypes...)
	desired.Conditions = conditions
	desired.ControllerName = o.Controller
	return desired
}

// owns returns whether the caller answers for an existing entry.
func (o Owner) owns(entry *gatewayv1.RouteParentStatus) bool {
	if entry.ControllerName != o.Controller {
		return false
	}
	if o.Gateways == nil {
		return true
	}
	parent := o.key(entry.ParentRef)
	return parent.group == gatewayv1.GroupName && parent.kind == "Gateway" &&
		slices.Contains(o.Gateways, types.NamespacedName{Namespace: parent.namespace, Name: parent.name})
}

// index returns the first entry with an equivalent parentRef, or -1.
func (o Owner) index(entries []gatewayv1.RouteParentStatus, ref gatewayv1.ParentReference) int {
	key := o.key(ref)
	return slices.IndexFunc(entries, func(entry gatewayv1.RouteParentStatus) bool {
		return o.key(entry.ParentRef) == key
	})
}

// parentKey is a parentRef with its defaults filled in. Two references with the same key mean the same parent, also
// when one spells out what the other leaves to the default.
type parentKey struct {
	group, kind, namespace, name, section string
	port                                  gatewayv1.PortNumber
}

func (o Owner) key(ref gatewayv1.ParentReference) parentKey {
	return parentKey{
		group:     string(valueOr(ref.Group, gatewayv1.GroupName)),
		kind:      string(valueOr(ref.Kind, "Gateway")),
		namespace: string(valueOr(ref.Namespace, gatewayv1.Namespace(o.RouteNamespace))),
		name:      string(ref.Name),
		section:   string(valueOr(ref.SectionName, "")),
		port:      valueOr(ref.Port, 0),
	}
}

// valueOr returns what a pointer points to, or the default.
func valueOr[T any](pointer *T, otherwise T) T {
	if pointer == nil {
		return otherwise
	}
	return *pointer
}
