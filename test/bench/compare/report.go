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

package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
)

// Report is everything that a comparison found out; it is the JSON output.
type Report struct {
	Date     string     `json:"date"`
	Machine  string     `json:"machine"`
	Pinned   string     `json:"pinned,omitempty"`
	Rounds   int        `json:"rounds"`
	Window   Duration   `json:"window"`
	Baseline string     `json:"baseline"`
	Cells    []Cell     `json:"cells"`
	Goals    []Goal     `json:"goals"`
	LeftOut  []string   `json:"leftOut,omitempty"`
	Outcomes []*Outcome `json:"outcomes"`
}

// Outcome has the measurements of one target in one cell.
type Outcome struct {
	Cell    string           `json:"cell"`
	Target  string           `json:"target"`
	Windows []measure.Window `json:"windows,omitempty"`
	Idle    []measure.Idle   `json:"idle,omitempty"`
	// LeftOut is why the target does not take part.
	LeftOut string `json:"leftOut,omitempty"`
	// Failure is why a measurement failed.
	Failure string `json:"failure,omitempty"`
}

func (o *Outcome) measured() bool {
	return o.Failure == "" && o.LeftOut == "" && len(o.Windows)+len(o.Idle) > 0
}

// ReadReport reads a report from a file.
func ReadReport(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &r, nil
}

func (r *Report) outcome(cell, target string) *Outcome {
	i := slices.IndexFunc(r.Outcomes, func(o *Outcome) bool { return o.Cell == cell && o.Target == target })
	if i < 0 {
		return nil
	}
	return r.Outcomes[i]
}

func (r *Report) cell(name string) Cell {
	i := slices.IndexFunc(r.Cells, func(c Cell) bool { return c.Name == name })
	if i < 0 {
		return Cell{}
	}
	return r.Cells[i]
}

// Failures says which measurements failed.
func (r *Report) Failures() []string {
	var all []string
	for _, o := range r.Outcomes {
		if o.Failure != "" {
			all = append(all, fmt.Sprintf("%s, %s: %s", o.Cell, o.Target, o.Failure))
		}
	}
	return all
}

// spread is the median and range of one figure over the rounds, with the second smallest and second largest values.
type spread struct{ median, min, max, min2, max2 float64 }

func spreadOf[T any](all []T, get func(T) float64) spread {
	if len(all) == 0 {
		nan := math.NaN()
		return spread{nan, nan, nan, nan, nan}
	}
	v := make([]float64, len(all))
	for i, w := range all {
		v[i] = get(w)
	}
	slices.Sort(v)
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1], v[min(1, n-1)], v[max(n-2, 0)]}
}

// width is the range as a share of the median.
func (s spread) width() float64 {
	if s.median == 0 {
		return 0
	}
	return (s.max - s.min) / s.median
}

func (s spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", number(s.median), number(s.min), number(s.max))
}

// number formats a figure with three significant digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// ratios compares round by round, so that a drift of the machine cancels.
func ratios(a, b []measure.Window, get func(measure.Window) float64) spread {
	n := min(len(a), len(b))
	r := make([]float64, 0, n)
	for i := range n {
		if d := get(b[i]); d > 0 {
			r = append(r, get(a[i])/d)
		}
	}
	return spreadOf(r, func(v float64) float64 { return v })
}

func perSecondOf(w measure.Window) float64 { return w.PerSecond }
func p50Of(w measure.Window) float64       { return w.P50 }
func p99Of(w measure.Window) float64       { return w.P99 }
func cpuOf(w measure.Window) float64       { return w.GatewayCPU }
