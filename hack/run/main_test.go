//go:build unix

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
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

const (
	root = "../.."
	// patience is how long something may take on a busy machine.
	patience = 20 * time.Second
)

// programs is the directory of the three programs, as `make run` builds them.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "run-samples-"); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(programs) }()
		for name, source := range map[string]string{
			"dynamic-mcp": "./cmd", "sample-server": "./examples/server", "run-samples": "./hack/run",
		} {
			build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(programs, name), source)
			build.Dir = root
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if output, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", source, err, output)
				return 1
			}
		}
		return m.Run()
	}())
}

// running is a started `make run`.
type running struct {
	cmd   *exec.Cmd
	ports []int
	dir   string
	ended chan error
	mu    sync.Mutex
	said  strings.Builder
}

func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(b)
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

// start starts it on three ports that are free, or on these.
func start(t *testing.T, ports ...int) *running {
	t.Helper()
	g := NewWithT(t)
	for len(ports) < 3 {
		ports = append(ports, servertest.FreePort("127.0.0.1"))
	}
	r := &running{ports: ports, dir: t.TempDir(), ended: make(chan error, 1)}
	r.cmd = exec.Command(filepath.Join(programs, "run-samples"), "--bin", programs, "--dir", r.dir,
		"--port", strconv.Itoa(ports[0]), "--first-port", strconv.Itoa(ports[1]), "--weather-port", strconv.Itoa(ports[2]))
	r.cmd.Dir = root
	r.cmd.Stdout, r.cmd.Stderr = r, r
	g.Expect(r.cmd.Start()).To(Succeed())
	go func() { r.ended <- r.cmd.Wait() }()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		if t.Failed() {
			t.Log(r.output())
		}
	})
	return r
}

func startReady(t *testing.T) *running {
	t.Helper()
	r := start(t)
	NewWithT(t).Eventually(r.output).WithTimeout(patience).Should(ContainSubstring("Ctrl-C ends"))
	return r
}

// processes returns the parts' process ids by their names.
func (r *running) processes() map[string]int {
	ids := map[string]int{}
	for _, match := range regexp.MustCompile(`(?m)^(\w+) +\| started, process (\d+)$`).FindAllStringSubmatch(r.output(), -1) {
		ids[match[1]], _ = strconv.Atoi(match[2])
	}
	return ids
}

// expectEnd waits until it has ended, and with it all its parts.
func (r *running) expectEnd(t *testing.T, processes map[string]int) error {
	t.Helper()
	g := NewWithT(t)
	g.Expect(processes).To(HaveLen(3))
	var err error
	g.Eventually(r.ended).WithTimeout(patience).Should(Receive(&err))
	for name, id := range processes {
		g.Expect(syscall.Kill(id, 0)).To(MatchError(syscall.ESRCH), name)
	}
	return err
}

// line returns the first line of the guide that begins with these words.
func (r *running) line(t *testing.T, words string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^  (` + regexp.QuoteMeta(words) + `.*)$`).FindStringSubmatch(r.output())
	NewWithT(t).Expect(line).NotTo(BeNil())
	return line[1]
}

// paste runs lines of the guide as a user would.
func paste(t *testing.T, lines ...string) string {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "bash", "-ec", strings.Join(lines, "\n"))
	shell.Dir = root
	output, err := shell.CombinedOutput()
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), string(output))
	return string(output)
}

// This is the story that the README tells.
func TestLabelEditChangesTheToolsOfConnectedClients(t *testing.T) {
	g := NewWithT(t)
	r := startReady(t)
	processes := r.processes()
	g.Expect(r.output()).To(ContainSubstring("with the tools add countdown echo greet\n"))

	changed := make(chan struct{}, 8)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} },
	})
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: fmt.Sprintf("http://127.0.0.1:%d/mcp", r.ports[0])}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = session.Close() }()
	tools := func() ([]string, error) { return listTools(t.Context(), session) }
	g.Expect(tools()).To(ConsistOf("add", "countdown", "echo", "greet"))

	mcpLines := []string{r.line(t, "mcp() {"), r.line(t, "session=$("), r.line(t, `mcp -H "Mcp-Session-Id: $session" -d '{"jsonrpc":"2.0","method`)}
	g.Expect(paste(t, append(mcpLines, r.line(t, `mcp -H "Mcp-Session-Id: $session" -d '{"jsonrpc":"2.0","id":2`))...)).
		To(ContainSubstring(`"name":"countdown"`))

	paste(t, r.line(t, "sed -i.bak"))
	g.Eventually(changed).WithTimeout(patience).Should(Receive())
	g.Eventually(tools).WithTimeout(patience).Should(ConsistOf("add", "countdown", "echo", "greet", "forecast", "weather_echo"))
	g.Eventually(r.output).WithTimeout(patience).Should(ContainSubstring("(+weather_echo +forecast)"))
	for tool, want := range map[string]string{"echo": "Echo: hi", "weather_echo": "Echo: hi"} {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"message": "hi"}})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(result.Content[0]).To(HaveField("Text", want))
	}

	g.Expect(os.Rename(filepath.Join(r.dir, "weather.yaml.bak"), filepath.Join(r.dir, "weather.yaml"))).To(Succeed())
	g.Eventually(tools).WithTimeout(patience).Should(ConsistOf("add", "countdown", "echo", "greet"))

	g.Expect(r.cmd.Process.Signal(os.Interrupt)).To(Succeed())
	g.Expect(r.expectEnd(t, processes)).To(Succeed())
}

