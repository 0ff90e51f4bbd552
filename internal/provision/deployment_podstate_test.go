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
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodsProblem(t *testing.T) {
	waits := func(name, reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}
	}
	runs := corev1.ContainerStatus{Name: "proxy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	crashed := waits("proxy", "CrashLoopBackOff", "back-off 10s")
	crashed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
	pod := func(name string, age time.Duration, containers ...corev1.ContainerStatus) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age))},
			Status:     corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: containers},
		}
	}
	with := func(pod corev1.Pod, edit func(*corev1.Pod)) corev1.Pod {
		edit(&pod)
		return pod
	}
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: kind, Status: status, Reason: "Unschedulable", Message: "0/3 nodes"}}
		}
	}
	const image = "; `image` of the GatewayParameters says which image, and by which `pullSecrets` of the Gateway's namespace"
	for name, test := range map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"no pods":      {nil, ""},
		"just made":    {[]corev1.Pod{pod("a", 0)}, ""},
		"being set up": {[]corev1.Pod{pod("a", 0, waits("proxy", "ContainerCreating", ""))}, ""},
		"an image that is not to be had": {
			[]corev1.Pod{pod("a", 0, waits("proxy", "ImagePullBackOff", `Back-off pulling "i"`))},
			`the pod a can't run its container proxy (ImagePullBackOff): Back-off pulling "i"` + image,
		},
		"a process that ends": {
			[]corev1.Pod{pod("a", 0, crashed)},
			"the pod a can't run its container proxy (CrashLoopBackOff): back-off 10s; it ended with exit code 137 (OOMKilled)",
		},
		"a container of an overlay": {
			[]corev1.Pod{pod("a", 0, runs, waits("tunnel", "CreateContainerConfigError", `secret "x" not found`))},
			`the pod a can't run its container tunnel (CreateContainerConfigError): secret "x" not found`,
		},
		"an init container of an overlay": {
			[]corev1.Pod{with(pod("a", 0, waits("proxy", "PodInitializing", "")), func(p *corev1.Pod) {
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{waits("first", "ErrImagePull", "denied")}
			})},
			"the pod a can't run its container first (ErrImagePull): denied" + image,
		},
		"no node": {
			[]corev1.Pod{with(pod("a", 0), condition(corev1.PodScheduled, corev1.ConditionFalse))},
			"the pod a has no node (Unschedulable): 0/3 nodes",
		},
		"evicted": {
			[]corev1.Pod{with(pod("a", 0), func(p *corev1.Pod) {
				p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}
			})},
			"the pod a has failed (Evicted): low on memory",
		},
		"runs": {
			[]corev1.Pod{pod("a", 0, runs)}, "the pod a runs, and its container proxy is not ready yet: the log says why",
		},
		"ready": {[]corev1.Pod{with(pod("a", 0, crashed), condition(corev1.PodReady, corev1.ConditionTrue))}, ""},
		"ends": {
			[]corev1.Pod{with(pod("a", 0, crashed), func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1e9, 0)} })}, "",
		},
		"the youngest with something to say": {
			[]corev1.Pod{pod("old", time.Hour, crashed), pod("c", 0, runs), pod("b", 0, runs), pod("a", 0)},
			"the pod b runs, and its container proxy is not ready yet: the log says why",
		},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(podsProblem(test.pods)).To(Equal(test.want))
		})
	}
	long := podsProblem([]corev1.Pod{pod("a", 0, waits("proxy", "ErrImagePull", strings.Repeat("x\n", 1<<20)))})
	answer := podsProblem([]corev1.Pod{pod("a", 0, waits("proxy", "ErrImagePull", strings.Repeat("x", 600)+": 403 Forbidden"))})
	NewWithT(t).Expect(answer).To(ContainSubstring("403 Forbidden"), "what the registry answered comes last")
	NewWithT(t).Expect(len(long)).To(BeNumerically("<", 4<<10), "what the status can hold")
}
