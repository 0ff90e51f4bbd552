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
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/parameters"
)

const (
	// portAdmin and portPeers name the pods' own ports, whose numbers depend on those of the listeners.
	portAdmin = "admin"
	portPeers = "peers"
	adminPort = 19000
	peersPort = 15022

	// shutdownDelay is how long a pod serves on when it has been asked to end. Its endpoint is taken away at the same time,
	// which nodes and load balancers learn when they learn it.
	shutdownDelay = 10 * time.Second
	// endMargin is what a pod may need to end besides.
	endMargin = 5 * time.Second

	// nobody is the user and the group that a pod runs as; those of the image.
	nobody = 65532

	envPodIP    = "POD_IP"
	envGoMemory = "GOMEMLIMIT"
)

// desiredDeployment returns the Deployment with the pods. A change of the Gateway's listeners does not change the pods,
// which follow the Gateway themselves.
func desiredDeployment(wanted *Wanted, site *Installation) *appsv1.Deployment {
	gateway, spec := wanted.Gateway, &wanted.Parameters.Spec
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment"},
		ObjectMeta: metaOf(gateway, ObjectName(gateway.Name)),
		Spec: appsv1.DeploymentSpec{
			Replicas: spec.Replicas, // nil with autoscaling: then they are the autoscaler's
			Selector: &metav1.LabelSelector{MatchLabels: selectorOf(gateway.Name)},
			// A new pod is ready before an old one ends.
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromInt32(1)),
				},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels:      labelsOf(gateway, spec.Pod.Labels),
					Annotations: annotationsOf(gateway, spec.Pod.Annotations),
				},
				Spec: desiredPod(wanted, site),
			},
		},
	}
}

// desiredPod passes the Pod Security Standard "restricted".
// https://kubernetes.io/docs/concepts/security/pod-security-standards/
func desiredPod(wanted *Wanted, site *Installation) corev1.PodSpec {
	spec := &wanted.Parameters.Spec
	grace := shutdownDelay + spec.DrainTimeout.Duration + endMargin
	return corev1.PodSpec{
		ServiceAccountName:           AccountName(wanted.Gateway.Name),
		AutomountServiceAccountToken: new(true),
		EnableServiceLinks:           new(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			RunAsUser:      new(int64(nobody)),
			RunAsGroup:     new(int64(nobody)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			// So that a listener can have any port without a capability, and pods and Services the ports of the listeners. It
			// is always set, because a new listener should not replace the pods. It is one of the sysctls that are safe: it
			// holds for the pod's own network alone.
			Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}},
		},
		TerminationGracePeriodSeconds: new(int64((grace + time.Second - 1) / time.Second)),
		ImagePullSecrets:              spec.Image.PullSecrets,
		NodeSelector:                  spec.Scheduling.NodeSelector,
		Tolerations:                   spec.Scheduling.Tolerations,
		Affinity:                      spec.Scheduling.Affinity,
		PriorityClassName:             spec.Scheduling.PriorityClassName,
		TopologySpreadConstraints:     spreadConstraints(wanted),
		Containers:                    []corev1.Container{desiredContainer(wanted, site)},
	}
}

// spreadConstraints has constraints that select nothing select the Gateway's pods, and of them those of one rollout: pods
// that are about to end should not drive new ones away from where they are.
func spreadConstraints(wanted *Wanted) []corev1.TopologySpreadConstraint {
	constraints := slices.Clone(wanted.Parameters.Spec.Scheduling.TopologySpreadConstraints)
	for i := range constraints {
		if c := &constraints[i]; c.LabelSelector == nil {
			c.LabelSelector = &metav1.LabelSelector{MatchLabels: selectorOf(wanted.Gateway.Name)}
			if c.MatchLabelKeys == nil {
				c.MatchLabelKeys = []string{appsv1.DefaultDeploymentUniqueLabelKey}
			}
		}
	}
	return constraints
}

