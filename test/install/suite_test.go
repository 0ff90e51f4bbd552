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

// Package install holds what is installed, by kubectl and by Helm, to what a cluster accepts, to what the documentation
// says of it, and to each other; and the policies that confine the manager to what they are for.
package install

import (
	"context"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

const fieldOwner = client.FieldOwner("installer")

var (
	cfg *rest.Config
	// admin may do everything.
	admin client.Client
)

func TestInstall(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS does not say where kube-apiserver and etcd are: run `make test`, which gets them")
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "install")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	env := &envtest.Environment{CRDDirectoryPaths: []string{root + "/config/crd/gateway-api"}, ErrorIfCRDPathMissing: true}
	var err error
	cfg, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	cfg.QPS, cfg.Burst = -1, -1
	admin, err = client.New(cfg, client.Options{})
	Expect(err).NotTo(HaveOccurred())

	By("applying dist/install.yaml")
	for _, object := range installer() {
		Expect(apply(ctx, admin, object)).To(Succeed(), "%s %s", object.GetKind(), object.GetName())
	}
})

// apply applies an object on the server's side, as kubectl does.
func apply(ctx context.Context, c client.Client, object *unstructured.Unstructured, options ...client.ApplyOption) error {
	options = append([]client.ApplyOption{fieldOwner, client.ForceOwnership}, options...)
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), options...)
}

// manager returns a client that is the manager's ServiceAccount.
func manager() client.Client {
	config := rest.CopyConfig(cfg)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: managerUser,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + systemNamespace, "system:authenticated"},
	}
	c, err := client.New(config, client.Options{})
	Expect(err).NotTo(HaveOccurred())
	return c
}
