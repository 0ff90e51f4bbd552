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

package provision

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
)

var update = flag.Bool("update", false, "write the .out.yaml files of testdata instead of comparing with them")

// TestGoldenObjects makes the objects of every testdata/objects/<case>.in.yaml, which has a Gateway and perhaps
// GatewayParameters, named "class" and "gateway", and compares with <case>.out.yaml: what is applied, or the error.
func TestGoldenObjects(t *testing.T) {
	files, err := filepath.Glob("testdata/objects/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			site := &Installation{Image: "registry.example.com/dynamic-mcp:v1.2.3", ClusterDomain: "cluster.local"}
			if strings.Contains(file, "watch-namespaces") {
				site.WatchNamespaces = []string{"default", "team-a"}
			}
			wanted := readWanted(t, file)
			before := fmt.Sprintf("%+v", wanted)
			objects, err := objectsOf(wanted, site)
			if after := fmt.Sprintf("%+v", wanted); after != before {
				t.Errorf("the inputs were changed (-before +after):\n%s", cmp.Diff(before, after))
			}
			var got bytes.Buffer
			if err != nil {
				fmt.Fprintf(&got, "error: %q\n", err)
			}
			for _, object := range objects {
				desired, err := toApply(object)
				if err != nil {
					t.Fatal(err)
				}
				annotations := desired.GetAnnotations()
				annotations[annotationApplied] = "a hash"
				desired.SetAnnotations(annotations)
				written, err := yaml.Marshal(desired)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "---\n%s", written)
			}
			requireGolden(t, strings.TrimSuffix(file, ".in.yaml")+".out.yaml", got.String())
		})
	}
}

func requireGolden(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", golden, diff)
	}
}

// readWanted reads a case's input. Ports are those of the listeners.
func readWanted(t *testing.T, file string) *Wanted {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wanted := &Wanted{Gateway: &gatewayv1.Gateway{}}
	specs := map[string]*v1alpha1.GatewayParametersSpec{}
	for document := range strings.SplitSeq("\n"+string(content), "\n---\n") {
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch meta.Kind {
		case "Gateway":
			err = yaml.UnmarshalStrict([]byte(document), wanted.Gateway)
		case "GatewayParameters":
			var p v1alpha1.GatewayParameters
			err = yaml.UnmarshalStrict([]byte(document), &p)
			specs[p.Name] = &p.Spec
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	wanted.Gateway.UID = types.UID("6e0cd9a4-1b62-4a0c-9a0e-3d2e6a9d2c11")
	wanted.Parameters = parameters.Merge(specs["class"], specs["gateway"]).WithDefaults()
	for i := range wanted.Gateway.Spec.Listeners {
		wanted.Ports = append(wanted.Ports, wanted.Gateway.Spec.Listeners[i].Port)
	}
	slices.Sort(wanted.Ports)
	wanted.Ports = slices.Compact(wanted.Ports)
	return wanted
}

func TestNamesOfObjects(t *testing.T) {
	long := strings.Repeat("abcdefgh-", 28) // 252
	for name, test := range map[string]struct{ gateway, object, peers, label string }{
		"usual":      {"agentgateway", "agentgateway", "agentgateway-peers", "agentgateway"},
		"with a dot": {"mcp.example.com", "mcp-example-com-5140e404", "mcp-example-com-5140e404-peers", "mcp.example.com"},
		"a number":   {"8080", "gateway-8080-6c237681", "gateway-8080-6c237681-peers", "8080"},
		"peers don't fit": {
			"example-very-very-very-very-very-very-very-very-very-long-name",
			"example-very-very-very-very-very-very-very-very-very-long-name",
			"example-very-very-very-very-very-very-very-very-973bdc4f-peers",
			"example-very-very-very-very-very-very-very-very-very-long-name",
		},
		// The example of GEP-1762.
		"long": {
			"example-very-very-very-very-very-very-very-very-very-long-gateway-name",
			"example-very-very-very-very-very-very-very-very-very-l-17ccdd98",
			"example-very-very-very-very-very-very-very-very-17ccdd98-peers",
			"example-very-very-ve-65cb6f84bc9e50270d0a6c2f845fd98c6fe8d89f",
		},
		"as long as can be": {long[:251] + "xy", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(validation.IsDNS1123Subdomain(test.gateway)).To(BeEmpty())
			for _, name := range []string{ObjectName(test.gateway), PeersName(test.gateway)} {
				g.Expect(validation.IsDNS1035Label(name)).To(BeEmpty(), name)
			}
			g.Expect(validation.IsValidLabelValue(labelValue(test.gateway))).To(BeEmpty())
			g.Expect(validation.IsDNS1123Subdomain(AccountName(test.gateway))).To(BeEmpty())
			if test.object != "" {
				g.Expect([]string{ObjectName(test.gateway), PeersName(test.gateway), labelValue(test.gateway)}).
					To(Equal([]string{test.object, test.peers, test.label}))
			}
		})
	}
	t.Run("two long names that begin alike are two", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(ObjectName(long[:251] + "xy")).NotTo(Equal(ObjectName(long[:251] + "xz")))
		g.Expect(labelValue(long[:251] + "xy")).NotTo(Equal(labelValue(long[:251] + "xz")))
	})
}

func TestPodsStayWhenListenersChange(t *testing.T) {
	g := NewWithT(t)
	gateway := testGateway("gw")
	site := &Installation{Image: "image:v1", ClusterDomain: "cluster.local"}
	template := func(ports ...int32) corev1.PodTemplateSpec {
		return desiredDeployment(&Wanted{Gateway: gateway, Ports: ports, Parameters: parameters.Merge(nil, nil).WithDefaults()}, site).Spec.Template
	}
	g.Expect(template(80, 8080)).To(Equal(template(8080)))
	g.Expect(template(8080, adminPort)).NotTo(Equal(template(8080)), "a listener has the usual admin port")
}

func TestInternalPortsAreNoListenersPorts(t *testing.T) {
	g := NewWithT(t)
	ports := func(listeners ...int32) []int32 {
		admin, peers := internalPorts(listeners)
		return []int32{admin, peers}
	}
	g.Expect(ports(80)).To(Equal([]int32{19000, 15022}))
	g.Expect(ports(15022, 15023, 19000)).To(Equal([]int32{19001, 15024}))
}

func TestEveryObjectIsOfAKnownKind(t *testing.T) {
	g := NewWithT(t)
	wanted := readWanted(t, "testdata/objects/everything.in.yaml")
	objects, err := objectsOf(wanted, &Installation{Image: "image:v1", ClusterDomain: "cluster.local"})
	g.Expect(err).NotTo(HaveOccurred())
	known := map[string]bool{}
	for _, kind := range ownedKinds() {
		known[fmt.Sprintf("%T", kind)] = true
	}
	for _, object := range objects {
		g.Expect(known).To(HaveKey(fmt.Sprintf("%T", object)))
		g.Expect(object.GetObjectKind().GroupVersionKind().Kind).NotTo(BeEmpty())
		g.Expect(isOurs(object, client.ObjectKeyFromObject(wanted.Gateway))).To(BeTrue())
		g.Expect(metav1.IsControlledBy(object, wanted.Gateway)).To(BeTrue())
	}
}
