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

package translate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

var update = flag.Bool("update", false, "write the .out.yaml files of testdata instead of comparing with them")

// TestGolden translates every testdata/<case>.in.yaml, for each Gateway in it, and compares with <case>.out.yaml.
func TestGolden(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			gateways, in := readObjects(t, file)
			var got bytes.Buffer
			for i := range gateways {
				in.Gateway = &gateways[i]
				before := mustJSON(t, in)
				result := translate.Gateway(in)
				if diff := cmp.Diff(string(before), string(mustJSON(t, in))); diff != "" {
					t.Errorf("the inputs were changed (-before +after):\n%s", diff)
				}
				requireCompiles(t, result)
				requireConditions(t, result)
				fmt.Fprintf(&got, "---\n%s", render(t, &gateways[i], result))
			}
			golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; run the test with -update to write it", err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// TestResultDoesNotDependOnTheOrderOfInputs permutes the lists of every golden case.
func TestResultDoesNotDependOnTheOrderOfInputs(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			gateways, in := readObjects(t, file)
			for i := range gateways {
				in.Gateway = &gateways[i]
				want := mustJSON(t, asMap(translate.Gateway(in)))
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for range 8 {
					shuffle(random, in.HTTPRoutes)
					shuffle(random, in.Backends)
					shuffle(random, in.Namespaces)
					shuffle(random, in.ReferenceGrants)
					if diff := cmp.Diff(string(want), string(mustJSON(t, asMap(translate.Gateway(in))))); diff != "" {
						t.Fatalf("Gateway %s: another order of inputs gives another result:\n%s", gateways[i].Name, diff)
					}
				}
			}
		})
	}
}

func shuffle[T any](random *rand.Rand, list []T) {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

func goldenFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	return files
}

// readObjects reads a file of several objects. Gateways are returned apart, because each is translated by itself.
func readObjects(t *testing.T, file string) ([]gatewayv1.Gateway, translate.Inputs) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var gateways []gatewayv1.Gateway
	var in translate.Inputs
	for document := range strings.SplitSeq("\n"+string(content), "\n---\n") {
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch meta.Kind {
		case "":
		case "Gateway":
			gateways = append(gateways, decode[gatewayv1.Gateway](t, file, document))
		case "HTTPRoute":
			in.HTTPRoutes = append(in.HTTPRoutes, decode[gatewayv1.HTTPRoute](t, file, document))
		case "Backend":
			in.Backends = append(in.Backends, decode[v1alpha1.Backend](t, file, document))
		case "Namespace":
			in.Namespaces = append(in.Namespaces, decode[corev1.Namespace](t, file, document))
		case "ReferenceGrant":
			in.ReferenceGrants = append(in.ReferenceGrants, decode[gatewayv1.ReferenceGrant](t, file, document))
		default:
			t.Fatalf("%s: kind %s is not an input", file, meta.Kind)
		}
	}
	return gateways, in
}

func decode[T any](t *testing.T, file, document string) T {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, document)
	}
	return object
}

// requireCompiles checks the promise that the proxy never gets a configuration that it can't compile.
func requireCompiles(t *testing.T, result *translate.Result) {
	t.Helper()
	for _, port := range result.Config.Ports() {
		if _, err := httproute.Compile(port.Listeners); err != nil {
			t.Errorf("the listeners of port %d don't compile: %v", port.Port, err)
		}
	}
	for i := range result.Config.Listeners {
		for _, route := range result.Config.Listeners[i].Routes {
			for _, rule := range route.Rules {
				for _, backend := range rule.Backends {
					if (backend.MCP == "") == (backend.Invalid == "") {
						t.Errorf("route %s: backend must be either MCP or Invalid: %+v", route.Name, backend)
					}
					if backend.MCP != "" && result.Config.Backends[backend.MCP] == nil {
						t.Errorf("route %s: Backend %s is not in the configuration", route.Name, backend.MCP)
					}
				}
			}
		}
	}
}

// requireConditions checks what the API server demands of every condition, times apart.
func requireConditions(t *testing.T, result *translate.Result) {
	t.Helper()
	check := func(where string, conditions []metav1.Condition) {
		for _, condition := range conditions {
			if condition.Reason == "" || condition.Message == "" || len(condition.Message) > 32768 {
				t.Errorf("%s: condition %s needs a reason and a message: %+v", where, condition.Type, condition)
			}
			if condition.Type == string(gatewayv1.ListenerConditionProgrammed) {
				t.Errorf("%s: Programmed is not for translate to decide", where)
			}
			if !condition.LastTransitionTime.IsZero() {
				t.Errorf("%s: condition %s has a time", where, condition.Type)
			}
		}
	}
	for _, listener := range result.Listeners {
		check("listener "+string(listener.Name), listener.Conditions)
	}
	for name, parents := range result.Routes {
		for _, parent := range parents {
			check("route "+name.String(), parent.Conditions)
		}
	}
	check("Gateway", []metav1.Condition{result.Accepted.As("Accepted", 1)})
}

// render returns the result as YAML, without what is empty or says nothing.
func render(t *testing.T, gateway *gatewayv1.Gateway, result *translate.Result) []byte {
	t.Helper()
	var plain map[string]any
	if err := json.Unmarshal(mustJSON(t, asMap(result)), &plain); err != nil {
		t.Fatal(err)
	}
	prune(plain)
	plain["Gateway"] = gateway.Namespace + "/" + gateway.Name
	rendered, err := yaml.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// asMap returns the result with keys that JSON can have.
func asMap(result *translate.Result) map[string]any {
	routes := map[string]any{}
	for name, parents := range result.Routes {
		routes[name.String()] = parents
	}
	return map[string]any{
		"Accepted": result.Accepted, "Config": result.Config, "Listeners": result.Listeners, "Routes": routes,
	}
}

// prune removes null, empty strings and zero times. Empty lists stay: supportedKinds: [] says something.
func prune(value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, field := range value {
			if field == nil || field == "" || field == "0001-01-01T00:00:00Z" {
				delete(value, key)
				continue
			}
			prune(field)
		}
	case []any:
		for _, item := range value {
			prune(item)
		}
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
