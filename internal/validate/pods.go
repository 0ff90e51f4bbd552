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

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/overlay"
)

// validateObjectMeta checks labels and annotations that are added to an object.
func validateObjectMeta(labels, annotations map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if overlay.IsReservedLabel(key) {
			errs = append(errs, field.Forbidden(path.Child("labels").Key(key),
				"is set by the gateway itself, and tells what the object belongs to: remove it"))
			continue
		}
		errs = append(errs, validateLabelKey(key, path.Child("labels"))...)
		errs = append(errs, validateLabelValue(labels[key], path.Child("labels").Key(key))...)
	}
	return append(errs, apivalidation.ValidateAnnotations(annotations, path.Child("annotations"))...)
}

// validateResources checks names and quantities. The API server has more rules about rare resources.
func validateResources(r *v1alpha1.ProxyResources, path *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	errs := validateResourceList(r.Requests, path.Child("requests"))
	errs = append(errs, validateResourceList(r.Limits, path.Child("limits"))...)
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		request := r.Requests[name]
		if limit, found := r.Limits[name]; found && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(path.Child("requests").Key(string(name)), request.String(),
				fmt.Sprintf("must not be greater than the limit, %s: raise the limit or lower the request", limit.String())))
		}
	}
	return errs
}

// containerResources are the resources that every container can have. Others have a prefix with a slash.
var containerResources = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
}

func validateResourceList(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		key, quantity := path.Key(string(name)), list[name]
		switch {
		case strings.Contains(string(name), "/"):
			errs = append(errs, invalidFor(key, string(name), validation.IsQualifiedName(string(name)))...)
		case !slices.Contains(containerResources, name) && !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			errs = append(errs, field.NotSupported(key, name, containerResources))
		}
		if quantity.Sign() < 0 {
			errs = append(errs, field.Invalid(key, quantity.String(), "must not be negative"))
		}
	}
	return errs
}

// validateScheduling checks all but affinity.
func validateScheduling(s *v1alpha1.ProxyScheduling, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	selector := path.Child("nodeSelector")
	for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		errs = append(errs, validateLabelKey(key, selector)...)
		errs = append(errs, validateLabelValue(s.NodeSelector[key], selector.Key(key))...)
	}
	for i := range s.Tolerations {
		errs = append(errs, validateToleration(&s.Tolerations[i], path.Child("tolerations").Index(i))...)
	}
	for i := range s.TopologySpreadConstraints {
		errs = append(errs, validateSpread(&s.TopologySpreadConstraints[i], path.Child("topologySpreadConstraints").Index(i))...)
	}
	if name := s.PriorityClassName; name != "" {
		errs = append(errs, invalidFor(path.Child("priorityClassName"), name, validation.IsDNS1123Subdomain(name))...)
	}
	return errs
}

func validateToleration(t *corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.Key != "" {
		errs = append(errs, validateLabelKey(t.Key, path.Child("key"))...)
	}
	switch t.Operator {
	case corev1.TolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Forbidden(path.Child("value"), "operator Exists takes no value: remove it, or use operator Equal"))
		}
	case corev1.TolerationOpEqual, "":
		if t.Key == "" {
			errs = append(errs, field.Required(path.Child("key"), "name the taint's key; to tolerate every taint, use operator Exists"))
		}
		errs = append(errs, validateLabelValue(t.Value, path.Child("value"))...)
	case corev1.TolerationOpLt, corev1.TolerationOpGt: // The API server knows whether they are switched on.
	default:
		errs = append(errs, field.NotSupported(path.Child("operator"), t.Operator,
			[]corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
	}
	switch t.Effect {
	case "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
	default:
		errs = append(errs, field.NotSupported(path.Child("effect"), t.Effect,
			[]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		errs = append(errs, field.Forbidden(path.Child("tolerationSeconds"), "can be set only for effect NoExecute: remove one of the two"))
	}
	return errs
}

func validateSpread(c *corev1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.MaxSkew < 1 {
		errs = append(errs, field.Invalid(path.Child("maxSkew"), c.MaxSkew, "must be at least 1"))
	}
	errs = append(errs, validateLabelKey(c.TopologyKey, path.Child("topologyKey"))...)
	switch c.WhenUnsatisfiable {
	case corev1.DoNotSchedule, corev1.ScheduleAnyway:
	default:
		errs = append(errs, field.NotSupported(path.Child("whenUnsatisfiable"), c.WhenUnsatisfiable,
			[]corev1.UnsatisfiableConstraintAction{corev1.ScheduleAnyway, corev1.DoNotSchedule}))
	}
	if c.MinDomains != nil && (*c.MinDomains < 1 || c.WhenUnsatisfiable != corev1.DoNotSchedule) {
		errs = append(errs, field.Invalid(path.Child("minDomains"), *c.MinDomains,
			"must be at least 1, and can be set only with whenUnsatisfiable: DoNotSchedule"))
	}
	return append(errs, validateLabelSelector(c.LabelSelector, path.Child("labelSelector"))...)
}
