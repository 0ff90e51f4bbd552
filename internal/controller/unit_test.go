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
	"context"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

func fakeClient(t *testing.T, objects ...client.Object) client.Client {
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(gatewayv1.Install(scheme)).To(Succeed())
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func TestClassOfAnotherControllerIsLeftAloneAndReported(t *testing.T) {
	g := NewWithT(t)
	foreign := &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.GatewayClassName},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: "example.com/other"},
	}
	c := fakeClient(t, foreign)
	recorder := events.NewFakeRecorder(1)
	g.Expect((&classCreator{Client: c, recorder: recorder}).ensure(t.Context())).To(Succeed())

	var stored gatewayv1.GatewayClass
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(foreign), &stored)).To(Succeed())
	g.Expect(stored.Spec).To(Equal(foreign.Spec))
	g.Expect(stored.Labels).To(BeEmpty())
	g.Expect(recorder.Events).To(Receive(And(
		ContainSubstring("Warning ForeignController"), ContainSubstring("belongs to example.com/other"))))
}

// While the manager is uninstalled, the replica that ends last leads for a moment.
func TestClassIsCreatedByReplicasThatStartAndByNoneThatBeginsToLead(t *testing.T) {
	g := NewWithT(t)
	g.Expect((&classCreator{}).NeedLeaderElection()).To(BeFalse())

	c := fakeClient(t)
	stale := interceptor.NewClient(c.(client.WithWatch), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "gatewayclasses"}, v1alpha1.GatewayClassName)
		},
	})
	for _, replica := range []client.Client{stale, stale, c} {
		g.Expect((&classCreator{Client: replica, recorder: events.NewFakeRecorder(1)}).ensure(t.Context())).To(Succeed())
	}
	g.Expect(c.Get(t.Context(), client.ObjectKey{Name: v1alpha1.GatewayClassName}, &gatewayv1.GatewayClass{})).To(Succeed())
}

func TestClassThatIsBeingDeletedIsCreatedAgain(t *testing.T) {
	g := NewWithT(t)
	going := &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: v1alpha1.GatewayClassName, Finalizers: []string{"example.com/held"}, DeletionTimestamp: new(metav1.Now()),
		},
		Spec: gatewayv1.GatewayClassSpec{ControllerName: v1alpha1.ControllerName},
	}
	c := fakeClient(t, going)
	creator := &classCreator{Client: c, recorder: events.NewFakeRecorder(1)}
	g.Expect(creator.ensure(t.Context())).To(MatchError(ContainSubstring("it is being deleted")), "it is tried again")

	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(going), going)).To(Succeed())
	going.Finalizers = nil
	g.Expect(c.Update(t.Context(), going)).To(Succeed())
	g.Expect(creator.ensure(t.Context())).To(Succeed())
	var created gatewayv1.GatewayClass
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(going), &created)).To(Succeed())
	g.Expect(created.DeletionTimestamp).To(BeNil())
}

func TestCheckCRDsNamesEveryMissingCRD(t *testing.T) {
	g := NewWithT(t)
	err := CheckCRDs(t.Context(), fakeClient(t))
	for _, name := range slices.Concat(ownCRDs, gatewayAPICRDs) {
		g.Expect(err).To(MatchError(ContainSubstring("the CRD " + name + " is not installed: install")))
	}
}

func TestCacheKeepsOnlyWhatIsRead(t *testing.T) {
	meta := metav1.ObjectMeta{
		Name:          "x",
		Annotations:   map[string]string{"a": "1", "gateway.networking.k8s.io/bundle-version": "v1.6.3"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
	}
	bare := metav1.ObjectMeta{Name: "x"}
	versioned := metav1.ObjectMeta{
		Name: "x", Annotations: map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.6.3"},
	}
	for name, test := range map[string]struct{ in, want client.Object }{
		"ca.crt of a ConfigMap": {
			in: &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"ca.crt": "pem", "b": "c"},
				BinaryData: map[string][]byte{"d": nil}},
			want: &corev1.ConfigMap{ObjectMeta: bare, Data: map[string]string{"ca.crt": "pem"}},
		},
		"nothing of a ConfigMap without it": {
			in:   &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"b": "c"}},
			want: &corev1.ConfigMap{ObjectMeta: bare},
		},
		"addresses and conditions of an EndpointSlice": {
			in: &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Endpoints: []discoveryv1.Endpoint{{
				Addresses:  []string{"10.0.0.1"},
				Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
				TargetRef:  &corev1.ObjectReference{Name: "pod"}, NodeName: new("n"), Zone: new("z"),
			}}},
			want: &discoveryv1.EndpointSlice{ObjectMeta: bare, Endpoints: []discoveryv1.Endpoint{{
				Addresses:  []string{"10.0.0.1"},
				Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
			}}},
		},
		"labels and status of a pod": {
			in: &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
				Status: corev1.PodStatus{Phase: corev1.PodPending}},
			want: &corev1.Pod{ObjectMeta: bare, Status: corev1.PodStatus{Phase: corev1.PodPending}},
		},
		"the bundle version of a CRD": {
			in: &metav1.PartialObjectMetadata{ObjectMeta: meta}, want: &metav1.PartialObjectMetadata{ObjectMeta: versioned},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for kind, options := range CacheOptions().ByObject {
				if options.Transform != nil && reflect.TypeOf(kind) == reflect.TypeOf(test.in) {
					once, err := options.Transform(test.in)
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(once).To(Equal(test.want))
					g.Expect(options.Transform(once)).To(Equal(test.want))
					return
				}
			}
			t.Fatal("no transform for the kind")
		})
	}
}

func TestTransitions(t *testing.T) {
	condition := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: "Ready", Status: status, Reason: reason, Message: "100%"}}
	}
	for name, test := range map[string]struct {
		before, after []metav1.Condition
		want          string
	}{
		"True from the beginning is no news": {after: condition(metav1.ConditionTrue, "Good")},
		"False from the beginning is":        {after: condition(metav1.ConditionFalse, "Bad"), want: "Warning Bad Ready is False: 100%"},
		"True to False": {
			before: condition(metav1.ConditionTrue, "Good"), after: condition(metav1.ConditionFalse, "Bad"),
			want: "Warning Bad Ready is False: 100%",
		},
		"False to True": {
			before: condition(metav1.ConditionFalse, "Bad"), after: condition(metav1.ConditionTrue, "Good"),
			want: "Normal Good Ready is True: 100%",
		},
		"waiting is no reason to warn": {after: condition(metav1.ConditionFalse, "Pending"), want: "Normal Pending Ready is False: 100%"},
		"another reason is no transition": {
			before: condition(metav1.ConditionFalse, "Bad"), after: condition(metav1.ConditionFalse, "Worse"),
		},
		"a condition that is not there": {before: condition(metav1.ConditionTrue, "Good")},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(1)
			recordTransitions(recorder, &v1alpha1.Backend{}, test.before, test.after, "Ready")
			if test.want == "" {
				NewWithT(t).Expect(recorder.Events).NotTo(Receive())
				return
			}
			NewWithT(t).Expect(recorder.Events).To(Receive(Equal(test.want)))
		})
	}
}

func TestShortenCutsBetweenCharacters(t *testing.T) {
	g := NewWithT(t)
	g.Expect(shorten("kurz", 4)).To(Equal("kurz"))
	for bytes := 3; bytes < 12; bytes++ {
		short := shorten("äöüäöüäöü", bytes)
		g.Expect(len(short)).To(BeNumerically("<=", bytes))
		g.Expect(utf8.ValidString(short)).To(BeTrue(), short)
	}
}
