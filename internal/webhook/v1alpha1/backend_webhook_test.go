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

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

func backend(hosts ...string) *v1alpha1.Backend {
	b := &v1alpha1.Backend{
		ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "default"},
		Spec:       v1alpha1.BackendSpec{Type: v1alpha1.BackendTypeMCP, MCP: &v1alpha1.MCPBackend{}},
	}
	for _, host := range hosts {
		b.Spec.MCP.Targets = append(b.Spec.MCP.Targets, v1alpha1.MCPTarget{
			Name: "t", Static: &v1alpha1.MCPStaticTarget{Host: host, Port: 80},
		})
	}
	return b
}

func TestCreateReturnsEveryError(t *testing.T) {
	g := NewWithT(t)
	_, err := new(backendValidator).ValidateCreate(t.Context(), backend("127.0.0.1", "169.254.169.254"))
	g.Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
	causes := err.(apierrors.APIStatus).Status().Details.Causes
	g.Expect(causes).To(HaveLen(2))
	g.Expect(causes[0].Field).To(Equal("spec.mcp.targets[0].static.host"))
	g.Expect(causes[1].Field).To(Equal("spec.mcp.targets[1].static.host"))
}

func TestCreateFollowsTheOptions(t *testing.T) {
	g := NewWithT(t)
	validator := &backendValidator{options: validate.Options{AllowLoopback: true, ClusterDomain: "corp.example"}}
	warnings, err := validator.ValidateCreate(t.Context(), backend("127.0.0.1", "mcp.default.svc.corp.example"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(warnings).To(ConsistOf(HavePrefix("spec.mcp.targets[1].static.host: ")))
}

func TestUpdate(t *testing.T) {
	bad, worse, good := backend("127.0.0.1"), backend("127.0.0.1", "0.0.0.0"), backend("mcp.example.com")
	relabelled := bad.DeepCopy()
	relabelled.Labels = map[string]string{"team": "a"}
	deleted := bad.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{}
	for name, test := range map[string]struct {
		old, new *v1alpha1.Backend
		refused  bool
	}{
		"refuses a spec that becomes invalid":              {old: good, new: bad, refused: true},
		"refuses a spec that changes and stays invalid":    {old: bad, new: worse, refused: true},
		"permits a correction":                             {old: bad, new: good},
		"permits metadata of an invalid Backend to change": {old: bad, new: relabelled},
		"permits the last update before deletion":          {old: good, new: deleted},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := new(backendValidator).ValidateUpdate(t.Context(), test.old, test.new)
			NewWithT(t).Expect(apierrors.IsInvalid(err)).To(Equal(test.refused), "%v", err)
		})
	}
}

func TestDeleteIsAlwaysPermitted(t *testing.T) {
	g := NewWithT(t)
	warnings, err := new(backendValidator).ValidateDelete(t.Context(), backend("127.0.0.1"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(warnings).To(BeEmpty())
}
