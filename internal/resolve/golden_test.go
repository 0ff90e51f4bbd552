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
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the .out.yaml files of the golden tests")

// TestGolden resolves testdata/<case>.in.yaml and compares the status with testdata/<case>.out.yaml. A case is also
// held to what is true of all: the order of the inputs does not matter, and the result is a fixpoint.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			in := readInputs(t, file)
			before, err := yaml.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			status := Backend(in)
			got, err := yaml.Marshal(status)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("status differs from %s (-want +got):\n%s", golden, diff)
			}
			if after, _ := yaml.Marshal(in); !bytes.Equal(before, after) {
				t.Error("the inputs were changed")
			}
			checkInvariants(t, rand.New(rand.NewSource(1)), in, status)
		})
	}
}

// optionsDocument is the document of a case that has the manager's options.
type optionsDocument struct {
	metav1.TypeMeta `json:",inline"`
	Options
}

// readInputs decodes a case strictly, so that a misspelt field can't make it pass.
func readInputs(t *testing.T, file string) Inputs {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var in Inputs
	for i, document := range strings.Split(string(data), "\n---\n") {
		if err := addDocument(&in, []byte(document)); err != nil {
			t.Fatalf("%s, document %d: %v", file, i+1, err)
		}
	}
	return in
}

func addDocument(in *Inputs, document []byte) error {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return err
	}
	switch meta.Kind {
	case "Backend":
		in.Backend = &v1alpha1.Backend{}
		return yaml.UnmarshalStrict(document, in.Backend)
	case "Options":
		var o optionsDocument
		err := yaml.UnmarshalStrict(document, &o)
		in.Options = o.Options
		return err
	case "Service":
		return appendDocument(&in.Services, document)
	case "Namespace":
		return appendDocument(&in.Namespaces, document)
	case "EndpointSlice":
		return appendDocument(&in.EndpointSlices, document)
	case "ReferenceGrant":
		return appendDocument(&in.ReferenceGrants, document)
	case "BackendTLSPolicy":
		return appendDocument(&in.TLSPolicies, document)
	case "ConfigMap":
		return appendDocument(&in.ConfigMaps, document)
	}
	return fmt.Errorf("kind %q is none of those that resolution reads", meta.Kind)
}

func appendDocument[T corev1.Service | corev1.Namespace | discoveryv1.EndpointSlice | gatewayv1.ReferenceGrant |
	gatewayv1.BackendTLSPolicy | corev1.ConfigMap](to *[]T, document []byte) error {
	var object T
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		return err
	}
	*to = append(*to, object)
	return nil
}
