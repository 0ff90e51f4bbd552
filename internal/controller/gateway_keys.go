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
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// lookJitter spreads looks at the keys of Gateways that came at once: up to this part is added to the time between two.
const lookJitter = 0.1

// keysState is what is known of the keys that seal the sessions of a Gateway's clients.
type keysState struct {
	// known is false if they could not be read; then the condition stays what it was.
	known bool
	// condition is nil if there is nothing to say.
	condition *metav1.Condition
	// lookAfter is when to look at them again; 0: when something else happens.
	lookAfter time.Duration
}

// rotateKeys takes the next step in the rotation of a Gateway's keys, if it is time for one.
func (r *GatewayReconciler) rotateKeys(
	ctx context.Context, translated *translate.Result, wanted *provision.Wanted,
) (keysState, error) {
	gateway := wanted.Gateway
	if !translated.Accepted.Status {
		return keysState{known: true}, nil
	}
	keys, err := provision.ReadSessionKeys(ctx, r, gateway)
	if invalid, ok := errors.AsType[*provision.InvalidSessionKeysError](err); ok {
		return keysState{
			known:     true,
			condition: keysCondition(metav1.ConditionFalse, v1alpha1.GatewayReasonInvalidSessionKeys, invalid.Error()),
			lookAfter: wait.Jitter(keyring.LookAtLeast, lookJitter),
		}, nil
	}
	if err != nil {
		return keysState{}, fmt.Errorf("rotate session keys: %w", err)
	}
	if keys == nil { // What is wrong with the Secret is the provisioner's to say.
		return keysState{known: true, lookAfter: wait.Jitter(keyring.LookAtLeast, lookJitter)}, nil
	}
	policy := keyring.Policy{Every: r.SessionKeyRotation, Lifetime: wanted.Parameters.Spec.SessionLifetime.Duration}
	decision, err := r.stepKeys(ctx, gateway, keys, policy)
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("Session keys changed while they were looked at, trying again")
		return keysState{lookAfter: conflictDelay}, nil
	}
	if err != nil {
		return keysState{}, fmt.Errorf("rotate session keys: %w", err)
	}
	return keysState{
		known:     true,
		condition: r.storedKeysCondition(decision),
		lookAfter: wait.Jitter(decision.LookAfter, lookJitter),
	}, nil
}

// stepKeys asks the replicas which keys they have, and writes what follows from it.
func (r *GatewayReconciler) stepKeys(
	ctx context.Context, gateway *gatewayv1.Gateway, keys *provision.SessionKeys, policy keyring.Policy,
) (keyring.Decision, error) {
	var replicas []string
	if policy.Every > 0 {
		var err error
		if replicas, err = r.Provisioner.KeyRings(ctx, gateway.DeepCopy()); err != nil {
			return keyring.Decision{}, fmt.Errorf("ask the replicas of the proxy which keys they have: %w", err)
		}
	}
	now := r.Now()
	decision := keyring.Decide(keys.Stored, replicas, policy, now)
	if decision.Step == keyring.Keep {
		return decision, nil
	}
	next, err := keys.After(decision.Step, now)
	if err != nil {
		return keyring.Decision{}, err
	}
	if err := keys.Write(ctx, r, next); err != nil {
		return keyring.Decision{}, err
	}
	log.FromContext(ctx).V(1).Info("Session keys written", "step", decision.Step.String(), "keyRing", next.Ring.ID())
	if decision.Step == keyring.Promote {
		log.FromContext(ctx).Info("Session keys rotated", "keyRing", next.Ring.ID())
		r.Recorder.Eventf(gateway, nil, corev1.EventTypeNormal, v1alpha1.GatewayReasonSessionKeysRotated, eventAction,
			"The next session key has become the current one; sessions go on (key ring %s)", next.Ring.ID())
	}
	return decision, nil
}

// storedKeysCondition tells where the rotation of keys that can be read stands.
func (r *GatewayReconciler) storedKeysCondition(decision keyring.Decision) *metav1.Condition {
	switch {
	case r.SessionKeyRotation == 0:
		return keysCondition(metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysStatic,
			"The keys of sessions are in order; the manager does not rotate them (--session-key-rotation=0)")
	case decision.Due.IsZero():
		return keysCondition(metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysSpreading,
			"The keys of sessions are in order; they rotate some time after every ready replica of the proxy has them")
	}
	return keysCondition(metav1.ConditionTrue, v1alpha1.GatewayReasonSessionKeysSettled,
		"Every ready replica of the proxy has the keys of sessions; they rotate after "+decision.Due.UTC().Format(time.RFC3339))
}

func keysCondition(status metav1.ConditionStatus, reason, message string) *metav1.Condition {
	return &metav1.Condition{
		Type: v1alpha1.GatewayConditionSessionKeys, Status: status, Reason: reason, Message: message,
	}
}
