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
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// wakeups are the objects that a change of another object concerns.
type wakeups = sets.Set[types.NamespacedName]

// watched is a pointer to a kind that is watched.
type watched interface {
	client.Object
	comparable
}

// queue is a controller's queue.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// concerned finds what a change concerns. before is nil when the object was created, after when it was deleted.
type concerned[T watched] func(ctx context.Context, before, after T) wakeups

// wake enqueues what a change concerns. With a delay, the changes that arrive within it cost one reconciliation: the
// queue keeps the earlier time of an object that waits already, and an undelayed wake-up makes it run at once.
func wake[T watched](delay time.Duration, concerned concerned[T]) handler.EventHandler {
	enqueue := func(ctx context.Context, before, after client.Object, q queue) {
		typedBefore, _ := before.(T)
		typedAfter, _ := after.(T)
		for key := range concerned(ctx, typedBefore, typedAfter) {
			q.AddAfter(reconcile.Request{NamespacedName: key}, delay)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			enqueue(ctx, nil, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			enqueue(ctx, e.ObjectOld, e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			enqueue(ctx, e.Object, nil, q)
		},
	}
}

// beforeOrAfter is for changes that concern whom the object concerned as it was, and whom it concerns as it is.
func beforeOrAfter[T watched](concerned func(ctx context.Context, object T) wakeups) concerned[T] {
	return func(ctx context.Context, before, after T) wakeups {
		var none T
		found := wakeups{}
		for _, object := range []T{before, after} {
			if object != none {
				found = found.Union(concerned(ctx, object))
			}
		}
		return found
	}
}
