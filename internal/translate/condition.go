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

package translate

import (
	"fmt"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// As returns the verdict as a condition of a type, for a generation of the object, without a time.
func (c Condition) As(conditionType string, generation int64) metav1.Condition {
	status := metav1.ConditionFalse
	if c.Status {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{
		Type: conditionType, Status: status, ObservedGeneration: generation, Reason: c.Reason,
		Message: truncate(c.Message, maxMessage),
	}
}

func accepted(reason, message string) Condition {
	return Condition{Status: true, Reason: reason, Message: message}
}

func rejected(reason, message string) Condition {
	return Condition{Reason: reason, Message: message}
}

// maxMessage bounds a condition's message, in bytes. The API server takes 32,768 characters; nobody reads as many.
const maxMessage = 8192

// maxProblems bounds how many problems one message has. An HTTPRoute can have some hundreds.
const maxProblems = 16

// problems collects what is wrong, each once, in the order in which it was found.
type problems struct {
	list []string
}

func (p *problems) add(format string, args ...any) {
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

// String returns the problems as one message, empty if there are none.
func (p *problems) String() string {
	if len(p.list) <= maxProblems {
		return strings.Join(p.list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(p.list[:maxProblems], "; "), len(p.list)-maxProblems)
}

// truncate cuts a text to a number of bytes, at a character.
func truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	limit -= len(ellipsis)
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + ellipsis
}

// valueOr returns what a pointer points to, or the default. The API server fills defaults in; manifests read from
// files may come without.
func valueOr[T any](pointer *T, otherwise T) T {
	if pointer == nil {
		return otherwise
	}
	return *pointer
}

// groupKind returns "group/kind", or the kind alone for the core group.
func groupKind(group gatewayv1.Group, kind gatewayv1.Kind) string {
	if group == "" {
		return string(kind)
	}
	return string(group) + "/" + string(kind)
}
