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

package crdschema

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	openapi "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/operation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// Schema is the schema of one version of a kind.
type Schema struct {
	// Kind that it is for.
	Kind apischema.GroupVersionKind
	// Namespaced is whether objects of the kind are in namespaces.
	Namespaced bool
	// Deprecation is what the API server warns of when the version is used; usually empty.
	Deprecation string

	hasStatus  bool
	structural *schema.Structural
	openapi    openapi.SchemaValidator
	cel        *cel.Validator
}

func compile(
	kind apischema.GroupVersionKind, definition *apiextensionsv1.CustomResourceDefinition,
	version *apiextensionsv1.CustomResourceDefinitionVersion,
) (*Schema, error) {
	internal := &apiextensions.CustomResourceValidation{}
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(
		version.Schema, internal, nil); err != nil {
		return nil, fmt.Errorf("convert the schema: %w", err)
	}
	structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("the schema is not structural: %w", err)
	}
	if err := defaulting.PruneDefaults(structural); err != nil {
		return nil, fmt.Errorf("prune defaults: %w", err)
	}
	validator, _, err := openapi.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("compile the OpenAPI schema: %w", err)
	}
	s := &Schema{
		Kind:       kind,
		Namespaced: definition.Spec.Scope == apiextensionsv1.NamespaceScoped,
		hasStatus:  version.Subresources != nil && version.Subresources.Status != nil,
		structural: structural,
		openapi:    validator,
		cel:        cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}
	if version.Deprecated {
		s.Deprecation = fmt.Sprintf("%s %s is deprecated", kind.GroupVersion(), kind.Kind)
		if version.DeprecationWarning != nil {
			s.Deprecation = *version.DeprecationWarning
		}
	}
	return s, nil
}

// Root returns the schema of the whole object, which must not be changed.
func (s *Schema) Root() *schema.Structural { return s.structural }

// Decode makes of what a user wrote what the API server goes on with: fields that the schema does not know are removed
// and returned, null where it can't stand is removed, and defaults are filled in. A status is dropped, as on every
// creation.
func (s *Schema) Decode(object map[string]any) (unknown []string, err error) {
	unknown = pruning.PruneWithOptions(object, s.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	fieldErr, embedded := objectmeta.CoerceWithOptions(nil, object, s.structural, false,
		objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	if fieldErr != nil {
		return unknown, fieldErr
	}
	defaulting.Default(object, s.structural)
	if s.hasStatus {
		delete(object, "status")
	}
	return append(unknown, embedded...), nil
}

// Validate returns what the API server would refuse in a decoded object. With incomplete, the CEL rules were not
// checked, as they can't be on an object that breaks other rules of the schema.
func (s *Schema) Validate(ctx context.Context, object map[string]any) (errs field.ErrorList, incomplete bool) {
	errs = s.validateMetadata(ctx, object)
	errs = append(errs, openapi.ValidateCustomResource(nil, object, s.openapi)...)
	errs = append(errs, objectmeta.Validate(ctx, nil, object, s.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if s.cel == nil {
		return errs, false
	}
	for _, err := range errs {
		if keepsFromCEL(err.Type) {
			return errs, true
		}
	}
	celErrs, _ := s.cel.Validate(ctx, nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, celErrs...), false
}

// keepsFromCEL is whether an API server does not look at CEL rules after such an error: the rules' cost was estimated
// for objects that keep to the schema's bounds, and they rely on types and required fields.
func keepsFromCEL(kind field.ErrorType) bool {
	switch kind {
	case field.ErrorTypeRequired, field.ErrorTypeNotSupported, field.ErrorTypeTypeInvalid, field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		return true
	default:
		return false
	}
}

func (s *Schema) validateMetadata(ctx context.Context, object map[string]any) field.ErrorList {
	path := field.NewPath("metadata")
	metadata := &metav1.ObjectMeta{}
	if raw, found := object["metadata"]; found && raw != nil {
		fields, ok := raw.(map[string]any)
		if !ok {
			return field.ErrorList{field.TypeInvalid(path, raw, "must be an object")}
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, metadata); err != nil {
			return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
		}
	}
	return apivalidation.ValidateObjectMetaDeclaratively(ctx, operation.Create, metadata, nil, s.Namespaced,
		apivalidation.NameIsDNSSubdomain, path, true)
}
