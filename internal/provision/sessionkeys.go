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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// AnnotationSessionKeysSettled on a Gateway's Secret says since when every ready replica has had the ring: the time and
// the ring's id.
const AnnotationSessionKeysSettled = "dynamic-mcp.dev/session-keys-settled"

// SessionKeys are the keys in a Gateway's Secret.
type SessionKeys struct {
	keyring.Stored
	secret *corev1.Secret
}

// InvalidSessionKeysError says that the Gateway's Secret has keys that can't be read. They are never overwritten: it may
// be a slip of the hand, and sessions go on with the keys that the proxies have.
type InvalidSessionKeysError struct {
	Secret client.ObjectKey
	err    error
}

func (e *InvalidSessionKeysError) Error() string {
	return fmt.Sprintf("the Secret %s, key %s: %v; running proxies keep the keys they have, and new ones can't start: mend it, "+
		"or delete it to get new keys (clients then begin new sessions)", e.Secret, SecretKeySessionKeys, e.err)
}

func (e *InvalidSessionKeysError) Unwrap() error { return e.err }

// ReadSessionKeys reads the keys of a Gateway. It returns nil if there are none yet, or if the Secret does not belong to
// the Gateway, and an *InvalidSessionKeysError if they can't be read. Like SubprocessOptions.Client, the reader must not be
// a cache.
func ReadSessionKeys(ctx context.Context, reader client.Reader, gateway *gatewayv1.Gateway) (*SessionKeys, error) {
	key := client.ObjectKey{Namespace: gateway.Namespace, Name: SecretName(gateway.Name)}
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, key, secret); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read the Secret %s: %w", key, err)
	}
	data, found := secret.Data[SecretKeySessionKeys]
	if !found || !metav1.IsControlledBy(secret, gateway) {
		return nil, nil
	}
	ring, err := session.ParseKeyRing(data)
	if err != nil {
		return nil, &InvalidSessionKeysError{Secret: key, err: err}
	}
	return &SessionKeys{keyring.Read(ring, secret.Annotations[AnnotationSessionKeysSettled]), secret}, nil
}

// Write stores other keys in the Secret that these were read from. It fails with a conflict if that has changed since.
// Everything else that the Secret holds is kept.
func (k *SessionKeys) Write(ctx context.Context, c client.Client, stored keyring.Stored) error {
	secret := k.secret.DeepCopy()
	if stored.Ring != k.Ring {
		data, err := stored.Ring.Marshal()
		if err != nil {
			return fmt.Errorf("write session keys: %w", err)
		}
		secret.Data[SecretKeySessionKeys] = data
	}
	delete(secret.Annotations, AnnotationSessionKeysSettled)
	if mark := stored.Mark(); mark != "" {
		metav1.SetMetaDataAnnotation(&secret.ObjectMeta, AnnotationSessionKeysSettled, mark)
	}
	if err := c.Update(ctx, secret); err != nil {
		return fmt.Errorf("update the Secret %s: %w", client.ObjectKeyFromObject(secret), err)
	}
	return nil
}
