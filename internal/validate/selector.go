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
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateLabelSelector returns the errors that would make the selector unusable. The rules are those of
// k8s.io/apimachinery; the texts also say what to write instead, and the order does not depend on the map's.
func validateLabelSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	labels := path.Child("matchLabels")
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		errs = append(errs, validateLabelKey(key, labels)...)
		errs = append(errs, validateLabelValue(s.MatchLabels[key], labels.Key(key))...)
	}
	for i := range s.MatchExpressions {
		errs = append(errs, validateRequirement(&s.MatchExpressions[i], path.Child("matchExpressions").Index(i))...)
	}
	return errs
}

func validateRequirement(r *metav1.LabelSelectorRequirement, path *field.Path) field.ErrorList {
	errs := validateLabelKey(r.Key, path.Child("key"))
	values := path.Child("values")
	switch r.Operator {
	case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(values, fmt.Sprintf("operator %s needs at least one value; "+
				"without values use operator %s", r.Operator, counterpart(r.Operator))))
		}
	case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			errs = append(errs, field.Forbidden(values, fmt.Sprintf("operator %s takes no values: remove them, "+
				"or use operator %s", r.Operator, counterpart(r.Operator))))
			// They are to be removed, so that their spelling does not matter.
			return errs
		}
	default:
		errs = append(errs, operatorError(r.Operator, path.Child("operator")))
	}
	for i, value := range r.Values {
		errs = append(errs, validateLabelValue(value, values.Index(i))...)
	}
	return errs
}

// counterpart returns the operator that says with values what the other one says without, and the other way round.
func counterpart(op metav1.LabelSelectorOperator) metav1.LabelSelectorOperator {
	switch op {
	case metav1.LabelSelectorOpIn:
		return metav1.LabelSelectorOpExists
	case metav1.LabelSelectorOpNotIn:
		return metav1.LabelSelectorOpDoesNotExist
	case metav1.LabelSelectorOpExists:
		return metav1.LabelSelectorOpIn
	default:
		return metav1.LabelSelectorOpNotIn
	}
}

func operatorError(op metav1.LabelSelectorOperator, path *field.Path) *field.Error {
	supported := []metav1.LabelSelectorOperator{metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn,
		metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist}
	err := field.NotSupported(path, op, supported)
	for _, meant := range supported {
		if strings.EqualFold(string(op), string(meant)) {
			err.Detail = fmt.Sprintf("write %q", meant)
		}
	}
	return err
}

func validateLabelKey(key string, path *field.Path) field.ErrorList {
	if key == "" {
		return field.ErrorList{field.Required(path, "name the label")}
	}
	return invalidFor(path, key, validation.IsQualifiedName(key))
}

func validateLabelValue(value string, path *field.Path) field.ErrorList {
	return invalidFor(path, value, validation.IsValidLabelValue(value))
}

func invalidFor(path *field.Path, value string, details []string) field.ErrorList {
	var errs field.ErrorList
	for _, detail := range details {
		errs = append(errs, field.Invalid(path, value, detail))
	}
	return errs
}

// labelSelectorKey is equal for selectors that say the same, in whatever order and form.
func labelSelectorKey(s *metav1.LabelSelector) string {
	var requirements []string
	for key, value := range s.MatchLabels {
		requirements = append(requirements, requirementKey(key, metav1.LabelSelectorOpIn, []string{value}))
	}
	for _, r := range s.MatchExpressions {
		requirements = append(requirements, requirementKey(r.Key, r.Operator, r.Values))
	}
	slices.Sort(requirements)
	return strings.Join(slices.Compact(requirements), " and ")
}

func requirementKey(key string, op metav1.LabelSelectorOperator, values []string) string {
	values = slices.Clone(values)
	slices.Sort(values)
	return fmt.Sprintf("%q %s %q", key, op, slices.Compact(values))
}
