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
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
)

const (
	// conflictDelay gives the cache time to see the write that ours lost against.
	conflictDelay = 20 * time.Millisecond
	// maxEventNote is the API server's bound on an event's note, in bytes.
	maxEventNote = 1024
	// eventAction is what we do when we report; the events API wants it beside the reason.
	eventAction = "Reconcile"
)

// patchStatus writes what differs between two states of an object's status. It fails with a conflict if the object
// was changed since before was read, so that a decision made on a stale cache never overwrites a newer one.
func patchStatus(ctx context.Context, c client.Client, before, after client.Object) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, after, patch); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// afterWrite turns the error of a write into what Reconcile returns. A conflict means that the cache was behind, which
// is everyday life and no error; an object that is gone needs nothing.
func afterWrite(ctx context.Context, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("Object changed while it was reconciled, trying again")
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// recordTransitions reports which of the conditions changed their status. It is called after the write, so that
// nobody is told what did not happen. A condition that is True from the beginning is no news.
func recordTransitions(
	events recorder.EventRecorder, object client.Object, before, after []metav1.Condition, types ...string,
) {
	for _, conditionType := range types {
		now := apimeta.FindStatusCondition(after, conditionType)
		if now == nil {
			continue
		}
		was := metav1.ConditionUnknown
		if c := apimeta.FindStatusCondition(before, conditionType); c != nil {
			was = c.Status
		}
		if was == now.Status || (was == metav1.ConditionUnknown && now.Status == metav1.ConditionTrue) {
			continue
		}
		eventType := corev1.EventTypeNormal
		// Something that is about to happen is not yet a reason to worry.
		if now.Status == metav1.ConditionFalse && now.Reason != "Pending" {
			eventType = corev1.EventTypeWarning
		}
		note := fmt.Sprintf("%s is %s: %s", conditionType, now.Status, now.Message)
		events.Eventf(object, nil, eventType, now.Reason, eventAction, "%s", shorten(note, maxEventNote))
	}
}

// shorten cuts a text to a number of bytes without cutting a character.
func shorten(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	const ellipsis = "…"
	cut := text[:bytes-len(ellipsis)]
	for len(cut) > 0 && text[len(cut)]&0xC0 == 0x80 {
		cut = cut[:len(cut)-1]
	}
	return cut + ellipsis
}
