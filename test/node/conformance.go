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

package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Suite is a version of the official MCP conformance suite.
type Suite string

const (
	// SuiteReleased is the newest release. It ends at revision 2025-11-25.
	SuiteReleased Suite = "@modelcontextprotocol/conformance"
	// SuiteNext is the version to come. It knows revision 2026-07-28, and which scenarios a revision requires.
	SuiteNext Suite = "conformance-next"
)

// Conformance returns a command, not yet started, that runs the conformance suite's command line. It is killed when the
// context ends.
func (t *Toolchain) Conformance(ctx context.Context, suite Suite, args ...string) *exec.Cmd {
	main := filepath.Join(t.modules, filepath.FromSlash(string(suite)), "dist", "index.js")
	command := exec.CommandContext(ctx, t.node, append([]string{main}, args...)...)
	command.WaitDelay = 5 * time.Second
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "NO_COLOR=1"}
	return command
}
