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
	"fmt"
	"maps"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const (
	// SecretKeySessionKeys is the key, in a Gateway's Secret, of the ring of keys that seal session tokens.
	SecretKeySessionKeys = "session-keys.json"

	// LabelManagedBy marks every object that the manager makes for a Gateway; its value is ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "dynamic-mcp"
)

const (
	secretNameSuffix = "-dynamic-mcp"
	// maxObjectName is the largest length of a Secret's name, which is a DNS subdomain.
	maxObjectName = 253
	nameHashBytes = 4
)

// gatewayOwner is how owner references name a Gateway.
var gatewayOwner = schema.GroupVersionKind{
	Group: gatewayv1.GroupName, Version: gatewayv1.GroupVersion.Version, Kind: "Gateway",
}

// SecretName returns the name of a Gateway's Secret. A name that would be too long is cut and ends in a hash of the
// Gateway's whole name, so that two Gateways never share a Secret.
func SecretName(gatewayName string) string {
	if len(gatewayName)+len(secretNameSuffix) <= maxObjectName {
		return gatewayName + secretNameSuffix
	}
	sum := sha256.Sum256([]byte(gatewayName))
	hash := "-" + hex.EncodeToString(sum[:nameHashBytes])
	return gatewayName[:maxObjectName-len(hash)-len(secretNameSuffix)] + hash + secretNameSuffix
}

// The manager needs no right to list or watch Secrets: it reads those of its Gateways by name.
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;update;delete

// ensureSecret makes the Gateway's Secret exist with a key ring. One that can't be read is left as it is, see
// InvalidSessionKeysError. It returns an *ObjectConflictError if the name is taken.
func ensureSecret(ctx context.Context, c client.Client, gateway *gatewayv1.Gateway, log logr.Logger) error {
	key := client.ObjectKey{Namespace: gateway.Namespace, Name: SecretName(gateway.Name)}
	current := &corev1.Secret{}
	if err := c.Get(ctx, key, current); apierrors.IsNotFound(err) {
		current = nil
	} else if err != nil {
		return fmt.Errorf("read the Secret %s: %w", key, err)
	}

	if current != nil && isLeftover(current, gateway) {
		// The garbage collector would delete it too, but not before a client got a session of the new Gateway.
		preconditions := client.Preconditions{UID: &current.UID, ResourceVersion: &current.ResourceVersion}
		if err := c.Delete(ctx, current, preconditions); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the Secret %s of an earlier Gateway of that name: %w", key, err)
		}
		current = nil
	}

	desired, err := desiredSecret(gateway, current, newSessionKeys)
	if err != nil {
		return err
	}
	switch {
	case current == nil:
		if err := c.Create(ctx, desired); err != nil {
			return fmt.Errorf("create the Secret %s: %w", key, err)
		}
		log.Info("Created the Secret with session keys", "secret", key)
	case !equality.Semantic.DeepEqual(current, desired):
		if err := c.Update(ctx, desired); err != nil {
			return fmt.Errorf("update the Secret %s: %w", key, err)
		}
	}
	return nil
}

// desiredSecret returns the Gateway's Secret as it should be, given the one that exists (nil: none). newKeys is
// called only if the existing one has none. Everything else that the Secret holds is kept.
func desiredSecret(
	gateway *gatewayv1.Gateway, current *corev1.Secret, newKeys func() ([]byte, error),
) (*corev1.Secret, error) {
	desired := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: SecretName(gateway.Name)},
		Type:       corev1.SecretTypeOpaque,
	}
	if current != nil {
		if !metav1.IsControlledBy(current, gateway) {
			return nil, &ObjectConflictError{Kind: "Secret", Object: client.ObjectKeyFromObject(desired), Gateway: gateway.Name}
		}
		desired = current.DeepCopy()
	} else {
		desired.OwnerReferences = []metav1.OwnerReference{ownerReference(gateway)}
	}

	labels := maps.Clone(desired.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, labelsOf(gateway))
	desired.Labels = labels

	if _, found := desired.Data[SecretKeySessionKeys]; !found {
		keys, err := newKeys()
		if err != nil {
			return nil, fmt.Errorf("make session keys: %w", err)
		}
		if desired.Data == nil {
			desired.Data = map[string][]byte{}
		}
		desired.Data[SecretKeySessionKeys] = keys
	}
	return desired, nil
}

func newSessionKeys() ([]byte, error) {
	ring, err := session.NewKeyRing()
	if err != nil {
		return nil, err
	}
	return ring.Marshal()
}
