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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// GatewayParametersSpec says how the proxy of a Gateway runs. Nothing is required, and nothing has a default in the
// schema, so that what the Gateway's parameters leave open is taken from those of its GatewayClass, and the rest from
// the defaults named here.
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="only one of replicas and autoscaling can be set: remove replicas, or set autoscaling.minReplicas and autoscaling.maxReplicas to it",reason=FieldValueForbidden
type GatewayParametersSpec struct {
	// image of the proxy. Default: the image that the manager runs, or what its flag --proxy-image says.
	// +optional
	Image *ProxyImage `json:"image,omitempty"`

	// replicas is the number of the proxy's pods, 0 to 1000. With 0, the Gateway is out of service and not Programmed.
	// Only one of replicas and autoscaling is set. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaling makes a HorizontalPodAutoscaler decide about the number of pods. Only one of replicas and autoscaling
	// is set. Default: none.
	// +optional
	Autoscaling *ProxyAutoscaling `json:"autoscaling,omitempty"`

	// podDisruptionBudget bounds how many pods a drain of nodes may take away at once. Default: none.
	// +optional
	PodDisruptionBudget *ProxyPodDisruptionBudget `json:"podDisruptionBudget,omitempty"`

	// resources are the compute resources of the proxy's container. Default: requests: {cpu: 100m, memory: 128Mi}, and no
	// limits. Where a limit is set below the default request, it is the request too.
	// +optional
	Resources *ProxyResources `json:"resources,omitempty"`

	// scheduling says on which nodes the pods run.
	// +optional
	Scheduling *ProxyScheduling `json:"scheduling,omitempty"`

	// pod has labels and annotations for the pods.
	// +optional
	Pod *ProxyPod `json:"pod,omitempty"`

	// service is the Service through which clients reach the proxy.
	// +optional
	Service *ProxyService `json:"service,omitempty"`

	// env are environment variables of the proxy's container, at most 64. Traces are configured by the variables OTEL_*.
	// Variables of both the Gateway's parameters and its GatewayClass's are set; of two with one name, the Gateway's.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []corev1.EnvVar `json:"env,omitempty"`

	// log says what the proxy writes to its log.
	// +optional
	Log *ProxyLog `json:"log,omitempty"`

	// requestBodyLimit is the largest request body that the proxy accepts from a client, in bytes, from 1Ki to 1Gi.
	// Bodies are held in memory while they are sent on. A larger one is answered with status 413. Default: 4Mi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? isQuantity(self) && quantity(self).compareTo(quantity('1Ki')) >= 0 && quantity(self).compareTo(quantity('1Gi')) <= 0 : self >= 1024 && self <= 1073741824",message="must be from 1Ki to 1Gi, like 8Mi"
	RequestBodyLimit *resource.Quantity `json:"requestBodyLimit,omitempty"`

	// allowedOrigins are the origins that web pages may come from, each scheme://host or scheme://host:port, like
	// https://inspector.example.com, at most 64. Loopback origins and the hostnames of the Gateway's listeners and routes
	// are always allowed, and so are requests without an Origin header; others are answered with status 403. The list of
	// the Gateway's parameters replaces that of its GatewayClass. Default: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=270
	AllowedOrigins []string `json:"allowedOrigins,omitempty"`

	// drainTimeout is how long requests in flight may go on once a pod has been asked to end, from 1s to 1h. The pods'
	// terminationGracePeriodSeconds follow it. Default: 20s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,4}(\\\\.[0-9]{1,9})?h|[0-9]{1,7}(\\\\.[0-9]{1,9})?(m|s|ms)){1,4}$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="must be a duration from 1s to 1h, like 30s or 5m"
	DrainTimeout *metav1.Duration `json:"drainTimeout,omitempty"`

	// sessionLifetime is how long a client's session may last before it has to be initialized again, from 1m to 720h.
	// The keys that seal sessions are not rotated more often than that. Default: 24h.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,4}(\\\\.[0-9]{1,9})?h|[0-9]{1,7}(\\\\.[0-9]{1,9})?(m|s|ms)){1,4}$') && duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="must be a duration from 1m to 720h, like 12h"
	SessionLifetime *metav1.Duration `json:"sessionLifetime,omitempty"`

	// overlays change the objects that the proxy is made of in whatever the other fields can't say.
	// +optional
	Overlays *ProxyOverlays `json:"overlays,omitempty"`
}

// ProxyImage names the image of the proxy's container. Each field that is not set is taken from the default image; tag
// and digest go together.
type ProxyImage struct {
	// repository is the image's name without tag and digest, like registry.example.com/dynamic-mcp.
	// Default: that of the manager's image.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Repository string `json:"repository,omitempty"`

	// tag of the image, like v1.2.3. With digest as well, it is for the reader only. Default: that of the manager's image,
	// unless digest is set.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Tag string `json:"tag,omitempty"`

	// digest of the image, like sha256:<64 hexadecimal digits>. It decides which image is run. Default: that of the
	// manager's image, unless tag is set.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=135
	Digest string `json:"digest,omitempty"`

	// pullPolicy says when the image is pulled: Always, IfNotPresent or Never.
	// Default: Kubernetes' own, which is Always for the tag latest and IfNotPresent for others.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`

	// pullSecrets are Secrets with credentials of the registry, in the Gateway's namespace, at most 16. The list of the
	// Gateway's parameters replaces that of its GatewayClass.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	PullSecrets []corev1.LocalObjectReference `json:"pullSecrets,omitempty"`
}

