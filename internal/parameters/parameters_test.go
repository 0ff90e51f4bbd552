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

package parameters

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var update = flag.Bool("update", false, "write what comes out to the golden files")

// inputs are the specs of a case.
type inputs struct {
	Class   *v1alpha1.GatewayParametersSpec `json:"class"`
	Gateway *v1alpha1.GatewayParametersSpec `json:"gateway"`
}

// TestGolden holds what is effective of testdata/<case>.in.yaml to testdata/<case>.out.yaml. A new case is a new file.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.in.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			in := readInputs(t, file)
			before := mustYAML(t, in)
			effective := Merge(in.Class, in.Gateway).WithDefaults()
			if diff := cmp.Diff(before, mustYAML(t, in)); diff != "" {
				t.Errorf("the inputs were changed (-before +after):\n%s", diff)
			}
			got := render(t, effective)
			golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got (run with -update to accept):\n%s", diff)
			}
		})
	}
}

func readInputs(t *testing.T, file string) inputs {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var in inputs
	if err := yaml.UnmarshalStrict(content, &in); err != nil {
		t.Fatal(err)
	}
	return in
}

// render writes the image, the overlays in their order, and the spec.
func render(t *testing.T, p Parameters) string {
	t.Helper()
	var text bytes.Buffer
	fmt.Fprintf(&text, "image: %s\noverlays:\n", Image(p.Spec.Image, "registry.example.com:5000/dynamic-mcp:v0"))
	overlays := reflect.ValueOf(p.Overlays)
	for i := range overlays.NumField() {
		for j := range overlays.Field(i).Len() {
			patch := overlays.Field(i).Index(j)
			fmt.Fprintf(&text, "- %s %s: %s\n", patch.FieldByName("Source"), patch.FieldByName("Field"), patch.FieldByName("JSON").Bytes())
		}
	}
	text.WriteString("spec:\n  " + strings.ReplaceAll(strings.TrimSpace(mustYAML(t, p.Spec)), "\n", "\n  ") + "\n")
	return text.String()
}

func mustYAML(t *testing.T, value any) string {
	t.Helper()
	encoded, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// everything is a spec in which every field is set, replicas apart, which excludes autoscaling.
func everything(t *testing.T) *v1alpha1.GatewayParametersSpec {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "everything.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	spec := &v1alpha1.GatewayParametersSpec{}
	if err := yaml.UnmarshalStrict(content, spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// unset returns the fields of our own types that have no value.
func unset(value reflect.Value, path string) []string {
	value = reflect.Indirect(value)
	if value.Kind() != reflect.Struct || value.Type().PkgPath() != reflect.TypeFor[v1alpha1.Backend]().PkgPath() {
		return nil
	}
	var found []string
	for i := range value.NumField() {
		name := path + "." + value.Type().Field(i).Name
		if value.Field(i).IsZero() {
			found = append(found, name)
		}
		found = append(found, unset(value.Field(i), name)...)
	}
	return found
}

func TestEveryFieldIsMerged(t *testing.T) {
	g := NewWithT(t)
	full := everything(t)
	g.Expect(unset(reflect.ValueOf(full), "")).To(ConsistOf(".Replicas"), "the test's file must set every field")
	withoutOverlays := full.DeepCopy()
	withoutOverlays.Overlays = nil
	want := mustYAML(t, withoutOverlays)
	empty := &v1alpha1.GatewayParametersSpec{}
	for name, p := range map[string]Parameters{
		"class":             Merge(full, nil),
		"gateway":           Merge(nil, full),
		"class, not empty":  Merge(full, empty),
		"gateway, as class": Merge(empty, full),
		"both":              Merge(full, full),
	} {
		g.Expect(mustYAML(t, p.Spec)).To(Equal(want), name)
	}
	// Below the first level, too: all that one says, and nothing of the other.
	hollow := &v1alpha1.GatewayParametersSpec{
		Image: &v1alpha1.ProxyImage{}, Resources: &v1alpha1.ProxyResources{}, Scheduling: &v1alpha1.ProxyScheduling{},
		Pod: &v1alpha1.ProxyPod{}, Service: &v1alpha1.ProxyService{}, Log: &v1alpha1.ProxyLog{AccessLog: &v1alpha1.ProxyAccessLog{}},
	}
	g.Expect(mustYAML(t, Merge(full, hollow).Spec)).To(Equal(want))
	g.Expect(mustYAML(t, Merge(hollow, full).Spec)).To(Equal(want))
}

func TestOverlaysOfBothAreKept(t *testing.T) {
	g := NewWithT(t)
	full := everything(t)
	overlays := reflect.ValueOf(Merge(full, full).Overlays)
	for i := range overlays.NumField() {
		name := overlays.Type().Field(i).Name
		g.Expect(overlays.Field(i).Len()).To(Equal(2), name)
		g.Expect(overlays.Field(i).Index(0).FieldByName("Source").String()).To(Equal("GatewayClass"), name)
		g.Expect(overlays.Field(i).Index(1).FieldByName("Source").String()).To(Equal("Gateway"), name)
	}
}

func TestTheResultSharesNothing(t *testing.T) {
	g := NewWithT(t)
	full := everything(t)
	before := mustYAML(t, full)
	p := Merge(full, nil).WithDefaults()
	p.Spec.Pod.Labels["new"] = "label"
	p.Spec.Env[0].Name = "CHANGED"
	*p.Spec.Log.AccessLog.ClientAddresses = false
	p.Overlays.Deployment[0].JSON[0] = 'x'
	g.Expect(mustYAML(t, full)).To(Equal(before))
}

func TestImage(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct {
		image    *v1alpha1.ProxyImage
		standard string
		want     string
	}{
		"nothing said":               {nil, "example.com/a:v1", "example.com/a:v1"},
		"no tag":                     {&v1alpha1.ProxyImage{}, "example.com:5000/a", "example.com:5000/a"},
		"a tag":                      {&v1alpha1.ProxyImage{Tag: "v2"}, "example.com:5000/a", "example.com:5000/a:v2"},
		"a tag for a tag":            {&v1alpha1.ProxyImage{Tag: "v2"}, "example.com:5000/a:v1", "example.com:5000/a:v2"},
		"a tag for a digest":         {&v1alpha1.ProxyImage{Tag: "v2"}, "a:v1@" + digest, "a:v2"},
		"a digest for a tag":         {&v1alpha1.ProxyImage{Digest: digest}, "a:v1", "a@" + digest},
		"a repository":               {&v1alpha1.ProxyImage{Repository: "mirror:5000/b"}, "a:v1@" + digest, "mirror:5000/b:v1@" + digest},
		"a repository without a tag": {&v1alpha1.ProxyImage{Repository: "b"}, "a", "b"},
		"everything":                 {&v1alpha1.ProxyImage{Repository: "b", Tag: "v2", Digest: digest}, "a:v1", "b:v2@" + digest},
	} {
		NewWithT(t).Expect(Image(test.image, test.standard)).To(Equal(test.want), name)
	}
}
