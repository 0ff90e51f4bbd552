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
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	// fieldOwner is who owns the fields that the manager applies.
	fieldOwner = client.FieldOwner("dynamic-mcp")
	// replicasOwner owns a Deployment's replicas between the time that they cease to be the manager's and the time that they
	// are the autoscaler's: a field that nobody owns falls back to its default, which is 1.
	replicasOwner = client.FieldOwner("dynamic-mcp-replicas")

	// annotationApplied on an object is the hash of what was applied, by which it is seen that there is less to apply now.
	annotationApplied = "dynamic-mcp.dev/applied"
	appliedHashBytes  = 16
)

// How often and when a RoleBinding is tried again whose Role the API server has not seen yet.
const (
	bindAttempts = 10
	bindPause    = 100 * time.Millisecond
)

// changingError says that an object is being deleted or replaced, and that it will be another one soon.
type changingError struct {
	kind string
	key  client.ObjectKey
}

func (e *changingError) Error() string {
	return fmt.Sprintf("the %s %s is being deleted, and is made anew after that", e.kind, e.key)
}

func changing(object client.Object) error {
	return &changingError{kind: idOf(object).kind, key: client.ObjectKeyFromObject(object)}
}

// applier makes objects as they should be. Reads go to the cache, which has of most kinds only objects with our label.
type applier struct {
	client client.Client
	// reader reads from the API server.
	reader client.Reader
	log    logr.Logger
}

// objectID tells the objects of a Gateway apart.
type objectID struct{ kind, name string }

func idOf(object client.Object) objectID {
	return objectID{object.GetObjectKind().GroupVersionKind().Kind, object.GetName()}
}

// change is one object that is to be applied.
type change struct {
	id      objectID
	desired *unstructured.Unstructured
	live    client.Object // nil if there is none
}

// apply makes a Gateway's objects as desired, in their order, and deletes those that are no longer wanted. An object that
// is as it should be is not written. It returns an *ObjectConflictError, and then has changed nothing, if one is somebody
// else's; an *InvalidParametersError, and then has changed nothing, if the API server does not take one; a
// *changingError if it has to be called again.
func (a *applier) apply(ctx context.Context, gateway *gatewayv1.Gateway, desired []client.Object) error {
	live, err := a.listOurs(ctx, client.ObjectKeyFromObject(gateway))
	if err != nil {
		return err
	}
	changes, err := a.plan(ctx, gateway, desired, live)
	if err != nil {
		return err
	}
	if err := a.rehearse(ctx, changes); err != nil {
		return err
	}
	for i := range changes {
		if err := a.write(ctx, &changes[i], desired, live); err != nil {
			return err
		}
	}
	for _, object := range desired {
		delete(live, idOf(object))
	}
	return a.deleteAll(ctx, live)
}

// plan returns what is to be applied.
func (a *applier) plan(
	ctx context.Context, gateway *gatewayv1.Gateway, desired []client.Object, live map[objectID]client.Object,
) ([]change, error) {
	var changes []change
	for _, object := range desired {
		c := change{id: idOf(object), live: live[idOf(object)]}
		var err error
		if c.desired, err = toApply(object); err != nil {
			return nil, err
		}
		if c.live == nil {
			if c.live, err = a.look(ctx, object); err != nil {
				return nil, err
			}
		}
		switch {
		case c.live == nil:
		case isLeftover(c.live, gateway):
			if err := a.delete(ctx, c.live); err != nil {
				return nil, err
			}
			return nil, changing(object)
		case !metav1.IsControlledBy(c.live, gateway):
			return nil, &ObjectConflictError{Kind: c.id.kind, Object: client.ObjectKeyFromObject(object), Gateway: gateway.Name}
		case !c.live.GetDeletionTimestamp().IsZero():
			return nil, changing(object)
		case isAsApplied(c.desired, c.live):
			continue
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// look asks the API server for the metadata of an object that the cache does not have: it may be somebody else's, or too
// young. It returns nil if there is none.
func (a *applier) look(ctx context.Context, object client.Object) (client.Object, error) {
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
	err := a.reader.Get(ctx, client.ObjectKeyFromObject(object), found)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the %s %s: %w", idOf(object).kind, client.ObjectKeyFromObject(object), err)
	}
	return found, nil
}

// rehearse has the API server say what it thinks of the changes, before the first of them is made. RoleBindings are left
// out, which it does not take before it has their Role, and Roles, whose contents nobody but us decides about.
func (a *applier) rehearse(ctx context.Context, changes []change) error {
	for i := range changes {
		switch changes[i].id.kind {
		case "Role", "RoleBinding":
			continue
		}
		if err := a.send(ctx, &changes[i], client.DryRunAll); err != nil {
			return err
		}
	}
	return nil
}

// write makes one change.
func (a *applier) write(ctx context.Context, c *change, desired []client.Object, live map[objectID]client.Object) error {
	if err := a.handOverReplicas(ctx, c, desired, live); err != nil {
		return err
	}
	err := a.send(ctx, c)
	for attempt := 1; c.id.kind == "RoleBinding" && apierrors.IsNotFound(err) && attempt < bindAttempts; attempt++ {
		sleep(ctx, bindPause)
		err = a.send(ctx, c)
	}
	if err == nil {
		a.log.Info("Applied", "kind", c.id.kind, "object", client.ObjectKeyFromObject(c.desired), "created", c.live == nil)
	}
	return err
}

func (a *applier) send(ctx context.Context, c *change, options ...client.ApplyOption) error {
	object := c.desired.DeepCopy()
	if c.live != nil {
		object.SetUID(c.live.GetUID()) // Only the one that we have looked at.
	}
	options = append(options, fieldOwner, client.ForceOwnership)
	err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), options...)
	key := client.ObjectKeyFromObject(c.desired)
	switch {
	case err == nil:
		return nil
	case apierrors.IsConflict(err):
		return changing(c.desired)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return NewInvalidParametersError(fmt.Errorf("the API server does not take the %s %s: %w", c.id.kind, key, err))
	}
	return fmt.Errorf("apply the %s %s: %w", c.id.kind, key, err)
}

