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

package manifests

import (
	"fmt"
	"strings"
)

// Severity says what a finding means for whoever wrote the file.
type Severity string

const (
	// Error is for what an API server would refuse, or what can't be read.
	Error Severity = "error"
	// Warning is for what would be accepted and is probably not meant.
	Warning Severity = "warning"
	// Note is for what is good to know.
	Note Severity = "note"
)

// Layer is the part of the API server that would say it. Later layers see only what earlier ones let pass.
type Layer string

const (
	// LayerSyntax is YAML itself.
	LayerSyntax Layer = "syntax"
	// LayerDecoding is strict decoding: unknown and repeated fields.
	LayerDecoding Layer = "decoding"
	// LayerSchema is the CRD's schema with its CEL rules, or what the API server knows of a built-in kind.
	LayerSchema Layer = "schema"
	// LayerWebhook is the rules of internal/validate.
	LayerWebhook Layer = "webhook"
	// LayerStatus is what controllers would find once all the objects are stored: references, and statuses that are
	// not as they should be.
	LayerStatus Layer = "status"
)

// Place is a position in a file. Line and Column begin at 1; 0 is the file as a whole.
type Place struct {
	File   string
	Line   int
	Column int
}

// String returns "file:line:column", which terminals and editors make a link of.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Finding is one thing to tell about a document.
type Finding struct {
	Place
	Severity Severity
	Layer    Layer
	// APIVersion, Kind, Namespace and Name of the object; empty as far as they are not known.
	APIVersion, Kind, Namespace, Name string
	// Field is the path of the field concerned; empty for the document as a whole.
	Field string
	// Message says what is wrong, where, and what to write instead.
	Message string
}

// Object returns "Kind namespace/name", as far as it is known.
func (f *Finding) Object() string {
	name := f.Name
	if f.Namespace != "" && name != "" {
		name = f.Namespace + "/" + name
	}
	return strings.TrimSpace(f.Kind + " " + name)
}

// String returns the finding as compilers write theirs.
func (f *Finding) String() string {
	if object := f.Object(); object != "" {
		return fmt.Sprintf("%s: %s: %s: %s", f.Place, f.Severity, object, f.Message)
	}
	return fmt.Sprintf("%s: %s: %s", f.Place, f.Severity, f.Message)
}

// Count returns how many of the findings are of a severity.
func Count(findings []Finding, severity Severity) int {
	count := 0
	for i := range findings {
		if findings[i].Severity == severity {
			count++
		}
	}
	return count
}
