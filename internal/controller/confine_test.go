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

package controller

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestConfinedClientSeesNothingInOtherNamespaces(t *testing.T) {
	g := NewWithT(t)
	service := func(namespace string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s"}}
	}
	c := &confinedClient{
		Client: fake.NewFakeClient(
			service("a"), service("b"), service("c"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "c"}}),
		namespaces: sets.New("a", "b"),
	}
	get := func(object client.Object, namespace, name string) error {
		return c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	}
	g.Expect(get(&corev1.Service{}, "a", "s")).To(Succeed())
	g.Expect(get(&corev1.Namespace{}, "", "c")).To(Succeed())
	g.Expect(apierrors.IsNotFound(get(&corev1.Service{}, "c", "s"))).To(BeTrue())
	count := func(options ...client.ListOption) int {
		list := corev1.ServiceList{Items: []corev1.Service{*service("stale")}}
		g.Expect(c.List(t.Context(), &list, options...)).To(Succeed())
		return len(list.Items)
	}
	g.Expect(count(client.InNamespace("b"))).To(Equal(1))
	g.Expect(count(client.InNamespace("c"))).To(BeZero())
	g.Expect(count(&client.ListOptions{Namespace: "c"})).To(BeZero())
}
