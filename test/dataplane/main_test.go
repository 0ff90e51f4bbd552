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
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// suite ends what the tests share before goroutines are counted.
type suite struct{ m *testing.M }

// Run implements goleak.TestingM.
func (s suite) Run() int {
	status := s.m.Run()
	shared.stop()
	return status
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// shared are the processes that tests share; they are started when the first test asks for them.
var shared processes

type processes struct {
	mu         sync.Mutex
	tools      *node.Toolchain
	everything [2]*node.Server
	clients    *nodeProcess
}

// toolchain returns what runs npm's packages. The caller holds mu.
func (p *processes) toolchain() (*node.Toolchain, error) {
	if p.tools == nil {
		tools, err := node.Install(context.Background(), os.Stderr)
		if err != nil {
			return nil, err
		}
		p.tools = tools
	}
	return p.tools, nil
}

// startEverything starts a server-everything that belongs to the test. Port 0 takes a free one.
func startEverything(t *testing.T, port int) *node.Server {
	t.Helper()
	shared.mu.Lock()
	tools, err := shared.toolchain()
	shared.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	server, err := tools.StartEverything(t.Context(), port, node.StreamableHTTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// everything returns one of two instances of server-everything, which the tests share.
func everything(t *testing.T, index int) *node.Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.everything[index] == nil {
		tools, err := shared.toolchain()
		if err != nil {
			t.Fatal(err)
		}
		server, err := tools.StartEverything(context.Background(), 0, node.StreamableHTTP)
		if err != nil {
			t.Fatal(err)
		}
		shared.everything[index] = server
	}
	return shared.everything[index]
}

// nodeClients returns the process in which all clients of the TypeScript SDK run.
func nodeClients(t *testing.T) *nodeProcess {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.clients == nil {
		tools, err := shared.toolchain()
		if err != nil {
			t.Fatal(err)
		}
		if shared.clients, err = startNodeProcess(tools); err != nil {
			t.Fatal(err)
		}
	}
	return shared.clients
}

func (p *processes) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, server := range p.everything {
		if server != nil {
			server.Stop()
		}
	}
	if p.clients != nil {
		if err := p.clients.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "the clients of the TypeScript SDK:", err)
		}
	}
}
