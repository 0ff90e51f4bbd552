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

package v1alpha1

// Condition types of a Backend.
const (
	// BackendConditionAccepted is True when the spec can work. False: Invalid.
	BackendConditionAccepted = "Accepted"
	// BackendConditionResolvedRefs is True when every reference that the Backend makes, by name or by selector, is
	// permitted and can be used. False: the first of the SkipReasons or TargetReasons that is about a reference.
	BackendConditionResolvedRefs = "ResolvedRefs"
	// BackendConditionReady is True when at least one target is ready.
	BackendConditionReady = "Ready"
)

// Reasons of a Backend's conditions. Reasons of targets and of skipped Services are used as well.
const (
	// BackendReasonAccepted is Accepted's reason when True.
	BackendReasonAccepted = "Accepted"
	// BackendReasonInvalid is Accepted's reason when the spec breaks a rule; the message has every error.
	BackendReasonInvalid = "Invalid"
	// BackendReasonResolvedRefs is ResolvedRefs' reason when True.
	BackendReasonResolvedRefs = "ResolvedRefs"
	// BackendReasonAllTargetsReady is Ready's reason when every target is ready.
	BackendReasonAllTargetsReady = "AllTargetsReady"
	// BackendReasonSomeTargetsReady is Ready's reason (True) when some targets are not ready.
	BackendReasonSomeTargetsReady = "SomeTargetsReady"
	// BackendReasonNoTargetsReady is Ready's reason (False) when there are targets and none is ready.
	BackendReasonNoTargetsReady = "NoTargetsReady"
	// BackendReasonNoTargets is Ready's reason (False) when nothing was found.
	BackendReasonNoTargets = "NoTargets"
)

// GatewayReasonObjectConflict is the reason of a Gateway's condition Programmed (False) when an object that the proxy needs
// exists and belongs to somebody else; the message names it.
const GatewayReasonObjectConflict = "ObjectConflict"

// GatewayConditionSessionKeys of a Gateway is True when the keys that seal its clients' sessions are in order.
const GatewayConditionSessionKeys = "dynamic-mcp.dev/SessionKeys"

// Reasons of a Gateway's condition GatewayConditionSessionKeys.
const (
	// GatewayReasonSessionKeysSettled: every ready replica of the proxy has the keys that are stored; True.
	GatewayReasonSessionKeysSettled = "SessionKeysSettled"
	// GatewayReasonSessionKeysSpreading: not every ready replica of the proxy has the keys that are stored, or it is not
	// known; True, because the replicas understand each other all the same.
	GatewayReasonSessionKeysSpreading = "SessionKeysSpreading"
	// GatewayReasonSessionKeysStatic: the manager was told never to rotate keys; True.
	GatewayReasonSessionKeysStatic = "SessionKeysStatic"
	// GatewayReasonInvalidSessionKeys: the keys that are stored can't be read; False.
	GatewayReasonInvalidSessionKeys = "InvalidSessionKeys"
	// GatewayReasonSessionKeysRotated is the reason of the event after a rotation.
	GatewayReasonSessionKeysRotated = "SessionKeysRotated"
)

// Reasons of status.targets[].
const (
	// TargetReasonReady: the target can be used.
	TargetReasonReady = "Ready"
	// TargetReasonNoReadyEndpoints: no EndpointSlice of the Service has a ready address for the port.
	TargetReasonNoReadyEndpoints = "NoReadyEndpoints"
	// TargetReasonInvalidTLSPolicy: the BackendTLSPolicy on the Service can't be used. Plain text is never a way
	// out.
	TargetReasonInvalidTLSPolicy = "InvalidTLSPolicy"
)

// Reasons of status.skipped[].
const (
	// SkipReasonUnsupportedProtocol: the Service says that it speaks SSE, which selectors don't support.
	SkipReasonUnsupportedProtocol = "UnsupportedProtocol"
	// SkipReasonNoMCPPort: no port of the Service says appProtocol: kgateway.dev/mcp.
	SkipReasonNoMCPPort = "NoMCPPort"
	// SkipReasonInvalidPath: the annotation kgateway.dev/mcp-path is not an absolute path.
	SkipReasonInvalidPath = "InvalidPath"
	// SkipReasonNameConflict: an elder target has the name.
	SkipReasonNameConflict = "NameConflict"
	// SkipReasonRefNotPermitted: Services in other namespaces match and no ReferenceGrant permits their use.
	SkipReasonRefNotPermitted = "RefNotPermitted"
	// SkipReasonExternalNameNotAllowed: the Service is of type ExternalName, which the manager does not allow.
	SkipReasonExternalNameNotAllowed = "ExternalNameNotAllowed"
	// SkipReasonDuplicate: another entry of spec.mcp.targets has selected the same Service port already.
	SkipReasonDuplicate = "Duplicate"
	// SkipReasonTooManyTargets: there are more than MaxResolvedTargets.
	SkipReasonTooManyTargets = "TooManyTargets"
	// SkipReasonStatusTooLarge: the status would exceed MaxStatusBytes.
	SkipReasonStatusTooLarge = "StatusTooLarge"
)
