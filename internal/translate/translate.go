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

// Package translate turns a Gateway and the objects around it into the data plane's configuration, and into the
// statuses that the controllers write. It is the one place that decides which route attaches to which listener, so
// that status and traffic can't disagree. It is pure: no client, no clock, no log.
package translate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/httproute"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Inputs are a Gateway and the objects around it. Supersets are fine: routes of other Gateways and Backends that no
// route refers to are passed over. Nothing in it is changed.
type Inputs struct {
	Gateway *gatewayv1.Gateway
	// HTTPRoutes of the whole cluster, or at least those that name the Gateway as a parent.
	HTTPRoutes []gatewayv1.HTTPRoute
	// Backends with their status.
	Backends []v1alpha1.Backend
	// Namespaces whose labels listeners may select routes by.
	Namespaces []corev1.Namespace
	// ReferenceGrants of the namespaces that routes refer to.
	ReferenceGrants []gatewayv1.ReferenceGrant
}

// Config is what the data plane of one Gateway serves.
type Config struct {
	// Generation of the Gateway that this was made from.
	Generation int64
	// Listeners that can be served, in the order of the Gateway. They are here also if the Gateway as a whole is not
	// accepted, for its addresses or parameters: no proxy is started for such a Gateway, but one that runs goes on
	// serving, because a mistake there should not end what works.
	Listeners []httproute.Listener
	// Backends that the listeners' routes refer to, by key ("namespace/name").
	Backends map[string]*config.Backend
}

// Result is what follows from the inputs.
type Result struct {
	// Config for the data plane.
	Config Config
	// Accepted is the Gateway's own condition Accepted, without times, as far as its parameters and its class allow: they
	// are about the proxy, and not looked at here.
	Accepted Condition
	// Listeners are the statuses of all the Gateway's listeners, in its order. The conditions Accepted,
	// ResolvedRefs and Conflicted are decided here; Programmed is for whoever knows what really serves, and is left
	// out. Conditions have no times.
	Listeners []gatewayv1.ListenerStatus
	// Routes has for each HTTPRoute with a parentRef to this Gateway the route's parent statuses for this Gateway,
	// in the order of the route's parentRefs. Conditions have no times.
	Routes map[types.NamespacedName][]gatewayv1.RouteParentStatus
}

// Condition is a condition's verdict, without type, generation and times.
type Condition struct {
	Status  bool
	Reason  string
	Message string
}
