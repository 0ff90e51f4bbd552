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
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

// clientScenarios are the suite's scenarios for clients, by the revision that its server speaks, without those about
// authorization: the gateway does not log in anywhere.
var clientScenarios = []struct {
	revision  string
	scenarios []string
}{
	{"2025-11-25", []string{
		"initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry", "json-schema-2020-12-preservation",
	}},
	{"2026-07-28", []string{
		"tools_call", "request-metadata", "sep-2322-client-request-state", "http-standard-headers", "http-custom-headers",
		"http-invalid-tool-headers", "json-schema-ref-no-deref", "json-schema-2020-12-preservation",
	}},
}

// TestClient: the suite's servers see in the gateway, with the Go SDK's everything-client before it, a client as good as
// everything-client itself.
func TestClient(t *testing.T) {
	p := thePrograms(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []era{legacy, modern} {
		t.Run(string(client), func(t *testing.T) {
			if *direct && client == legacy {
				t.Skip("without the gateway everything-client speaks what the suite's server does")
			}
			for _, suite := range clientScenarios {
				t.Run(suite.revision, func(t *testing.T) {
					file := fmt.Sprintf("client-%s-%s", suite.revision, client)
					expected, err := readBaseline(file)
					if err != nil {
						t.Fatal(err)
					}
					known := func(entry string) bool {
						name, _, _ := strings.Cut(entry, ":")
						return slices.Contains(suite.scenarios, name)
					}
					for _, entry := range expected.Client {
						if !known(entry) {
							t.Errorf("%s: %q is of a scenario that is not run", file, entry)
						}
					}
					for _, scenario := range suite.scenarios {
						t.Run(scenario, func(t *testing.T) {
							t.Parallel()
							testClient(t, p, self, client, suite.revision, scenario, file, expected.Client)
						})
					}
				})
			}
		})
	}
}

func testClient(t *testing.T, p *programs, self string, client era, revision, scenario, file string, expected []string) {
	expected = slices.DeleteFunc(slices.Clone(expected), func(entry string) bool {
		name, _, _ := strings.Cut(entry, ":")
		return name != scenario
	})
	command := self
	if *direct {
		command = p.everythingClient
	}
	// The suite gives the command to a shell, which is to be that command, so that the suite can end it.
	args := []string{
		"client", "--command", "exec " + command, "--scenario", scenario, "--spec-version", revision,
		"--timeout", fmt.Sprint((clientTimeout + patience).Milliseconds()),
	}
	if len(expected) > 0 {
		args = append(args, "--expected-failures", baselinePath(file))
	}
	environment := []string{clientVariable + "=" + p.everythingClient, eraVariable + "=" + string(client)}
	run := runSuite(t, p, node.SuiteNext, environment, args...)
	run.report(t, expected)
	if t.Failed() {
		t.Logf("output of the suite and of the gateway:\n%s", run.printed)
	}
}

// The suite runs this test program again as the client: a gateway before the server whose URL is the last argument, and
// everything-client before that.
const (
	// clientVariable has the path of everything-client.
	clientVariable = "CONFORMANCE_EVERYTHING_CLIENT"
	// eraVariable has what everything-client is to speak.
	eraVariable = "CONFORMANCE_CLIENT_ERA"
	// clientTimeout is how long everything-client may take.
	clientTimeout = 30 * time.Second
)

// clientMain returns the exit status of everything-client.
func clientMain(program string) int {
	if err := clientThroughGateway(program, os.Args[len(os.Args)-1], era(os.Getenv(eraVariable))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func clientThroughGateway(program, server string, speaks era) (err error) {
	gateway, err := startGateway(bySelector, server)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := gateway.close(); err == nil {
			err = closeErr
		}
		fmt.Fprintln(os.Stderr, gateway.log)
	}()
	address := gateway.url
	if speaks == legacy {
		old, end, err := onlyOf(legacy, address)
		if err != nil {
			return err
		}
		defer end()
		address = old
	}
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	client := exec.CommandContext(ctx, program, address)
	client.Stdout, client.Stderr = os.Stdout, os.Stderr
	if err := client.Run(); err != nil {
		return fmt.Errorf("everything-client: %w", err)
	}
	return nil
}
