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
	"context"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type bindingHarness struct {
	*WithT
	t *testing.T
	*bindings
	reads, writes int
}

func newBindingHarness(t *testing.T, namespaces []string, objects ...client.Object) *bindingHarness {
	t.Helper()
	h := &bindingHarness{WithT: NewWithT(t), t: t}
	scheme := runtime.NewScheme()
	h.Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	h.Expect(gatewayv1.Install(scheme)).To(Succeed())
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			h.writes++
			return c.Apply(ctx, o, options...)
		},
	}).Build()
	reader := interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			h.reads++
			return c.Get(ctx, key, o, options...)
		},
	})
	h.bindings = &bindings{client: c, reader: reader, role: "proxy", namespaces: namespaces}
	return h
}

func (h *bindingHarness) sync(ensured *gatewayv1.Gateway) {
	h.t.Helper()
	h.Expect(h.bindings.sync(h.t.Context(), ensured)).To(Succeed())
}

func (h *bindingHarness) subjects() []string {
	h.t.Helper()
	var binding rbacv1.ClusterRoleBinding
	h.Expect(h.client.Get(h.t.Context(), client.ObjectKey{Name: "proxy"}, &binding)).To(Succeed())
	return names(binding.Subjects)
}

func names(subjects []rbacv1.Subject) []string {
	found := []string{}
	for _, subject := range subjects {
		found = append(found, subject.Kind+" "+subject.Namespace+"/"+subject.Name)
	}
	return found
}

func accountOf(gateway *gatewayv1.Gateway) *corev1.ServiceAccount {
	account := desiredServiceAccount(testWanted(gateway))
	return account
}

func roleBindings(namespaces ...string) []client.Object {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "proxy"}
	if len(namespaces) == 0 {
		return []client.Object{&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "proxy"}, RoleRef: ref}}
	}
	var found []client.Object
	for _, namespace := range namespaces {
		found = append(found, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "proxy"}, RoleRef: ref})
	}
	return found
}

func TestSubjectsAreTheAccountsOfGateways(t *testing.T) {
	gateway, deleted, forged := testGateway("a"), testGateway("deleted"), testGateway("forged")
	impostor := accountOf(gateway)
	impostor.Name = "impostor"
	unlabelled := accountOf(testGateway("b"))
	unlabelled.Labels = nil
	elder := accountOf(forged)
	elder.OwnerReferences = ownedBy(forged, "another-uid")
	h := newBindingHarness(t, nil, append(roleBindings(), gateway, testGateway("b"), forged, testGateway("no-account"),
		accountOf(gateway), accountOf(deleted), impostor, unlabelled, elder)...)
	h.sync(nil)
	h.Expect(h.subjects()).To(Equal([]string{"ServiceAccount default/a-dynamic-mcp"}))

	// One whose account the cache does not have yet.
	h.sync(testGateway("b"))
	h.Expect(h.subjects()).To(Equal([]string{"ServiceAccount default/a-dynamic-mcp", "ServiceAccount default/b-dynamic-mcp"}))
	h.Expect(h.client.Delete(t.Context(), gateway)).To(Succeed())
	h.sync(nil)
	h.Expect(h.subjects()).To(BeEmpty())
}

func TestBindingIsLookedAtFromTimeToTime(t *testing.T) {
	gateway := testGateway("a")
	h := newBindingHarness(t, nil, append(roleBindings(), gateway, accountOf(gateway))...)
	for range 5 {
		h.sync(gateway)
	}
	h.Expect([]int{h.reads, h.writes}).To(Equal([]int{1, 1}))

	var binding rbacv1.ClusterRoleBinding
	h.Expect(h.client.Get(t.Context(), client.ObjectKey{Name: "proxy"}, &binding)).To(Succeed())
	binding.Subjects = []rbacv1.Subject{{Kind: "User", Name: "somebody"}}
	h.Expect(h.client.Update(t.Context(), &binding)).To(Succeed())
	h.checked = h.checked.Add(-bindingCheck)
	h.sync(nil)
	h.Expect(h.subjects()).To(Equal([]string{"ServiceAccount default/a-dynamic-mcp"}))
	h.checked = h.checked.Add(-bindingCheck)
	h.sync(nil)
	h.Expect([]int{h.reads, h.writes}).To(Equal([]int{3, 2}), "nothing to write")
}

func TestBindingsOfNamespaces(t *testing.T) {
	gateway := testGateway("a")
	h := newBindingHarness(t, []string{"default", "team"}, append(roleBindings("default", "team", "other"), gateway, accountOf(gateway))...)
	h.sync(nil)
	for namespace, want := range map[string][]string{
		"default": {"ServiceAccount default/a-dynamic-mcp"}, "team": {"ServiceAccount default/a-dynamic-mcp"}, "other": {},
	} {
		var binding rbacv1.RoleBinding
		h.Expect(h.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "proxy"}, &binding)).To(Succeed())
		h.Expect(names(binding.Subjects)).To(Equal(want), namespace)
	}
}

func TestBindingThatIsNotThere(t *testing.T) {
	gateway := testGateway("a")
	h := newBindingHarness(t, nil, gateway)
	h.sync(nil) // Nobody needs it.
	h.Expect(h.bindings.sync(t.Context(), gateway)).To(MatchError(And(
		ContainSubstring("the ClusterRoleBinding proxy does not exist"), ContainSubstring("install it again"))))

	other := newBindingHarness(t, nil, gateway, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "proxy"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
	})
	other.Expect(other.bindings.sync(t.Context(), gateway)).To(MatchError(ContainSubstring(`is for the role "admin", not "proxy"`)))
}