func TestServerThatIsNotReadyForAWhile(t *testing.T) {
	g := NewWithT(t)
	r := startReady(t)
	endpoints := filepath.Join(r.dir, "endpoints.yaml")
	ready, err := os.ReadFile(endpoints)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(endpoints, append(ready, "  conditions: {ready: false}\n"...), 0o600)).To(Succeed())
	g.Eventually(r.output).WithTimeout(patience).Should(ContainSubstring("there are no tools now (-add -countdown -echo -greet)"))
	g.Expect(os.WriteFile(endpoints, ready, 0o600)).To(Succeed())
	g.Eventually(r.output).WithTimeout(patience).Should(ContainSubstring(
		"the tools are now: add countdown echo greet (+add +countdown +echo +greet)"))
}

func TestSignalsEndEverything(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE} {
		t.Run(signal.String(), func(t *testing.T) {
			g := NewWithT(t)
			r := startReady(t)
			processes := r.processes()
			g.Expect(r.cmd.Process.Signal(signal)).To(Succeed())
			g.Expect(r.expectEnd(t, processes)).To(Succeed())
		})
	}
}

func TestOnePartThatEndsEndsEverythingAndIsNamed(t *testing.T) {
	g := NewWithT(t)
	r := startReady(t)
	processes := r.processes()
	g.Expect(syscall.Kill(processes["weather"], syscall.SIGKILL)).To(Succeed())
	g.Expect(r.expectEnd(t, processes)).NotTo(Succeed())
	g.Expect(r.output()).To(MatchRegexp(`Error: weather \(\S+\) ended: signal: killed; so everything ends. Its last lines:\n  MCP server "weather"`))
}

func TestPartsDontOutliveARunnerThatIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends processes with their parent")
	}
	g := NewWithT(t)
	r := startReady(t)
	g.Expect(r.cmd.Process.Kill()).To(Succeed())
	for _, port := range r.ports {
		g.Eventually(func() error {
			connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = connection.Close()
			}
			return err
		}).WithTimeout(patience).Should(MatchError(syscall.ECONNREFUSED))
	}
}

func TestPortInUseIsNamedWithTheCure(t *testing.T) {
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = listener.Close() }()
	port := listener.Addr().(*net.TCPAddr).Port
	r := start(t, port)
	var exit *exec.ExitError
	g.Eventually(r.ended).WithTimeout(patience).Should(Receive(&err))
	g.Expect(errors.As(err, &exit)).To(BeTrue())
	g.Expect(r.output()).To(And(
		ContainSubstring("port %d, for the gateway, can't be had", port),
		ContainSubstring("lsof -nP -iTCP:%d", port),
		ContainSubstring("make run PORT="),
	))
	g.Expect(r.processes()).To(BeEmpty())
}

func TestSamplesHaveThePortsThatAreReplaced(t *testing.T) {
	g := NewWithT(t)
	_, err := withPorts("gateway.yaml", []byte("port: 80\n"), options{port: 8081})
	g.Expect(err).To(MatchError(`gateway.yaml has no line "port: 8080"`))
	g.Expect(withPorts("gateway.yaml", []byte("  - port: 8080\n    name: http\n"), options{port: 8081})).
		To(Equal([]byte("  - port: 8081\n    name: http\n")))
}
