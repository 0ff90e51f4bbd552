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
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// GatewayParameters returns every error of GatewayParameters that the schema does not find, in the order of the spec's
// fields. It accepts objects that the schema would refuse, and leaves those errors to the schema. Affinity is not looked
// into: the API server is asked when the pods are made.
func GatewayParameters(p *v1alpha1.GatewayParameters) field.ErrorList {
	if p == nil {
		return nil
	}
	return GatewayParametersSpec(&p.Spec)
}

// GatewayParametersSpec returns every error of a spec. What is valid in each of two specs may not be in both together.
func GatewayParametersSpec(s *v1alpha1.GatewayParametersSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateImage(s.Image, path.Child("image"))
	errs = append(errs, validateResources(s.Resources, path.Child("resources"))...)
	errs = append(errs, validateScheduling(s.Scheduling, path.Child("scheduling"))...)
	if s.Pod != nil {
		errs = append(errs, validateObjectMeta(s.Pod.Labels, s.Pod.Annotations, path.Child("pod"))...)
	}
	if s.Service != nil {
		service := path.Child("service")
		if class := s.Service.LoadBalancerClass; class != "" {
			errs = append(errs, invalidFor(service.Child("loadBalancerClass"), class, validation.IsQualifiedName(class))...)
		}
		errs = append(errs, validateObjectMeta(s.Service.Labels, s.Service.Annotations, service)...)
	}
	for i := range s.Env {
		errs = append(errs, validateEnv(&s.Env[i], path.Child("env").Index(i))...)
	}
	for i, origin := range s.AllowedOrigins {
		if err := Origin(origin); err != nil {
			errs = append(errs, field.Invalid(path.Child("allowedOrigins").Index(i), origin, err.Error()))
		}
	}
	return append(errs, validateOverlays(s.Overlays, path.Child("overlays"))...)
}

// GatewayParametersWarnings returns what is allowed but probably not meant.
func GatewayParametersWarnings(p *v1alpha1.GatewayParameters) []string {
	if p == nil || p.Spec.PodDisruptionBudget == nil {
		return nil
	}
	path := field.NewPath("spec", "podDisruptionBudget")
	budget := p.Spec.PodDisruptionBudget
	const warning = "%s: no pod may ever be taken away, so that nodes with the Gateway's pods can't be drained: %s"
	if budget.MaxUnavailable != nil && isOneOf(*budget.MaxUnavailable, intstr.FromInt32(0), intstr.FromString("0%")) {
		return []string{fmt.Sprintf(warning, path.Child("maxUnavailable"), "allow at least 1")}
	}
	least := int32(0)
	switch {
	case p.Spec.Replicas != nil:
		least = *p.Spec.Replicas
	case p.Spec.Autoscaling != nil:
		least = max(1, p.Spec.Autoscaling.MinReplicas)
	}
	minimum := budget.MinAvailable
	if minimum == nil {
		return nil
	}
	all := minimum.Type == intstr.Int && least > 0 && minimum.IntVal >= least || isOneOf(*minimum, intstr.FromString("100%"))
	if all {
		return []string{fmt.Sprintf(warning, path.Child("minAvailable"), "require fewer pods than there are, or run more")}
	}
	return nil
}

func isOneOf(value intstr.IntOrString, others ...intstr.IntOrString) bool {
	return slices.Contains(others, value)
}
