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

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

const (
	goodBackend = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: good}
spec: {type: MCP, mcp: {targets: [{name: t, static: {host: mcp.example.com, port: 80}}]}}
`
	warnedBackend = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: warned}
spec: {type: MCP, mcp: {targets: [{name: t, static: {host: mcp.default.svc, port: 80}}]}}
`
	badBackend = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: bad}
spec: {type: MCP, mcp: {targets: [{name: t, statik: {host: mcp.example.com, port: 80}}]}}
`
	localBackend = `
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: local}
spec: {type: MCP, mcp: {targets: [{name: t, static: {host: localhost, port: 80}}]}}
`
)

// runCommand runs the program and returns its exit status and output.
func runCommand(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	root := newRootCommand()
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		status = 1
		if exit, ok := errors.AsType[exitError](err); ok {
			status = exit.status
		}
	}
	return status, out.String(), errOut.String()
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		stdin          string
		args           []string
		status         int
		stdout, stderr []string
		silent         bool
	}{
		"nothing wrong": {
			stdin: goodBackend, args: []string{"-f", "-"}, silent: true,
			stderr: []string{"1 object in 1 file checked, 0 ignored: 0 errors, 0 warnings\n"},
		},
		"warnings": {
			stdin: warnedBackend, args: []string{"-f", "-"},
			stdout: []string{"standard input:5:54: warning: Backend default/warned: spec.mcp.targets[0].static.host:"},
			stderr: []string{"0 errors, 1 warning\n"},
		},
		"warnings that count": {stdin: warnedBackend, args: []string{"-f", "-", "--strict"}, status: 1, stdout: []string{"warning"}},
		"an error": {
			stdin: badBackend, args: []string{"-f", "-"}, status: 1,
			stdout: []string{`standard input:5:45: error: Backend default/bad: unknown field "spec.mcp.targets[0].statik": did you mean "static"?` + "\n"},
			stderr: []string{"1 error, 0 warnings\n"},
		},
		"annotations": {
			stdin: badBackend, args: []string{"-f", "-", "-o", "github"}, status: 1,
			stdout: []string{"::error file=standard input,line=5,col=45,title=Backend default/bad::unknown field"},
		},
		"JSON": {
			stdin: badBackend, args: []string{"-f", "-", "-o", "json"}, status: 1, stdout: []string{`"errors": 1,`, `"line": 5,`},
		},
		"a loopback address":             {stdin: localBackend, args: []string{"-f", "-"}, status: 1, stdout: []string{"must not be a loopback address"}},
		"a loopback address is allowed":  {stdin: localBackend, args: []string{"-f", "-", "--allow-loopback"}, silent: true},
		"another cluster domain":         {stdin: strings.Replace(warnedBackend, ".svc", ".svc.corp.example", 1), args: []string{"-f", "-", "--cluster-domain", "corp.example"}, stdout: []string{"this is a Service of the cluster"}},
		"no files":                       {args: nil, status: 2, stderr: []string{"--filename (-f) is required"}},
		"an argument":                    {args: []string{"x.yaml"}, status: 2, stderr: []string{"write -f x.yaml"}},
		"an unknown flag":                {args: []string{"--files=x"}, status: 2, stderr: []string{"unknown flag"}},
		"an unknown format":              {args: []string{"-f", "-", "-o", "xml"}, status: 2, stderr: []string{`--output must be text, json or github, not "xml"`}},
		"a file that is not there":       {args: []string{"-f", "missing.yaml"}, status: 2, stderr: []string{"missing.yaml"}},
		"a directory without manifests":  {args: []string{"-f", "."}, status: 2, stderr: []string{"there are no files"}},
		"one file is there, and is told": {stdin: badBackend, args: []string{"-f", "missing.yaml", "-f", "-"}, status: 2, stdout: []string{"statik"}, stderr: []string{"missing.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			t.Chdir(t.TempDir())
			status, stdout, stderr := runCommand(t, test.stdin, append([]string{"validate"}, test.args...)...)
			g.Expect(status).To(Equal(test.status), "%s%s", stdout, stderr)
			for _, want := range test.stdout {
				g.Expect(stdout).To(ContainSubstring(want))
			}
			for _, want := range test.stderr {
				g.Expect(stderr).To(ContainSubstring(want))
			}
			if test.silent || len(test.stdout) == 0 {
				g.Expect(stdout).To(BeEmpty())
			}
			g.Expect(strings.Contains(stderr, "Error:")).To(Equal(test.status == 2), stderr)
		})
	}
}

func TestValidateTakesTheSamplesAsTheyAre(t *testing.T) {
	g := NewWithT(t)
	samples := filepath.Join("..", "config", "samples")
	for _, path := range []string{filepath.Join(samples, "walkthrough"), filepath.Join(samples, "local"), samples} {
		status, stdout, _ := runCommand(t, "", "validate", "--strict", "--allow-external-name", "--allow-loopback", "-f", path)
		g.Expect(status).To(Equal(0), stdout)
	}
}

func TestStandaloneFlags(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no files":         {nil, "--filename (-f) is required"},
		"standard input":   {[]string{"-f", "-"}, "standard input can't be read again"},
		"a name to bind":   {[]string{"-f", "x", "--bind-address", "localhost"}, "--bind-address must be an IP address"},
		"an admin port":    {[]string{"-f", "x", "--admin-address", "19000"}, "--admin-address must be HOST:PORT"},
		"no origin":        {[]string{"-f", "x", "--allowed-origins", "example.com"}, "--allowed-origins must be origins"},
		"no time to drain": {[]string{"-f", "x", "--drain-timeout", "0s"}, "--drain-timeout must be positive"},
		"a loud log":       {[]string{"-f", "x", "--log-level", "loud"}, "--log-level must be"},
		"a missing file":   {[]string{"-f", filepath.Join(t.TempDir(), "missing.yaml")}, "missing.yaml: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, stderr := runCommand(t, "", append([]string{"standalone"}, test.args...)...)
			NewWithT(t).Expect(stderr).To(ContainSubstring(test.want))
			NewWithT(t).Expect(status).To(Equal(1))
		})
	}
}

func TestStandaloneWarnsOfListeningBeyondThisMachine(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "bad.yaml")
	g.Expect(os.WriteFile(file, []byte(badBackend), 0o600)).To(Succeed())
	for address, warned := range map[string]bool{"": true, "0.0.0.0": true, "::1": false, "127.0.0.1": false} {
		status, stdout, stderr := runCommand(t, "", "standalone", "-f", file, "--bind-address", address)
		g.Expect(status).To(Equal(1))
		g.Expect(stdout).To(BeEmpty())
		g.Expect(stderr).To(ContainSubstring(`did you mean "static"?`))
		g.Expect(strings.Contains(stderr, "clients are not authenticated")).To(Equal(warned), stderr)
	}
}
