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

package overlay

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestX(t *testing.T) {
	d := &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Name: "g", Namespace: "n", Labels: map[string]string{"app.kubernetes.io/name": "x"}}}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	d.Spec.Template.Labels = map[string]string{"a": "b"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "proxy", Image: "i", Args: []string{"proxy"}}}
	for _, patch := range []string{
		`{spec: {template: {spec: {contaners: [], hostNetwork: "yes"}}}}`,
		`{spec: {template: {spec: {containers: [{name: proxy, env: [{name: A, value: b}]}, {name: side, image: x}]}}}}`,
		`{spec: {template: {spec: {containers: [{name: proxy, $patch: delete}]}}}}`,
		`{spec: {template: {spec: {containers: [{image: x}]}}}}`,
		`{spec: {$patch: replace}}`,
		`{$patch: delete}`,
		`{spec: {template: {metadata: {labels: {a: c}}}}, metadata: {name: x, labels: {app.kubernetes.io/name: null, foo: bar}}, kind: X}`,
		`{spec: {template: {spec: {$setElementOrder/containers: 3}}}}`,
		`[]`, `x`, `null`, `{spec: null}`, `{spec: {replicas: 1.5}}`, `{spec: {strategy: {$retainKeys: [type], type: Recreate}}}`,
		`{spec: {template: {spec: {containers: {}}}}}`,
		`{spec: {template: {spec: {containers: [null]}}}}`,
		`{spec: {template: {spec: {nodeSelector: {a: null, b: c}}}}}`,
	} {
		j, _ := yaml.YAMLToJSON([]byte(patch))
		out, err := Apply(d, []Patch{{FromGateway, "spec.overlays.deployment", j}})
		y, _ := yaml.Marshal(out)
		if err == nil {
			fmt.Printf("== %s\n%s\n", patch, y)
		} else {
			fmt.Printf("== %s\n%s\n", patch, err)
		}
	}
}
