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

// Package overlay applies the overlays of GatewayParameters: strategic merge patches, which must leave an object what it
// is. It is pure.
package overlay

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dynamic-mcp/dynamic-mcp/internal/fieldcheck"
)

// MaxBytes is the size of the largest overlay that is applied.
const MaxBytes = 64 << 10

// Source says whose parameters a patch comes from.
type Source string

const (
	// FromGatewayClass is a patch of the GatewayClass's parameters.
	FromGatewayClass Source = "GatewayClass"
	// FromGateway is a patch of the Gateway's parameters.
	FromGateway Source = "Gateway"
)

// Patch is a strategic merge patch.
type Patch struct {
	// Source is whose parameters it is of.
	Source Source
	// Field is where in those parameters it is, like spec.overlays.deployment.
	Field string
	// JSON is the patch.
	JSON []byte
}

// Object is a kind of object that overlays can change.
type Object interface {
	appsv1.Deployment | corev1.Service | corev1.ServiceAccount | policyv1.PodDisruptionBudget |
		autoscalingv2.HorizontalPodAutoscaler
}

// Error is what is wrong with an overlay.
type Error struct {
	// Source is whose parameters the overlay is of.
	Source Source
	// Errors are at least one; their fields are those of the parameters.
	Errors field.ErrorList
}

// Error says all of it.
func (e *Error) Error() string {
	return fmt.Sprintf("parameters of the %s: %v", e.Source, e.Errors.ToAggregate())
}

// Apply returns what strategic merge patches make of an object, one after the other. It refuses, with an *Error,
// what does not fit the kind of the object, and what would make another object of it: see v1alpha1.ProxyOverlays. The
// object is not changed.
func Apply[T Object](object *T, patches []Patch) (*T, error) {
	for _, patch := range patches {
		patched, errs := apply(object, patch)
		if len(errs) > 0 {
			return nil, &Error{Source: patch.Source, Errors: errs}
		}
		object = patched
	}
	return object, nil
}

func apply[T Object](object *T, patch Patch) (*T, field.ErrorList) {
	path := field.NewPath(patch.Field)
	kind := reflect.TypeFor[T]()
	changes, errs := decodePatch(patch.JSON, kind, path)
	if len(errs) > 0 {
		return nil, errs
	}
	before, err := toMap(object)
	if err != nil {
		return nil, field.ErrorList{field.InternalError(path, err)}
	}
	after, err := merge(runtime.DeepCopyJSON(before), changes, *new(T))
	if err != nil {
		// The library's error may show parts of the object, such as environment variables.
		return nil, field.ErrorList{field.Invalid(path, field.OmitValueType{}, fmt.Sprintf(
			"does not merge with the %s: check the directives in it, like $patch", kind.Name()))}
	}
	// A directive may have put something into the object that the patch itself does not show.
	if errs := checkTypes(after, kind, path, false); len(errs) > 0 {
		return nil, errs
	}
	if errs := unchanged(before, after, kind, path); len(errs) > 0 {
		return nil, errs
	}
	patched := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(after, patched); err != nil {
		return nil, field.ErrorList{field.Invalid(path, field.OmitValueType{},
			fmt.Sprintf("does not make a %s: %v", kind.Name(), err))}
	}
	return patched, nil
}

// decodePatch returns a patch whose fields, directives apart, are those of a kind.
func decodePatch(patch []byte, kind reflect.Type, path *field.Path) (map[string]any, field.ErrorList) {
	if len(patch) > MaxBytes {
		return nil, field.ErrorList{field.TooLong(path, "", MaxBytes)}
	}
	var changes map[string]any
	if err := utiljson.Unmarshal(patch, &changes); err != nil || changes == nil {
		return nil, field.ErrorList{field.TypeInvalid(path, field.OmitValueType{},
			fmt.Sprintf("must be an object: the fields of the %s to change", kind.Name()))}
	}
	errs := checkTypes(changes, kind, path, true)
	if schema, err := strategicpatch.NewPatchMetaFromStruct(reflect.Zero(kind).Interface()); err == nil {
		errs = append(errs, checkItems(changes, schema, path)...)
	}
	return changes, errs
}

// checkTypes returns where a value, or else a patch, has fields or types that the kind does not have.
func checkTypes(value map[string]any, kind reflect.Type, path *field.Path, patch bool) field.ErrorList {
	types := fieldcheck.Types{Patches: patch}
	types.Check(runtime.DeepCopyJSONValue(value), kind, path)
	errs := types.Errs
	for _, unknown := range types.Unknown {
		name := strings.TrimPrefix(unknown, path.String()+".")
		message, _ := fieldcheck.UnknownField(fieldcheck.TreeOfType(kind), name)
		hint := strings.TrimPrefix(message, fmt.Sprintf("unknown field %q", name))
		errs = append(errs, field.Forbidden(field.NewPath(unknown), fmt.Sprintf("there is no such field in a %s%s", kind.Name(), hint)))
	}
	return errs
}

// checkItems returns where an item of a list can't be told from others, or is nothing.
func checkItems(patch map[string]any, schema strategicpatch.LookupPatchMeta, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		switch value := patch[name].(type) {
		case map[string]any:
			if below, _, err := schema.LookupPatchMetadataForStruct(name); err == nil {
				errs = append(errs, checkItems(value, below, path.Child(name))...)
			}
		case []any:
			below, meta, err := schema.LookupPatchMetadataForSlice(name)
			if err != nil {
				continue
			}
			key := ""
			if slices.Contains(meta.GetPatchStrategies(), "merge") {
				key = meta.GetPatchMergeKey()
			}
			for i, item := range value {
				errs = append(errs, checkItem(item, key, below, path.Child(name).Index(i))...)
			}
		}
	}
	return errs
}

func checkItem(item any, key string, schema strategicpatch.LookupPatchMeta, path *field.Path) field.ErrorList {
	if item == nil {
		return field.ErrorList{field.Required(path, "must not be null: leave it out, or remove an item with $patch: delete")}
	}
	fields, isMap := item.(map[string]any)
	if !isMap {
		return nil
	}
	if key != "" && fields[key] == nil && fields["$patch"] == nil {
		return field.ErrorList{field.Required(path.Child(key), "items of this list are merged by it")}
	}
	return checkItems(fields, schema, path)
}

// merge applies a patch. The library is made for patches that an API server has decoded before, and may panic on others.
func merge(before, patch map[string]any, kind any) (after map[string]any, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()
	return strategicpatch.StrategicMergeMapPatch(before, patch, kind)
}

func toMap(object any) (map[string]any, error) {
	encoded, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	return fields, utiljson.Unmarshal(encoded, &fields)
}
