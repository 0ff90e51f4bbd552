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

// Package apiserver says how the manager and the proxies get over a time without the API server: they go on with what they
// know, and follow it again within seconds of its return.
package apiserver

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// A watch that nobody answers is begun again after firstPause, and then after longer pauses, up to longestPause. Jitter
	// makes each up to half longer, so that not all come at once when the API server is back.
	firstPause   = 500 * time.Millisecond
	longestPause = 3 * time.Second
	pauseJitter  = 0.5

	// What failed is tried again after firstRetry, and then after longer pauses, up to longestRetry.
	firstRetry   = 5 * time.Millisecond
	longestRetry = 15 * time.Second

	// A connection on which nothing arrives for pingAfter seconds is asked for a sign of life, and given up after another
	// pingTimeout.
	pingAfter   = "10"
	pingTimeout = "5"
)

// Informers returns the option NewInformer of a cache. Informers by themselves make pauses of up to a minute between two
// attempts to watch, and it takes minutes without a failure until their pauses are short again. Here a watch waits itself
// until the API server can be reached, so that it counts as none of these failures. Those that the API server answers are
// left to the informer.
func Informers() func(
	toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers,
) toolscache.SharedIndexInformer {
	r := &reach{log: log.Log.WithName("api-server")}
	return func(
		lw toolscache.ListerWatcher, example runtime.Object, resync time.Duration, indexers toolscache.Indexers,
	) toolscache.SharedIndexInformer {
		inner := toolscache.ToListerWatcherWithContext(lw)
		return toolscache.NewSharedIndexInformer(&toolscache.ListWatch{
			ListWithContextFunc:  inner.ListWithContext,
			WatchFuncWithContext: r.await(inner.WatchWithContext),
		}, example, resync, indexers)
	}
}

// reach knows whether the API server can be reached, so that one informer of many tells it.
type reach struct {
	log  logr.Logger
	away atomic.Bool
}

// await makes a watch wait for the API server, as long as the context lasts.
func (r *reach) await(begin toolscache.WatchFuncWithContext) toolscache.WatchFuncWithContext {
	return func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		for pause := firstPause; ; pause = min(2*pause, longestPause) {
			w, err := begin(ctx, options)
			if err == nil || !isUnreachable(err) {
				if r.away.CompareAndSwap(true, false) {
					r.log.Info("The API server can be reached again")
				}
				return w, err
			}
			if ctx.Err() == nil && r.away.CompareAndSwap(false, true) {
				r.log.Info("The API server can't be reached, going on with what is known", "error", err.Error())
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(wait.Jitter(pause, pauseJitter)):
			}
		}
	}
}

// isUnreachable tells whether nobody answered, or a load balancer on behalf of nobody. A certificate that is not trusted,
// for example, is another thing: informers log it.
func isUnreachable(err error) bool {
	var network net.Error
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.As(err, &network) && network.Timeout() || apierrors.IsServiceUnavailable(err)
}

// RateLimiter is for the option RateLimiter of controllers. By default, what failed for a minute would not be tried again
// for the next one, and finally every 17 minutes.
func RateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, longestRetry)
}

// CheckConnections makes connections to the API server, if they are made later, notice within seconds that there is nobody
// any more at the other end; by default it takes 45. The environment may say otherwise: these are client-go's variables.
func CheckConnections() error {
	for _, setting := range [][2]string{
		{"HTTP2_READ_IDLE_TIMEOUT_SECONDS", pingAfter},
		{"HTTP2_PING_TIMEOUT_SECONDS", pingTimeout},
	} {
		if os.Getenv(setting[0]) != "" {
			continue
		}
		if err := os.Setenv(setting[0], setting[1]); err != nil {
			return err
		}
	}
	return nil
}
