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

// Package process reads from /proc what processes and the whole machine use.
package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of the CPU times in /proc (USER_HZ): 100 a second on every Linux that Go supports.
const tick = 10 * time.Millisecond

// stat has what is used of /proc/PID/stat.
type stat struct {
	parent int
	zombie bool
	cpu    time.Duration // user and system, with children that were waited for
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name in parentheses may contain spaces.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	s := stat{zombie: fields[0] == "Z"}
	s.parent, _ = strconv.Atoi(fields[1])
	for _, f := range fields[11:15] { // utime stime cutime cstime
		n, _ := strconv.Atoi(f)
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}

// Ended returns whether a process is gone, or is only waited for.
func Ended(pid int) bool {
	s, err := readStat(pid)
	return err != nil || s.zombie
}

// tree returns the given processes and all their descendants.
func tree(roots []int) []int {
	if len(roots) == 0 {
		return nil
	}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	children := map[int][]int{}
	for _, folder := range folders {
		pid, _ := strconv.Atoi(filepath.Base(folder))
		if s, err := readStat(pid); err == nil {
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	all := slices.Clone(roots)
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// CPU returns the CPU time that processes and their descendants have used so far, in steps of 10 ms.
func CPU(roots []int) time.Duration {
	var sum time.Duration
	for _, pid := range tree(roots) {
		if s, err := readStat(pid); err == nil {
			sum += s.cpu
		}
	}
	return sum
}

// OwnCPU returns the CPU time that this process has used so far.
func OwnCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
