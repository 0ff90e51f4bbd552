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
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The manager reads pods to say in a Gateway's status why they don't run. It keeps only those that are labelled as ours, and
// of them only the status.
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch

// imageReasons are reasons for which a container waits that are about its image.
var imageReasons = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}

// passingReasons are reasons for which every container waits for a while.
var passingReasons = []string{"", "ContainerCreating", "PodInitializing"}

// maxPodMessage is room for what a registry answered, which comes last, behind the name of the image three times over.
const maxPodMessage = 1 << 10

// podsProblem returns why pods don't get ready; empty if there is nothing to say. It speaks of one pod, the youngest that has
// something to say, because that is most likely of the newest template.
func podsProblem(pods []corev1.Pod) string {
	pods = slices.Clone(pods)
	slices.SortFunc(pods, func(x, y corev1.Pod) int {
		return cmp.Or(y.CreationTimestamp.Compare(x.CreationTimestamp.Time), cmp.Compare(x.Name, y.Name))
	})
	for i := range pods {
		if problem := podProblem(&pods[i]); problem != "" {
			return fmt.Sprintf("the pod %s %s", pods[i].Name, problem)
		}
	}
	return ""
}

func podProblem(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil || podCondition(pod, corev1.PodReady) == corev1.ConditionTrue:
		return ""
	case pod.Status.Phase == corev1.PodFailed:
		return printable(fmt.Sprintf("has failed (%s): %s", pod.Status.Reason, pod.Status.Message))
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return printable(fmt.Sprintf("has no node (%s): %s", c.Reason, c.Message))
		}
	}
	containers := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for i := range containers {
		if problem := containerProblem(&containers[i]); problem != "" {
			return problem
		}
	}
	for i := range containers {
		if c := &containers[i]; c.State.Running != nil && !c.Ready {
			return fmt.Sprintf("runs, and its container %s is not ready yet: the log says why", printable(c.Name))
		}
	}
	return ""
}

// containerProblem returns why a container does not run.
func containerProblem(c *corev1.ContainerStatus) string {
	waiting := c.State.Waiting
	if waiting == nil || slices.Contains(passingReasons, waiting.Reason) {
		return ""
	}
	problem := printableUpTo(fmt.Sprintf("can't run its container %s (%s): %s", c.Name, waiting.Reason, waiting.Message), maxPodMessage)
	if ended := c.LastTerminationState.Terminated; ended != nil {
		problem += printable(fmt.Sprintf("; it ended with exit code %d (%s)", ended.ExitCode, ended.Reason))
	}
	if slices.Contains(imageReasons, waiting.Reason) {
		problem += "; `image` of the GatewayParameters says which image, and by which `pullSecrets` of the Gateway's namespace"
	}
	return problem
}

func podCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range pod.Status.Conditions {
		if c.Type == conditionType {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

// podsOf returns the pods of a Deployment of ours.
func (d *Deployment) podsOf(ctx context.Context, deployment *appsv1.Deployment) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := d.options.Client.List(ctx, &pods, client.InNamespace(deployment.Namespace), podLabels(deployment)); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return pods.Items, nil
}

// deploymentOf returns the Deployment of a Gateway that a pod belongs to; nil if there is none.
func (d *Deployment) deploymentOf(ctx context.Context, pod *corev1.Pod) *appsv1.Deployment {
	var deployments appsv1.DeploymentList
	if err := d.options.Client.List(ctx, &deployments, client.InNamespace(pod.Namespace), podLabels(pod)); err != nil ||
		len(deployments.Items) == 0 {
		return nil
	}
	return &deployments.Items[0]
}

// podLabels are those that a Deployment and its pods have in common, and nothing else in the namespace.
func podLabels(object client.Object) client.MatchingLabels {
	labels := client.MatchingLabels{LabelManagedBy: ManagedBy}
	for _, key := range []string{labelName, gatewayv1.GatewayNameLabelKey} {
		labels[key] = object.GetLabels()[key]
	}
	return labels
}

// podsDiffer returns whether what changed about a pod may be something to tell.
func podsDiffer(before, after *corev1.Pod) bool {
	was, is := &before.Status, &after.Status
	return was.Phase != is.Phase || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		!equality.Semantic.DeepEqual(was.Conditions, is.Conditions) ||
		!equality.Semantic.DeepEqual(was.InitContainerStatuses, is.InitContainerStatuses) ||
		!equality.Semantic.DeepEqual(was.ContainerStatuses, is.ContainerStatuses)
}
