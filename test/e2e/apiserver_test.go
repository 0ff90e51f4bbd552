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

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// managerUser is who the manager is to the API server: somebody with no other rights than those of
// grantManagerRole.
const managerUser = "dynamic-mcp-manager"

// apiServer is a kube-apiserver with etcd. No other component of Kubernetes runs: there are no pods, no endpoints that
// nobody wrote, and no garbage collector.
type apiServer struct {
	client.Client
	webhook           envtest.WebhookInstallOptions
	managerKubeconfig string

	kubectlPath     string
	adminKubeconfig string
}

func startAPIServer() *apiServer {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	Expect(assets).NotTo(BeEmpty(),
		`KUBEBUILDER_ASSETS is not set: run the suite by "make test", or set it to "$(hack/envtest/assets.sh)"`)

	environment := &envtest.Environment{
		CRDDirectoryPaths: []string{
			repository("config", "crd", "bases"),
			repository("config", "crd", "gateway-api"),
		},
		ErrorIfCRDPathMissing: true,
		WebhookInstallOptions: envtest.WebhookInstallOptions{
			Paths: []string{repository("config", "webhook", "manifests.yaml")},
		},
	}
	config, err := environment.Start()
	DeferCleanup(func() { Expect(environment.Stop()).To(Succeed()) })
	Expect(err).NotTo(HaveOccurred())

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(gatewayv1.Install(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	direct, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	a := &apiServer{
		Client:            direct,
		webhook:           environment.WebhookInstallOptions,
		managerKubeconfig: filepath.Join(artifacts, "manager.kubeconfig"),
		kubectlPath:       filepath.Join(assets, "kubectl"),
		adminKubeconfig:   filepath.Join(artifacts, "admin.kubeconfig"),
	}
	Expect(os.WriteFile(a.adminKubeconfig, environment.KubeConfig, 0o600)).To(Succeed())

	user, err := environment.AddUser(envtest.User{Name: managerUser}, nil)
	Expect(err).NotTo(HaveOccurred())
	kubeconfig, err := user.KubeConfig()
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(a.managerKubeconfig, kubeconfig, 0o600)).To(Succeed())
	a.grantManagerRole()
	return a
}

// grantManagerRole gives the manager the ClusterRole that it has in a cluster. Proxies that are child processes share the
// manager's credentials.
func (a *apiServer) grantManagerRole() {
	GinkgoHelper()
	manifest, err := os.ReadFile(repository("config", "rbac", "role.yaml"))
	Expect(err).NotTo(HaveOccurred())
	var role rbacv1.ClusterRole
	Expect(yaml.UnmarshalStrict(manifest, &role)).To(Succeed())
	Expect(role.Rules).NotTo(BeEmpty())
	Expect(a.Create(context.Background(), &role)).To(Succeed())
	Expect(a.Create(context.Background(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: managerUser}},
	})).To(Succeed())
}

// kubectl runs kubectl as an administrator, with input as its standard input, and returns all that it printed.
func (a *apiServer) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, a.kubectlPath, args...)
	command.Env = []string{"KUBECONFIG=" + a.adminKubeconfig, "HOME=" + artifacts, "PATH=" + os.Getenv("PATH")}
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	return string(output), err
}

// mustKubectl is kubectl for what must work.
func (a *apiServer) mustKubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	output, err := a.kubectl(ctx, "", args...)
	Expect(err).NotTo(HaveOccurred(), output)
	return output
}

// apply applies a manifest with kubectl, as users do, and deletes its objects at the end of the story.
func (a *apiServer) apply(ctx context.Context, manifest string) {
	GinkgoHelper()
	output, err := a.kubectl(ctx, manifest, "apply", "-f", "-")
	Expect(err).NotTo(HaveOccurred(), output)
	DeferCleanup(func(ctx context.Context) { a.remove(ctx, manifest) })
}

// remove deletes the objects of a manifest, those that are there.
func (a *apiServer) remove(ctx context.Context, manifest string) {
	GinkgoHelper()
	output, err := a.kubectl(ctx, manifest, "delete", "--ignore-not-found", "--wait=false", "-f", "-")
	Expect(err).NotTo(HaveOccurred(), output)
}

// createNamespace makes a namespace. It stays: without a controller manager nothing ever empties it.
func (a *apiServer) createNamespace(ctx context.Context, name string) {
	GinkgoHelper()
	output, err := a.kubectl(ctx, "", "create", "namespace", name)
	Expect(err).NotTo(HaveOccurred(), output)
}
