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
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// hostLabel is a part of a registry's name.
const hostLabel = `[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?`

// The grammar of an image's reference. https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
var (
	imageHost      = regexp.MustCompile(`^` + hostLabel + `(\.` + hostLabel + `)*(:[0-9]{1,5})?$`)
	imageHostIPv6  = regexp.MustCompile(`^\[[0-9a-fA-F:]+\](:[0-9]{1,5})?$`)
	imageComponent = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	imageTag       = regexp.MustCompile(`^[a-zA-Z0-9_][-a-zA-Z0-9._]{0,127}$`)
	imageDigest    = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
)

func validateImage(image *v1alpha1.ProxyImage, path *field.Path) field.ErrorList {
	if image == nil {
		return nil
	}
	var errs field.ErrorList
	if problem := repositoryProblem(image.Repository); image.Repository != "" && problem != "" {
		errs = append(errs, field.Invalid(path.Child("repository"), image.Repository, problem))
	}
	if image.Tag != "" && !imageTag.MatchString(image.Tag) {
		errs = append(errs, field.Invalid(path.Child("tag"), image.Tag, "must be an image's tag alone, like v1.2.3: letters, digits, "+
			"'_', '-' and '.', and no '-' or '.' at the beginning"))
	}
	if image.Digest != "" && !imageDigest.MatchString(image.Digest) {
		errs = append(errs, field.Invalid(path.Child("digest"), image.Digest,
			"must be sha256: and 64 hexadecimal digits in lowercase, or sha512: and 128"))
	}
	for i, secret := range image.PullSecrets {
		name := path.Child("pullSecrets").Index(i).Child("name")
		if secret.Name == "" {
			errs = append(errs, field.Required(name, "name the Secret"))
			continue
		}
		errs = append(errs, invalidFor(name, secret.Name, validation.IsDNS1123Subdomain(secret.Name))...)
	}
	return errs
}

// repositoryProblem returns why a text is no name of an image.
func repositoryProblem(repository string) string {
	const example = "like registry.example.com/dynamic-mcp"
	name, _, hasDigest := strings.Cut(repository, "@")
	colon := strings.LastIndex(name, ":")
	switch {
	case strings.Contains(repository, "://"):
		return "must not have a scheme: write it " + example
	case hasDigest:
		return "must not have a digest: put it into the field digest"
	case colon > strings.LastIndex(name, "/"):
		return fmt.Sprintf("must not have a tag: write %q here, and %q in the field tag", name[:colon], name[colon+1:])
	}
	parts := strings.Split(repository, "/")
	// As in all tools, the first part is a registry if it looks like one.
	if first := parts[0]; len(parts) > 1 && (strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first) {
		if !imageHost.MatchString(first) && !imageHostIPv6.MatchString(first) {
			return fmt.Sprintf("the registry %q must be a host, perhaps with a port, %s", first, example)
		}
		parts = parts[1:]
	}
	for _, part := range parts {
		if !imageComponent.MatchString(part) {
			return fmt.Sprintf("%q must consist of lowercase letters and digits, with '.', '_' or '-' between them, %s", part, example)
		}
	}
	return ""
}
