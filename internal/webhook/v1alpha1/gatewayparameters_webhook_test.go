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

package v1alpha1

import (
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

func gatewayParameters(origins ...string) *v1alpha1.GatewayParameters {
	return &v1alpha1.GatewayParameters{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default"},
		Spec:       v1alpha1.GatewayParametersSpec{AllowedOrigins: origins},
	}
}

func TestCreateOfGatewayParametersReturnsEveryError(t *testing.T) {
	g := NewWithT(t)
	_, err := new(gatewayParametersValidator).ValidateCreate(t.Context(), gatewayParameters("*", "https://a.example.com", "b"))
	g.Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
	causes := err.(apierrors.APIStatus).Status().Details.Causes
	g.Expect(causes).To(HaveLen(2))
	g.Expect(causes[0].Field).To(Equal("spec.allowedOrigins[0]"))
	g.Expect(causes[1].Field).To(Equal("spec.allowedOrigins[2]"))
}

func TestCreateOfGatewayParametersWarns(t *testing.T) {
	g := NewWithT(t)
	parameters := gatewayParameters()
	parameters.Spec.PodDisruptionBudget = &v1alpha1.ProxyPodDisruptionBudget{MaxUnavailable: new(intstr.FromInt32(0))}
	warnings, err := new(gatewayParametersValidator).ValidateCreate(t.Context(), parameters)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(warnings).To(ConsistOf(HavePrefix("spec.podDisruptionBudget.maxUnavailable: ")))
}

func TestUpdateOfGatewayParameters(t *testing.T) {
	bad, worse, good := gatewayParameters("*"), gatewayParameters("*", "x"), gatewayParameters("https://a.example.com")
	relabelled := bad.DeepCopy()
	relabelled.Labels = map[string]string{"team": "a"}
	deleted := bad.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{}
	for name, test := range map[string]struct {
		old, new *v1alpha1.GatewayParameters
		refused  bool
	}{
		"refuses a spec that becomes invalid":           {old: good, new: bad, refused: true},
		"refuses a spec that changes and stays invalid": {old: bad, new: worse, refused: true},
		"permits a correction":                          {old: bad, new: good},
		"permits metadata of invalid ones to change":    {old: bad, new: relabelled},
		"permits the last update before deletion":       {old: good, new: deleted},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := new(gatewayParametersValidator).ValidateUpdate(t.Context(), test.old, test.new)
			NewWithT(t).Expect(apierrors.IsInvalid(err)).To(Equal(test.refused), "%v", err)
		})
	}
}

func TestDeleteOfGatewayParametersIsAlwaysPermitted(t *testing.T) {
	g := NewWithT(t)
	warnings, err := new(gatewayParametersValidator).ValidateDelete(t.Context(), gatewayParameters("*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(warnings).To(BeEmpty())
}