// handOverReplicas keeps a Deployment at the size that it has when its replicas cease to be ours, but for one that is less
// than the autoscaler's least: one with no replicas, an autoscaler leaves as it is.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
func (a *applier) handOverReplicas(
	ctx context.Context, c *change, desired []client.Object, live map[objectID]client.Object,
) error {
	deployment, ok := c.live.(*appsv1.Deployment)
	if !ok || deployment.Spec.Replicas == nil {
		return nil
	}
	_, ours, _ := unstructured.NestedFieldNoCopy(c.desired.Object, "spec", "replicas")
	_, scaled := live[objectID{"HorizontalPodAutoscaler", c.id.name}]
	if ours || scaled {
		return nil
	}
	replicas := *deployment.Spec.Replicas
	for _, object := range desired {
		if scaler, ok := object.(*autoscalingv2.HorizontalPodAutoscaler); ok && scaler.Spec.MinReplicas != nil {
			replicas = max(replicas, *scaler.Spec.MinReplicas)
		}
	}
	held := &unstructured.Unstructured{}
	held.SetGroupVersionKind(c.desired.GroupVersionKind())
	held.SetNamespace(c.desired.GetNamespace())
	held.SetName(c.desired.GetName())
	held.SetUID(deployment.UID)
	if err := unstructured.SetNestedField(held.Object, int64(replicas), "spec", "replicas"); err != nil {
		return err
	}
	err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(held), replicasOwner, client.ForceOwnership)
	if apierrors.IsConflict(err) {
		return changing(held)
	}
	if err != nil {
		return fmt.Errorf("hold the replicas of the Deployment %s: %w", client.ObjectKeyFromObject(deployment), err)
	}
	return nil
}

