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

package deployment

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	mcpconfig "github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/proxy"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// clusterScoped are the resources among the manager's that have no namespace.
var clusterScoped = []string{
	"namespaces", "customresourcedefinitions", "gatewayclasses", "gatewayclasses/status", "clusterroles", "clusterrolebindings",
}

// A manager of some namespaces runs against an API server of its own, because that of the other specs has one of all.
var _ = Describe("A manager that watches two namespaces", Ordered, func() {
	const first, second, third = "first", "second", "third"
	var admin client.Client
	var server *envtest.Environment
	var gateway *gatewayv1.Gateway

	BeforeAll(func() {
		server = &envtest.Environment{
			CRDDirectoryPaths: []string{"../../config/crd/bases", "../../config/crd/gateway-api"}, ErrorIfCRDPathMissing: true,
		}
		config, err := server.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Stop)
		admin, err = client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		for _, name := range []string{first, second, third} {
			Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{"of": name},
			}})).To(Succeed())
		}
		installRightsFor(admin, first, second)
		user, err := server.AddUser(envtest.User{Name: managerUser}, &rest.Config{QPS: -1, Burst: -1})
		Expect(err).NotTo(HaveOccurred())
		startManager(user.Config(), first, second)

		gateway = gatewayOf(first, "tools")
		gateway.Spec.Listeners[0].Port = int32(servertest.FreePort("127.0.0.1"))
		gateway.Spec.Listeners[0].AllowedRoutes = &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{
			From: new(gatewayv1.NamespacesFromSelector), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"of": second}},
		}}
		Expect(admin.Create(ctx, gateway)).To(Succeed())
	})

	It("makes proxies there, and binds their role there", func() {
		elsewhere := gatewayOf(third, "tools")
		Expect(admin.Create(ctx, elsewhere)).To(Succeed())
		Eventually(func(g Gomega) {
			for _, object := range objectsOf(gateway) {
				g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed(), "%T", object)
			}
			for _, namespace := range []string{first, second} {
				var binding rbacv1.RoleBinding
				g.Expect(admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: provision.DefaultProxyClusterRole}, &binding)).To(Succeed())
				g.Expect(binding.Subjects).To(ConsistOf(And(HaveField("Namespace", first), HaveField("Name", "tools-dynamic-mcp"))))
			}
		}).Should(Succeed())
		var services corev1.ServiceList
		Expect(admin.List(ctx, &services, client.InNamespace(third))).To(Succeed())
		Expect(services.Items).To(BeEmpty())
	})

	It("gives proxies the rights that they need", func(ctx SpecContext) {
		route := &gatewayv1.HTTPRoute{
			ObjectMeta: metav1.ObjectMeta{Namespace: second, Name: "route"},
			Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: gatewayv1.CommonRouteSpec{
				ParentRefs: []gatewayv1.ParentReference{{Name: "tools", Namespace: new(gatewayv1.Namespace(first))}},
			}},
		}
		Expect(admin.Create(ctx, route)).To(Succeed())
		impersonated := rest.CopyConfig(server.Config)
		impersonated.Impersonate = rest.ImpersonationConfig{
			UserName: "system:serviceaccount:" + first + ":" + provision.AccountName(gateway.Name),
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + first, "system:authenticated"},
		}
		address := filepath.Join(GinkgoT().TempDir(), "address")
		running, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() {
			ended <- proxy.Run(running, proxy.Options{
				Gateway: client.ObjectKeyFromObject(gateway), RestConfig: impersonated, WatchNamespaces: []string{first, second},
				BindAddress: "127.0.0.1", AdminAddress: "127.0.0.1:0", AdminAddressFile: address, DrainTimeout: time.Second,
				Limits: mcpconfig.DefaultLimits(), Log: slog.New(slog.NewTextHandler(GinkgoWriter, nil)), Version: "test",
			})
		}()
		DeferCleanup(func() {
			cancel()
			Eventually(ended).Should(Receive(BeNil()))
		})
		ask := func(path string) (int, string) {
			content, err := os.ReadFile(address)
			if err != nil {
				return 0, err.Error()
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+strings.TrimSpace(string(content))+path, nil)
			Expect(err).NotTo(HaveOccurred())
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return 0, err.Error()
			}
			defer func() { _ = response.Body.Close() }()
			body, _ := io.ReadAll(response.Body)
			return response.StatusCode, string(body)
		}
		Eventually(func(g Gomega) {
			status, body := ask(fmt.Sprintf("/readyz?generation=%d", gateway.Generation))
			g.Expect(status).To(Equal(http.StatusOK), body)
		}).Should(Succeed())
		_, snapshot := ask("/config")
		Expect(snapshot).To(ContainSubstring(`"second/route"`), "the namespace's labels are known")
	}, NodeTimeout(time.Minute))
})

// installRightsFor makes the roles of an installation that watches namespaces only.
func installRightsFor(admin client.Client, namespaces ...string) {
	GinkgoHelper()
	var all, proxies rbacv1.ClusterRole
	readManifest(&all, "role.yaml")
	readManifest(&proxies, "proxy_role.yaml")
	proxies.Name = prefixed(proxies.Name)
	everywhere := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "manager"}}
	namespaced := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "manager-of-namespaces"}}
	for _, rule := range all.Rules {
		for _, resource := range rule.Resources {
			one := rule
			one.Resources = []string{resource}
			switch {
			case resource == "clusterrolebindings":
			case slices.Contains(clusterScoped, resource):
				everywhere.Rules = append(everywhere.Rules, one)
			default:
				namespaced.Rules = append(namespaced.Rules, one)
			}
		}
	}
	user := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: managerUser}}
	ref := func(name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
	}
	objects := []client.Object{&proxies, &everywhere, &namespaced, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "manager"}, RoleRef: ref("manager"), Subjects: user,
	}}
	for _, namespace := range namespaces {
		objects = append(objects,
			&rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "manager"}, RoleRef: ref(namespaced.Name), Subjects: user,
			},
			&rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: proxies.Name}, RoleRef: ref(proxies.Name),
			})
	}
	for _, object := range objects {
		Expect(admin.Create(ctx, object)).To(Succeed())
	}
}
