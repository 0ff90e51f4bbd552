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

package parameters

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// What holds where parameters say nothing. api/v1alpha1 documents the same values.
const (
	DefaultReplicas                       = 1
	DefaultTargetCPUUtilizationPercentage = 80
	DefaultDrainTimeout                   = 20 * time.Second
	defaultRequestCPU                     = "100m"
	defaultRequestMemory                  = "128Mi"
)

// WithDefaults returns the parameters with defaults for what is not set. Every pointer in Spec is set then, but Replicas or
// Autoscaling, whichever is not used, and Scheduling.Affinity, PodDisruptionBudget and Overlays, for which there is no
// default. Nothing is filled in that Kubernetes has a default for.
func (p Parameters) WithDefaults() Parameters {
	p.Spec = *p.Spec.DeepCopy()
	s := &p.Spec
	s.Image = orNew(s.Image)
	if s.Autoscaling != nil {
		s.Autoscaling.MinReplicas = eitherValue(1, s.Autoscaling.MinReplicas)
		s.Autoscaling.TargetCPUUtilizationPercentage = eitherValue(
			DefaultTargetCPUUtilizationPercentage, s.Autoscaling.TargetCPUUtilizationPercentage)
	} else {
		s.Replicas = either(new(int32(DefaultReplicas)), s.Replicas)
	}
	s.Resources = orNew(s.Resources)
	defaultResources(s.Resources)
	s.Scheduling = orNew(s.Scheduling)
	if s.Scheduling.TopologySpreadConstraints == nil {
		s.Scheduling.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
			spread(corev1.LabelTopologyZone), spread(corev1.LabelHostname),
		}
	}
	s.Pod = orNew(s.Pod)
	s.Service = orNew(s.Service)
	s.Service.Type = eitherValue(corev1.ServiceTypeLoadBalancer, s.Service.Type)
	s.Log = orNew(s.Log)
	s.Log.Level = eitherValue(v1alpha1.LogLevelInfo, s.Log.Level)
	s.Log.Format = eitherValue(v1alpha1.LogFormatJSON, s.Log.Format)
	s.Log.AccessLog = orNew(s.Log.AccessLog)
	s.Log.AccessLog.Format = eitherValue(v1alpha1.AccessLogFormatNone, s.Log.AccessLog.Format)
	s.Log.AccessLog.ClientAddresses = either(new(false), s.Log.AccessLog.ClientAddresses)
	limits := config.DefaultLimits()
	s.RequestBodyLimit = either(resource.NewQuantity(limits.MaxRequestBody, resource.BinarySI), s.RequestBodyLimit)
	s.DrainTimeout = either(&metav1.Duration{Duration: DefaultDrainTimeout}, s.DrainTimeout)
	s.SessionLifetime = either(&metav1.Duration{Duration: limits.SessionLifetime}, s.SessionLifetime)
	return p
}

func orNew[T any](value *T) *T { return either(new(T), value) }

// defaultResources adds the default requests, none above the limit that is set for it.
func defaultResources(r *v1alpha1.ProxyResources) {
	for name, text := range map[corev1.ResourceName]string{
		corev1.ResourceCPU: defaultRequestCPU, corev1.ResourceMemory: defaultRequestMemory,
	} {
		if _, found := r.Requests[name]; found {
			continue
		}
		quantity := resource.MustParse(text)
		if limit, found := r.Limits[name]; found && limit.Cmp(quantity) < 0 {
			quantity = limit
		}
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		r.Requests[name] = quantity
	}
}

// spread is a constraint that spreads pods as evenly as possible. Who makes the pods fills in what selects them.
func spread(topology string) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{
		MaxSkew: 1, TopologyKey: topology, WhenUnsatisfiable: corev1.ScheduleAnyway,
	}
}

// Image returns the reference of the image to run: what parameters say of it, and for the rest the standard one, which is
// REPOSITORY[:TAG][@DIGEST].
func Image(image *v1alpha1.ProxyImage, standard string) string {
	repository, tag, digest := splitImage(standard)
	if image != nil {
		repository = eitherValue(repository, image.Repository)
		if image.Tag != "" || image.Digest != "" {
			tag, digest = image.Tag, image.Digest
		}
	}
	if tag != "" {
		repository += ":" + tag
	}
	if digest != "" {
		repository += "@" + digest
	}
	return repository
}

func splitImage(reference string) (repository, tag, digest string) {
	repository, digest, _ = strings.Cut(reference, "@")
	// A colon before the last slash is that of the registry's port.
	if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		repository, tag = repository[:colon], repository[colon+1:]
	}
	return repository, tag, digest
}