func desiredContainer(wanted *Wanted, site *Installation) corev1.Container {
	spec := &wanted.Parameters.Spec
	admin, peers := internalPorts(wanted.Ports)
	return corev1.Container{
		Name:            v1alpha1.ProxyContainerName,
		Image:           parameters.Image(spec.Image, site.Image),
		ImagePullPolicy: spec.Image.PullPolicy,
		Args:            containerArgs(wanted, site),
		Env:             containerEnv(spec),
		// The listeners' ports are not among them: they may change, and that should not replace the pods.
		Ports: []corev1.ContainerPort{
			{Name: portPeers, ContainerPort: peers, Protocol: corev1.ProtocolTCP},
			{Name: portAdmin, ContainerPort: admin, Protocol: corev1.ProtocolTCP},
		},
		Resources: corev1.ResourceRequirements{Requests: spec.Resources.Requests, Limits: spec.Resources.Limits},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		// A proxy that waits for its configuration or its keys says so in /readyz and in its log: to start it again would
		// not help.
		StartupProbe:   probe("/healthz", 1, 60),
		LivenessProbe:  probe("/healthz", 10, 6),
		ReadinessProbe: probe("/readyz", 2, 2),
	}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(portAdmin)}},
		PeriodSeconds:    period,
		TimeoutSeconds:   5,
		FailureThreshold: failures,
	}
}

func containerArgs(wanted *Wanted, site *Installation) []string {
	gateway, spec := wanted.Gateway, &wanted.Parameters.Spec
	admin, peers := internalPorts(wanted.Ports)
	// With the dot at its end, the name is not searched for in other domains first.
	peersHost := fmt.Sprintf("%s.%s.svc.%s.", PeersName(gateway.Name), gateway.Namespace, strings.TrimSuffix(site.ClusterDomain, "."))
	args := []string{
		"proxy",
		"--gateway=" + gateway.Namespace + "/" + gateway.Name,
		// For the kubelet, the manager and Prometheus; /config is answered on loopback only.
		"--admin-address=:" + strconv.Itoa(int(admin)),
		"--peer-bind-address=:" + strconv.Itoa(int(peers)),
		"--peers=" + net.JoinHostPort(peersHost, strconv.Itoa(int(peers))),
		"--shutdown-delay=" + shutdownDelay.String(),
		"--drain-timeout=" + spec.DrainTimeout.Duration.String(),
		"--log-level=" + strings.ToLower(string(spec.Log.Level)),
		"--log-format=" + strings.ToLower(string(spec.Log.Format)),
	}
	if len(site.WatchNamespaces) > 0 {
		args = append(args, "--watch-namespaces="+strings.Join(site.WatchNamespaces, ","))
	}
	if spec.Log.AccessLog.Format == v1alpha1.AccessLogFormatJSON {
		args = append(args, "--access-log=json")
		if *spec.Log.AccessLog.ClientAddresses {
			args = append(args, "--access-log-client-addresses")
		}
	}
	return append(args, servingArgs(spec)...)
}

// servingArgs returns the arguments about how clients are served, which proxies have wherever they run.
func servingArgs(spec *v1alpha1.GatewayParametersSpec) []string {
	args := []string{
		"--session-lifetime=" + spec.SessionLifetime.Duration.String(),
		"--max-request-body=" + strconv.FormatInt(spec.RequestBodyLimit.Value(), 10),
	}
	if len(spec.AllowedOrigins) > 0 {
		args = append(args, "--allowed-origins="+strings.Join(spec.AllowedOrigins, ","))
	}
	return args
}

// containerEnv returns the variables of the container: the pod's address, by which its replicas reach it, and those of the
// parameters.
func containerEnv(spec *v1alpha1.GatewayParametersSpec) []corev1.EnvVar {
	env := []corev1.EnvVar{{
		Name:      envPodIP,
		ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.podIP"}},
	}}
	if limit, found := spec.Resources.Limits[corev1.ResourceMemory]; found && limit.Value() > 0 {
		// Memory is collected before the kernel ends the process.
		env = append(env, corev1.EnvVar{Name: envGoMemory, Value: strconv.FormatInt(limit.Value()/10*9, 10)})
	}
	for _, variable := range spec.Env {
		i := slices.IndexFunc(env, func(v corev1.EnvVar) bool { return v.Name == variable.Name })
		switch {
		case i < 0:
			env = append(env, variable)
		case variable.Name != envPodIP:
			env[i] = variable
		}
	}
	return env
}
