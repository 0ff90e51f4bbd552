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
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

// runTimeout is how long a run of the suite may take.
const runTimeout = 3 * time.Minute

// runOfSuite is a finished run of the suite.
type runOfSuite struct {
	results []scenario
	printed string
	status  int
}

// runSuite runs the suite's command line. The results go to a folder of the test's own.
func runSuite(t *testing.T, p *programs, version node.Suite, environment []string, args ...string) runOfSuite {
	t.Helper()
	folder := t.TempDir()
	if *resultsFolder != "" {
		folder = filepath.Join(*resultsFolder, filepath.FromSlash(t.Name()))
		if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
	defer cancel()
	command := p.tools.Conformance(ctx, version, append(args, "--output-dir", folder)...)
	command.Env = append(command.Env, environment...)
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the suite did not end: %v\n%s", ctx.Err(), output)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run the suite: %v\n%s", err, output)
	}
	r := runOfSuite{printed: string(output), status: command.ProcessState.ExitCode()}
	if r.results, err = readResults(folder, r.printed); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if len(r.results) == 0 {
		t.Fatalf("the suite wrote no results\n%s", output)
	}
	return r
}

// report logs what was found, and fails the test if that is not what was expected.
func (r runOfSuite) report(t *testing.T, expected []string) verdict {
	t.Helper()
	v := judge(r.results, expected)
	t.Log(tell(r.results, v))
	for _, failure := range v.unexpected {
		t.Errorf("failed: %s", failure)
	}
	for _, entry := range v.stale {
		t.Errorf("passes, so its entry among the expected failures has to go: %s", entry)
	}
	if r.status != 0 && !t.Failed() {
		t.Errorf("no check failed, but the suite's exit status is %d:\n%s", r.status, r.printed)
	}
	return v
}

// logWhenFailed shows what the gateway had to say.
func logWhenFailed(t *testing.T, what string, log *lockedBuffer) {
	t.Helper()
	if !t.Failed() {
		return
	}
	const limit = 8000
	text := log.String()
	if len(text) > limit {
		text = "… " + text[len(text)-limit:]
	}
	t.Logf("%s:\n%s", what, strings.TrimSpace(text))
}
