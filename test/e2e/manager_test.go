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

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// walkthroughPort is the port of the walkthrough's Gateway, which is applied unchanged.
const walkthroughPort = "8080"

// buildBinary builds the binary, with the race detector where there is a C compiler.
func buildBinary(ctx context.Context) string {
	GinkgoHelper()
	binary := filepath.Join(artifacts, "dynamic-mcp")
	DeferCleanup(func() { _ = os.Remove(binary) }) // Also when the logs beside it are kept.
	args := []string{"build", "-o", binary}
	if _, err := exec.LookPath("cc"); err == nil {
		args = append(args, "-race")
	}
	command := exec.CommandContext(ctx, "go", append(args, "./cmd")...)
	command.Dir = repository()
	output, err := command.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(output))
	return binary
}

// managerProcess is "dynamic-mcp manager" with its proxies as child processes.
type managerProcess struct {
	// proxyAddress is where its proxies bind.
	proxyAddress string
	// logFile has the output of every run of the manager, and of its proxies.
	logFile string

	binary string
	args   []string
	ready  string // URL that answers 200 once it works
	run    *managerRun
}

type managerRun struct {
	command *exec.Cmd
	exited  chan struct{}
}

func newManager(binary string, api *apiServer) *managerProcess {
	GinkgoHelper()
	m := &managerProcess{
		proxyAddress: freeLoopbackAddress(walkthroughPort),
		logFile:      filepath.Join(artifacts, "manager.log"),
		binary:       binary,
	}
	probes := net.JoinHostPort(m.proxyAddress, strconv.Itoa(servertest.FreePort(m.proxyAddress)))
	m.ready = "http://" + probes + "/readyz"
	m.args = []string{
		"manager",
		"--proxy-runtime=subprocess",
		"--kubeconfig=" + api.managerKubeconfig,
		"--proxy-bind-address=" + m.proxyAddress,
		"--health-probe-bind-address=" + probes,
		"--webhook-cert-dir=" + api.webhook.LocalServingCertDir,
		"--webhook-host=" + api.webhook.LocalServingHost,
		"--webhook-port=" + strconv.Itoa(api.webhook.LocalServingPort),
	}
	return m
}

// freeLoopbackAddress returns a loopback address on which nobody listens at the port: so the walkthrough's own port
// works beside whatever else runs here. It begins with one that follows from the process id, so that suites that run
// at the same time do not meet.
func freeLoopbackAddress(port string) string {
	GinkgoHelper()
	candidates := make([]string, 0, 17)
	for i := range 16 {
		n := os.Getpid() + i
		candidates = append(candidates, netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(2 + n%250)}).String())
	}
	// Some systems have no other loopback address than this.
	candidates = append(candidates, "127.0.0.1")
	var last error
	for _, candidate := range candidates {
		listener, err := net.Listen("tcp", net.JoinHostPort(candidate, port))
		if err == nil {
			Expect(listener.Close()).To(Succeed())
			return candidate
		}
		last = err
	}
	Fail(fmt.Sprintf("port %s, which the walkthrough's Gateway has, is taken on every loopback address: %v", port, last))
	return ""
}

// start starts the manager and returns when it works.
func (m *managerProcess) start() {
	GinkgoHelper()
	log, err := os.OpenFile(m.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = log.Close() }() // The process has its own handle.
	command := exec.Command(m.binary, m.args...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + artifacts, "TMPDIR=" + artifacts}
	command.Stdout, command.Stderr = log, log
	Expect(command.Start()).To(Succeed())
	run := &managerRun{command: command, exited: make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(run.exited)
	}()
	m.run = run

	Eventually(func() (int, error) {
		select {
		case <-run.exited:
			return 0, StopTrying("the manager ended: " + run.command.ProcessState.String() + "\n" + tail(m.log(), 30))
		default:
		}
		answer, err := rawClient{url: m.ready, method: http.MethodGet}.send(context.Background(), "")
		return answer.status, err
	}).WithTimeout(time.Minute).Should(Equal(http.StatusOK))
}

// signal sends the manager a signal and returns its exit status when it has ended; -1 if the signal killed it.
func (m *managerProcess) signal(signal os.Signal) int {
	GinkgoHelper()
	Expect(m.run.command.Process.Signal(signal)).To(Succeed())
	Eventually(m.run.exited).WithTimeout(45 * time.Second).Should(BeClosed())
	return m.run.command.ProcessState.ExitCode()
}

// stop ends the manager, politely if it listens, and whatever it left behind.
func (m *managerProcess) stop() {
	if m.run == nil {
		return
	}
	children := m.proxies()
	_ = m.run.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.run.exited:
	case <-time.After(30 * time.Second):
		_ = m.run.command.Process.Kill()
		<-m.run.exited
	}
	for _, child := range children {
		if running(child) {
			kill(child)
		}
	}
}

// proxies returns the process ids of the manager's children.
func (m *managerProcess) proxies() []int {
	var children []int
	for _, p := range processes() {
		if p.parent == m.run.command.Process.Pid && !p.zombie {
			children = append(children, p.id)
		}
	}
	return children
}

// log returns what manager and proxies have printed so far.
func (m *managerProcess) log() string {
	content, err := os.ReadFile(m.logFile)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// process is a process of this machine.
type process struct {
	id, parent int
	zombie     bool
}

func processes() []process {
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		Fail("list processes with ps: " + err.Error())
	}
	var list []process
	lines := bufio.NewScanner(strings.NewReader(string(output)))
	for lines.Scan() {
		var p process
		var state string
		if _, err := fmt.Sscan(lines.Text(), &p.id, &p.parent, &state); err == nil {
			p.zombie = strings.HasPrefix(state, "Z")
			list = append(list, p)
		}
	}
	return list
}

// running returns whether a process runs. One that has ended and was not waited for does not.
func running(id int) bool {
	for _, p := range processes() {
		if p.id == id {
			return !p.zombie
		}
	}
	return false
}

func kill(id int) {
	if p, err := os.FindProcess(id); err == nil {
		_ = p.Kill()
	}
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
