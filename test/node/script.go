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
	"os"
	"os/exec"
)

// Script returns a command, not yet started, that runs the source of an ECMAScript module. The module can import the
// packages, and has its standard input to itself.
func (t *Toolchain) Script(source string, args ...string) *exec.Cmd {
	command := exec.Command(t.node, append([]string{"--input-type=module", "--eval", source, "--"}, args...)...)
	// A module without a file finds packages from the working directory on.
	command.Dir = t.modules
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	return command
}
