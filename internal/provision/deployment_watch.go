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
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// watch has the cache tell about the objects of Gateways, and about their pods and the endpoints of these. It does not wait for the
// cache, which need not run yet.
func (d *Deployment) watch(ctx context.Context) error {
	kinds := append(ownedKinds(), &discoveryv1.EndpointSlice{}, &corev1.Pod{})
	for _, kind := range kinds {
		informer, err := d.options.Cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
		tell := func(object any) { d.tell(ctx, object) }
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: tell,
			UpdateFunc: func(before, after any) {
				if differ(before, after) {
					tell(before)
					tell(after)
				}
			},
			DeleteFunc: tell,
		})
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	return nil
}

// tell tells of the Gateway that an object belongs to.
func (d *Deployment) tell(ctx context.Context, changed any) {
	if unknown, ok := changed.(toolscache.DeletedFinalStateUnknown); ok {
		changed = unknown.Obj
	}
	object, ok := changed.(client.Object)
	if !ok {
		return
	}
	if object.GetLabels()[LabelManagedBy] != ManagedBy {
		return
	}
	if slice, ok := object.(*discoveryv1.EndpointSlice); ok { // It has the labels of its Service, and another owner.
		service := &corev1.Service{}
		key := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		if key.Name == "" || d.options.Client.Get(ctx, key, service) != nil {
			return // Its creation will tell.
		}
		object = service
	}
	if pod, ok := object.(*corev1.Pod); ok {
		deployment := d.deploymentOf(ctx, pod)
		if deployment == nil {
			return
		}
		object = deployment
	}
	if owner := metav1.GetControllerOf(object); isGateway(owner) {
		d.notifier.changed(types.NamespacedName{Namespace: object.GetNamespace(), Name: owner.Name})
	}
}

// differ returns whether what changed about an object may matter. Endpoints change often, for others than Gateways.
func differ(before, after any) bool {
	old, ok := before.(*discoveryv1.EndpointSlice)
	if slice, isSlice := after.(*discoveryv1.EndpointSlice); ok && isSlice {
		return !equality.Semantic.DeepEqual(old.Endpoints, slice.Endpoints) || !equality.Semantic.DeepEqual(old.Ports, slice.Ports)
	}
	oldPod, ok := before.(*corev1.Pod)
	if pod, isPod := after.(*corev1.Pod); ok && isPod {
		return podsDiffer(oldPod, pod)
	}
	was, ok := before.(client.Object)
	is, isObject := after.(client.Object)
	return !ok || !isObject || was.GetResourceVersion() != is.GetResourceVersion()
}

// adminAddresses returns where the pods of a Gateway are asked that are ready.
func (d *Deployment) adminAddresses(ctx context.Context, gateway *gatewayv1.Gateway) ([]netip.AddrPort, error) {
	var slices discoveryv1.EndpointSliceList
	if err := d.options.Client.List(ctx, &slices, client.InNamespace(gateway.Namespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: PeersName(gateway.Name)}); err != nil {
		return nil, fmt.Errorf("list EndpointSlices: %w", err)
	}
	return adminAddresses(slices.Items), nil
}
