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
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	before = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	now    = metav1.NewTime(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
)

// condition returns a condition whose reason and message follow from its status.
func condition(conditionType string, status bool, generation int64, since metav1.Time) metav1.Condition {
	c := metav1.Condition{Type: conditionType, Status: metav1.ConditionFalse, ObservedGeneration: generation,
		LastTransitionTime: since, Reason: "No", Message: "no"}
	if status {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, "Yes", "yes"
	}
	return c
}

func reworded(c metav1.Condition, message string) metav1.Condition {
	c.Message = message
	return c
}

func TestConditions(t *testing.T) {
	unset := metav1.Time{}
	tests := []struct {
		name              string
		existing, desired []metav1.Condition
		owned             []string
		want              []metav1.Condition
		changed           bool
	}{
		{
			name:    "adds new ones, with the time of now",
			desired: []metav1.Condition{condition("A", true, 1, before), condition("B", false, 1, unset)},
			want:    []metav1.Condition{condition("A", true, 1, now), condition("B", false, 1, now)},
			changed: true,
		},
		{
			name:     "keeps everything when nothing changed",
			existing: []metav1.Condition{condition("A", true, 1, before)},
			desired:  []metav1.Condition{condition("A", true, 1, unset)},
			want:     []metav1.Condition{condition("A", true, 1, before)},
		},
		{
			name:     "changes the time with the status",
			existing: []metav1.Condition{condition("A", true, 1, before)},
			desired:  []metav1.Condition{condition("A", false, 1, unset)},
			want:     []metav1.Condition{condition("A", false, 1, now)},
			changed:  true,
		},
		{
			name:     "keeps the time when only the message changes",
			existing: []metav1.Condition{condition("A", true, 1, before)},
			desired:  []metav1.Condition{reworded(condition("A", true, 1, unset), "other")},
			want:     []metav1.Condition{reworded(condition("A", true, 1, before), "other")},
			changed:  true,
		},
		{
			name:     "keeps the time when only the generation changes",
			existing: []metav1.Condition{condition("A", true, 1, before)},
			desired:  []metav1.Condition{condition("A", true, 2, unset)},
			want:     []metav1.Condition{condition("A", true, 2, before)},
			changed:  true,
		},
		{
			name:     "keeps others' conditions and the order",
			existing: []metav1.Condition{condition("Other", true, 1, before), condition("A", true, 1, before)},
			desired:  []metav1.Condition{condition("B", true, 1, unset), condition("A", false, 1, unset)},
			want: []metav1.Condition{condition("Other", true, 1, before), condition("A", false, 1, now),
				condition("B", true, 1, now)},
			changed: true,
		},
		{
			name:     "leaves alone what a newer generation has",
			existing: []metav1.Condition{condition("A", true, 5, before)},
			desired:  []metav1.Condition{condition("A", false, 4, unset)},
			want:     []metav1.Condition{condition("A", true, 5, before)},
		},
		{
			name:     "removes its own that are not desired",
			existing: []metav1.Condition{condition("A", true, 1, before), condition("Own", true, 1, before), condition("Other", true, 1, before)},
			desired:  []metav1.Condition{condition("A", true, 1, unset)},
			owned:    []string{"A", "Own"},
			want:     []metav1.Condition{condition("A", true, 1, before), condition("Other", true, 1, before)},
			changed:  true,
		},
		{
			name:     "does not remove what a newer generation has",
			existing: []metav1.Condition{condition("A", true, 1, before), condition("Own", true, 3, before)},
			desired:  []metav1.Condition{condition("A", true, 2, unset)},
			owned:    []string{"Own"},
			want:     []metav1.Condition{condition("A", true, 2, before), condition("Own", true, 3, before)},
			changed:  true,
		},
		{
			name:     "removes all of its own when nothing is desired",
			existing: []metav1.Condition{condition("Own", true, 3, before)},
			owned:    []string{"Own"},
			want:     []metav1.Condition{},
			changed:  true,
		},
		{
			name:     "repairs a type that is there twice",
			existing: []metav1.Condition{condition("A", true, 1, before), condition("A", false, 1, before)},
			desired:  []metav1.Condition{condition("A", true, 1, unset)},
			want:     []metav1.Condition{condition("A", true, 1, before)},
			changed:  true,
		},
		{
			name:    "takes the first of several desired of one type",
			desired: []metav1.Condition{condition("A", true, 1, unset), condition("A", false, 1, unset)},
			want:    []metav1.Condition{condition("A", true, 1, now)},
			changed: true,
		},
		{name: "does nothing without anything"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := append([]metav1.Condition(nil), test.existing...)
			backing := got
			if changed := Conditions(&got, test.desired, now, test.owned...); changed != test.changed {
				t.Errorf("changed = %v, want %v", changed, test.changed)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(append([]metav1.Condition(nil), test.existing...), backing); diff != "" {
				t.Errorf("the conditions were changed in place:\n%s", diff)
			}
			if test.changed && Conditions(&got, test.desired, now, test.owned...) {
				t.Error("the same once more is a change again")
			}
		})
	}
}
