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
	"k8s.io/apimachinery/pkg/types"
)

// Bounds of a Backend's status. What exceeds them is skipped with its reason, never silently.
const (
	// MaxResolvedTargets is the largest number of targets in one Backend's status.
	MaxResolvedTargets = 1024
	// MaxEndpoints is the largest number of endpoints in one Backend's status, shared fairly among its targets.
	MaxEndpoints = 4096
	// MaxSkipped is the largest number of skipped Services that are listed one by one; the rest is a count.
	MaxSkipped = 64
	// MaxStatusBytes is the largest size of one Backend's status as JSON.
	MaxStatusBytes = 1 << 20
)

// BackendStatus is what the controller found behind a Backend. It is the contract with the proxy, which serves
// exactly these targets, and it answers "why is my server not there?".
type BackendStatus struct {
	// conditions are Accepted (the spec can work), ResolvedRefs (every reference is permitted and exists) and Ready
	// (at least one target is ready).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// summary is "<ready targets>/<targets>".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Summary string `json:"summary,omitempty"`

	// targets are the MCP servers found, eldest first. A target keeps its name and place for as long as its
	// Service and port exist and are selected. The list has one writer and is written as a whole.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	Targets []ResolvedTarget `json:"targets,omitempty"`

	// caBundles are the CA certificates (PEM) that targets refer to, each once, by a hash of their content.
	// +optional
	CABundles map[string]string `json:"caBundles,omitempty"`

	// skipped are the Services that a selector matched and that are not used, with the reason and the cure.
	// At most 64; skippedCount has the number of all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Skipped []SkippedService `json:"skipped,omitempty"`

	// skippedCount is the number of all skipped Services, set when there are any.
	// +optional
	// +kubebuilder:validation:Minimum=1
	SkippedCount int32 `json:"skippedCount,omitempty"`
}

// ResolvedTarget is one MCP server.
type ResolvedTarget struct {
	// name is how clients see the target: prefix of conflicting tool names, label of metrics and logs.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// target is the name of the entry in spec.mcp.targets that it came from.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`

	// service is the Service port that was selected; unset for a static target.
	// +optional
	Service *TargetService `json:"service,omitempty"`

	// protocol that the server speaks.
	// +required
	Protocol MCPProtocol `json:"protocol,omitempty"`

	// host is the HTTP Host header, and the TLS server name unless tls.hostname says otherwise.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`

	// port is the TCP port of the Service or of the static address.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// path of the MCP endpoint.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`

	// endpoints are the ready addresses, "host:port", sorted. Empty if there are none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=261
	Endpoints []string `json:"endpoints,omitempty"`

	// tls says how to connect with TLS; unset for plain text.
	// +optional
	TLS *TargetTLS `json:"tls,omitempty"`

	// ready is whether the target can be used.
	// +required
	Ready *bool `json:"ready,omitempty"`

	// reason is Ready, or why the target is not ready.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message says what to do about a target that is not ready.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// IsReady returns whether the target can be used.
func (t *ResolvedTarget) IsReady() bool { return t.Ready != nil && *t.Ready }

// TargetService identifies the Service port behind a target.
type TargetService struct {
	// namespace of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// name of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// uid of the Service.
	// +optional
	UID types.UID `json:"uid,omitempty"`

	// port is the number of the Service port.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// portName is the name of the Service port, if it has one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PortName string `json:"portName,omitempty"`
}

// TargetTLS says how to connect to a target with TLS, as a BackendTLSPolicy asked for.
type TargetTLS struct {
	// hostname is the server name for SNI and, without subjectAltNames, for the certificate's check.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Hostname string `json:"hostname,omitempty"`

	// caBundle is the key in caBundles of the certificates to trust.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	CABundle string `json:"caBundle,omitempty"`

	// wellKnownCACertificates is System when the system's certificates are trusted.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	WellKnownCACertificates string `json:"wellKnownCACertificates,omitempty"`

	// subjectAltNames are the names one of which the certificate must have, if there are any: "DNS:<name>" or
	// "URI:<uri>".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:MaxLength=260
	SubjectAltNames []string `json:"subjectAltNames,omitempty"`
}

// SkippedService is a Service that a selector matched and that is not used.
type SkippedService struct {
	// service that is not used; unset where its name must not be told (RefNotPermitted).
	// +optional
	Service *SkippedServiceRef `json:"service,omitempty"`

	// target is the name of the entry in spec.mcp.targets that matched it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`

	// count is how many Services this entry stands for, where it is more than the one named.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`

	// reason is one of the SkipReason constants.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message says what is wrong and what to do.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// SkippedServiceRef names a Service, and the port of it that is concerned if it has several.
type SkippedServiceRef struct {
	// namespace of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// name of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// port is the number of the Service port concerned, where the reason is about one port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}
