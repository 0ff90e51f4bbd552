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

package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// nameHashLength is the number of hexadecimal digits at the end of a name that was cut.
const nameHashLength = 8

// askedName returns the name that the Service's annotation asks for, and what is wrong with it if it can't be used.
func askedName(s *corev1.Service) (name string, problem error) {
	name, set := s.Annotations[v1alpha1.AnnotationMCPTargetName]
	if !set {
		return "", nil
	}
	if err := validate.TargetName(name); err != nil {
		return "", err
	}
	return name, nil
}

// derivedName returns the name that a newcomer gets. It depends on the Service and the port alone, never on what
// other targets there are.
func derivedName(c *candidate, backendNamespace string) string {
	if c.service == nil {
		return c.entry.spec.Name
	}
	base := c.askedName
	switch {
	case base != "":
	case c.service.Namespace != backendNamespace:
		base = c.service.Namespace + "-" + c.service.Name
	default:
		base = c.service.Name
	}
	if c.ordinal == 0 {
		return fitName(base)
	}
	return fitName(base + "-" + portLabel(c.port))
}

// agreesWithAnnotation is whether an incumbent's name is one that the annotation on its Service can mean: with or
// without the port, because an incumbent that was the second MCP port keeps its name when the first one goes.
func agreesWithAnnotation(c *candidate, name string) bool {
	asked := c.askedName
	return asked == "" || name == asked || name == fitName(asked+"-"+c.port.Name) ||
		name == fitName(asked+"-"+strconv.Itoa(int(c.port.Port)))
}

// portLabel returns the port's name or, if it has none, its number.
func portLabel(p *corev1.ServicePort) string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.Port))
}

// fitName returns full itself if it is a valid target name. A longer one is cut and ends in a hash of the whole, so
// that long names that begin alike stay different. Characters that no name may have, which the API server lets into
// no Service's name, are replaced, with the hash as well.
func fitName(full string) string {
	if validate.TargetName(full) == nil {
		return full
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, full)
	if longest := validate.MaxTargetNameLength - 1 - nameHashLength; len(clean) > longest {
		clean = clean[:longest]
	}
	sum := sha256.Sum256([]byte(full))
	hash := hex.EncodeToString(sum[:])[:nameHashLength]
	if clean = strings.Trim(clean, "-"); clean == "" {
		return hash
	}
	return clean + "-" + hash
}
