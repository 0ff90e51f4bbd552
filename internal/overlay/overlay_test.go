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
	"encoding/json"
	"errors"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

func deployment() *appsv1.Deployment {
	selected := map[string]string{"app.kubernetes.io/name": "proxy", "instance": "gw"}
	d := &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "gw", Namespace: "default", Labels: map[string]string{"app.kubernetes.io/managed-by": "us", "team": "a"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Gateway", Name: "gw"}},
		},
	}
	d.Spec.Replicas = new(int32(2))
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: selected}
	d.Spec.Template.Labels = map[string]string{"app.kubernetes.io/name": "proxy", "instance": "gw", "team": "a"}
	d.Spec.Template.Spec.ServiceAccountName = "gw"
	d.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "a"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{
		Name: v1alpha1.ProxyContainerName, Image: "proxy:v1", Args: []string{"proxy"},
		Env: []corev1.EnvVar{{Name: "A", Value: "a"}}, Ports: []corev1.ContainerPort{{Name: "admin", ContainerPort: 15000}},
	}}
	return d
}

func patchOf(t *testing.T, text string) Patch {
	t.Helper()
	encoded, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Patch{Source: FromGateway, Field: "spec.overlays.deployment", JSON: encoded}
}

func TestPatchesAreApplied(t *testing.T) {
	for name, test := range map[string]struct {
		patch string
		want  func(*appsv1.Deployment)
	}{
		"nothing": {`{}`, func(*appsv1.Deployment) {}},
		"a field": {`{spec: {minReadySeconds: 5}}`, func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 5 }},
		"what is so already": {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: gw, namespace: default}}`,
			func(*appsv1.Deployment) {}},
		"a label of one's own": {`{metadata: {labels: {team: b, x: z}}}`, func(d *appsv1.Deployment) {
			d.Labels["team"], d.Labels["x"] = "b", "z"
		}},
		"a variable of the proxy": {`{spec: {template: {spec: {containers: [{name: proxy, env: [{name: B, value: b}]}]}}}}`,
			func(d *appsv1.Deployment) {
				c := &d.Spec.Template.Spec.Containers[0]
				c.Env = append([]corev1.EnvVar{{Name: "B", Value: "b"}}, c.Env...)
			}},
		"another container": {`{spec: {template: {spec: {containers: [{name: sidecar, image: s}]}}}}`,
			func(d *appsv1.Deployment) {
				spec := &d.Spec.Template.Spec
				spec.Containers = append([]corev1.Container{{Name: "sidecar", Image: "s"}}, spec.Containers...)
			}},
		"a key removed by null": {`{spec: {template: {spec: {nodeSelector: {pool: null}}}}}`,
			func(d *appsv1.Deployment) { d.Spec.Template.Spec.NodeSelector = map[string]string{} }},
		"an item removed by a directive": {
			`{spec: {template: {spec: {containers: [{name: proxy, env: [{name: A, $patch: delete}]}]}}}}`,
			func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{} }},
		"a list replaced by a directive": {
			`{spec: {template: {spec: {containers: [{name: proxy, ports: [{$patch: replace}, {containerPort: 1}]}]}}}}`,
			func(d *appsv1.Deployment) {
				d.Spec.Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1}}
			}},
		"a union": {`{spec: {strategy: {$retainKeys: [type], type: Recreate}}}`,
			func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			object, want := deployment(), deployment()
			test.want(want)
			got, err := Apply(object, []Patch{patchOf(t, test.patch)})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(mustJSON(t, got)).To(MatchJSON(mustJSON(t, want)))
			g.Expect(object).To(Equal(deployment()), "the object was changed")
		})
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestPatchesAreAppliedInOrder(t *testing.T) {
	g := NewWithT(t)
	got, err := Apply(deployment(), []Patch{patchOf(t, `{spec: {minReadySeconds: 5, revisionHistoryLimit: 1}}`), patchOf(t, `{spec: {minReadySeconds: 7}}`)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Spec.MinReadySeconds).To(Equal(int32(7)))
	g.Expect(got.Spec.RevisionHistoryLimit).To(HaveValue(Equal(int32(1))))
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	const d = "spec.overlays.deployment"
	for name, test := range map[string]struct {
		patch string
		want  []string
	}{
		"a list":         {`[]`, []string{d + ": Invalid value: must be an object"}},
		"a text":         {`"x"`, []string{d + ": Invalid value: must be an object"}},
		"null":           {`null`, []string{d + ": Invalid value: must be an object"}},
		"unknown fields": {`{sepc: {}, spec: {templat: {}}}`, []string{d + `.sepc: Forbidden: there is no such field in a Deployment: did you mean "spec"?`, d + `.spec.templat: Forbidden: there is no such field in a Deployment: did you mean "template"?`}},
		"wrong types":    {`{spec: {minReadySeconds: "5", paused: 1}}`, []string{d + `.spec.minReadySeconds: Invalid value: "string": must be an integer`, d + `.spec.paused: Invalid value: "integer": must be true or false`}},
		"a wrong quantity": {`{spec: {template: {spec: {containers: [{name: proxy, resources: {limits: {cpu: x}}}]}}}}`,
			[]string{d + `.spec.template.spec.containers[0].resources.limits[cpu]: Invalid value: "string": is no valid Quantity`}},
		"another object": {`{apiVersion: v1, kind: X, metadata: {name: x, generateName: x, namespace: x, ownerReferences: []}}`, []string{
			d + ".apiVersion: Forbidden", d + ".kind: Forbidden", d + ".metadata.name: Forbidden", d + ".metadata.generateName: Forbidden",
			d + ".metadata.namespace: Forbidden"}},
		"no owner":              {`{metadata: {ownerReferences: [{uid: "", $patch: delete}]}}`, []string{d + ".metadata.ownerReferences: Forbidden"}},
		"everything removed":    {`{spec: {$patch: replace}}`, []string{d + ".spec.selector: ", d + ".spec.replicas: ", d + ".spec.template.spec.serviceAccountName: ", d + ".spec.template.metadata.labels[app.kubernetes.io/name]: ", d + ".spec.template.metadata.labels[instance]: ", d + ".spec.template.spec.containers: "}},
		"a label of ours":       {`{metadata: {labels: {app.kubernetes.io/managed-by: me}}}`, []string{d + ".metadata.labels[app.kubernetes.io/managed-by]: Forbidden"}},
		"a reserved label":      {`{metadata: {labels: {dynamic-mcp.dev/x: z}}}`, []string{d + ".metadata.labels[dynamic-mcp.dev/x]: Forbidden"}},
		"a selected label":      {`{spec: {template: {metadata: {labels: {instance: other}}}}}`, []string{d + ".spec.template.metadata.labels[instance]: Forbidden"}},
		"no proxy":              {`{spec: {template: {spec: {containers: [{name: other}, {$patch: replace}]}}}}`, []string{d + ".spec.template.spec.containers: Forbidden"}},
		"a service account":     {`{spec: {template: {spec: {serviceAccount: x}}}}`, []string{d + ".spec.template.spec.serviceAccount: Forbidden"}},
		"an item without a key": {`{spec: {template: {spec: {containers: [{name: proxy, env: [{value: secret}]}]}}}}`, []string{d + ".spec.template.spec.containers[0].env[0].name: Required value"}},
		"null in a list":        {`{spec: {template: {spec: {tolerations: [null]}}}}`, []string{d + ".spec.template.spec.tolerations[0]: Required value"}},
		"a bad directive":       {`{spec: {$patch: overwrite, paused: true}}`, []string{d + ": Invalid value: does not merge with the Deployment"}},
		"a bad order":           {`{spec: {template: {spec: {$setElementOrder/containers: [{nam: x}], containers: [{name: proxy}]}}}}`, []string{d + ": Invalid value: does not merge with the Deployment"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := Apply(deployment(), []Patch{patchOf(t, `{spec: {minReadySeconds: 5}}`), patchOf(t, test.patch)})
			var refused *Error
			g.Expect(errors.As(err, &refused)).To(BeTrue(), "%v", err)
			g.Expect(refused.Source).To(Equal(FromGateway))
			g.Expect(refused.Error()).To(HavePrefix("parameters of the Gateway: "))
			g.Expect(refused.Error()).NotTo(ContainSubstring("secret"))
			got := make([]string, 0, len(refused.Errors))
			for _, err := range refused.Errors {
				got = append(got, err.Error())
			}
			g.Expect(got).To(HaveLen(len(test.want)), "%q", got)
			for _, want := range test.want {
				g.Expect(got).To(ContainElement(HavePrefix(want)))
			}
		})
	}
}

func TestLargePatchesAreRefused(t *testing.T) {
	g := NewWithT(t)
	large := patchOf(t, `{metadata: {annotations: {a: `+strings.Repeat("x", MaxBytes)+`}}}`)
	_, err := Apply(deployment(), []Patch{large})
	g.Expect(err).To(MatchError(ContainSubstring("spec.overlays.deployment: Too long: may not be more than 65536 bytes")))
}

func TestOtherKinds(t *testing.T) {
	g := NewWithT(t)
	service := &corev1.Service{Spec: corev1.ServiceSpec{
		Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
	}}
	patched, err := Apply(service, []Patch{patchOf(t, `{spec: {ports: [{port: 80, nodePort: 30080}]}}`)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(patched.Spec.Ports).To(Equal([]corev1.ServicePort{{Name: "http", Port: 80, NodePort: 30080}}))
	_, err = Apply(service, []Patch{patchOf(t, `{spec: {selector: {c: d}}}`)})
	g.Expect(err).To(MatchError(ContainSubstring("spec.selector: Forbidden")))

	_, err = Apply(&policyv1.PodDisruptionBudget{}, []Patch{patchOf(t, `{spec: {selector: {}}}`)})
	g.Expect(err).To(MatchError(ContainSubstring("spec.selector: Forbidden")))
	_, err = Apply(&autoscalingv2.HorizontalPodAutoscaler{}, []Patch{patchOf(t, `{spec: {scaleTargetRef: {kind: X}}}`)})
	g.Expect(err).To(MatchError(ContainSubstring("spec.scaleTargetRef: Forbidden")))
	account, err := Apply(&corev1.ServiceAccount{}, []Patch{patchOf(t, `{metadata: {annotations: {a: b}}}`)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(account.Annotations).To(Equal(map[string]string{"a": "b"}))
}

func TestReservedLabels(t *testing.T) {
	for key, want := range map[string]bool{
		"gateway.networking.k8s.io/gateway-name": true, "app.kubernetes.io/managed-by": true, "dynamic-mcp.dev/anything": true,
		"gateway.kgateway.dev/anything": true, "app.kubernetes.io/part-of": false, "app.kubernetes.io/version": false, "team": false,
	} {
		NewWithT(t).Expect(IsReservedLabel(key)).To(Equal(want), key)
	}
}

// FuzzApply holds that no patch makes another object of a Deployment, or a panic.
func FuzzApply(f *testing.F) {
	for _, seed := range []string{
		`{"spec":{"minReadySeconds":5}}`, `{"$patch":"delete"}`, `{"spec":{"template":{"spec":{"containers":[{"name":"proxy","$patch":"delete"}]}}}}`,
		`{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}`, `{"metadata":{"labels":null}}`,
		`{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"a"},{"name":"proxy"}],"containers":[{"name":"a"}]}}}}`,
		`{"metadata":{"finalizers":["a"],"$deleteFromPrimitiveList/finalizers":["b"]}}`, `{"spec":{"template":{"spec":{"tolerations":[null]}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		before := deployment()
		after, err := Apply(before, []Patch{{Source: FromGateway, Field: "f", JSON: patch}})
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || len(refused.Errors) == 0 {
				t.Fatalf("no reason: %v", err)
			}
			return
		}
		g := NewWithT(t)
		g.Expect(after.TypeMeta).To(Equal(before.TypeMeta))
		g.Expect([]string{after.Namespace, after.Name, after.GenerateName}).To(Equal([]string{"default", "gw", ""}))
		g.Expect(after.OwnerReferences).To(Equal(before.OwnerReferences))
		g.Expect(after.Labels).To(HaveKeyWithValue("app.kubernetes.io/managed-by", "us"))
		g.Expect(after.Spec.Selector).To(Equal(before.Spec.Selector))
		g.Expect(after.Spec.Replicas).To(Equal(before.Spec.Replicas))
		for key, value := range before.Spec.Selector.MatchLabels {
			g.Expect(after.Spec.Template.Labels).To(HaveKeyWithValue(key, value))
		}
		g.Expect(after.Spec.Template.Spec.ServiceAccountName).To(Equal("gw"))
		g.Expect(after.Spec.Template.Spec.Containers).To(ContainElement(HaveField("Name", v1alpha1.ProxyContainerName)))
	})
}
