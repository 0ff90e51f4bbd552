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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/controller"
	"github.com/dynamic-mcp/dynamic-mcp/internal/resolve"
	"github.com/dynamic-mcp/dynamic-mcp/internal/version"
)

const (
	// leaderElectionID is the name of the lease.
	leaderElectionID = "manager.dynamic-mcp.dev"

	// A leader that can't renew its lease for renewDeadline ends, and another replica leads once it has seen the lease
	// unchanged for leaseDuration. That is shorter than the defaults, because after a time without the API server it may be
	// what everybody waits for: a replica that did not see the last renewal starts to wait when the API server is back.
	leaseDuration = 8 * time.Second
	renewDeadline = 6 * time.Second
	leaseRetry    = time.Second

	// startupTimeout bounds what is asked of the API server before the manager starts.
	startupTimeout = 30 * time.Second
	// cacheProbeTimeout bounds how long /readyz waits for the caches.
	cacheProbeTimeout = time.Second

	// When the manager ends, its proxies get drainTimeout for requests in flight and are killed after gracePeriod; both
	// fit into controller-runtime's 30 s for ending everything.
	proxyDrainTimeout = 5 * time.Second
	proxyGracePeriod  = 10 * time.Second
)

func newManagerScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(gatewayv1.Install(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// run runs the manager until ctx ends.
func (f *managerFlags) run(ctx context.Context, stderr io.Writer) error {
	log, err := newManagerLogger(stderr, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client-go"))
	log.Info("Starting the manager", "version", version.String(), "proxyRuntime", f.proxyRuntime)

	restConfig, err := loadRESTConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	rest.AddUserAgent(restConfig, "dynamic-mcp-manager/"+version.String())
	hooks, err := f.newWebhooks()
	if err != nil {
		return err
	}
	mgr, err := f.newManager(ctx, restConfig, hooks, log)
	if err != nil {
		return err
	}
	if err := f.setUp(ctx, mgr, hooks, stderr, log); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// newManager returns a manager for an API server that answers and has the CRDs.
func (f *managerFlags) newManager(
	ctx context.Context, restConfig *rest.Config, hooks *webhooks, log logr.Logger,
) (ctrl.Manager, error) {
	limit := time.Duration(0)
	if inCluster() {
		limit = awaitLimit
	}
	if err := await(ctx, limit, log, func() error { return checkAPIServer(restConfig, log) }); err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(restConfig, f.managerOptions(hooks))
	if err != nil {
		if f.leaderElect && f.leaderElectionNamespace == "" {
			return nil, fmt.Errorf("set up the manager (outside a cluster, --leader-elect needs --leader-election-namespace): %w", err)
		}
		return nil, fmt.Errorf("set up the manager: %w", err)
	}
	checking, cancel := context.WithTimeout(ctx, startupTimeout)
	defer cancel()
	if err := controller.CheckCRDs(checking, mgr.GetAPIReader()); err != nil {
		return nil, err
	}
	return mgr, nil
}

func (f *managerFlags) managerOptions(hooks *webhooks) ctrl.Options {
	options := ctrl.Options{
		Scheme: newManagerScheme(),
		Cache:  controller.CacheOptions(f.watchNamespaces...),
		// Secrets are read one by one: to cache them would take the right to list every Secret there is.
		NewClient:               controller.NewClient(f.watchNamespaces...),
		Client:                  client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:                 metricsserver.Options{BindAddress: f.metricsAddress},
		HealthProbeBindAddress:  f.probeAddress,
		LeaderElection:          f.leaderElect,
		LeaderElectionID:        leaderElectionID,
		LeaderElectionNamespace: f.leaderElectionNamespace,
		LeaseDuration:           new(leaseDuration),
		RenewDeadline:           new(renewDeadline),
		RetryPeriod:             new(leaseRetry),
		// The process ends right after the manager, so that the lease can be given up at once.
		LeaderElectionReleaseOnCancel: true,
	}
	if f.metricsAddress == "" {
		options.Metrics.BindAddress = addressOff
	}
	if hooks != nil {
		options.WebhookServer = hooks.server
	}
	return options
}

// setUp adds to the manager everything that it runs.
func (f *managerFlags) setUp(ctx context.Context, mgr ctrl.Manager, hooks *webhooks, stderr io.Writer, log logr.Logger) error {
	proxies, err := f.newProxies(ctx, mgr, stderr, log)
	if err != nil {
		return fmt.Errorf("set up proxies: %w", err)
	}
	if err := mgr.Add(proxies); err != nil {
		return fmt.Errorf("set up proxies: %w", err)
	}
	options := controller.Options{
		Resolve: resolve.Options{
			AllowExternalName: f.allowExternalName,
			AllowLoopback:     f.subprocess(),
			ClusterDomain:     f.clusterDomain,
		},
		SessionKeyRotation: f.sessionKeyRotation,
	}
	if err := controller.SetupWithManager(mgr, options, proxies, proxies.Events()); err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}
	if err := f.setUpWebhooks(mgr, hooks, log); err != nil {
		return err
	}
	return f.addProbes(mgr)
}

// addProbes makes /readyz wait for the caches and the webhooks, so that what is applied after it is seen.
func (f *managerFlags) addProbes(mgr ctrl.Manager) error {
	errs := []error{
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("caches", func(r *http.Request) error {
			ctx, cancel := context.WithTimeout(r.Context(), cacheProbeTimeout)
			defer cancel()
			if !mgr.GetCache().WaitForCacheSync(ctx) {
				return errors.New("the caches are not filled yet")
			}
			return nil
		}),
	}
	return errors.Join(errs...)
}

// checkAPIServer says so once when the API server does not answer, before everything else would say it.
func checkAPIServer(restConfig *rest.Config, log logr.Logger) error {
	restConfig = rest.CopyConfig(restConfig)
	restConfig.Timeout = startupTimeout
	c, err := discovery.NewDiscoveryClientForConfig(restConfig)
	if err != nil {
		return fmt.Errorf("set up a client for the API server: %w", err)
	}
	server, err := c.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API server at %s: %w (which one it is: --kubeconfig, $KUBECONFIG or ~/.kube/config)",
			restConfig.Host, err)
	}
	log.Info("The API server answers", "host", restConfig.Host, "version", server.GitVersion)
	return nil
}
