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

package proxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	crconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/apiserver"
	"github.com/dynamic-mcp/dynamic-mcp/internal/translate"
)

// watch translates the objects around the Gateway on every change of them, until the context ends.
func watch(ctx context.Context, o Options, log logr.Logger, data *dataPlane) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	ctrl.SetLogger(log)
	mgr, err := ctrl.NewManager(o.RestConfig, ctrl.Options{
		Scheme:                 scheme,
		Logger:                 log,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		Controller:             crconfig.Controller{SkipNameValidation: ptr.To(true)},
		Cache: cache.Options{
			NewInformer:       apiserver.Informers(),
			DefaultTransform:  cache.TransformStripManagedFields(),
			DefaultNamespaces: namespaceConfigs(o.WatchNamespaces),
			ByObject:          map[client.Object]cache.ByObject{&gatewayv1.Gateway{}: only(o.Gateway)},
		},
	})
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	r := &watcher{Client: mgr.GetClient(), gateway: o.Gateway, data: data, polled: newPolled(mgr.GetAPIReader(), o)}
	if err := r.setup(mgr); err != nil {
		return fmt.Errorf("set up watches: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("watch the API server: %w", err)
	}
	return nil
}

// only restricts a cache to one object.
func only(key types.NamespacedName) cache.ByObject {
	return cache.ByObject{Namespaces: map[string]cache.Config{
		key.Namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", key.Name)},
	}}
}

// namespaceConfigs restricts a cache to namespaces; none stands for all.
func namespaceConfigs(names []string) map[string]cache.Config {
	if len(names) == 0 {
		return nil
	}
	configs := map[string]cache.Config{}
	for _, name := range names {
		configs[name] = cache.Config{}
	}
	return configs
}

// watcher turns any change into one translation of everything: it is cheap, and nothing can be forgotten.
type watcher struct {
	client.Client
	gateway types.NamespacedName
	data    *dataPlane
	polled  *polled
}

func (w *watcher) setup(mgr manager.Manager) error {
	toGateway := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: w.gateway}}
	})
	b := ctrl.NewControllerManagedBy(mgr).
		Named("proxy").
		Watches(&gatewayv1.Gateway{}, toGateway).
		Watches(&gatewayv1.HTTPRoute{}, toGateway).
		Watches(&gatewayv1.ReferenceGrant{}, toGateway).
		Watches(&v1alpha1.Backend{}, toGateway).
		WatchesRawSource(source.Channel(w.polled.changed, toGateway)).
		WithOptions(controller.Options{RateLimiter: apiserver.RateLimiter()})
	if len(w.polled.namespaceNames) == 0 {
		b = b.Watches(&corev1.Namespace{}, toGateway)
	}
	return errors.Join(mgr.Add(w.polled), b.Complete(w))
}

// Reconcile gathers, translates and hands over.
func (w *watcher) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	// Without keys from the beginning nothing can be served. Later on, keys that are gone or can't be read are no reason
	// to end sessions, to stop taking over configurations, or to be unready, as all replicas would be at once.
	keys, err := w.polled.keys()
	switch {
	case err == nil:
		w.data.updateKeys(keys)
	case !w.data.keepKeys(err):
		w.data.report(err)
		return ctrl.Result{}, nil // Keys that come wake us.
	}
	var gateway gatewayv1.Gateway
	if err := w.Get(ctx, w.gateway, &gateway); err != nil {
		if !apierrors.IsNotFound(err) {
			return ctrl.Result{}, fmt.Errorf("get Gateway: %w", err)
		}
		return ctrl.Result{}, w.data.apply(&translate.Config{})
	}
	in, err := w.gather(ctx, &gateway)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, w.data.apply(&translate.Gateway(in).Config)
}

func (w *watcher) gather(ctx context.Context, gateway *gatewayv1.Gateway) (translate.Inputs, error) {
	var (
		routes     gatewayv1.HTTPRouteList
		backends   v1alpha1.BackendList
		grants     gatewayv1.ReferenceGrantList
		namespaces corev1.NamespaceList
	)
	lists := []client.ObjectList{&routes, &backends, &grants}
	if len(w.polled.namespaceNames) == 0 {
		lists = append(lists, &namespaces)
	} else {
		namespaces.Items = w.polled.namespaces()
	}
	// Nothing is changed in what the cache returns: translate is pure.
	for _, list := range lists {
		if err := w.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return translate.Inputs{}, fmt.Errorf("list %T: %w", list, err)
		}
	}
	return translate.Inputs{
		Gateway: gateway, HTTPRoutes: routes.Items, Backends: backends.Items,
		ReferenceGrants: grants.Items, Namespaces: namespaces.Items,
	}, nil
}
