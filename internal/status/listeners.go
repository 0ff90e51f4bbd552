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
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Listeners merges the desired listener statuses of a Gateway into the existing ones and returns the result, in the
// order of the desired ones, and whether it differs from what exists. Listeners that are not desired are gone from
// the Gateway and are left out. Conditions are merged as Conditions does: what the desired status doesn't mention
// (Programmed, if only the caller knows it) stays as it is, unless its type is in owned.
func Listeners(
	existing, desired []gatewayv1.ListenerStatus, now metav1.Time, owned ...string,
) ([]gatewayv1.ListenerStatus, bool) {
	merged := make([]gatewayv1.ListenerStatus, 0, len(desired))
	for i := range desired {
		next := desired[i]
		conditions := []metav1.Condition{}
		for j := range existing {
			if existing[j].Name == next.Name {
				conditions = slices.Clone(existing[j].Conditions)
				break
			}
		}
		Conditions(&conditions, next.Conditions, now, owned...)
		next.Conditions = conditions
		merged = append(merged, next)
	}
	if equality.Semantic.DeepEqual(existing, merged) {
		return existing, false
	}
	return merged, true
}
