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

// Package crd applies one manifest per rule of the API to a real API server, with the CRDs and the webhooks
// installed, and compares what the server says with what the manifest's first comments say that it should. A new case
// is a new file in testdata.
package crd

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
	webhookv1alpha1 "github.com/dynamic-mcp/dynamic-mcp/internal/webhook/v1alpha1"
)

const patience = 30 * time.Second

var (
	cfg       *rest.Config
	k8sClient client.Client
	// storedUnchecked is a Backend that the webhook refuses, and that was stored before the webhook was installed.
	storedUnchecked = client.ObjectKey{Namespace: "default", Name: "stored-unchecked"}
)

func TestCRD(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS does not say where kube-apiserver and etcd are: run `make test`, which gets them")
	}
	RegisterFailHandler(Fail)
	RunSpecs(t, "crd")
}

var _ = BeforeSuite(func() {
	logf.SetLogger(GinkgoLogr)
	scheme := runtime.NewScheme()
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())

	By("starting an API server with the CRDs")
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	cfg, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	k8sClient, err = client.New(cfg, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	By("storing a Backend that no webhook looks at")
	Eventually(func() error {
		return k8sClient.Create(context.Background(), uncheckedBackend())
	}).WithTimeout(patience).Should(Succeed())

	By("installing the webhooks")
	hooks := &envtest.WebhookInstallOptions{Paths: []string{filepath.Join("..", "..", "config", "webhook", "manifests.yaml")}}
	Expect(hooks.Install(cfg)).To(Succeed())
	DeferCleanup(func() { Expect(hooks.Cleanup()).To(Succeed()) })
	startWebhooks(scheme, hooks)

	By("waiting until the API server asks the webhooks")
	Eventually(func() error {
		backend := uncheckedBackend()
		backend.Name = "probe"
		return k8sClient.Create(context.Background(), backend, client.DryRunAll)
	}).WithTimeout(patience).Should(MatchError(ContainSubstring("admission webhook")))
})

// startWebhooks runs a manager that serves the webhooks, as the program's own manager does.
func startWebhooks(scheme *runtime.Scheme, hooks *envtest.WebhookInstallOptions) {
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:  scheme,
		Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host:    hooks.LocalServingHost,
			Port:    hooks.LocalServingPort,
			CertDir: hooks.LocalServingCertDir,
		}),
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(webhookv1alpha1.SetupBackendWebhookWithManager(mgr, validate.Options{})).To(Succeed())
	Expect(webhookv1alpha1.SetupGatewayParametersWebhookWithManager(mgr)).To(Succeed())

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))
	})
}

func uncheckedBackend() *v1alpha1.Backend {
	backend := &v1alpha1.Backend{Spec: v1alpha1.BackendSpec{
		Type: v1alpha1.BackendTypeMCP,
		MCP: &v1alpha1.MCPBackend{Targets: []v1alpha1.MCPTarget{{
			Name:   "loopback",
			Static: &v1alpha1.MCPStaticTarget{Host: "127.0.0.1", Port: 80},
		}}},
	}}
	backend.Name, backend.Namespace = storedUnchecked.Name, storedUnchecked.Namespace
	backend.Finalizers = []string{"crd.test/keep"}
	return backend
}
