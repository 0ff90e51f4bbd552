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
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

func TestFitName(t *testing.T) {
	long := strings.Repeat("x", 63)
	for name, test := range map[string]struct{ full, want string }{
		"keeps a valid name":                         {"weather-2", "weather-2"},
		"keeps a name of 63 characters":              {long, long},
		"cuts a longer one and adds its hash":        {long + "x", strings.Repeat("x", 54) + "-7ce10097"},
		"leaves no second dash before the hash":      {strings.Repeat("x", 53) + "----------y", strings.Repeat("x", 53) + "-" + hashOf(strings.Repeat("x", 53)+"----------y")},
		"replaces what no name may have":             {"Weather_Service", "weather-service-" + hashOf("Weather_Service")},
		"is a hash alone where nothing else is left": {"___", hashOf("___")},
		"has a name for the empty string":            {"", hashOf("")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fitName(test.full); got != test.want {
				t.Errorf("fitName(%q) = %q, want %q", test.full, got, test.want)
			}
		})
	}
}

// hashOf returns the hash at the end of a name that has to be replaced entirely.
func hashOf(full string) string {
	name := fitName(full)
	return name[len(name)-nameHashLength:]
}

func FuzzDerivedName(f *testing.F) {
	f.Add("team-a", "weather", "mcp", "", int32(80), 0)
	f.Add(strings.Repeat("n", 63), strings.Repeat("s", 63), strings.Repeat("p", 15), "", int32(80), 1)
	f.Add("default", "a-", "", "asked", int32(1), 1)
	f.Add("default", "\xff\x00Ä", "", "Not Valid", int32(1), 2)
	f.Fuzz(func(t *testing.T, namespace, service, portName, annotation string, port int32, ordinal int) {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service,
			Annotations: map[string]string{v1alpha1.AnnotationMCPTargetName: annotation}}}
		asked, problem := askedName(s)
		if (problem == nil) != (validate.TargetName(annotation) == nil) || problem != nil && asked != "" {
			t.Fatalf("annotation %q: name %q, problem %v", annotation, asked, problem)
		}
		c := &candidate{service: s, port: &corev1.ServicePort{Name: portName, Port: port}, ordinal: ordinal, askedName: asked}
		name := derivedName(c, "default")
		if err := validate.TargetName(name); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if !agreesWithAnnotation(c, name) {
			t.Fatalf("%q would be renamed at once", name)
		}
		if again := derivedName(c, "default"); again != name {
			t.Fatalf("%q, then %q", name, again)
		}
		if ordinal == 0 && asked != "" && name != asked {
			t.Fatalf("annotation %q gives name %q", asked, name)
		}
	})
}

func TestLongNamesThatBeginAlikeDiffer(t *testing.T) {
	seen := map[string]bool{}
	for i := range 2000 {
		name := fitName(strings.Repeat("long-", 20) + strings.Repeat("x", i))
		if seen[name] {
			t.Fatalf("%q is there twice", name)
		}
		seen[name] = true
	}
}
