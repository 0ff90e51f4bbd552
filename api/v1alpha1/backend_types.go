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

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BackendType says what kind of server a Backend stands for.
// +kubebuilder:validation:Enum=MCP
type BackendType string

const (
	// BackendTypeMCP is a Backend of Model Context Protocol servers.
	BackendTypeMCP BackendType = "MCP"
)

// MCPProtocol is the transport that an MCP server speaks.
// +kubebuilder:validation:Enum=StreamableHTTP;SSE
type MCPProtocol string

const (
	// MCPProtocolStreamableHTTP is the streamable HTTP transport, MCP revision 2025-03-26 and later.
	// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
	MCPProtocolStreamableHTTP MCPProtocol = "StreamableHTTP"
	// MCPProtocolSSE is the deprecated HTTP+SSE transport of MCP revision 2024-11-05.
	// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
	MCPProtocolSSE MCPProtocol = "SSE"
)

// PrefixMode says when the names of tools and prompts carry the name of the target that they come from.
// +kubebuilder:validation:Enum=OnConflict;Always;Never
type PrefixMode string

const (
	// PrefixModeOnConflict keeps every name as the server gave it. Where two targets have the same name, the
	// elder keeps it and the younger's is shown as <target>_<name>.
	PrefixModeOnConflict PrefixMode = "OnConflict"
	// PrefixModeAlways shows every name as <target>_<name>.
	PrefixModeAlways PrefixMode = "Always"
	// PrefixModeNever hides the younger target's duplicate.
	PrefixModeNever PrefixMode = "Never"
)

// FailureMode says what happens to the whole when one target can't be reached.
// +kubebuilder:validation:Enum=FailOpen;FailClosed
type FailureMode string

const (
	// FailureModeFailOpen leaves the target out of lists; everything else goes on working.
	FailureModeFailOpen FailureMode = "FailOpen"
	// FailureModeFailClosed fails initialize and lists, naming the target; calls to healthy targets work.
	FailureModeFailClosed FailureMode = "FailClosed"
)

// BackendSpec defines the desired state of a Backend.
// +kubebuilder:validation:XValidation:rule="self.type != 'MCP' || has(self.mcp)",message="mcp is required when type is MCP: add mcp.targets",fieldPath=".mcp",reason=FieldValueRequired
type BackendSpec struct {
	// type says what kind of server this Backend stands for, and so which of the other fields is set.
	// MCP is the only type so far.
	// +required
	Type BackendType `json:"type,omitempty"`

	// mcp picks the MCP servers behind this Backend. Required when type is MCP.
	// +optional
	MCP *MCPBackend `json:"mcp,omitempty"`
}

// MCPBackend presents a set of MCP servers to clients as one MCP server.
type MCPBackend struct {
	// name is the server name that clients are shown (serverInfo.name).
	// Default: the name of the Backend.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`

	// targets pick the MCP servers: each either by label selector over Services, or by a static address.
	// Target names are unique.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Targets []MCPTarget `json:"targets,omitempty"`

	// prefixMode says when the names of tools and prompts carry the name of the target they come from:
	// OnConflict (default), Always or Never.
	// +optional
	// +kubebuilder:default=OnConflict
	PrefixMode PrefixMode `json:"prefixMode,omitempty"`

	// failureMode says what happens to the whole when one target can't be reached:
	// FailOpen (default) or FailClosed.
	// +optional
	// +kubebuilder:default=FailOpen
	FailureMode FailureMode `json:"failureMode,omitempty"`
}

// MCPTarget picks MCP servers: any number by a selector, or one by a static address.
// +kubebuilder:validation:XValidation:rule="has(self.selector) || has(self.static)",message="one of selector and static must be set: selector for the MCP servers behind labelled Services, static for one server at a fixed address",reason=FieldValueRequired
// +kubebuilder:validation:XValidation:rule="!(has(self.selector) && has(self.static))",message="only one of selector and static can be set: make two targets of it",reason=FieldValueForbidden
type MCPTarget struct {
	// name of this entry; a static target's tools are known to clients by it.
	// Lowercase letters, digits and '-', starting and ending with a letter or digit.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must consist of lowercase letters, digits and '-', and start and end with a letter or digit"
	Name string `json:"name,omitempty"`

	// selector picks every Service with an MCP port (appProtocol: kgateway.dev/mcp) that it matches.
	// Exactly one of selector and static is set.
	// +optional
	Selector *MCPTargetSelector `json:"selector,omitempty"`

	// static is one MCP server at a fixed address.
	// Exactly one of selector and static is set.
	// +optional
	Static *MCPStaticTarget `json:"static,omitempty"`
}

// MCPTargetSelector picks MCP servers by the labels of their Services.
type MCPTargetSelector struct {
	// service selects Services by their labels. An empty selector, which would match everything, is refused.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty, which would match every Service: set matchLabels or matchExpressions",reason=FieldValueRequired
	Service *metav1.LabelSelector `json:"service,omitempty"`

	// namespace selects the namespaces whose Services are looked at, by the namespaces' labels.
	// Unset: the Backend's own namespace. Empty ({}): all namespaces. A Service in a namespace other than the
	// Backend's is used only if a ReferenceGrant there permits it.
	// +optional
	Namespace *metav1.LabelSelector `json:"namespace,omitempty"`

	// protocol that the selected servers speak. Selectors support only StreamableHTTP (default); a server that
	// speaks SSE needs a static target.
	// +optional
	// +kubebuilder:default=StreamableHTTP
	Protocol MCPProtocol `json:"protocol,omitempty"`
}

// MCPStaticTarget is an MCP server at a fixed address.
type MCPStaticTarget struct {
	// host is a DNS name or an IP address (IPv6 without brackets), in lowercase, without scheme, port or path.
	// Link-local addresses and cloud metadata services are refused, and so are loopback addresses, unless proxies
	// run on the machine of the manager.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`

	// port is the TCP port, 1 to 65535.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// path of the MCP endpoint: an absolute path as in a URL, percent-encoded, without query or fragment.
	// Default: /mcp for StreamableHTTP, /sse for SSE.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`

	// protocol that the server speaks: StreamableHTTP (default) or SSE.
	// +optional
	// +kubebuilder:default=StreamableHTTP
	Protocol MCPProtocol `json:"protocol,omitempty"`
}

// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels="app.kubernetes.io/part-of=dynamic-mcp"
// +kubebuilder:resource:shortName=be,categories={gateway-api,mcp}
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Targets",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// Backend is a set of MCP servers, picked by label selectors over Services or by static addresses, which clients
// see as one MCP server. HTTPRoutes refer to it; its status shows every server found, and for every matched
// Service that is not used the reason and the cure.
type Backend struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the desired state.
	// +required
	Spec BackendSpec `json:"spec,omitempty,omitzero"`

	// status is what the controller found.
	// +optional
	Status BackendStatus `json:"status,omitempty,omitzero"`
}

// +kubebuilder:object:root=true

// BackendList is a list of Backends.
type BackendList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Backend `json:"items"`
}
