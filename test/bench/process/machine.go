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
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Machine is a snapshot of the whole machine's CPU time.
type Machine struct {
	at          time.Time
	cores       int // of the machine, whatever this process is pinned to
	idle, steal time.Duration
}

// ReadMachine takes a snapshot.
func ReadMachine() Machine {
	b, _ := os.ReadFile("/proc/stat")
	line, rest, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal
	m := Machine{at: time.Now()}
	for l := range strings.Lines(rest) {
		if strings.HasPrefix(l, "cpu") {
			m.cores++
		}
	}
	if len(fields) > 8 {
		ticks := func(field int) time.Duration {
			n, _ := strconv.Atoi(fields[field])
			return time.Duration(n) * tick
		}
		m.idle, m.steal = ticks(4)+ticks(5), ticks(8)
	}
	return m
}

// Busy returns how many cores were busy, and how many were stolen, since an earlier snapshot.
func (m Machine) Busy(since Machine) (busy, steal float64) {
	wall := m.at.Sub(since.at).Seconds()
	steal = (m.steal - since.steal).Seconds() / wall
	return max(float64(m.cores)-(m.idle-since.idle).Seconds()/wall-steal, 0), steal
}

// Calibrate times a fixed piece of work, half of it hashing and half system calls: the best of five. It shows how fast
// the machine, perhaps a virtual one, is at the moment, whatever the reason.
func Calibrate() time.Duration {
	var pipe [2]int
	if syscall.Pipe(pipe[:]) != nil {
		return 0
	}
	defer func() {
		_ = syscall.Close(pipe[0])
		_ = syscall.Close(pipe[1])
	}()
	best := time.Hour
	var buffer [4096]byte
	for range 5 {
		start := time.Now()
		for range 300 {
			sum := sha256.Sum256(buffer[:])
			copy(buffer[:], sum[:])
		}
		for range 1000 {
			throughPipe(pipe, buffer[:64])
		}
		best = min(best, time.Since(start))
	}
	return best
}

func throughPipe(pipe [2]int, b []byte) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(pipe[1]), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(pipe[0]), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
}

// Describe says what the machine is, for the head of a report.
func Describe() string {
	model := "unknown CPU"
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d cores (%s), Linux %s, %s", ReadMachine().cores, model, strings.TrimSpace(string(release)), runtime.Version())
}
