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
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what processes occupy, in bytes. Of several processes, RSS and Peak count shared pages once for each; PSS
// counts them once.
type Memory struct {
	RSS  int64 `json:"rss"`
	Peak int64 `json:"peak"`
	PSS  int64 `json:"pss"`
}

// MemoryOf returns what processes and their descendants occupy.
func MemoryOf(roots []int) Memory {
	var m Memory
	for _, pid := range tree(roots) {
		m.RSS += kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
		m.Peak += kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
		m.PSS += kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	}
	return m
}

// ResetPeak makes the peak begin again at what is occupied now.
func ResetPeak(roots []int) {
	for _, pid := range tree(roots) {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}

func kilobytes(file, field string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, field)
		if values := strings.Fields(rest); ok && len(values) > 0 {
			n, _ := strconv.ParseInt(values[0], 10, 64)
			return n << 10
		}
	}
	return 0
}
