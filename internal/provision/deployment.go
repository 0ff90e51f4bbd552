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

package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/overlay"
)

// changingRetry is when a Gateway is looked at again of which an object was being replaced.
const changingRetry = 250 * time.Millisecond

// DeploymentOptions configure a Deployment. Client, Reader and Cache are required, and Installation.Image.
type DeploymentOptions struct {
	Installation

	// Client writes, and reads from Cache; but Secrets from the API server, as SubprocessOptions.Client does.
	Client client.Client
	// Reader reads from the API server.
	Reader client.Reader
	// Cache should be made with CacheByObject. EndpointSlices and Services are read from it, and Gateways.
	Cache cache.Cache
	// ProxyClusterRole is the name of the ClusterRole with what proxies read, and of its bindings. Default:
	// DefaultProxyClusterRole.
	ProxyClusterRole string
	// Probe says how often pods are asked whether they serve.
	Probe ProbeTiming
	// Dial connects to a pod. Default: the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets what the provisioner itself has to say.
	Log logr.Logger
}

func (o *DeploymentOptions) setDefaults() error {
	if o.Client == nil || o.Reader == nil || o.Cache == nil {
		return errors.New("a client, a reader and a cache are required")
	}
	if o.Image == "" {
		return errors.New("the image of the proxies is required")
	}
	if o.ProxyClusterRole == "" {
		o.ProxyClusterRole = DefaultProxyClusterRole
	}
	if o.Probe.Serving <= 0 {
		o.Probe.Serving = 10 * time.Second // The kubelet asks pods as well.
	}
	o.Probe.setDefaults()
	return nil
}

// Deployment runs the proxy of each Gateway as a Deployment in the Gateway's namespace, with everything that it takes. The
// objects are owned by the Gateway, and deleted with it.
//
// It is a manager.Runnable. Ensure may be called before Start; without Start, nobody asks the pods whether they serve.
type Deployment struct {
	options  DeploymentOptions
	applier  *applier
	bindings *bindings
	replicas *replicas
	notifier *notifier
}

var _ Provisioner = &Deployment{}

// The objects of Gateways. What the manager can do with them beyond its own, an admission policy prevents.
// +kubebuilder:rbac:groups="",resources=serviceaccounts;services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gateways,verbs=get;list;watch

// CacheByObject returns how the manager caches the objects of Gateways: those that it made, and no others. Services and
// EndpointSlices are not among them, which the manager needs all of.
func CacheByObject() map[client.Object]cache.ByObject {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{LabelManagedBy: ManagedBy})}
	byObject := map[client.Object]cache.ByObject{}
	for _, kind := range ownedKinds() {
		if _, isService := kind.(*corev1.Service); !isService {
			byObject[kind] = ours
		}
	}
	return byObject
}

