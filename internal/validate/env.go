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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// reservedEnv is the environment variable by which the proxy knows its own address. Others can't be wrong.
const reservedEnv = "POD_IP"

func validateEnv(variable *corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	name := path.Child("name")
	switch variable.Name {
	case "":
		errs = append(errs, field.Required(name, "name the environment variable"))
	case reservedEnv:
		errs = append(errs, field.Forbidden(name, variable.Name+" is set by the gateway itself: remove it"))
	default:
		errs = append(errs, invalidFor(name, variable.Name, validation.IsEnvVarName(variable.Name))...)
	}
	if variable.ValueFrom == nil {
		return errs
	}
	from := path.Child("valueFrom")
	if variable.Value != "" {
		errs = append(errs, field.Forbidden(from, "only one of value and valueFrom can be set: remove one of the two"))
	}
	return append(errs, validateEnvSource(variable.ValueFrom, from)...)
}

func validateEnvSource(source *corev1.EnvVarSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	set := 0
	requireName := func(kind, name string, path *field.Path) {
		set++
		if name == "" {
			errs = append(errs, field.Required(path.Child("name"), "name the "+kind))
		}
	}
	if source.SecretKeyRef != nil {
		requireName("Secret", source.SecretKeyRef.Name, path.Child("secretKeyRef"))
	}
	if source.ConfigMapKeyRef != nil {
		requireName("ConfigMap", source.ConfigMapKeyRef.Name, path.Child("configMapKeyRef"))
	}
	if source.FieldRef != nil {
		set++
	}
	if source.ResourceFieldRef != nil {
		set++
	}
	if source.FileKeyRef != nil {
		set++
	}
	switch {
	case set == 0:
		errs = append(errs, field.Required(path, "set one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef"))
	case set > 1:
		errs = append(errs, field.Forbidden(path, "only one source can be set: remove the others"))
	}
	return errs
}
