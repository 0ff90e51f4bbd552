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

package dataplane

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// TestTwoStandaloneInstances: two processes that share the file with the session keys, and read the same manifests, serve
// each other's sessions.
func TestTwoStandaloneInstances(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "dynamic-mcp")
	if output, err := exec.Command("go", "build", "-o", binary, "../../cmd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	eachPinning(t, func(t *testing.T, pinned map[string]int, connect func(*testing.T, string) client) {
		first, second := newSample(t, "first"), newSample(t, "second")
		folder := t.TempDir()
		services := filepath.Join(folder, "services.yaml")
		two := service(t, "first", first.address) + service(t, "second", second.address)
		write(t, services, two+service(t, "everything", fmt.Sprintf("127.0.0.1:%d", everything(t, 0).Port)))
		write(t, filepath.Join(folder, "backend.yaml"), backendManifest)
		keys := filepath.Join(t.TempDir(), "keys.json")
		var urls [2]string
		for i := range urls {
			urls[i] = startStandalone(t, binary, keys, folder)
		}
		story := replicasStory{balancer: newBalancer(t, urls[:]...), pinned: pinned, first: first, second: second}
		story.thirdLeaves = func() { write(t, services, two) }
		story.tell(t, connect)
	})
}

// startStandalone starts an instance with a Gateway of its own, and returns the Gateway's URL once it is served.
func startStandalone(t *testing.T, binary, keys, folder string) string {
	t.Helper()
	port := servertest.FreePort("127.0.0.1")
	url := "http://127.0.0.1:" + strconv.Itoa(port)
	output := runStandalone(t, binary, keys, folder, port)
	NewWithT(t).Eventually(output.String).WithTimeout(patience).Should(ContainSubstring(url+"/mcp "), "the table of what is served")
	return url
}

func runStandalone(t *testing.T, binary, keys, folder string, port int) *lockedBuffer {
	t.Helper()
	gateway := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, gateway, fmt.Sprintf(gatewayManifest, port))
	command := exec.Command(binary, "standalone", "-f", gateway, "-f", folder, "--session-key-file", keys)
	output := &lockedBuffer{}
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("standalone: %v", err)
		}
		if t.Failed() {
			t.Logf("output of standalone:\n%s", output)
		}
	})
	return output
}

// write makes a file anew, whole at once.
func write(t *testing.T, path, content string) {
	t.Helper()
	fresh := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
}

const gatewayManifest = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: agentgateway
spec:
  gatewayClassName: agentgateway
  listeners:
  - name: http
    protocol: HTTP
    port: %d
`

const backendManifest = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: mcp
spec:
  parentRefs:
  - name: agentgateway
  rules:
  - backendRefs:
    - name: mcp-backend
      group: gateway.kgateway.dev
      kind: Backend
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata:
  name: mcp-backend
spec:
  type: MCP
  mcp:
    targets:
    - name: selected
      selector:
        service:
          matchLabels:
            mcp: "true"
`

// service is a Service, and where its server listens.
func service(t *testing.T, name, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("NAME", name, "HOST", host, "PORT", port).Replace(`
---
apiVersion: v1
kind: Service
metadata:
  name: NAME
  labels:
    mcp: "true"
spec:
  ports:
  - port: PORT
    appProtocol: kgateway.dev/mcp
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: NAME
  labels:
    kubernetes.io/service-name: NAME
addressType: IPv4
ports:
- port: PORT
endpoints:
- addresses: [HOST]
`)
}
