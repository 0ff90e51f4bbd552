//go:build linux

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

package process

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// burnVariable makes this program use CPU in place of testing.
const burnVariable = "BENCH_TEST_BURN"

func TestMain(m *testing.M) {
	if d, err := time.ParseDuration(os.Getenv(burnVariable)); err == nil {
		for end := OwnCPU() + d; OwnCPU() < end; { // busy
		}
		fmt.Println(OwnCPU())
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test has looked
		return
	}
	goleak.VerifyTestMain(m)
}

func TestCPUOfADescendantCounts(t *testing.T) {
	command := exec.Command("sh", "-c", os.Args[0]+"; true")
	command.Env = append(os.Environ(), burnVariable+"=300ms")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	want, err := time.ParseDuration(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	pid := command.Process.Pid
	got, memory := CPU([]int{pid}), MemoryOf([]int{pid})
	// In steps of 10 ms each of user and system time, and what the processes do besides.
	if got < want-20*time.Millisecond || got > want+100*time.Millisecond {
		t.Errorf("got %s, and the process says %s", got, want)
	}
	if memory.RSS < 1<<20 || memory.Peak < memory.RSS {
		t.Errorf("got %+v", memory)
	}
	if Ended(pid) {
		t.Error("it has ended")
	}
	_ = stdin.Close()
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	if !Ended(pid) {
		t.Error("it has not ended")
	}
}

func TestNothingIsUsedByNoProcess(t *testing.T) {
	if CPU(nil) != 0 || MemoryOf(nil) != (Memory{}) {
		t.Errorf("got %s, %+v", CPU(nil), MemoryOf(nil))
	}
}

func TestGoStats(t *testing.T) {
	for page, want := range map[string]GoStats{
		`{"cmdline":["x"],"memstats":{"TotalAlloc":10,"Mallocs":2,"NumGC":1}}`:                      {10, 2, 1},
		"heap profile: 0: 0\n# runtime.MemStats\n# TotalAlloc = 10\n# Mallocs = 2\n# NumGC = 1\n":   {10, 2, 1},
		"heap profile: 0: 0\n# runtime.MemStats\n# TotalAlloc = 1e99\n# Mallocs = 2\n# NumGC = 0\n": {1e99, 2, 0},
		"404 page not found\n":        {},
		"# TotalAlloc = 10\n":         {},
		`{"memstats":null}`:           {},
		"# TotalAlloc = x\n# NumGC =": {},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) }))
		got, err := FetchGoStats(server.URL)
		server.Close()
		if got != want || (err == nil) != (want != GoStats{}) {
			t.Errorf("%q: got %+v, %v", page, got, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestMachineAndCalibration(t *testing.T) {
	before := ReadMachine()
	if d := Calibrate(); d <= 0 {
		t.Errorf("calibration: %s", d)
	}
	busy, steal := ReadMachine().Busy(before)
	if before.cores < 1 || busy < 0 || steal < 0 {
		t.Errorf("got %+v, %v, %v", before, busy, steal)
	}
	if text := Describe(); !strings.Contains(text, "cores (") {
		t.Errorf("got %q", text)
	}
}