// NewDeployment returns a Deployment, and has the cache tell it about the objects of Gateways.
func NewDeployment(ctx context.Context, options DeploymentOptions) (*Deployment, error) {
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	d := &Deployment{
		options: options,
		applier: &applier{client: options.Client, reader: options.Reader, log: options.Log},
		bindings: &bindings{
			client: options.Client, reader: options.Reader, role: options.ProxyClusterRole, namespaces: options.WatchNamespaces,
		},
		notifier: newNotifier(),
	}
	d.replicas = newReplicas(newProber(options.Probe.Timeout, options.Dial), options.Probe, d.notifier.changed)
	if err := d.watch(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Events tells which Gateways' proxies have a new state; the objects have a namespace and a name only. The channel is
// never closed.
func (d *Deployment) Events() <-chan event.GenericEvent { return d.notifier.events }

// NeedLeaderElection implements manager.LeaderElectionRunnable: pods are asked where the Gateway controller runs.
func (d *Deployment) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable: it asks pods whether they serve, and keeps the bindings of proxies true, until ctx
// ends.
func (d *Deployment) Start(ctx context.Context) error {
	var helpers sync.WaitGroup
	helpers.Go(func() { d.notifier.run(ctx) })
	helpers.Go(func() { d.replicas.run(ctx) })
	defer helpers.Wait()
	tick := time.NewTicker(bindingCheck)
	defer tick.Stop()
	for {
		// Gateways may have gone while no manager ran.
		if err := d.bindings.sync(ctx, nil); err != nil && ctx.Err() == nil {
			d.options.Log.Error(err, "Failed to check who may read Gateways and routes")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Ensure implements Provisioner.
func (d *Deployment) Ensure(ctx context.Context, wanted *Wanted) (State, error) {
	gateway := wanted.Gateway
	name := client.ObjectKeyFromObject(gateway)
	state := State{}
	service, err := d.service(ctx, gateway)
	if err != nil {
		return State{}, err
	}
	state.Addresses = gatewayAddresses(service, d.options.ClusterDomain)

	err = d.ensureObjects(ctx, wanted)
	if conflict, ok := errors.AsType[*ObjectConflictError](err); ok {
		d.notifier.changedLater(name, conflictRetry)
		state.Reason, state.Message = conflict.state().Reason, conflict.state().Message
		return state, nil
	}
	if changing, ok := errors.AsType[*changingError](err); ok {
		d.notifier.changedLater(name, changingRetry)
		state.Message = changing.Error()
		return state, nil
	}
	if err != nil {
		return State{}, err
	}
	found, err := d.problem(ctx, gateway)
	if err != nil {
		return State{}, err
	}
	state.Message, state.Undecided = found.message, found.undecided
	state.Serving = found == problem{}
	return state, nil
}

// ensureObjects makes the objects of a Gateway as they should be.
func (d *Deployment) ensureObjects(ctx context.Context, wanted *Wanted) error {
	objects, err := objectsOf(wanted, &d.options.Installation)
	if invalid, ok := errors.AsType[*overlay.Error](err); ok {
		return NewInvalidParametersError(invalid)
	}
	if err != nil {
		return err
	}
	if err := ensureSecret(ctx, d.options.Client, wanted.Gateway, d.options.Log); err != nil {
		return err
	}
	if err := d.applier.apply(ctx, wanted.Gateway, objects); err != nil {
		return err
	}
	return d.bindings.sync(ctx, wanted.Gateway)
}

// problem returns why a Gateway's proxy does not serve its generation; none if it does.
func (d *Deployment) problem(ctx context.Context, gateway *gatewayv1.Gateway) (problem, error) {
	addresses, err := d.adminAddresses(ctx, gateway)
	if err != nil {
		return problem{}, err
	}
	unserved := d.replicas.want(client.ObjectKeyFromObject(gateway), gateway.UID, gateway.Generation, addresses)
	deployment, pods := &appsv1.Deployment{}, []corev1.Pod(nil)
	key := types.NamespacedName{Namespace: gateway.Namespace, Name: ObjectName(gateway.Name)}
	switch err := d.options.Client.Get(ctx, key, deployment); {
	case apierrors.IsNotFound(err):
		deployment = nil
	case err != nil:
		return problem{}, fmt.Errorf("read the Deployment: %w", err)
	default:
		if pods, err = d.podsOf(ctx, deployment); err != nil {
			return problem{}, err
		}
	}
	if found := deploymentProblem(deployment, pods); found != (problem{}) {
		return found, nil
	}
	if len(addresses) == 0 {
		return problem{message: "the pods are ready, and their endpoints are not known yet"}, nil
	}
	return unserved, nil
}

// KeyRings implements Provisioner. Pods are asked all the time whether they serve, and say with that which ring they have.
func (d *Deployment) KeyRings(ctx context.Context, gateway *gatewayv1.Gateway) ([]string, error) {
	addresses, err := d.adminAddresses(ctx, gateway)
	if err != nil {
		return nil, err
	}
	d.replicas.want(client.ObjectKeyFromObject(gateway), gateway.UID, gateway.Generation, addresses)
	return d.replicas.keyRings(client.ObjectKeyFromObject(gateway), gateway.UID), nil
}

// Remove implements Provisioner: it deletes the objects of a Gateway that is gone, before the garbage collector does, or
// that is no longer ours.
func (d *Deployment) Remove(ctx context.Context, gateway types.NamespacedName) error {
	d.replicas.forget(gateway)
	objects, err := d.applier.listOurs(ctx, gateway)
	if err != nil {
		return err
	}
	if len(objects) > 0 {
		err = d.removeSecret(ctx, gateway)
		if err == nil {
			err = d.applier.deleteAll(ctx, objects)
		}
		if _, ok := errors.AsType[*changingError](err); ok {
			d.notifier.changedLater(gateway, changingRetry)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return d.bindings.sync(ctx, nil)
}

// removeSecret deletes the Secret. It is not in the cache, so it is asked for only if there is something else.
func (d *Deployment) removeSecret(ctx context.Context, gateway types.NamespacedName) error {
	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: gateway.Namespace, Name: SecretName(gateway.Name)}
	if err := d.options.Client.Get(ctx, key, secret); apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read the Secret %s: %w", key, err)
	}
	if !isOurs(secret, gateway) {
		return nil
	}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return d.applier.delete(ctx, secret)
}

func (d *Deployment) service(ctx context.Context, gateway *gatewayv1.Gateway) (*corev1.Service, error) {
	service := &corev1.Service{}
	key := types.NamespacedName{Namespace: gateway.Namespace, Name: ObjectName(gateway.Name)}
	err := d.options.Client.Get(ctx, key, service)
	switch {
	case apierrors.IsNotFound(err), err == nil && !metav1.IsControlledBy(service, gateway):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the Service: %w", err)
	}
	return service, nil
}
