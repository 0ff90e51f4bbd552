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
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// GoStats are counters of a Go process since its start.
type GoStats struct{ TotalAlloc, Mallocs, NumGC float64 }

// FetchGoStats reads them from an expvar page or from /debug/pprof/heap?debug=1.
func FetchGoStats(url string) (GoStats, error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return GoStats{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return GoStats{}, err
	}
	s, ok := parseGoStats(b)
	if !ok {
		return GoStats{}, fmt.Errorf("%s: status %d, without Go memory statistics", url, resp.StatusCode)
	}
	return s, nil
}

func parseGoStats(b []byte) (GoStats, bool) {
	var page struct{ Memstats *GoStats }
	if json.Unmarshal(b, &page) == nil && page.Memstats != nil {
		return *page.Memstats, true
	}
	var s GoStats
	found := 0
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "# "), " = ")
		counter := map[string]*float64{"TotalAlloc": &s.TotalAlloc, "Mallocs": &s.Mallocs, "NumGC": &s.NumGC}[name]
		if n, err := strconv.ParseFloat(strings.TrimSpace(value), 64); counter != nil && err == nil {
			*counter = n
			found++
		}
	}
	return s, found == 3
}
