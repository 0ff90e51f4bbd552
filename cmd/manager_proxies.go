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
	"net/netip"
	"os"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

// Environment variables of the manager's pod, from the downward API, by which it finds its own image.
const (
	envPodName      = "POD_NAME"
	envPodNamespace = "POD_NAMESPACE"
	// containerManager is the name of its container.
	containerManager = "manager"
)

// proxies is where proxies run.
type proxies interface {
	provision.Provisioner
	manager.Runnable
	Events() <-chan event.GenericEvent
}

// newProxies sets up where proxies run, as the flags say.
func (f *managerFlags) newProxies(ctx context.Context, mgr ctrl.Manager, stderr io.Writer, log logr.Logger) (proxies, error) {
	if f.subprocess() {
		log.Info("Proxies run as child processes of the manager and share its credentials: this is for development")
		return provision.NewSubprocess(f.subprocessOptions(mgr, stderr, log))
	}
	image, err := f.imageOfProxies(ctx, mgr.GetAPIReader())
	if err != nil {
		return nil, err
	}
	log.Info("Proxies run as Deployments beside their Gateways", "image", image)
	if !inCluster() {
		log.Info("The manager does not run in the cluster: unless it reaches the addresses of pods, no Gateway is ever programmed")
	}
	return provision.NewDeployment(ctx, provision.DeploymentOptions{
		Installation: provision.Installation{
			Image: image, ClusterDomain: f.clusterDomain, WatchNamespaces: f.watchNamespaces,
		},
		Client:           mgr.GetClient(),
		Reader:           mgr.GetAPIReader(),
		Cache:            mgr.GetCache(),
		ProxyClusterRole: f.proxyClusterRole,
		Log:              log.WithName("proxies"),
	})
}

func (f *managerFlags) subprocessOptions(mgr ctrl.Manager, stderr io.Writer, log logr.Logger) provision.SubprocessOptions {
	args := []string{"--log-level", f.logLevel, "--log-format", f.logFormat, "--drain-timeout", proxyDrainTimeout.String()}
	if f.kubeconfig != "" {
		args = append(args, "--kubeconfig", f.kubeconfig)
	}
	for _, namespace := range f.watchNamespaces {
		args = append(args, "--"+flagWatchNamespaces, namespace)
	}
	log = log.WithName("proxies")
	return provision.SubprocessOptions{
		Client:      mgr.GetClient(),
		Args:        args,
		BindAddress: netip.MustParseAddr(f.proxyBindAddress), // complete has checked it
		GracePeriod: proxyGracePeriod,
		Output:      proxyOutput(stderr, f.logFormat, log),
		Log:         log,
	}
}

// imageOfProxies returns the image that proxies run unless GatewayParameters say another: the manager's own by default, so
// that both are of one version.
func (f *managerFlags) imageOfProxies(ctx context.Context, reader client.Reader) (string, error) {
	if f.proxyImage != "" {
		return f.proxyImage, nil
	}
	key := types.NamespacedName{Namespace: os.Getenv(envPodNamespace), Name: os.Getenv(envPodName)}
	if key.Namespace == "" || key.Name == "" {
		return "", fmt.Errorf("--%s is required where $%s and $%s don't say which pod the manager runs in: the image of the proxies",
			flagProxyImage, envPodNamespace, envPodName)
	}
	ctx, cancel := context.WithTimeout(ctx, startupTimeout)
	defer cancel()
	var pod corev1.Pod
	if err := reader.Get(ctx, key, &pod); err != nil {
		return "", fmt.Errorf("read the manager's own pod %s, for the image of the proxies (or set --%s): %w", key, flagProxyImage, err)
	}
	image, err := managerImage(&pod)
	if err != nil {
		return "", fmt.Errorf("find the image of the proxies in the manager's own pod %s (or set --%s): %w", key, flagProxyImage, err)
	}
	return image, nil
}

// managerImage returns the image of the manager's container, or of the only one there is.
func managerImage(pod *corev1.Pod) (string, error) {
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == containerManager || len(pod.Spec.Containers) == 1 {
			return c.Image, nil
		}
	}
	return "", errors.New("it has several containers, and none is called " + containerManager)
}

// inCluster returns whether this runs in a pod.
func inCluster() bool { return os.Getenv("KUBERNETES_SERVICE_HOST") != "" }
