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

// Package status merges what was decided into what is stored: conditions, listener statuses and route parents. It
// is pure: nothing given is changed in place, so that objects of a shared cache are safe, and every function says
// whether anything changed, so that callers write only then.
package status

import (
	"math"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions merges the desired conditions into the existing ones, by type, and returns whether anything changed.
//
// The order of the existing conditions is kept and new ones come after them. lastTransitionTime becomes now where a
// condition is new or its status changed, and is kept otherwise; the desired conditions' own times are ignored. A
// condition whose observedGeneration is newer than the desired one's is left alone: the caller's copy of the object
// is stale, and an update will follow. Conditions of other types are kept, except that those of the types in owned
// are removed if they are not desired.
//
// The slice that existing points to is replaced, never changed in place.
// https://gateway-api.sigs.k8s.io/reference/spec/#gatewaystatus has the rules for implementations.
func Conditions(existing *[]metav1.Condition, desired []metav1.Condition, now metav1.Time, owned ...string) bool {
	merged := make([]metav1.Condition, 0, len(*existing)+len(desired))
	changed := false
	newest := newestGeneration(desired)
	for i := range *existing {
		have := (*existing)[i]
		want := find(desired, have.Type)
		switch {
		case find(merged, have.Type) != nil:
			changed = true // A second condition of one type can't be stored, so it is never kept.
		case want != nil:
			updated, differs := update(have, *want, now)
			merged = append(merged, updated)
			changed = changed || differs
		case slices.Contains(owned, have.Type) && have.ObservedGeneration <= newest:
			changed = true
		default:
			merged = append(merged, have)
		}
	}
	for i := range desired {
		if find(merged, desired[i].Type) != nil {
			continue
		}
		added := desired[i]
		added.LastTransitionTime = now
		merged = append(merged, added)
		changed = true
	}
	if changed {
		*existing = merged
	}
	return changed
}

// newestGeneration returns the newest generation that the conditions are about. Without any the caller wants nothing
// but removals, which no generation speaks against.
func newestGeneration(conditions []metav1.Condition) int64 {
	if len(conditions) == 0 {
		return math.MaxInt64
	}
	newest := int64(0)
	for i := range conditions {
		newest = max(newest, conditions[i].ObservedGeneration)
	}
	return newest
}

// update returns the condition that replaces have, and whether it differs from it.
func update(have, want metav1.Condition, now metav1.Time) (metav1.Condition, bool) {
	if have.ObservedGeneration > want.ObservedGeneration {
		return have, false
	}
	want.LastTransitionTime = have.LastTransitionTime
	if have.Status != want.Status {
		want.LastTransitionTime = now
	}
	return want, want != have
}

// find returns the condition of a type, or nil.
func find(conditions []metav1.Condition, conditionType string) *metav1.Condition {
	for i := range conditions {
		if conditions[i].Type == conditionType {
			return &conditions[i]
		}
	}
	return nil
}
