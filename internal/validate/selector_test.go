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

package validate

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func requirement(key string, op metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: values}
}

func expressions(requirements ...metav1.LabelSelectorRequirement) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: requirements}
}

func TestLabelSelector(t *testing.T) {
	const (
		namePart = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " +
			"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
			"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
		value = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must " +
			"start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for " +
			"validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
	)
	for name, test := range map[string]struct {
		selector *metav1.LabelSelector
		want     []string
	}{
		"accepts none":         {},
		"accepts an empty one": {selector: &metav1.LabelSelector{}},
		"accepts matchLabels":  {selector: &metav1.LabelSelector{MatchLabels: map[string]string{"example.com/app": "", "b": "c"}}},
		"accepts each operator": {selector: expressions(requirement("a", "In", "x", "y"), requirement("a", "NotIn", "z"),
			requirement("b", "Exists"), requirement("c", "DoesNotExist"))},
		"wants values": {
			selector: expressions(requirement("a", "In"), requirement("a", "NotIn")),
			want: []string{
				"s.matchExpressions[0].values: Required value: operator In needs at least one value; without values use operator Exists",
				"s.matchExpressions[1].values: Required value: operator NotIn needs at least one value; without values use operator DoesNotExist",
			},
		},
		"wants no values, however they are spelt": {
			selector: expressions(requirement("a", "Exists", "x"), requirement("a", "DoesNotExist", "a b")),
			want: []string{
				"s.matchExpressions[0].values: Forbidden: operator Exists takes no values: remove them, or use operator In",
				"s.matchExpressions[1].values: Forbidden: operator DoesNotExist takes no values: remove them, or use operator NotIn",
			},
		},
		"names the operators": {
			selector: expressions(requirement("a", "in", "x"), requirement("a", "=", "x"), requirement("a", "")),
			want: []string{
				`s.matchExpressions[0].operator: Unsupported value: "in": write "In"`,
				`s.matchExpressions[1].operator: Unsupported value: "=": supported values: "In", "NotIn", "Exists", "DoesNotExist"`,
				`s.matchExpressions[2].operator: Unsupported value: "": supported values: "In", "NotIn", "Exists", "DoesNotExist"`,
			},
		},
		"checks keys and values of expressions": {
			selector: expressions(requirement("", "Exists"), requirement("a b", "In", "x", "c d", "e f")),
			want: []string{
				"s.matchExpressions[0].key: Required value: name the label",
				`s.matchExpressions[1].key: Invalid value: "a b": ` + namePart,
				`s.matchExpressions[1].values[1]: Invalid value: "c d": ` + value,
				`s.matchExpressions[1].values[2]: Invalid value: "e f": ` + value,
			},
		},
		"checks labels in the order of their keys": {
			selector: &metav1.LabelSelector{MatchLabels: map[string]string{"z": "a b", "c d": "x", "a": "e f", "": "x"}},
			want: []string{
				"s.matchLabels: Required value: name the label",
				`s.matchLabels[a]: Invalid value: "e f": ` + value,
				`s.matchLabels: Invalid value: "c d": ` + namePart,
				`s.matchLabels[z]: Invalid value: "a b": ` + value,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var got []string
			for _, err := range validateLabelSelector(test.selector, field.NewPath("s")) {
				got = append(got, err.Error())
			}
			g.Expect(got).To(Equal(test.want))
			// The resolver converts selectors; it must be able to exactly when nothing is wrong with them.
			_, err := metav1.LabelSelectorAsSelector(test.selector)
			g.Expect(err == nil).To(Equal(test.want == nil), "%v", err)
		})
	}
}
