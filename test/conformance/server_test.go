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
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

// serverSuites are the runs that one URL has to pass.
var serverSuites = []struct {
	name    string
	version node.Suite
	args    []string
	era     era
	// scenarios are run, and of their checks, passed pass where the server behind the gateway is of the suite's era: as
	// many as without a gateway.
	scenarios, passed int
}{
	{"0.1.16", node.SuiteReleased, []string{"--suite", "active"}, legacy, 30, 40},
	{"2025-11-25", node.SuiteNext, []string{"--requirements", "2025-11-25"}, legacy, 33, 82},
	{"2026-07-28", node.SuiteNext, []string{"--requirements", "2026-07-28"}, modern, 50, 165},
}

// TestServer: the gateway, with one server behind it, passes the suite as that server does.
func TestServer(t *testing.T) {
	p := thePrograms(t)
	for _, upstream := range []era{legacy, modern} {
		for _, kind := range []targetKind{bySelector, static} {
			t.Run(fmt.Sprintf("%s-%s", upstream, kind), func(t *testing.T) {
				t.Parallel()
				testServer(t, p, upstream, kind)
			})
		}
	}
}

// testServer runs every suite against one URL.
func testServer(t *testing.T, p *programs, upstream era, kind targetKind) {
	url := startEverythingServer(t, p.everythingServer, upstream)
	if !*direct {
		url = speakingOnly(t, upstream, url)
		gateway, err := startGateway(kind, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := gateway.close(); err != nil {
				t.Errorf("the gateway: %v", err)
			}
			logWhenFailed(t, "log of the gateway", gateway.log)
		})
		url = gateway.url
	}
	for _, suite := range serverSuites {
		t.Run(suite.name, func(t *testing.T) {
			if *direct && (suite.era != upstream || kind != bySelector) {
				t.Skip("there is nothing to test without the gateway")
			}
			file := fmt.Sprintf("server-%s-%s", suite.name, upstream)
			expected, err := readBaseline(file)
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"server", "--url", url}, suite.args...)
			if suite.era != upstream && len(expected.Server) > 0 {
				// Where the eras are the same, the suite is told of no exception: all that a revision requires has to pass.
				args = append(args, "--expected-failures", baselinePath(file))
			}
			run := runSuite(t, p, suite.version, nil, args...)
			verdict := run.report(t, expected.Server)
			if len(run.results) != suite.scenarios {
				t.Errorf("%d scenarios were run, not %d", len(run.results), suite.scenarios)
			}
			if suite.era == upstream && verdict.passed != suite.passed {
				t.Errorf("%d checks passed, not %d as without the gateway", verdict.passed, suite.passed)
			}
		})
	}
}

// speakingOnly is the server at a URL without what it speaks of the other era.
func speakingOnly(t *testing.T, speaks era, url string) string {
	t.Helper()
	only, end, err := onlyOf(speaks, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return only
}

// untilStdinEnds runs a program that would not end by itself until standard input ends, so that it never outlives the
// tests, however they end.
const untilStdinEnds = `"$0" "$@" & trap "kill $!" EXIT; cat >/dev/null`

// startEverythingServer starts the Go SDK's everything-server and returns its URL once it accepts connections.
func startEverythingServer(t *testing.T, program string, speaks era) string {
	t.Helper()
	port := servertest.FreePort("127.0.0.1")
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	// With sessions it serves the legacy revisions only.
	command := exec.Command("sh", "-c", untilStdinEnds, program,
		"-http="+address, fmt.Sprintf("-stateless=%t", speaks == modern))
	output := &lockedBuffer{}
	command.Stdout, command.Stderr = output, output
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait() // The shell's exit status is that of the trap.
		logWhenFailed(t, "output of everything-server", output)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = connection.Close()
			return "http://localhost:" + strconv.Itoa(port) + "/"
		}
		select {
		case <-ctx.Done():
			t.Fatalf("everything-server does not listen: %v\n%s", err, output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
