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
	"encoding/json"
	"math/rand"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// checkInvariants checks what is true of every status, whatever the inputs.
func checkInvariants(t *testing.T, random *rand.Rand, in Inputs, status v1alpha1.BackendStatus) {
	t.Helper()
	if diff := cmp.Diff(status, Backend(shuffled(random, in))); diff != "" {
		t.Errorf("the order of the inputs matters (-given +shuffled):\n%s", diff)
	}
	if diff := cmp.Diff(status, Backend(withStatus(in, status))); diff != "" {
		t.Errorf("resolving again changes the status (-once +twice):\n%s", diff)
	}
	checkBounds(t, status)
	checkTargets(t, status)
	for _, c := range status.Conditions {
		if c.ObservedGeneration != in.Backend.Generation || !c.LastTransitionTime.IsZero() {
			t.Errorf("condition %s has generation %d and time %v", c.Type, c.ObservedGeneration, c.LastTransitionTime)
		}
		if c.Message == "" || len(c.Message) > maxConditionMessage || c.Reason == "" {
			t.Errorf("condition %s has reason %q and a message of %d bytes", c.Type, c.Reason, len(c.Message))
		}
	}
}

func checkBounds(t *testing.T, status v1alpha1.BackendStatus) {
	t.Helper()
	data, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) >= v1alpha1.MaxStatusBytes {
		t.Errorf("the status has %d bytes", len(data))
	}
	if n := len(status.Targets); n > v1alpha1.MaxResolvedTargets {
		t.Errorf("%d targets", n)
	}
	if n := len(status.Skipped); n > v1alpha1.MaxSkipped {
		t.Errorf("%d skipped entries", n)
	}
	if len(status.Summary) > 16 {
		t.Errorf("summary %q is too long", status.Summary)
	}
	for _, s := range status.Skipped {
		if s.Message == "" || utf8.RuneCountInString(s.Message) > maxMessage {
			t.Errorf("message of %d bytes: %s", len(s.Message), s.Message)
		}
		if s.Reason == v1alpha1.SkipReasonRefNotPermitted && (s.Service != nil || s.Count < 1) {
			t.Errorf("a forbidden Service is named or not counted: %+v", s)
		}
	}
}

func checkTargets(t *testing.T, status v1alpha1.BackendStatus) {
	t.Helper()
	names, endpoints, bundles := map[string]bool{}, 0, map[string]bool{}
	for _, target := range status.Targets {
		if err := validate.TargetName(target.Name); err != nil || names[target.Name] {
			t.Errorf("name %q is invalid (%v) or there twice (%v)", target.Name, err, names[target.Name])
		}
		names[target.Name] = true
		endpoints += len(target.Endpoints)
		if !slices.IsSorted(target.Endpoints) || len(slices.Compact(slices.Clone(target.Endpoints))) != len(target.Endpoints) {
			t.Errorf("%s: endpoints are not sorted and unique: %v", target.Name, target.Endpoints)
		}
		if target.IsReady() != (target.Reason == v1alpha1.TargetReasonReady) || target.IsReady() && len(target.Endpoints) == 0 ||
			!target.IsReady() && target.Message == "" {
			t.Errorf("%s: ready %v, reason %s, %d endpoints, message %q", target.Name, target.IsReady(), target.Reason,
				len(target.Endpoints), target.Message)
		}
		if utf8.RuneCountInString(target.Message) > maxMessage || len(target.Host) > 253 || len(target.Path) > 1024 {
			t.Errorf("%s: a field is too long", target.Name)
		}
		if target.TLS != nil && target.TLS.CABundle != "" {
			bundles[target.TLS.CABundle] = true
			if status.CABundles[target.TLS.CABundle] == "" {
				t.Errorf("%s: CA bundle %q is missing", target.Name, target.TLS.CABundle)
			}
		}
	}
	if endpoints > v1alpha1.MaxEndpoints {
		t.Errorf("%d endpoints", endpoints)
	}
	if len(bundles) != len(status.CABundles) {
		t.Errorf("%d CA bundles are used, but there are %d", len(bundles), len(status.CABundles))
	}
}

// shuffled returns the inputs in another order, down to the lists in which order has no meaning.
func shuffled(random *rand.Rand, in Inputs) Inputs {
	in.Services = shuffledList(random, in.Services)
	in.Namespaces = shuffledList(random, in.Namespaces)
	in.EndpointSlices = shuffledList(random, in.EndpointSlices)
	for i := range in.EndpointSlices {
		in.EndpointSlices[i].Endpoints = shuffledList(random, in.EndpointSlices[i].Endpoints)
	}
	in.ReferenceGrants = shuffledList(random, in.ReferenceGrants)
	in.TLSPolicies = shuffledList(random, in.TLSPolicies)
	in.ConfigMaps = shuffledList(random, in.ConfigMaps)
	return in
}

func shuffledList[T any](random *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// withStatus returns the inputs of the next resolution, as if status had been stored.
func withStatus(in Inputs, status v1alpha1.BackendStatus) Inputs {
	in.Backend = in.Backend.DeepCopy()
	in.Backend.Status = *status.DeepCopy()
	return in
}
