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

package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/manifests"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
	"github.com/dynamic-mcp/dynamic-mcp/internal/standalone"
)

// patience is how long something that must happen may take.
const patience = 20 * time.Second

// targetKind is how the Backend names the server.
type targetKind string

const (
	bySelector targetKind = "selector"
	static     targetKind = "static"
)

// gateway is a Gateway with one Backend that has one server, served in this process.
type gateway struct {
	url  string
	log  *lockedBuffer
	stop func()
	done chan error
}

// startGateway serves the MCP server at an address of this machine. Whoever starts it closes it.
func startGateway(kind targetKind, server string) (*gateway, error) {
	port := servertest.FreePort("127.0.0.1")
	folder, err := os.MkdirTemp("", "conformance-manifests-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &gateway{url: fmt.Sprintf("http://127.0.0.1:%d/mcp", port), log: &lockedBuffer{}, done: make(chan error, 1)}
	g.stop = func() {
		cancel()
		_ = os.RemoveAll(folder)
	}
	content, err := manifest(port, kind, server)
	if err != nil {
		g.stop()
		return nil, err
	}
	file := filepath.Join(folder, "gateway.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		g.stop()
		return nil, err
	}
	table := &firstWrite{happened: make(chan struct{})}
	go func() {
		g.done <- standalone.Run(ctx, standalone.Options{
			Source:       manifests.Source{Paths: []string{file}},
			BindAddress:  "127.0.0.1",
			DrainTimeout: time.Second,
			Limits:       config.DefaultLimits(),
			Log:          slog.New(slog.NewTextHandler(g.log, nil)),
			Out:          table, Err: g.log,
			Version: "test",
		})
	}()
	select {
	case <-table.happened: // What is served is printed once it is served.
		return g, nil
	case err := <-g.done:
		g.stop()
		return nil, fmt.Errorf("start the gateway: %w\n%s", err, g.log)
	case <-time.After(patience):
		return nil, errors.Join(fmt.Errorf("the gateway serves nothing after %v\n%s", patience, g.log), g.close())
	}
}

// close ends the gateway and returns when it has ended.
func (g *gateway) close() error {
	g.stop()
	return <-g.done
}

// manifest has the objects of one Gateway.
func manifest(port int, kind targetKind, server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	values := strings.NewReplacer("GATEWAY-PORT", fmt.Sprint(port), "SERVER-HOST", u.Hostname(), "SERVER-PORT", u.Port(),
		"SERVER-PATH", "/"+strings.TrimPrefix(u.Path, "/"))
	target := selectorTarget
	if kind == static {
		target = staticTarget
	}
	return values.Replace(gatewayManifest + target), nil
}

const gatewayManifest = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gateway
spec:
  gatewayClassName: agentgateway
  listeners:
  - name: http
    protocol: HTTP
    port: GATEWAY-PORT
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: mcp
spec:
  parentRefs:
  - name: gateway
  rules:
  - backendRefs:
    - name: everything
      group: gateway.kgateway.dev
      kind: Backend
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata:
  name: everything
spec:
  type: MCP
  mcp:
    targets:
    - name: everything`

const selectorTarget = `
      selector:
        service:
          matchLabels:
            app: everything
---
apiVersion: v1
kind: Service
metadata:
  name: everything
  labels:
    app: everything
  annotations:
    kgateway.dev/mcp-path: SERVER-PATH
spec:
  type: ExternalName
  externalName: SERVER-HOST
  ports:
  - port: SERVER-PORT
    appProtocol: kgateway.dev/mcp
`

const staticTarget = `
      static:
        host: SERVER-HOST
        port: SERVER-PORT
        path: SERVER-PATH
`

// firstWrite says when the first byte was written to it.
type firstWrite struct {
	once     sync.Once
	happened chan struct{}
}

func (w *firstWrite) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.happened) })
	return len(p), nil
}

// lockedBuffer takes the output of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written so far.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
