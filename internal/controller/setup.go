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

// Package controller has the reconcilers, one per kind. They gather objects from the cache, hand them to the pure
// packages (resolve, translate), and write what those decided into the objects' status.
package controller

import (
	"context"
	"errors"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
)

// Options of the controllers.
type Options struct {
	// Resolve says what selectors and static targets may reach.
	Resolve resolve.Options
	// SessionKeyRotation is how often the keys that seal sessions rotate; 0: never.
	SessionKeyRotation time.Duration
	// Now is the time. Default: time.Now.
	Now func() time.Time
}

// SetupWithManager registers all controllers of this package, the indexes that they need, and the creation of the
// GatewayClass. The manager's cache should be made with CacheOptions. An event names a Gateway whose proxy has
// changed its state; events may be nil if the provisioner has none to tell. The manager's client must read Secrets from
// the API server and not from a cache.
func SetupWithManager(mgr ctrl.Manager, o Options, p provision.Provisioner, events <-chan event.GenericEvent) error {
	if err := addIndexes(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := mgr.GetClient()
	recorder := mgr.GetEventRecorder(v1alpha1.ControllerName)
	return errors.Join(
		(&BackendReconciler{Client: c, Recorder: recorder, Options: o.Resolve}).SetupWithManager(mgr),
		(&GatewayClassReconciler{Client: c, Recorder: recorder}).SetupWithManager(mgr),
		(&GatewayReconciler{
			Client: c, Recorder: recorder, Provisioner: p, Events: events, SessionKeyRotation: o.SessionKeyRotation, Now: o.Now,
		}).SetupWithManager(mgr),
		(&HTTPRouteReconciler{Client: c, Recorder: recorder}).SetupWithManager(mgr),
	)
}
