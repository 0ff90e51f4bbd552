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

package deployment

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

const (
	accepted   = string(gatewayv1.GatewayConditionAccepted)
	programmed = string(gatewayv1.GatewayConditionProgrammed)
)

// newNamespace makes every spec's own, in which only pods that pass the strictest standard may run.
func newNamespace() string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "spec-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// gatewayOf returns a Gateway with one listener.
func gatewayOf(namespace, name string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: v1alpha1.GatewayClassName,
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 8080, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
}

// withParameters has a Gateway refer to parameters of its own name.
func withParameters(gateway *gatewayv1.Gateway, spec v1alpha1.GatewayParametersSpec) *v1alpha1.GatewayParameters {
	gateway.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{ParametersRef: &gatewayv1.LocalParametersReference{
		Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: v1alpha1.KindGatewayParameters, Name: gateway.Name,
	}}
	return &v1alpha1.GatewayParameters{
		ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: gateway.Name}, Spec: spec,
	}
}

func raw(json string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(json)} }

// create stores an object until the end of the spec.
func create(object client.Object) {
	GinkgoHelper()
	Expect(api.Create(ctx, object)).To(Succeed())
	DeferCleanup(func() { Expect(client.IgnoreNotFound(api.Delete(ctx, object))).To(Succeed()) })
}

// change edits an object as it is stored now.
func change[T any, P interface {
	*T
	client.Object
}](object P, edit func(P)) {
	GinkgoHelper()
	Eventually(func() error {
		fresh := P(new(T))
		if err := api.Get(ctx, client.ObjectKeyFromObject(object), fresh); err != nil {
			return err
		}
		edit(fresh)
		return api.Update(ctx, fresh)
	}).Should(Succeed())
}

// eventually waits until an object, as it is stored, meets the expectations.
func eventually[T any, P interface {
	*T
	client.Object
}](object P, expect func(g Gomega, fresh P)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		fresh := P(new(T))
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(object), fresh)).To(Succeed())
		expect(g, fresh)
	}).Should(Succeed())
}

// conditions waits for a Gateway's condition. A reason may have the beginning of the message after it.
func condition(gateway *gatewayv1.Gateway, conditionType string, status metav1.ConditionStatus, reason string) {
	GinkgoHelper()
	eventually(gateway, func(g Gomega, gw *gatewayv1.Gateway) {
		g.Expect(gw.Status.Conditions).To(haveCondition(conditionType, status, reason))
	})
}

func haveCondition(conditionType string, status metav1.ConditionStatus, reason string) gomegatypes.GomegaMatcher {
	return WithTransform(func(conditions []metav1.Condition) string {
		c := apimeta.FindStatusCondition(conditions, conditionType)
		if c == nil {
			return "none"
		}
		return fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}, HavePrefix(strings.TrimSuffix(fmt.Sprintf("%s=%s %s", conditionType, status, reason), " ")))
}

// objectsOf returns an empty object of each that a Gateway always has.
func objectsOf(gateway *gatewayv1.Gateway) []client.Object {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: gateway.Namespace, Name: name}
	}
	own, account := provision.ObjectName(gateway.Name), provision.AccountName(gateway.Name)
	return []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta(account)},
		&rbacv1.Role{ObjectMeta: meta(account)},
		&rbacv1.RoleBinding{ObjectMeta: meta(account)},
		&corev1.Secret{ObjectMeta: meta(account)},
		&corev1.Service{ObjectMeta: meta(provision.PeersName(gateway.Name))},
		&corev1.Service{ObjectMeta: meta(own)},
		&appsv1.Deployment{ObjectMeta: meta(own)},
	}
}

// optionalObjectsOf returns an empty object of each that parameters ask for.
func optionalObjectsOf(gateway *gatewayv1.Gateway) []client.Object {
	meta := metav1.ObjectMeta{Namespace: gateway.Namespace, Name: provision.ObjectName(gateway.Name)}
	return []client.Object{
		&policyv1.PodDisruptionBudget{ObjectMeta: meta}, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta},
	}
}

// exist waits for objects.
func exist(objects []client.Object) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		for _, object := range objects {
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed(), "%T", object)
		}
	}).Should(Succeed())
}

// gone waits until objects are gone, or would be if a controller of Kubernetes looked after their finalizers.
func gone(objects []client.Object) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		for _, object := range objects {
			err := api.Get(ctx, client.ObjectKeyFromObject(object), object)
			if err == nil && !object.GetDeletionTimestamp().IsZero() {
				continue
			}
			g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%T %s: %v", object, object.GetName(), err)
		}
	}).Should(Succeed())
}

// versions returns the resource versions of objects.
func versions(objects []client.Object) []string {
	GinkgoHelper()
	found := make([]string, len(objects))
	for i, object := range objects {
		Expect(api.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		found[i] = fmt.Sprintf("%T %s", object, object.GetResourceVersion())
	}
	return found
}

// subjects returns the ServiceAccounts that may read what proxies read.
func subjects() []string {
	GinkgoHelper()
	var binding rbacv1.ClusterRoleBinding
	Expect(api.Get(ctx, client.ObjectKey{Name: provision.DefaultProxyClusterRole}, &binding)).To(Succeed())
	found := []string{}
	for _, subject := range binding.Subjects {
		found = append(found, subject.Namespace+"/"+subject.Name)
	}
	return found
}

func accountOf(gateway *gatewayv1.Gateway) string {
	return gateway.Namespace + "/" + provision.AccountName(gateway.Name)
}
