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
	"fmt"
	"io"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
)

// Goal is what a target should reach in a cell: CPU per call as a multiple of another target's, or, in an idle cell, the
// memory of each thing held.
type Goal struct {
	Cell   string `json:"cell"`
	Target string `json:"target"`
	// Over is the target to divide by; empty in an idle cell.
	Over string `json:"over,omitempty"`
	// AtMost is the largest ratio, or in an idle cell the largest number of KB.
	AtMost float64 `json:"atMost"`
}

// Verdict is a goal and what was measured.
type Verdict struct {
	Goal
	What string
	// Value is the ratio of the best windows, or KB.
	Value float64
	// Range is of the ratios within each round.
	Range   string
	Reached bool
	// Noisy: other processes disturbed all windows, so that the value means little.
	Noisy bool
}

// Verdicts judges the goals of the cells that were measured. A goal whose targets were left out, or whose measurement
// failed, is not judged.
func (r *Report) Verdicts() []Verdict {
	var all []Verdict
	for _, g := range r.Goals {
		if v, ok := r.judge(g); ok {
			all = append(all, v)
		}
	}
	return all
}

func (r *Report) judge(g Goal) (Verdict, bool) {
	v := Verdict{Goal: g, Range: "-"}
	target := r.outcome(g.Cell, g.Target)
	if target == nil || !target.measured() {
		return v, false
	}
	if cell := r.cell(g.Cell); cell.Workload == load.Idle {
		v.What = fmt.Sprintf("%s: KB for each of %d %s, %s", g.Cell, cell.Clients, target.Idle[0].Hold, g.Target)
		v.Value = target.Idle[0].PerUnit / 1024
	} else {
		over := r.outcome(g.Cell, g.Over)
		if over == nil || !over.measured() {
			return v, false
		}
		v.What = fmt.Sprintf("%s: CPU per call, %s / %s", g.Cell, g.Target, g.Over)
		mine, mineNoisy := quiet(target.Windows)
		others, othersNoisy := quiet(over.Windows)
		v.Value, v.Noisy = spreadOf(mine, cpuOf).min/spreadOf(others, cpuOf).min, mineNoisy || othersNoisy
		v.Range = ratios(target.Windows, over.Windows, cpuOf).String()
	}
	v.Reached = v.Value <= g.AtMost
	return v, true
}

// quiet returns the windows that nothing disturbed. If there are none it returns all, and that they are noisy.
func quiet(windows []measure.Window) (kept []measure.Window, noisy bool) {
	for _, w := range windows {
		if !w.Noisy {
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		return windows, true
	}
	return kept, false
}

// WriteGoals writes the verdicts as a table.
func (r *Report) WriteGoals(w io.Writer) {
	verdicts := r.Verdicts()
	if len(verdicts) == 0 {
		return
	}
	fmt.Fprint(w, "\n### Goals\n\nMeasured: of the best windows that no other process disturbed; in rounds: median of the ratios within each round (min–max).\n\n")
	fmt.Fprint(w, "| goal | at most | measured | in rounds | |\n|---|--:|--:|--:|---|\n")
	for _, v := range verdicts {
		word := "reached"
		if !v.Reached {
			word = "**missed**"
		}
		if v.Noisy {
			word += "; the machine was busy: measure again"
		}
		fmt.Fprintf(w, "| %s | %.4g | %s | %s | %s |\n", v.What, v.AtMost, number(v.Value), v.Range, word)
	}
}
