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

// Package node runs the real MCP server and the real MCP client that tests are made against, both from npm:
package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Exit statuses of the Inspector.
const (
	// InspectorOK: the answer is in Inspection.Result.
	InspectorOK = 0
	// InspectorUnreachable: there was no connection to the server.
	InspectorUnreachable = 4
	// InspectorToolError: the tool answered with isError.
	InspectorToolError = 5
)

// Inspection is what a run of the Inspector gave.
type Inspection struct {
	// Result is the "result" of the JSON that it printed; nil if it printed none.
	Result json.RawMessage
	// ExitStatus is its exit status.
	ExitStatus int
	// Stdout and Stderr are all that it printed.
	Stdout, Stderr string
}

// Inspect runs the MCP Inspector's command line against a streamable HTTP server, as in
// Inspect(ctx, url, "--method", "tools/list"). The error is about running it, not about what it found.
func (t *Toolchain) Inspect(ctx context.Context, url string, args ...string) (*Inspection, error) {
	home, err := os.MkdirTemp("", "inspector-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(home) }()

	args = append([]string{
		filepath.Join(t.modules, "@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js"),
		"--cli", url, "--transport", "http", "--format", "json", "-q",
	}, args...)
	command := exec.CommandContext(ctx, t.node, args...)
	command.WaitDelay = 5 * time.Second
	// It keeps settings and secrets in the home folder; these runs leave nothing behind.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "MCP_INSPECTOR_SECRET_STORE=memory"}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		return nil, fmt.Errorf("run the MCP Inspector: %w\n%s", err, stderr.String())
	}
	inspection := &Inspection{
		ExitStatus: command.ProcessState.ExitCode(),
		Stdout:     stdout.String(),
		Stderr:     stderr.String(),
	}
	var printed struct {
		Result json.RawMessage `json:"result"`
	}
	if json.Unmarshal(stdout.Bytes(), &printed) == nil {
		inspection.Result = printed.Result
	}
	return inspection, nil
}