// ProxyAutoscaling bounds what the HorizontalPodAutoscaler does. It is taken as a whole, from the Gateway's parameters or
// from its GatewayClass's.
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas must not be greater than maxReplicas"
type ProxyAutoscaling struct {
	// minReplicas is the smallest number of pods, 1 to 1000. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReplicas int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the largest number of pods, 1 to 1000.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetCPUUtilizationPercentage is the average use of CPU that the number of pods is chosen for, in percent of
	// resources.requests.cpu, 1 to 1000. Default: 80.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	TargetCPUUtilizationPercentage int32 `json:"targetCPUUtilizationPercentage,omitempty"`
}

// ProxyPodDisruptionBudget bounds voluntary disruptions, such as the drain of a node. It is taken as a whole, from the
// Gateway's parameters or from its GatewayClass's.
// +kubebuilder:validation:XValidation:rule="has(self.minAvailable) || has(self.maxUnavailable)",message="one of minAvailable and maxUnavailable must be set",reason=FieldValueRequired
// +kubebuilder:validation:XValidation:rule="!(has(self.minAvailable) && has(self.maxUnavailable))",message="only one of minAvailable and maxUnavailable can be set",reason=FieldValueForbidden
type ProxyPodDisruptionBudget struct {
	// minAvailable is the number of pods that must stay, or a percentage of all, like 50%.
	// Exactly one of minAvailable and maxUnavailable is set.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? self.matches('^(100|[0-9]{1,2})%$') : self >= 0",message="must be a number of pods or a percentage, like 1 or 50%"
	MinAvailable *intstr.IntOrString `json:"minAvailable,omitempty"`

	// maxUnavailable is the number of pods that may be missing, or a percentage of all, like 25%. 100% bounds nothing.
	// Exactly one of minAvailable and maxUnavailable is set.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? self.matches('^(100|[0-9]{1,2})%$') : self >= 0",message="must be a number of pods or a percentage, like 1 or 50%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// ProxyResources are the compute resources of the proxy's container.
type ProxyResources struct {
	// requests are what is reserved for the container, by resource (cpu, memory, …). Resources of both the Gateway's
	// parameters and its GatewayClass's are requested; of one in both, what the Gateway's say.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Requests corev1.ResourceList `json:"requests,omitempty"`

	// limits are the most that the container can use, by resource (cpu, memory, …). They are merged like requests. A limit
	// below its request is refused.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// ProxyScheduling says on which nodes the pods run. Each field is taken from the Gateway's parameters if it is set there,
// otherwise from its GatewayClass's.
type ProxyScheduling struct {
	// nodeSelector are labels that a node must have. Labels of both the Gateway's parameters and its GatewayClass's are
	// required; of two with one key, the Gateway's.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations let the pods run on nodes with those taints.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity of the pods to nodes and to other pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints spread the pods over nodes, zones and so on. Where labelSelector is not set, it selects the
	// pods of the Gateway. Default: as evenly as possible over zones and over nodes, but never so that a pod can't run. An
	// empty list spreads nothing.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName names the PriorityClass of the pods.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// ProxyPod is metadata of the proxy's pods. Entries of both the Gateway's parameters and its GatewayClass's are set; of two
// with one key, the Gateway's.
type ProxyPod struct {
	// labels of the pods, at most 64, beside those by which the Gateway finds them.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`

	// annotations of the pods, at most 64.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ProxyService is the Service through which clients reach the proxy.
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerClass) || !has(self.type) || self.type == 'LoadBalancer'",message="loadBalancerClass can be set only for type LoadBalancer: remove one of the two",fieldPath=".loadBalancerClass",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || !has(self.type) || self.type != 'ClusterIP'",message="externalTrafficPolicy can't be set for type ClusterIP, which nothing from outside the cluster reaches: remove one of the two",fieldPath=".externalTrafficPolicy",reason=FieldValueForbidden
type ProxyService struct {
	// type of the Service: LoadBalancer (default), NodePort or ClusterIP. The Gateway's addresses follow it.
	// +optional
	// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
	Type corev1.ServiceType `json:"type,omitempty"`

	// loadBalancerClass names the load balancer that is to serve a Service of type LoadBalancer, like
	// service.k8s.aws/nlb. Kubernetes does not let it change: the Service has to be made anew for that.
	// Default: the cluster's own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// externalTrafficPolicy says where connections from outside the cluster go: to the pods of any node (Cluster), or only
	// to those of the node that they arrive at (Local), which keeps the clients' addresses. Default: Cluster.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// labels of the Service, at most 64. They are merged like those of pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`

	// annotations of the Service, at most 64; they configure the load balancer in most clouds. They are merged like those
	// of pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
}

// LogLevel is the least severe level of messages that are logged.
// +kubebuilder:validation:Enum=Debug;Info;Warn;Error
type LogLevel string

const (
	// LogLevelDebug logs also what only helps to find a mistake, some of it for every request.
	LogLevelDebug LogLevel = "Debug"
	// LogLevelInfo logs also what changes in what is served.
	LogLevelInfo LogLevel = "Info"
	// LogLevelWarn logs also what works, but not as it should.
	LogLevelWarn LogLevel = "Warn"
	// LogLevelError logs only what does not work.
	LogLevelError LogLevel = "Error"
)

// LogFormat is how a message of the log is written.
// +kubebuilder:validation:Enum=JSON;Text
type LogFormat string

const (
	// LogFormatJSON writes a JSON object in one line.
	LogFormatJSON LogFormat = "JSON"
	// LogFormatText writes key=value pairs in one line.
	LogFormatText LogFormat = "Text"
)

// AccessLogFormat is how a request is written to the access log.
// +kubebuilder:validation:Enum=None;JSON
type AccessLogFormat string

const (
	// AccessLogFormatNone writes no access log.
	AccessLogFormatNone AccessLogFormat = "None"
	// AccessLogFormatJSON writes a JSON object in one line.
	AccessLogFormatJSON AccessLogFormat = "JSON"
)

// ProxyLog says what the proxy writes to its log. Each field is taken from the Gateway's parameters if it is set there,
// otherwise from its GatewayClass's.
type ProxyLog struct {
	// level of the messages: Debug, Info (default), Warn or Error.
	// +optional
	Level LogLevel `json:"level,omitempty"`

	// format of the messages, on standard error: JSON (default) or Text.
	// +optional
	Format LogFormat `json:"format,omitempty"`

	// accessLog has a line for each request of a client.
	// +optional
	AccessLog *ProxyAccessLog `json:"accessLog,omitempty"`
}

// ProxyAccessLog is a log of clients' requests. It has no tokens, session ids, arguments or results.
type ProxyAccessLog struct {
	// format of the lines, on standard output: JSON, or None (default) for no access log.
	// +optional
	Format AccessLogFormat `json:"format,omitempty"`

	// clientAddresses is whether lines have the IP addresses of clients, which may be personal data. It has no effect where
	// format is None. Default: false.
	// +optional
	ClientAddresses *bool `json:"clientAddresses,omitempty"`
}

// ProxyOverlays change the objects that a proxy is made of, after everything else has been set. Each is a strategic merge
// patch of the object, as for kubectl patch: maps are merged, lists by their merge key (containers by name), null removes,
// and the $patch directives work. That of the GatewayClass's parameters comes first, then the Gateway's. What identifies
// the object can't be changed: apiVersion, kind, metadata.name, metadata.namespace, metadata.ownerReferences, the selector,
// and the labels that it selects. A patch that does not fit leaves the running proxy as it is, and the Gateway has
// Accepted=False with reason InvalidParameters.
// https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
type ProxyOverlays struct {
	// deployment is the patch of the Deployment. The proxy's container is called proxy.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Deployment *runtime.RawExtension `json:"deployment,omitempty"`

	// service is the patch of the Service for clients.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Service *runtime.RawExtension `json:"service,omitempty"`

	// serviceAccount is the patch of the ServiceAccount that the pods run as.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	ServiceAccount *runtime.RawExtension `json:"serviceAccount,omitempty"`

	// podDisruptionBudget is the patch of the PodDisruptionBudget. It has no effect unless spec.podDisruptionBudget is set.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	PodDisruptionBudget *runtime.RawExtension `json:"podDisruptionBudget,omitempty"`

	// horizontalPodAutoscaler is the patch of the HorizontalPodAutoscaler (autoscaling/v2). It has no effect unless
	// spec.autoscaling is set.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	HorizontalPodAutoscaler *runtime.RawExtension `json:"horizontalPodAutoscaler,omitempty"`
}

// +kubebuilder:object:root=true
// +kubebuilder:metadata:labels="app.kubernetes.io/part-of=dynamic-mcp"
// +kubebuilder:resource:path=gatewayparameters,shortName=gwp,categories={gateway-api,mcp}
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.spec.replicas`
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.autoscaling.maxReplicas`,description="The most replicas that autoscaling makes"
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.service.type`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// GatewayParameters say how the proxies of Gateways run. A GatewayClass refers to them for all its Gateways
// (spec.parametersRef, with a namespace), and a Gateway for itself (spec.infrastructure.parametersRef, in the Gateway's
// namespace). The Gateway's win, field by field; what neither says has the default that the field documents.
type GatewayParameters struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the desired state.
	// +optional
	Spec GatewayParametersSpec `json:"spec,omitempty,omitzero"`
}

// +kubebuilder:object:root=true

// GatewayParametersList is a list of GatewayParameters.
type GatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GatewayParameters `json:"items"`
}
