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

package crd

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

var _ = Describe("Backend", func() {
	describeCases("backend", "gateway.kgateway.dev_backends.yaml")

	It("is printed with its type, targets, readiness and age", func(ctx SpecContext) {
		Expect(printedColumns(ctx, "backends")).To(Equal([]string{"Name", "Type", "Targets", "Ready", "Age"}))
	})

	It("has a short name and categories", func() {
		resources, err := discovery.NewDiscoveryClientForConfigOrDie(cfg).
			ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
		Expect(err).NotTo(HaveOccurred())
		Expect(resources.APIResources).To(ContainElement(And(
			HaveField("Name", "backends"),
			HaveField("ShortNames", []string{"be"}),
			HaveField("Categories", ConsistOf("gateway-api", "mcp")),
		)))
	})

	It("that was stored unchecked keeps its metadata editable and can be deleted", func(ctx SpecContext) {
		var backend v1alpha1.Backend
		Expect(k8sClient.Get(ctx, storedUnchecked, &backend)).To(Succeed())

		By("changing the labels")
		backend.Labels = map[string]string{"team": "a"}
		Expect(k8sClient.Update(ctx, &backend)).To(Succeed())

		By("changing the spec")
		changed := backend.DeepCopy()
		changed.Spec.MCP.Targets[0].Static.Port++
		Expect(k8sClient.Update(ctx, changed)).To(MatchError(ContainSubstring("must not be a loopback address")))

		By("deleting it, and then removing the finalizer")
		Expect(k8sClient.Delete(ctx, &backend)).To(Succeed())
		Expect(k8sClient.Get(ctx, storedUnchecked, &backend)).To(Succeed())
		Expect(backend.DeletionTimestamp).NotTo(BeNil())
		backend.Finalizers = nil
		Expect(k8sClient.Update(ctx, &backend)).To(Succeed())
		Expect(apierrors.IsNotFound(k8sClient.Get(ctx, storedUnchecked, &backend))).To(BeTrue())
	})
})

// describeCases makes a spec of each manifest in testdata/<kind>, and one that none of the CRD's CEL rules is without a case.
func describeCases(kind, crd string) {
	GinkgoHelper()
	cases, err := loadCases(kind)
	if err != nil {
		It("has readable cases", func() { Fail(err.Error()) })
		return
	}
	for _, test := range cases {
		It(test.name, func(ctx SpecContext) { apply(ctx, test) })
	}
	It("has a case for every CEL rule of the schema", func() {
		var wanted strings.Builder
		for _, test := range cases {
			wanted.WriteString(strings.Join(test.errors, "\n") + "\n")
		}
		messages := celMessages(crd)
		Expect(messages).NotTo(BeEmpty())
		for _, message := range messages {
			Expect(wanted.String()).To(ContainSubstring(message))
		}
	})
}

// apply creates the object as kubectl does, with strict field validation, and compares the answer.
func apply(ctx context.Context, test testCase) {
	warnings := &warningRecorder{}
	recording := rest.CopyConfig(cfg)
	recording.WarningHandlerWithContext = warnings
	c, err := client.New(recording, client.Options{})
	Expect(err).NotTo(HaveOccurred())

	object := test.object.DeepCopy()
	object.SetNamespace("default")
	answer := c.Create(ctx, object, client.FieldValidation("Strict"))
	if answer == nil {
		DeferCleanup(func(ctx SpecContext) { Expect(k8sClient.Delete(ctx, object)).To(Succeed()) })
	}
	got, err := outcome(answer, warnings.texts)
	Expect(err).NotTo(HaveOccurred())
	Expect(got.errors).To(ConsistOf(test.errors))
	Expect(got.warnings).To(ConsistOf(test.warnings))
	Expect(got.by).To(Equal(test.by))
	Expect(got.admitted).To(Equal(test.admitted))
	if test.stored != nil {
		Expect(c.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		Expect(object.Object["spec"]).To(Equal(test.stored.Object["spec"]))
	}
}

// printedColumns returns the names of the columns that kubectl get shows.
func printedColumns(ctx context.Context, resource string) []string {
	content, err := discovery.NewDiscoveryClientForConfigOrDie(cfg).RESTClient().Get().
		AbsPath("/apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").
		DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred())
	var table metav1.Table
	Expect(json.Unmarshal(content, &table)).To(Succeed())
	var columns []string
	for _, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			columns = append(columns, column.Name)
		}
	}
	return columns
}

// warningRecorder keeps the warnings of the API server's answers.
type warningRecorder struct {
	mu    sync.Mutex
	texts []string
}

func (r *warningRecorder) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if code == 299 && text != "" {
		r.texts = append(r.texts, text)
	}
}

// celMessages returns the message of every CEL rule of a CRD.
func celMessages(crd string) []string {
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", crd))
	Expect(err).NotTo(HaveOccurred())
	var document any
	Expect(yaml.Unmarshal(content, &document)).To(Succeed())
	var messages []string
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			rules, _ := node["x-kubernetes-validations"].([]any)
			for _, rule := range rules {
				message, _ := rule.(map[string]any)["message"].(string)
				Expect(message).NotTo(BeEmpty(), "the rule %v has no message", rule)
				messages = append(messages, message)
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(document)
	return messages
}
