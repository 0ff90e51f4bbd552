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
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// DefaultProxyClusterRole is the name of the ClusterRole with what proxies read, and of its bindings.
const DefaultProxyClusterRole = "dynamic-mcp-proxy"

// bindingCheck is how often it is checked that nobody has changed a binding.
const bindingCheck = time.Minute

// The ClusterRole and its bindings are part of the installation. The manager may not create a binding, nor change another
// one, and it has no right to change the role: all that it can do is to say who are the subjects. The right "bind", for
// this one ClusterRole, is what it takes to give away a role; without it, the API server would insist that the manager has
// every right of the role itself, which holds today, but an upgrade that changes the two roles one after the other would
// leave new proxies without rights in between.
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,resourceNames=dynamic-mcp-proxy,verbs=bind
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterrolebindings,resourceNames=dynamic-mcp-proxy,verbs=get;patch

// bindings keeps the subjects of the bindings of the ClusterRole of proxies true: the ServiceAccounts of all Gateways that
// have a proxy.
type bindings struct {
	client client.Client // reads from the cache
	reader client.Reader // reads from the API server
	// role is the name of the ClusterRole, and of the bindings.
	role string
	// namespaces that have a RoleBinding each; none stands for one ClusterRoleBinding.
	namespaces []string

	mu      sync.Mutex
	bound   []rbacv1.Subject // what the bindings have
	checked time.Time        // when that was last seen
}

// sync writes the subjects if they are not what they should be. ensured is a Gateway whose ServiceAccount was just applied,
// which the cache may not know yet; or nil.
func (b *bindings) sync(ctx context.Context, ensured *gatewayv1.Gateway) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	desired, err := b.subjects(ctx, ensured)
	if err != nil {
		return err
	}
	if !b.checked.IsZero() && time.Since(b.checked) < bindingCheck && equality.Semantic.DeepEqual(b.bound, desired) {
		return nil
	}
	b.checked = time.Time{}
	for _, binding := range b.all() {
		if err := b.write(ctx, binding, desired); err != nil {
			return err
		}
	}
	b.bound, b.checked = desired, time.Now()
	return nil
}

// subjects returns the ServiceAccounts of Gateways, sorted. That an account has our label and names a Gateway as its owner
// is not enough, which whoever may create accounts can write: the Gateway has to exist, and to be that one.
func (b *bindings) subjects(ctx context.Context, ensured *gatewayv1.Gateway) ([]rbacv1.Subject, error) {
	var accounts corev1.ServiceAccountList
	if err := b.client.List(ctx, &accounts, client.MatchingLabels{LabelManagedBy: ManagedBy}); err != nil {
		return nil, fmt.Errorf("list ServiceAccounts: %w", err)
	}
	var subjects []rbacv1.Subject
	for i := range accounts.Items {
		account := &accounts.Items[i]
		owner := metav1.GetControllerOf(account)
		if !isGateway(owner) || account.Name != AccountName(owner.Name) || !account.DeletionTimestamp.IsZero() {
			continue
		}
		var gateway gatewayv1.Gateway
		err := b.client.Get(ctx, types.NamespacedName{Namespace: account.Namespace, Name: owner.Name}, &gateway)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read Gateway: %w", err)
		}
		if err == nil && gateway.UID == owner.UID && gateway.DeletionTimestamp.IsZero() {
			subjects = append(subjects, subjectOf(account.Namespace, account.Name))
		}
	}
	if ensured != nil {
		subject := subjectOf(ensured.Namespace, AccountName(ensured.Name))
		if !slices.Contains(subjects, subject) {
			subjects = append(subjects, subject)
		}
	}
	slices.SortFunc(subjects, func(x, y rbacv1.Subject) int {
		return strings.Compare(x.Namespace+"/"+x.Name, y.Namespace+"/"+y.Name)
	})
	return subjects, nil
}

// all returns the bindings, empty.
func (b *bindings) all() []client.Object {
	if len(b.namespaces) == 0 {
		return []client.Object{&rbacv1.ClusterRoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
			ObjectMeta: metav1.ObjectMeta{Name: b.role},
		}}
	}
	all := make([]client.Object, len(b.namespaces))
	for i, namespace := range b.namespaces {
		all[i] = &rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: b.role},
		}
	}
	return all
}

// write sets the subjects of one binding, if they differ.
func (b *bindings) write(ctx context.Context, binding client.Object, desired []rbacv1.Subject) error {
	key := client.ObjectKeyFromObject(binding)
	name := binding.GetObjectKind().GroupVersionKind().Kind + " " + strings.TrimPrefix(key.String(), "/")
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(binding.GetObjectKind().GroupVersionKind())
	if err := b.reader.Get(ctx, key, found); apierrors.IsNotFound(err) && len(desired) == 0 {
		return nil
	} else if apierrors.IsNotFound(err) {
		return fmt.Errorf("the %s does not exist, without which proxies have no right to read Gateways and routes: "+
			"it is a part of the installation: install it again", name)
	} else if err != nil {
		return fmt.Errorf("read the %s: %w", name, err)
	}
	if ref, _, _ := unstructured.NestedString(found.Object, "roleRef", "name"); ref != b.role {
		return fmt.Errorf("the %s is for the role %q, not %q: install it again", name, ref, b.role)
	}
	var current struct {
		Subjects []rbacv1.Subject `json:"subjects"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &current); err != nil {
		return fmt.Errorf("read the %s: %w", name, err)
	}
	if equality.Semantic.DeepEqual(current.Subjects, desired) {
		return nil
	}
	subjects := make([]any, len(desired))
	for i, subject := range desired {
		subjects[i] = map[string]any{"kind": subject.Kind, "namespace": subject.Namespace, "name": subject.Name}
	}
	// A binding without its role is none, so that it is said again, as it is.
	apply := &unstructured.Unstructured{Object: map[string]any{"subjects": subjects, "roleRef": found.Object["roleRef"]}}
	apply.SetGroupVersionKind(binding.GetObjectKind().GroupVersionKind())
	apply.SetNamespace(key.Namespace)
	apply.SetName(key.Name)
	apply.SetUID(found.GetUID())
	if err := b.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(apply), fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("set the subjects of the %s: %w", name, err)
	}
	return nil
}
