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

package fieldcheck

import (
	"reflect"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

const patch = `
spec:
  $patch: merge
  minReadySeconds: five
  template:
    spec:
      $setElementOrder/containers: [{name: proxy}]
      contaners: []
      containers: [{name: proxy, $patch: delete}, {name: 5}]
      nodeSelector: {a: b, c: 1}
`

func check(t *testing.T, types *Types) {
	t.Helper()
	var value map[string]any
	g := NewWithT(t)
	g.Expect(yaml.Unmarshal([]byte(patch), &value)).To(Succeed())
	g.Expect(types.Check(value, reflect.TypeFor[appsv1.Deployment](), field.NewPath("at"))).To(BeTrue())
	fields := make([]string, 0, len(types.Errs))
	for _, err := range types.Errs {
		fields = append(fields, err.Field)
	}
	g.Expect(fields).To(ConsistOf("at.spec.minReadySeconds", "at.spec.template.spec.containers[1].name", "at.spec.template.spec.nodeSelector[c]"))
}

func TestTypesTellsAllThatDoesNotFit(t *testing.T) {
	types := &Types{}
	check(t, types)
	NewWithT(t).Expect(types.Unknown).To(ConsistOf("at.spec.$patch", "at.spec.template.spec.contaners",
		"at.spec.template.spec.$setElementOrder/containers", "at.spec.template.spec.containers[0].$patch"))
}

func TestDirectivesOfPatchesAreNoFields(t *testing.T) {
	types := &Types{Patches: true}
	check(t, types)
	NewWithT(t).Expect(types.Unknown).To(ConsistOf("at.spec.template.spec.contaners"))
}

func TestUnknownFieldsOfTypes(t *testing.T) {
	root := TreeOfType(reflect.TypeFor[appsv1.Deployment]())
	for path, want := range map[string]string{
		"spec.template.spec.contaners":            `: did you mean "containers"?`,
		"spec.containers":                         `: did you mean "spec.template.spec.containers"?`,
		"spec.template.spec.containers[0].volums": "",
		"spec.strategy.xyz":                       ": the fields here are rollingUpdate, type",
		"nowhere.at.all":                          "",
	} {
		message, _ := UnknownField(root, path)
		NewWithT(t).Expect(message).To(Equal("unknown field \""+path+"\""+want), path)
	}
}
