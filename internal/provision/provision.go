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
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
)

// Provisioner runs one proxy for each Gateway that it is asked to.
type Provisioner interface {
	// Ensure makes the Gateway's proxy run as the Gateway asks, and returns its state. It does not wait: a proxy
	// that is starting is not yet serving, and the provisioner's events tell when that changes. It returns an
	// *InvalidParametersError if the parameters can't work, and then leaves what runs as it is.
	Ensure(ctx context.Context, wanted *Wanted) (State, error)
	// Remove ends the Gateway's proxy, if there is one. Of one on this machine it waits for the end.
	Remove(ctx context.Context, gateway types.NamespacedName) error
	// KeyRings returns the ids of the key rings that the ready replicas of the Gateway's proxy have, one for each
	// replica: what it says in the header keyring.Header of its answer to /readyz. A ready replica that does not
	// say so is an empty text. What is returned may be out of date by a moment, because no replica goes back to an
	// earlier ring. The error means that it is not known which replicas are ready.
	KeyRings(ctx context.Context, gateway *gatewayv1.Gateway) ([]string, error)
}

// Wanted is the proxy that a Gateway should have.
type Wanted struct {
	Gateway *gatewayv1.Gateway
	// Ports of the Gateway's listeners that are accepted, each once, the lowest first. There is at least one.
	Ports []int32
	// Parameters of the Gateway and its class in one, with defaults.
	Parameters parameters.Parameters
}

// State is the state of a Gateway's proxy.
type State struct {
	// Serving is whether the proxy serves the Gateway's generation that Ensure was called with.
	Serving bool
	// Reason and Message say why it does not serve (yet). No reason stands for one that passes by itself.
	Reason  string
	Message string
	// Undecided is whether it is not known yet if the proxy serves, because it has just been asked, or just changed. What was
	// known about the same generation holds until then: replicas come and go, and so do managers.
	Undecided bool
	// Addresses at which clients reach it.
	Addresses []gatewayv1.GatewayStatusAddress
}

// InvalidParametersError says that the parameters of a Gateway can't work.
type InvalidParametersError struct {
	err error
}

// NewInvalidParametersError returns the error with its message.
func NewInvalidParametersError(err error) *InvalidParametersError {
	return &InvalidParametersError{err: err}
}

func (e *InvalidParametersError) Error() string { return e.err.Error() }

func (e *InvalidParametersError) Unwrap() error { return e.err }

// ObjectConflictError says that the name of an object that a Gateway's proxy needs is taken by an object that does not
// belong to the Gateway.
type ObjectConflictError struct {
	Kind    string
	Object  client.ObjectKey
	Gateway string
}

func (e *ObjectConflictError) Error() string {
	return fmt.Sprintf("the %s %s exists and is not controlled by Gateway %q, whose proxy needs one of that name; it is never "+
		"taken over: delete it, or give the Gateway another name", e.Kind, e.Object, e.Gateway)
}

// state is what a Gateway's status says about the conflict.
func (e *ObjectConflictError) state() State {
	return State{Reason: v1alpha1.GatewayReasonObjectConflict, Message: e.Error()}
}
