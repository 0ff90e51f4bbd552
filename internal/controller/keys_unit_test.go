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
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// replicas is a Provisioner that knows key rings only.
type replicas struct {
	provision.Provisioner
	rings []string
	err   error
}

func (r replicas) KeyRings(context.Context, *gatewayv1.Gateway) ([]string, error) {
	return r.rings, r.err
}

func TestKeysAreLookedAtAgain(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	gateway := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gw", UID: types.UID("uid")}}
	ring, err := session.NewKeyRing()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	data, err := ring.Marshal()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	settled := func(ago time.Duration) string { return keyring.Stored{Ring: ring, Settled: now.Add(-ago)}.Mark() }
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "gw", errors.New("changed"))
	const day = 24 * time.Hour

	for name, test := range map[string]struct {
		keys     []byte // nil: no Secret
		mark     string
		never    bool
		replicas replicas
		refused  bool // the Gateway is not accepted
		writeErr error

		after     time.Duration // at least, and a tenth more at most
		condition string        // its reason
		event     string
		err       string
	}{
		"not accepted":              {keys: data, refused: true},
		"no Secret":                 {after: keyring.LookAtLeast},
		"keys that can't be read":   {keys: []byte("{"), after: keyring.LookAtLeast, condition: "InvalidSessionKeys"},
		"no replica is ready":       {keys: data, after: keyring.LookAtLeast, condition: "SessionKeysSpreading"},
		"a replica has others":      {keys: data, replicas: replicas{rings: []string{"other"}}, after: keyring.LookSoon, condition: "SessionKeysSpreading"},
		"all have them":             {keys: data, replicas: replicas{rings: []string{ring.ID()}}, after: keyring.LookAtLeast, condition: "SessionKeysSettled"},
		"nearly due":                {keys: data, mark: settled(day), replicas: replicas{rings: []string{ring.ID()}}, after: time.Minute, condition: "SessionKeysSettled"},
		"due":                       {keys: data, mark: settled(2 * day), replicas: replicas{rings: []string{ring.ID()}}, after: keyring.LookSoon, condition: "SessionKeysSpreading", event: "Normal SessionKeysRotated"},
		"due, but never":            {keys: data, mark: settled(2 * day), replicas: replicas{err: errors.New("asked")}, never: true, after: keyring.LookAtLeast, condition: "SessionKeysStatic"},
		"replicas can't be asked":   {keys: data, replicas: replicas{err: errors.New("no route")}, err: "rotate session keys: ask the replicas of the proxy which keys they have: no route"},
		"somebody else has written": {keys: data, mark: settled(2 * day), replicas: replicas{rings: []string{ring.ID()}}, writeErr: conflict, after: conflictDelay},
		"writing fails":             {keys: data, mark: settled(2 * day), replicas: replicas{rings: []string{ring.ID()}}, writeErr: errors.New("no quorum"), err: "rotate session keys: update the Secret default/gw-dynamic-mcp: no quorum"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
				Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
					if test.writeErr != nil {
						return test.writeErr
					}
					return c.Update(ctx, object, options...)
				},
			})
			if test.keys != nil {
				b = b.WithObjects(&corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{
						Namespace: "default", Name: provision.SecretName("gw"),
						Annotations:     map[string]string{provision.AnnotationSessionKeysSettled: test.mark},
						OwnerReferences: []metav1.OwnerReference{{Kind: "Gateway", Name: "gw", UID: gateway.UID, Controller: new(true)}},
					},
					Data: map[string][]byte{provision.SecretKeySessionKeys: test.keys},
				})
			}
			recorder := events.NewFakeRecorder(1)
			r := &GatewayReconciler{
				Client: b.Build(), Recorder: recorder, Provisioner: test.replicas,
				SessionKeyRotation: day, Now: func() time.Time { return now },
			}
			if test.never {
				r.SessionKeyRotation = 0
			}
			got, err := r.rotateKeys(t.Context(), &translate.Result{Accepted: translate.Condition{Status: !test.refused}},
				&provision.Wanted{Gateway: gateway, Parameters: parameters.Merge(nil, nil).WithDefaults()})
			if test.err != "" {
				g.Expect(err).To(MatchError(test.err))
				g.Expect(got).To(Equal(keysState{}))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.lookAfter).To(And(BeNumerically(">=", test.after), BeNumerically("<=", test.after+test.after/10)))
			g.Expect(got.known).To(Equal(test.writeErr == nil))
			if test.condition == "" {
				g.Expect(got.condition).To(BeNil())
			} else {
				g.Expect(got.condition).To(HaveValue(And(
					HaveField("Type", v1alpha1.GatewayConditionSessionKeys), HaveField("Reason", test.condition))))
			}
			if test.event == "" {
				g.Expect(recorder.Events).NotTo(Receive())
			} else {
				g.Expect(recorder.Events).To(Receive(HavePrefix(test.event)))
			}
		})
	}
}

func TestConditionOfSessionKeysGoesWithWhatItIsAbout(t *testing.T) {
	gateway := &gatewayv1.Gateway{Status: gatewayv1.GatewayStatus{Conditions: []metav1.Condition{
		*keysCondition(metav1.ConditionFalse, v1alpha1.GatewayReasonInvalidSessionKeys, "x"),
	}}}
	for name, test := range map[string]struct {
		keys keysState
		want []string
	}{
		"nothing is known": {keysState{}, []string{v1alpha1.GatewayReasonInvalidSessionKeys}},
		"nothing to say":   {keysState{known: true}, nil},
		"settled": {
			keysState{known: true, condition: keysCondition(metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysSettled, "y")},
			[]string{v1alpha1.GatewayReasonSessionKeysSettled},
		},
	} {
		t.Run(name, func(t *testing.T) {
			status := gatewayStatus(gateway, &translate.Result{}, proxyState{}, test.keys, metav1.Now())
			var reasons []string
			for _, c := range status.Conditions {
				if c.Type == v1alpha1.GatewayConditionSessionKeys {
					reasons = append(reasons, c.Reason)
				}
			}
			NewWithT(t).Expect(reasons).To(Equal(test.want))
		})
	}
}
