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

// Package deployment tests proxies that are Deployments against a real API server: what the manager makes of Gateways with
// the rights that it is installed with, and what it makes of their pods. No pods run; what there is to see of them, tests
// write.
package deployment

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/controller"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

// managerUser is who the manager is to the API server: somebody with the rights of config/rbac/role.yaml and no others.
const managerUser = "dynamic-mcp-manager"

const proxyImage = "registry.example.com/dynamic-mcp:v1"

var (
	scheme = runtime.NewScheme()
	ctx    = context.Background()
	config *rest.Config
	// api is an administrator's client.
	api client.Client
	// pods are what answers on the addresses of pods.
	pods *fakePods
	// writes counts what the manager writes, by the path of the request.
	writes writeCounter
)

func init() {
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(gatewayv1.Install(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
}

func TestDeployments(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	SetDefaultConsistentlyDuration(500 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Deployments")
}

var _ = BeforeSuite(func() {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		Fail("KUBEBUILDER_ASSETS is not set: run 'make test', or set it to what hack/envtest/assets.sh prints")
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(GinkgoWriter), zap.UseDevMode(true)))
	server := &envtest.Environment{
		CRDDirectoryPaths:     []string{"../../config/crd/bases", "../../config/crd/gateway-api"},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	config, err = server.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Stop)
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	installRights()
	user, err := server.AddUser(envtest.User{Name: managerUser}, &rest.Config{QPS: -1, Burst: -1})
	Expect(err).NotTo(HaveOccurred())
	pods = newFakePods()
	DeferCleanup(pods.close)
	startManager(user.Config())
})

// installRights makes the roles of the installation and their bindings.
func installRights() {
	GinkgoHelper()
	var manager rbacv1.ClusterRole
	readManifest(&manager, "role.yaml")
	var proxy rbacv1.ClusterRole
	readManifest(&proxy, "proxy_role.yaml")
	var binding rbacv1.ClusterRoleBinding
	readManifest(&binding, "proxy_role_binding.yaml")
	proxy.Name, binding.Name, binding.RoleRef.Name = prefixed(proxy.Name), prefixed(binding.Name), prefixed(binding.RoleRef.Name)
	for _, object := range []client.Object{&manager, &proxy, &binding, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: manager.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: manager.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: managerUser}},
	}} {
		Expect(api.Create(ctx, object)).To(Succeed())
	}
	Expect(proxy.Name).To(Equal(provision.DefaultProxyClusterRole))
}

// prefixed is a name as config/default makes it.
func prefixed(name string) string { return "dynamic-mcp-" + name }

func readManifest(into any, name string) {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", name))
	Expect(err).NotTo(HaveOccurred())
	Expect(yaml.UnmarshalStrict(content, into)).To(Succeed())
}

// startManager runs a manager of some namespaces, or of all, until the end of the specs that it is for.
func startManager(user *rest.Config, namespaces ...string) {
	GinkgoHelper()
	user.Wrap(writes.wrap)
	mgr, err := ctrl.NewManager(user, ctrl.Options{
		Scheme:    scheme,
		Cache:     controller.CacheOptions(namespaces...),
		NewClient: controller.NewClient(namespaces...),
		Client:    client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:   metricsserver.Options{BindAddress: "0"},
		// There may be another one in this process.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	running, cancel := context.WithCancel(ctx)
	proxies, err := provision.NewDeployment(running, provision.DeploymentOptions{
		Installation: provision.Installation{Image: proxyImage, ClusterDomain: "cluster.local", WatchNamespaces: namespaces},
		Client:       mgr.GetClient(),
		Reader:       mgr.GetAPIReader(),
		Cache:        mgr.GetCache(),
		Probe: provision.ProbeTiming{
			Min: 10 * time.Millisecond, Max: 50 * time.Millisecond, Serving: 50 * time.Millisecond, Timeout: time.Minute,
		},
		Dial: pods.dial,
		Log:  ctrl.Log.WithName("proxies"),
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(mgr.Add(proxies)).To(Succeed())
	Expect(controller.SetupWithManager(mgr, controller.Options{SessionKeyRotation: 24 * time.Hour}, proxies, proxies.Events())).
		To(Succeed())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(running) }()
	DeferCleanup(func() {
		cancel()
		Eventually(stopped).Should(Receive(Not(HaveOccurred())))
	})
}

// writeCounter counts requests that write the objects of proxies.
type writeCounter struct{ count atomic.Int64 }

func (c *writeCounter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		isStatus := strings.HasSuffix(r.URL.Path, "/status")
		if r.Method != http.MethodGet && !isStatus && !strings.Contains(r.URL.Path, "/events") {
			c.count.Add(1)
			fmt.Fprintln(GinkgoWriter, "Write:", r.Method, r.URL.Path, r.URL.RawQuery)
		}
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
