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

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
)

// RouteReasonBackendNotAccepted is the reason of a route's condition ResolvedRefs when a Backend that it refers to
// exists and is permitted, but is itself not accepted. The specification has no reason for that and allows others.
const RouteReasonBackendNotAccepted gatewayv1.RouteConditionReason = "BackendNotAccepted"

// refResolver resolves the references of one route to its backends.
type refResolver struct {
	route   *gatewayv1.HTTPRoute
	objects *objects
	// reason is that of the first reference that can't be resolved.
	reason   gatewayv1.RouteConditionReason
	problems problems
}

// condition returns the route's condition ResolvedRefs.
func (r *refResolver) condition() Condition {
	if r.reason == "" {
		return accepted(string(gatewayv1.RouteReasonResolvedRefs), "All references are resolved")
	}
	return rejected(string(r.reason), r.problems.String())
}

// resolve returns the backends of a rule. A reference that can't be resolved keeps its weight, because its share of
// the requests must get 500.
func (r *refResolver) resolve(rule int, refs []gatewayv1.HTTPBackendRef) []httproute.Backend {
	backends := make([]httproute.Backend, 0, len(refs))
	for i := range refs {
		backend := httproute.Backend{Weight: min(max(valueOr(refs[i].Weight, 1), 0), httproute.MaxWeight)}
		key, reason, message := r.resolveOne(&refs[i].BackendObjectReference)
		if reason == "" {
			backend.MCP = key
		} else {
			backend.Invalid = fmt.Sprintf("%s: %s", reason, message)
			r.problems.add("spec.rules[%d].backendRefs[%d]: %s", rule, i, message)
			if r.reason == "" {
				r.reason = reason
			}
		}
		backends = append(backends, backend)
	}
	return backends
}

// resolveOne returns the key of the Backend that a reference means, or why it can't be used. That the reference is
// permitted is checked before all that would tell something about the other namespace.
func (r *refResolver) resolveOne(
	ref *gatewayv1.BackendObjectReference,
) (key string, reason gatewayv1.RouteConditionReason, message string) {
	group, kind := valueOr(ref.Group, ""), valueOr(ref.Kind, "Service")
	namespace := string(valueOr(ref.Namespace, gatewayv1.Namespace(r.route.Namespace)))
	key = backendKey(namespace, string(ref.Name))
	if group != groupBackend || kind != kindBackend {
		return "", gatewayv1.RouteReasonInvalidKind, fmt.Sprintf(
			"%s %s: references to kind %s are not supported: refer to a Backend (group: %s, kind: %s)%s",
			kind, key, groupKind(group, kind), groupBackend, kindBackend, serviceHint(group, kind))
	}
	if !r.objects.permits(r.route.Namespace, namespace, ref.Name) {
		return "", gatewayv1.RouteReasonRefNotPermitted, fmt.Sprintf(
			"Backend %s is in another namespace, and no ReferenceGrant in namespace %s permits the reference "+
				"(from: HTTPRoute in namespace %s; to: %s)",
			key, namespace, r.route.Namespace, groupKind(groupBackend, kindBackend))
	}
	backend := r.objects.backends[key]
	if backend == nil {
		return "", gatewayv1.RouteReasonBackendNotFound, fmt.Sprintf("Backend %s does not exist", key)
	}
	if problem := notAccepted(backend); problem != "" {
		return "", RouteReasonBackendNotAccepted, fmt.Sprintf("Backend %s is not accepted: %s", key, problem)
	}
	return key, "", ""
}

func serviceHint(group gatewayv1.Group, kind gatewayv1.Kind) string {
	if group == "" && kind == "Service" {
		return " that selects the Service by its labels"
	}
	return ""
}

// notAccepted returns why a Backend is not accepted, or nothing. A Backend whose controller has not seen it yet is
// not refused: it has no targets so far, and clients are told as soon as it does.
func notAccepted(backend *v1alpha1.Backend) string {
	if backend.Spec.MCP == nil {
		return fmt.Sprintf("type %q is not supported: use type %s with spec.mcp", backend.Spec.Type,
			v1alpha1.BackendTypeMCP)
	}
	condition := apimeta.FindStatusCondition(backend.Status.Conditions, v1alpha1.BackendConditionAccepted)
	if condition == nil || condition.Status != metav1.ConditionFalse {
		return ""
	}
	return condition.Reason + ": " + truncate(condition.Message, maxQuoted)
}

// maxQuoted bounds what is quoted of another object's condition, in bytes.
const maxQuoted = 512
