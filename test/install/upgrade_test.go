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

package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

const backendsCRD = "backends.gateway.kgateway.dev"

// fresh is an API server on which nothing of the project is installed. No manager runs there.
type fresh struct {
	client.Client
	kubeconfig, kubectlPath string
}

func startFresh() fresh {
	GinkgoHelper()
	env := &envtest.Environment{CRDDirectoryPaths: []string{root + "/config/crd/gateway-api"}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	config.QPS, config.Burst = -1, -1
	user, err := env.AddUser(envtest.User{Name: "installer", Groups: []string{"system:masters"}}, config)
	Expect(err).NotTo(HaveOccurred())
	content, err := user.KubeConfig()
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
	c, err := client.New(config, client.Options{})
	Expect(err).NotTo(HaveOccurred())
	return fresh{Client: c, kubeconfig: path, kubectlPath: filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")}
}

// helm runs helm with the release dynamic-mcp. It waits for nothing, because there are no nodes.
func (f fresh) helm(ctx context.Context, args ...string) error {
	_, err := helm(ctx, append(args, "--kubeconfig", f.kubeconfig, "--namespace", systemNamespace)...)
	return err
}

func (f fresh) mustHelm(ctx context.Context, args ...string) {
	GinkgoHelper()
	Expect(f.helm(ctx, args...)).To(Succeed(), strings.Join(args, " "))
}

func (f fresh) kubectl(ctx context.Context, args ...string) error {
	_, err := output(exec.CommandContext(ctx, f.kubectlPath, append([]string{"--kubeconfig", f.kubeconfig}, args...)...))
	return err
}

// script runs hack/install.sh, as make install and make deploy do.
func (f fresh) script(ctx context.Context, what string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(root, "hack", "install.sh"), what)
	command.Env = append(os.Environ(), "KUBECONFIG="+f.kubeconfig, "KUBECTL="+f.kubectlPath, "IMG=dynamic-mcp:dev")
	said, err := command.CombinedOutput()
	if err != nil {
		return "", errors.New(string(said))
	}
	return string(said), nil
}

func (f fresh) crd(ctx context.Context) (*unstructured.Unstructured, error) {
	crd := object("{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: " + backendsCRD + "}}")
	return crd, f.Get(ctx, client.ObjectKeyFromObject(crd), crd)
}

// describes tells whether the CRD of Backends has the field failureMode, which the older chart's has not.
func (f fresh) describes(ctx context.Context) bool {
	GinkgoHelper()
	crd, err := f.crd(ctx)
	Expect(err).NotTo(HaveOccurred())
	text, err := yaml.Marshal(crd.Object)
	Expect(err).NotTo(HaveOccurred())
	return strings.Contains(string(text), "failureMode:")
}

// olderChart is the chart as it could have been before Backends had the field failureMode.
func olderChart() string {
	GinkgoHelper()
	folder := filepath.Join(GinkgoT().TempDir(), "dynamic-mcp")
	Expect(os.CopyFS(folder, os.DirFS(filepath.Join(root, "charts", "dynamic-mcp")))).To(Succeed())
	path := filepath.Join(folder, "files", "crds.yaml")
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	var older []string
	for _, crd := range parse(text) {
		if crd.GetName() == backendsCRD {
			versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
			Expect(err).NotTo(HaveOccurred())
			unstructured.RemoveNestedField(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec",
				"properties", "mcp", "properties", "failureMode")
			Expect(unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions")).To(Succeed())
		}
		written, err := yaml.Marshal(crd.Object)
		Expect(err).NotTo(HaveOccurred())
		// The chart finds the place of its own annotation by the one that is there.
		older = append(older, string(written))
	}
	Expect(os.WriteFile(path, []byte(strings.Join(older, "---\n")), 0o600)).To(Succeed())
	return folder
}

var _ = Describe("An upgrade by Helm", Ordered, func() {
	newer := filepath.Join(root, "charts", "dynamic-mcp")
	var cluster fresh
	backend := object("{apiVersion: gateway.kgateway.dev/v1alpha1, kind: Backend, metadata: {namespace: default, name: kept}, " +
		"spec: {type: MCP, mcp: {targets: [{name: a, static: {host: mcp.example.com, port: 80}}]}}}")
	get := func(ctx context.Context) error {
		return cluster.Get(ctx, client.ObjectKeyFromObject(backend), backend.DeepCopy())
	}

	BeforeAll(func(ctx SpecContext) {
		cluster = startFresh()
		older := olderChart()
		// No webhooks: there is no manager to answer.
		cluster.mustHelm(ctx, "install", "dynamic-mcp", older, "--create-namespace", "--set", "webhook.enabled=false")
		Expect(cluster.describes(ctx)).To(BeFalse())
		Eventually(func() error { return cluster.Create(ctx, backend.DeepCopy()) }).Should(Succeed())
	})

	It("brings the newer CRDs, and a rollback the older ones", func(ctx SpecContext) {
		cluster.mustHelm(ctx, "upgrade", "dynamic-mcp", newer, "--reset-then-reuse-values")
		Expect(cluster.describes(ctx)).To(BeTrue())
		cluster.mustHelm(ctx, "rollback", "dynamic-mcp")
		Expect(cluster.describes(ctx)).To(BeFalse())
		cluster.mustHelm(ctx, "upgrade", "dynamic-mcp", newer, "--reset-then-reuse-values")
		Expect(cluster.describes(ctx)).To(BeTrue())
		Expect(get(ctx)).To(Succeed())
	})

	It("can give the CRDs up, and take them back", func(ctx SpecContext) {
		cluster.mustHelm(ctx, "upgrade", "dynamic-mcp", newer, "--reuse-values", "--set", "crds.install=false")
		Expect(get(ctx)).To(Succeed())
		cluster.mustHelm(ctx, "upgrade", "dynamic-mcp", newer, "--reuse-values", "--set", "crds.install=true")
		Expect(get(ctx)).To(Succeed())
	})

	It("refuses to give up CRDs that would be deleted", func(ctx SpecContext) {
		cluster.mustHelm(ctx, "upgrade", "dynamic-mcp", newer, "--reuse-values", "--set", "crds.keep=false")
		Expect(cluster.helm(ctx, "upgrade", "dynamic-mcp", newer, "--reuse-values", "--set", "crds.install=false")).
			To(MatchError(ContainSubstring("crds.install=false would delete the CRD " + backendsCRD)))
		Expect(get(ctx)).To(Succeed())
		cluster.mustHelm(ctx, "upgrade", "dynamic-mcp", newer, "--reuse-values", "--set", "crds.keep=true")
	})

	It("leaves Backends to the next installation when it is uninstalled", func(ctx SpecContext) {
		cluster.mustHelm(ctx, "uninstall", "dynamic-mcp")
		Expect(get(ctx)).To(Succeed())
		cluster.mustHelm(ctx, "install", "dynamic-mcp", newer, "--set", "webhook.enabled=false")
		Expect(get(ctx)).To(Succeed())
	})
})

var _ = Describe("make install", Ordered, func() {
	gatewayAPI := filepath.Join(root, "config", "crd", "gateway-api")
	var cluster fresh
	BeforeAll(func() { cluster = startFresh() })

	It("leaves the Gateway API to whom has installed it, as the guide says", func(ctx SpecContext) {
		// Those of the test's API server are nobody's.
		Expect(cluster.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", gatewayAPI)).To(Succeed())
		said, err := cluster.script(ctx, "install")
		Expect(err).NotTo(HaveOccurred())
		Expect(said).To(ContainSubstring("installed already"))
		Expect(cluster.describes(ctx)).To(BeTrue())
	})

	It("adds what is missing of it", func(ctx SpecContext) {
		const missing = "grpcroutes.gateway.networking.k8s.io"
		Expect(cluster.kubectl(ctx, "delete", "crd", missing)).To(Succeed())
		_, err := cluster.script(ctx, "install")
		Expect(err).NotTo(HaveOccurred())
		Expect(cluster.kubectl(ctx, "get", "crd", missing)).To(Succeed())
	})

	It("changes nothing when it is run again", func(ctx SpecContext) {
		before, err := cluster.crd(ctx)
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.script(ctx, "install")
		Expect(err).NotTo(HaveOccurred())
		after, err := cluster.crd(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(after.GetResourceVersion()).To(Equal(before.GetResourceVersion()))
	})
})

var _ = Describe("A cluster with the CRDs of another project", Ordered, func() {
	// As kgateway's: the same name, another schema, and no label of ours.
	const theirs = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: backends.gateway.kgateway.dev
  labels: {app.kubernetes.io/part-of: another}
spec:
  group: gateway.kgateway.dev
  scope: Namespaced
  names: {kind: Backend, listKind: BackendList, plural: backends, singular: backend}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
	var cluster fresh
	var before *unstructured.Unstructured
	stored := object("{apiVersion: gateway.kgateway.dev/v1alpha1, kind: Backend, metadata: {namespace: default, name: theirs}, spec: {type: AWS}}")
	intact := func(ctx context.Context) {
		GinkgoHelper()
		crd, err := cluster.crd(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(crd.GetUID()).To(Equal(before.GetUID()))
		Expect(crd.GetGeneration()).To(Equal(before.GetGeneration()))
		Expect(crd.GetLabels()).To(Equal(before.GetLabels()))
		Expect(cluster.Get(ctx, client.ObjectKeyFromObject(stored), stored.DeepCopy())).To(Succeed())
	}

	BeforeAll(func(ctx SpecContext) {
		cluster = startFresh()
		Expect(cluster.Create(ctx, object(theirs))).To(Succeed())
		Eventually(func() error { return cluster.Create(ctx, stored.DeepCopy()) }).Should(Succeed())
		var err error
		before, err = cluster.crd(ctx)
		Expect(err).NotTo(HaveOccurred())
	})

	It("is refused by the chart, and by make deploy, which change nothing", func(ctx SpecContext) {
		err := cluster.helm(ctx, "install", "dynamic-mcp", filepath.Join(root, "charts", "dynamic-mcp"), "--create-namespace")
		Expect(err).To(MatchError(ContainSubstring("it belongs to another project")))
		_, err = cluster.script(ctx, "deploy")
		Expect(err).To(MatchError(ContainSubstring("it belongs to another project")))
		for _, o := range installer() {
			if o.GetKind() != "CustomResourceDefinition" && o.GetKind() != "Namespace" {
				Expect(cluster.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopy())).To(Satisfy(apierrors.IsNotFound), o.GetName())
			}
		}
		intact(ctx)
	})

	It("keeps what is its own when install.yaml is applied all the same, and removed again as the guide says", func(ctx SpecContext) {
		manifest := filepath.Join(root, "dist", "install.yaml")
		Expect(cluster.kubectl(ctx, "apply", "--server-side", "-f", manifest)).To(MatchError(ContainSubstring("conflict")))
		intact(ctx)

		guide, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
		Expect(err).NotTo(HaveOccurred())
		_, rest, found := strings.Cut(string(guide), "<!-- remove by label -->")
		Expect(found).To(BeTrue())
		_, rest, _ = strings.Cut(rest, "```sh\n")
		commands, _, _ := strings.Cut(rest, "```")
		for line := range strings.Lines(commands) {
			words := strings.Fields(line)
			Expect(words[0]).To(Equal("kubectl"))
			// Without controllers nobody empties a namespace.
			Expect(cluster.kubectl(ctx, append(words[1:], "--wait=false")...)).To(Succeed(), line)
		}
		intact(ctx)
		for _, o := range installer() {
			if o.GetName() == backendsCRD || o.GetNamespace() != "" {
				continue
			}
			Eventually(func(g Gomega) {
				found := o.DeepCopy()
				err := cluster.Get(ctx, client.ObjectKeyFromObject(o), found)
				g.Expect(apierrors.IsNotFound(err) || found.GetDeletionTimestamp() != nil).To(BeTrue(), fmt.Sprint(o.GetKind(), " ", o.GetName()))
			}).Should(Succeed())
		}
	})
})
