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

package apiserver

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// within is how soon after the API server's return all should be as before: the longest pause, and one of the informer.
const within = 8 * time.Second

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// server is an API server with Services, whose absence takes all watches with it.
type server struct {
	away    atomic.Bool
	watches chan *watch.RaceFreeFakeWatcher
}

func (s *server) listWatch() *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			if s.away.Load() {
				return nil, errRefused
			}
			return &corev1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
		},
		WatchFuncWithContext: func(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
			if s.away.Load() {
				return nil, errRefused
			}
			w := watch.NewRaceFreeFake()
			if options.SendInitialEvents != nil {
				end := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
					ResourceVersion: "1", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
				}}
				w.Action(watch.Bookmark, end)
			}
			s.watches <- w
			return w, nil
		},
	}
}

func TestInformerFollowsSoonAfterTheAPIServersReturn(t *testing.T) {
	for _, away := range []time.Duration{10 * time.Second, time.Minute, 20 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{watches: make(chan *watch.RaceFreeFakeWatcher, 1)}
				informer := Informers()(s.listWatch(), &corev1.Service{}, 0, toolscache.Indexers{})
				go informer.RunWithContext(t.Context())
				first := <-s.watches
				time.Sleep(time.Second)
				if !informer.HasSynced() {
					t.Fatal("not synced")
				}

				s.away.Store(true)
				first.Stop()
				time.Sleep(away)
				s.away.Store(false)
				back := time.Now()
				again := <-s.watches
				again.Add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "new", ResourceVersion: "2"}})
				synctest.Wait()

				if took := time.Since(back); took > within {
					t.Errorf("watched %s after the return of the API server, want %s at most", took, within)
				}
				if keys := informer.GetStore().ListKeys(); !slices.Equal(keys, []string{"default/new"}) {
					t.Errorf("informer has %q", keys)
				}
			})
		})
	}
}

func TestWatchEndsWithItsContextWhileTheAPIServerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.away.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := (&reach{}).await(s.listWatch().WatchWithContext)(ctx, metav1.ListOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}

func TestWatchLeavesAnswersToTheInformer(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	for _, answer := range []error{
		apierrors.NewForbidden(services, "", errors.New("no such right")),
		apierrors.NewResourceExpired("too old resource version"),
		apierrors.NewTooManyRequests("slower", 1),
		errors.New("x509: certificate signed by unknown authority"),
	} {
		_, err := (&reach{}).await(func(context.Context, metav1.ListOptions) (watch.Interface, error) {
			return nil, answer
		})(t.Context(), metav1.ListOptions{})
		if !errors.Is(err, answer) {
			t.Errorf("error %v, want %v", err, answer)
		}
	}
}

func TestUnreachable(t *testing.T) {
	for _, err := range []error{
		errRefused,
		&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)},
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ETIMEDOUT)},
		apierrors.NewServiceUnavailable("no API server behind the load balancer"),
	} {
		if !isUnreachable(err) {
			t.Errorf("%v means that the API server can't be reached", err)
		}
	}
}

func TestWhatFailedForLongIsTriedAgainSoon(t *testing.T) {
	limiter := RateLimiter()
	request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: "a"}}
	if pause := limiter.When(request); pause != firstRetry {
		t.Errorf("first pause %s, want %s", pause, firstRetry)
	}
	for range 100 {
		if pause := limiter.When(request); pause > longestRetry {
			t.Fatalf("pause %s, want %s at most", pause, longestRetry)
		}
	}
}

func TestConnectionsAreChecked(t *testing.T) {
	t.Setenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "")
	t.Setenv("HTTP2_PING_TIMEOUT_SECONDS", "7")
	if err := CheckConnections(); err != nil {
		t.Fatal(err)
	}
	if after := os.Getenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS"); after != pingAfter {
		t.Errorf("pings after %s s, want %s", after, pingAfter)
	}
	if timeout := os.Getenv("HTTP2_PING_TIMEOUT_SECONDS"); timeout != "7" {
		t.Errorf("pings time out after %s s, not what the environment says", timeout)
	}
}

func TestAnAbsenceIsToldOnceForAllInformers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		r := &reach{log: funcr.New(func(_, args string) { told = append(told, args) }, funcr.Options{})}
		s := &server{watches: make(chan *watch.RaceFreeFakeWatcher, 3)}
		s.away.Store(true)
		for range cap(s.watches) {
			go func() {
				if _, err := r.await(s.listWatch().WatchWithContext)(t.Context(), metav1.ListOptions{}); err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(time.Minute)
		s.away.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(told) != 2 || !strings.Contains(told[0], "can't be reached") || !strings.Contains(told[1], "reached again") {
			t.Errorf("told %q", told)
		}
	})
}
