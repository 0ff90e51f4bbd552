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
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

var (
	resultsFolder = flag.String("results", "", "absolute path of a folder that keeps what the suite writes")
	direct        = flag.Bool("direct", false, "run without the gateway: what fails then is not the gateway's")
)

func TestMain(m *testing.M) {
	if program := os.Getenv(clientVariable); program != "" {
		os.Exit(clientMain(program))
	}
	goleak.VerifyTestMain(withPrograms{m})
}

// withPrograms removes the programs that were built for the tests.
type withPrograms struct{ m *testing.M }

// Run implements goleak.TestingM.
func (p withPrograms) Run() int {
	status := p.m.Run()
	if programFolder != "" {
		_ = os.RemoveAll(programFolder)
	}
	return status
}

// era is what the Go SDK's program speaks.
type era string

const (
	legacy era = "legacy"
	modern era = "modern"
)

// programs are what the tests run.
type programs struct {
	tools                              *node.Toolchain
	everythingServer, everythingClient string
}

// programFolder has the built programs; empty until then.
var programFolder string

var buildOnce = sync.OnceValues(buildPrograms)

// theSDK has the programs that the Go SDK itself is tested with. Their version is that of go.mod.
const theSDK = "github.com/modelcontextprotocol/go-sdk/conformance/"

func buildPrograms() (*programs, error) {
	tools, err := node.Install(context.Background(), os.Stderr)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	programFolder = folder
	build := exec.Command("go", "build", "-o", folder, theSDK+"everything-server", theSDK+"everything-client")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the Go SDK's everything-server and everything-client: %w\n%s", err, output)
	}
	return &programs{
		tools:            tools,
		everythingServer: filepath.Join(folder, "everything-server"),
		everythingClient: filepath.Join(folder, "everything-client"),
	}, nil
}

// thePrograms builds the programs when the first test asks for them.
func thePrograms(t *testing.T) *programs {
	t.Helper()
	p, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
