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

package pods

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// cluster is the cluster, as an administrator sees it.
type cluster struct {
	client.Client
	kubectlPath, kubeconfig string
}

func connectCluster(ctx context.Context) *cluster {
	GinkgoHelper()
	c := &cluster{kubectlPath: os.Getenv("KUBECTL"), kubeconfig: os.Getenv("E2E_KUBECONFIG")}
	if c.kubectlPath == "" {
		c.kubectlPath = "kubectl"
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(gatewayv1.Install(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	c.Client, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	c.mustKubectl(ctx, "get", "--raw", "/readyz")
	return c
}

func key(namespace, name string) client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: name}
}

// command returns a kubectl command, not yet started.
func (c *cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, c.kubectlPath, args...)
	command.WaitDelay = 5 * time.Second
	command.Env = []string{"KUBECONFIG=" + c.kubeconfig, "HOME=" + artifacts, "PATH=" + os.Getenv("PATH")}
	return command
}

// kubectl runs kubectl as an administrator, with input as its standard input, and returns all that it printed.
func (c *cluster) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	command := c.command(ctx, args...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return string(output), err
}

// mustKubectl is kubectl for what must work.
func (c *cluster) mustKubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	output, err := c.kubectl(ctx, "", args...)
	Expect(err).NotTo(HaveOccurred())
	return output
}

// apply applies a manifest with kubectl, as users do, and deletes its objects at the end of the story.
func (c *cluster) apply(ctx context.Context, manifest string) {
	GinkgoHelper()
	output, err := c.kubectl(ctx, manifest, "apply", "-f", "-")
	Expect(err).NotTo(HaveOccurred(), output)
	DeferCleanup(func(ctx context.Context) { c.remove(ctx, manifest) })
}

// remove deletes the objects of a manifest, those that are there, and returns when they are gone.
func (c *cluster) remove(ctx context.Context, manifest string) {
	GinkgoHelper()
	output, err := c.kubectl(ctx, manifest, "delete", "--ignore-not-found", "--timeout=90s", "-f", "-")
	Expect(err).NotTo(HaveOccurred(), output)
}

// namespace makes a namespace for one story. Pods in it have to pass the Pod Security Standard "restricted" if labels
// say so.
func (c *cluster) namespace(ctx context.Context, name string, labels ...string) {
	GinkgoHelper()
	c.mustKubectl(ctx, "create", "namespace", name)
	DeferCleanup(func(ctx context.Context) {
		c.mustKubectl(ctx, "delete", "namespace", name, "--ignore-not-found", "--timeout=90s")
	})
	if len(labels) > 0 {
		c.mustKubectl(ctx, append([]string{"label", "namespace", name}, labels...)...)
	}
}

// wait is `kubectl wait`: until a condition of an object holds, like "condition=Programmed".
func (c *cluster) wait(ctx context.Context, namespace, object, condition string) {
	GinkgoHelper()
	output, err := c.kubectl(ctx, "", "wait", "-n", namespace, object, "--for="+condition, "--timeout=90s")
	if err != nil {
		described, _ := c.kubectl(ctx, "", "describe", "-n", namespace, object)
		Fail(output + described)
	}
}

// rolledOut is `kubectl rollout status`: until all pods of a Deployment are those of its present template, and ready.
func (c *cluster) rolledOut(ctx context.Context, namespace, object string) {
	GinkgoHelper()
	output, err := c.kubectl(ctx, "", "rollout", "status", "-n", namespace, object, "--timeout=150s")
	if err != nil {
		pods, _ := c.kubectl(ctx, "", "describe", "pods", "-n", namespace)
		Fail(output + pods)
	}
}

// pods returns the names of the pods with a label that are not about to end.
func (c *cluster) pods(ctx context.Context, namespace string, labels client.MatchingLabels) ([]string, error) {
	list := &corev1.PodList{}
	if err := c.List(ctx, list, client.InNamespace(namespace), labels); err != nil {
		return nil, err
	}
	var names []string
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			names = append(names, pod.Name)
		}
	}
	return names, nil
}

// serviceAddress returns the address that a load balancer gave a Service.
func (c *cluster) serviceAddress(ctx context.Context, namespace, name string) (string, error) {
	service := &corev1.Service{}
	if err := c.Get(ctx, key(namespace, name), service); err != nil {
		return "", err
	}
	if ingress := service.Status.LoadBalancer.Ingress; len(ingress) > 0 {
		return ingress[0].IP + ingress[0].Hostname, nil
	}
	return "", nil
}

var forwardingFrom = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) -> `)

// portForward runs `kubectl port-forward` until the story ends, and returns the address on this machine.
func (c *cluster) portForward(ctx context.Context, namespace, object string, port int) string {
	GinkgoHelper()
	command := c.command(context.WithoutCancel(ctx), "port-forward", "--address=127.0.0.1", "-n", namespace, object, fmt.Sprintf(":%d", port))
	stdout, err := command.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	var stderr strings.Builder
	command.Stderr = &stderr
	Expect(command.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = command.Wait()
		Fail(fmt.Sprintf("kubectl port-forward: %v\n%s", err, stderr.String()))
	}
	match := forwardingFrom.FindStringSubmatch(line)
	Expect(match).To(HaveLen(2), line)
	return match[1]
}

// script runs a command of the environment, which says how to do something to this kind of cluster.
func script(ctx context.Context, variable string) {
	GinkgoHelper()
	words := strings.Fields(os.Getenv(variable))
	Expect(words).NotTo(BeEmpty(), variable)
	output, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(output))
}

// collect writes what there is to know about the cluster into a folder.
func (c *cluster) collect(ctx context.Context, folder string) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		GinkgoWriter.Println(err)
		return
	}
	save := func(name string, args ...string) {
		output, err := c.kubectl(ctx, "", args...)
		if err != nil {
			output += err.Error()
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(output), 0o600); err != nil {
			GinkgoWriter.Println(err)
		}
	}
	save("pods.txt", "get", "pods", "-A", "-o", "wide")
	save("events.txt", "get", "events", "-A", "--sort-by=.lastTimestamp")
	save("objects.yaml", "get", "-A", "-o", "yaml",
		"gateways,httproutes,gatewayclasses,backends,gatewayparameters,deployments,services,endpointslices,validatingwebhookconfigurations")
	save("describe.txt", "describe", "-A", "gateways,httproutes,backends,pods")
	list := &corev1.PodList{}
	if err := c.List(ctx, list); err != nil {
		GinkgoWriter.Println(err)
	}
	for _, pod := range list.Items {
		if pod.Namespace == metav1.NamespaceSystem {
			continue
		}
		logs := []string{"logs", "-n", pod.Namespace, pod.Name, "--all-containers", "--tail=2000"}
		save(fmt.Sprintf("%s.%s.log", pod.Namespace, pod.Name), logs...)
		for _, status := range pod.Status.ContainerStatuses {
			if status.RestartCount > 0 {
				save(fmt.Sprintf("%s.%s.previous.log", pod.Namespace, pod.Name), append(logs, "--previous")...)
			}
		}
	}
	GinkgoWriter.Printf("Objects and logs are in %s\n", folder)
}

var notInFileNames = regexp.MustCompile(`[^a-z0-9]+`)

func fileName(text string) string {
	name := strings.Trim(notInFileNames.ReplaceAllString(strings.ToLower(text), "-"), "-")
	return name[:min(len(name), 80)]
}