// listOurs returns the objects of a Gateway, or of an earlier one of its name, that the cache has; the Secret is not among
// them.
func (a *applier) listOurs(ctx context.Context, gateway types.NamespacedName) (map[objectID]client.Object, error) {
	ours := map[objectID]client.Object{}
	labels := client.MatchingLabels{LabelManagedBy: ManagedBy, gatewayv1.GatewayNameLabelKey: labelValue(gateway.Name)}
	for _, kind := range ownedKinds() {
		gvk, err := apiutil.GVKForObject(kind, a.client.Scheme())
		if err != nil {
			return nil, err
		}
		made, err := a.client.Scheme().New(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		list, ok := made.(client.ObjectList)
		if err != nil || !ok {
			return nil, fmt.Errorf("there is no list of kind %s: %w", gvk.Kind, err)
		}
		if err := a.client.List(ctx, list, client.InNamespace(gateway.Namespace), labels); err != nil {
			return nil, fmt.Errorf("list objects of kind %s: %w", gvk.Kind, err)
		}
		err = apimeta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			if ok && isOurs(object, gateway) {
				object.GetObjectKind().SetGroupVersionKind(gvk) // The cache leaves it out.
				ours[idOf(object)] = object
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return ours, nil
}

// deleteAll deletes objects, the ServiceAccount last: as long as it is there, Remove looks for more.
func (a *applier) deleteAll(ctx context.Context, objects map[objectID]client.Object) error {
	for _, kind := range ownedKinds() {
		gvk, err := apiutil.GVKForObject(kind, a.client.Scheme())
		if err != nil {
			return err
		}
		for id, object := range objects {
			if id.kind != gvk.Kind {
				continue
			}
			if err := a.delete(ctx, object); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *applier) delete(ctx context.Context, object client.Object) error {
	if !object.GetDeletionTimestamp().IsZero() {
		return nil
	}
	key, uid := client.ObjectKeyFromObject(object), object.GetUID()
	err := a.client.Delete(ctx, object, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		return changing(object)
	case err != nil:
		return fmt.Errorf("delete the %s %s: %w", idOf(object).kind, key, err)
	}
	a.log.Info("Deleted", "kind", idOf(object).kind, "object", key)
	return nil
}

// isOurs returns whether an object was made for a Gateway of that name.
func isOurs(object client.Object, gateway types.NamespacedName) bool {
	owner := metav1.GetControllerOf(object)
	return object.GetNamespace() == gateway.Namespace && object.GetLabels()[LabelManagedBy] == ManagedBy &&
		isGateway(owner) && owner.Name == gateway.Name
}

// isLeftover returns whether an object is what an earlier Gateway of the same name left behind.
func isLeftover(object client.Object, gateway *gatewayv1.Gateway) bool {
	return isOurs(object, client.ObjectKeyFromObject(gateway)) && metav1.GetControllerOf(object).UID != gateway.UID
}

func isGateway(owner *metav1.OwnerReference) bool {
	return owner != nil && owner.APIVersion == gatewayOwner.GroupVersion().String() && owner.Kind == gatewayOwner.Kind
}

// toApply returns what to send to the API server: what is set in an object, and a hash of it.
func toApply(object client.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert the %s %s: %w", idOf(object).kind, object.GetName(), err)
	}
	delete(fields, "status")
	dropNulls(fields)
	encoded, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("convert the %s %s: %w", idOf(object).kind, object.GetName(), err)
	}
	sum := sha256.Sum256(encoded)
	desired := &unstructured.Unstructured{Object: fields}
	annotations := maps.Clone(desired.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationApplied] = hex.EncodeToString(sum[:appliedHashBytes])
	desired.SetAnnotations(annotations)
	return desired, nil
}

// dropNulls removes what is not set and has no way to be left out of a typed object.
func dropNulls(fields map[string]any) {
	for key, value := range fields {
		switch value := value.(type) {
		case nil:
			delete(fields, key)
		case map[string]any:
			dropNulls(value)
		case []any:
			for _, item := range value {
				if fields, ok := item.(map[string]any); ok {
					dropNulls(fields)
				}
			}
		}
	}
}

// isAsApplied returns whether there is nothing to apply: the object has the same hash, so that nothing has to go, and all
// that is desired. Of an object of which only the metadata is known, that alone is compared: it is too young for the cache.
func isAsApplied(desired *unstructured.Unstructured, live client.Object) bool {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false
	}
	if _, partial := live.(*metav1.PartialObjectMetadata); partial {
		return contains(fields["metadata"], desired.Object["metadata"])
	}
	// An API server does not say the kind of what it lists.
	fields["apiVersion"], fields["kind"] = desired.GetAPIVersion(), desired.GetKind()
	return contains(fields, desired.Object)
}

// keyedLists are the lists, of those that are applied, whose items have owners each: others may add some, which stay.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
var keyedLists = sets.New("containers", "env", "imagePullSecrets", "initContainers", "ownerReferences", "ports", "volumeMounts", "volumes")

// contains returns whether what there is has all that is desired, and in its lists nothing else but what others own.
func contains(live, desired any) bool {
	switch desired := desired.(type) {
	case map[string]any:
		fields, _ := live.(map[string]any)
		for key, value := range desired {
			list, isList := value.([]any)
			items, _ := fields[key].([]any)
			if isList && keyedLists.Has(key) && len(items) > len(list) {
				if !containsItems(items, list) {
					return false
				}
			} else if !contains(fields[key], value) {
				return false
			}
		}
		return true
	case []any:
		items, _ := live.([]any)
		return len(items) == len(desired) && containsItems(items, desired)
	}
	return reflect.DeepEqual(live, desired)
}

// containsItems returns whether a list has the desired items, in their order.
func containsItems(items, desired []any) bool {
	for _, item := range items {
		if len(desired) > 0 && contains(item, desired[0]) {
			desired = desired[1:]
		}
	}
	return len(desired) == 0
}
