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
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const (
	root = "../.."

	systemNamespace = "dynamic-mcp-system"
	managerName     = "dynamic-mcp-controller-manager"
	managerUser     = "system:serviceaccount:" + systemNamespace + ":" + managerName
)

// objects is what a manifest has, in its order.
type objects []*unstructured.Unstructured

func parse(manifest []byte) objects {
	var parsed objects
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return parsed
		}
		Expect(err).NotTo(HaveOccurred())
		object := &unstructured.Unstructured{}
		Expect(yaml.UnmarshalStrict(document, &object.Object)).To(Succeed(), string(document))
		if len(object.Object) > 0 {
			parsed = append(parsed, object)
		}
	}
}

// installer is what `kubectl apply -f dist/install.yaml` applies.
func installer() objects {
	manifest, err := os.ReadFile(filepath.Join(root, "dist", "install.yaml"))
	Expect(err).NotTo(HaveOccurred())
	return parse(manifest)
}

// helm runs helm on the chart.
func helm(ctx context.Context, args ...string) ([]byte, error) {
	path := os.Getenv("HELM")
	Expect(path).NotTo(BeEmpty(), "HELM is not set: run the tests by `make test`, or set it to a helm v4")
	return output(exec.CommandContext(ctx, path, args...))
}

// chart is what the chart installs with values.
func chart(ctx context.Context, args ...string) ([]byte, error) {
	args = append([]string{"template", "dynamic-mcp", filepath.Join(root, "charts", "dynamic-mcp"), "--namespace", systemNamespace}, args...)
	return helm(ctx, args...)
}

// kustomize builds config/default with components.
func kustomize(ctx context.Context, components ...string) []byte {
	path := os.Getenv("KUSTOMIZE")
	Expect(path).NotTo(BeEmpty(), "KUSTOMIZE is not set: run the tests by `make test`, or set it to a kustomize v5")
	// kustomize builds no component alone, and reads nothing by an absolute path.
	folder, err := os.MkdirTemp(".", ".kustomize")
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(os.RemoveAll(folder)).To(Succeed()) }()
	text := "resources: [../../../config/default]\ncomponents:\n"
	for _, component := range components {
		text += "- ../../../config/" + component + "\n"
	}
	Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600)).To(Succeed())
	built, err := output(exec.CommandContext(ctx, path, "build", folder))
	Expect(err).NotTo(HaveOccurred())
	return built
}

// output runs a program, and has what it says of a failure in the error.
func output(command *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, errors.New(stderr.String())
	}
	return stdout.Bytes(), nil
}

func (o objects) find(kind, name string) *unstructured.Unstructured {
	for _, object := range o {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	return nil
}

// as decodes an object.
func as[T any](object *unstructured.Unstructured) *T {
	Expect(object).NotTo(BeNil())
	typed := new(T)
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed)).To(Succeed())
	return typed
}
