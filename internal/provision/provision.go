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

// Package provision runs the proxies of Gateways.
package provision

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Provisioner runs one proxy for each Gateway that it is asked to.
type Provisioner interface {
	// Ensure makes the Gateway's proxy run as the Gateway asks, and returns its state. It does not wait: a proxy
	// that is starting is not yet serving, and the provisioner's events tell when that changes.
	Ensure(ctx context.Context, gateway *gatewayv1.Gateway) (State, error)
	// Remove ends the Gateway's proxy, if there is one, and waits until it is gone.
	Remove(ctx context.Context, gateway types.NamespacedName) error
	// KeyRings returns the ids of the key rings that the ready replicas of the Gateway's proxy have, one for each
	// replica: what it says in the header keyring.Header of its answer to /readyz. A ready replica that does not
	// say so is an empty text. What is returned may be out of date by a moment, because no replica goes back to an
	// earlier ring. The error means that it is not known which replicas are ready.
	KeyRings(ctx context.Context, gateway *gatewayv1.Gateway) ([]string, error)
}

// State is the state of a Gateway's proxy.
type State struct {
	// Serving is whether the proxy serves the Gateway's generation that Ensure was called with.
	Serving bool
	// Message says why it does not serve (yet).
	Message string
	// Addresses at which clients reach it.
	Addresses []gatewayv1.GatewayStatusAddress
}
