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

package validate

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestTargetName(t *testing.T) {
	const grammar = "must consist of lowercase letters, digits and '-', and start and end with a letter or digit"
	for name, want := range map[string]string{
		"a":                     "",
		"0":                     "",
		"mcp-server--2":         "",
		strings.Repeat("a", 63): "",
		"":                      "must not be empty",
		strings.Repeat("a", 64): "must be at most 63 characters long, but has 64",
		"My_Server":             grammar + `: write for example "my-server"`,
		"-a-":                   grammar + `: write for example "a"`,
		"a.b":                   grammar + `: write for example "a-b"`,
		"é1":                    grammar + `: write for example "1"`,
		"é":                     grammar,
		"---":                   grammar,
	} {
		g := NewWithT(t)
		if err := TargetName(name); want == "" {
			g.Expect(err).NotTo(HaveOccurred(), "%q", name)
		} else {
			g.Expect(err).To(MatchError(want), "%q", name)
		}
	}
}
