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
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

const legend = `Figures are medians over the rounds with (min–max). Disturbance on a shared machine only ever adds CPU time, so the
minimum of the CPU column is the figure to trust, and the maximum of ops/s. ×base: median of the ratios within each round,
in brackets the ratio of the best values. CPU: user and system time of the gateway's processes per operation; "per core" is
1e6 divided by its minimum. "cores": used by gateway / stub / load. Marks: En = n errors; H = load or stub (pinned: both
together) used over 0.9 core, the harness may be the limit; Nn = n windows disturbed by other processes; few = under 1,000
operations a window, p99 is weak; ~ops, ~cpu = the best round was not confirmed within 5 % by another one; ~p99 = range over
half of the median.
`

// crowded is how many cores the stub or the load may use before the harness may be the limit.
const crowded = 0.9

// WriteTables writes the report as Markdown.
func (r *Report) WriteTables(w io.Writer) {
	fmt.Fprintf(w, "%s; %s; %d rounds of %s windows", r.Date, r.Machine, r.Rounds, time.Duration(r.Window))
	if r.Pinned != "" {
		fmt.Fprintf(w, "; %s", r.Pinned)
	}
	fmt.Fprintf(w, ". Baseline: %s.\n", r.Baseline)
	var all []measure.Window
	for _, o := range r.Outcomes {
		all = append(all, o.Windows...)
	}
	if len(all) > 0 {
		fmt.Fprintf(w, "Calibration before each window: %s µs; cores used by other processes: %s.\n",
			spreadOf(all, func(w measure.Window) float64 { return w.Calibration }),
			spreadOf(all, func(w measure.Window) float64 { return w.ForeignCores }))
	}
	for _, text := range r.LeftOut {
		fmt.Fprintf(w, "Left out: %s.\n", text)
	}
	fmt.Fprintf(w, "\n%s", legend)
	for i := range r.Cells {
		cell := &r.Cells[i]
		fmt.Fprintf(w, "\n### %s: %s\n\n", cell.Name, cell.describe())
		var rows []*Outcome
		for _, o := range r.Outcomes {
			if o.Cell == cell.Name {
				rows = append(rows, o)
			}
		}
		if cell.Workload == load.Idle {
			writeIdle(w, rows)
		} else {
			r.writeCell(w, rows, cell.Workload)
		}
	}
}

func (c *Cell) describe() string {
	d := fmt.Sprintf("%s, %d clients", c.Workload, c.Clients)
	if c.Payload > 0 {
		d += fmt.Sprintf(", %d B argument", c.Payload)
	}
	if c.Era == wire.Modern {
		d += ", " + wire.ModernVersion
	}
	if c.Rate > 0 {
		d += fmt.Sprintf(", open loop %g/s", c.Rate)
	}
	for i, name := range slices.Sorted(maps.Keys(c.Stub)) {
		d += []string{"; stub ", " "}[min(i, 1)] + name + "=" + c.Stub[name]
	}
	return d
}

// inCell makes a text fit into a cell of a Markdown table.
func inCell(text string) string {
	return fmt.Sprintf("%.160s", strings.NewReplacer("|", "/", "\n", " ").Replace(text))
}

// notMeasured writes the row of an outcome without measurements, and returns whether it is one.
func notMeasured(w io.Writer, o *Outcome, columns int) bool {
	var text string
	switch {
	case o.LeftOut != "":
		text = "left out: " + o.LeftOut
	case o.Failure != "":
		text = "**failed**: " + o.Failure
	case len(o.Windows)+len(o.Idle) == 0:
		text = "not measured"
	default:
		return false
	}
	fmt.Fprintf(w, "| %s | %s |%s\n", o.Target, inCell(text), strings.Repeat(" |", columns-2))
	return true
}

func (r *Report) writeCell(w io.Writer, rows []*Outcome, workload string) {
	var base []measure.Window
	for _, o := range rows {
		if o.Target == r.Baseline {
			base = o.Windows
		}
	}
	fmt.Fprint(w, "| target | ops/s | ×base | p50 µs | p99 µs | p99.9 µs | CPU µs/op | ×base | per core | peak RSS MB | alloc KB/op "+
		"| cores | marks |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|---|\n")
	for _, o := range rows {
		if notMeasured(w, o, 13) {
			continue
		}
		median := func(get func(measure.Window) float64) float64 { return spreadOf(o.Windows, get).median }
		positive := func(v float64) string {
			if v > 0 {
				return number(v)
			}
			return "-"
		}
		cpu, perCore, ratio := "-", "-", "-"
		if s := spreadOf(o.Windows, cpuOf); s.median > 0 {
			cpu, perCore = s.String(), number(1e6/s.min)
			ratio = fmt.Sprintf("%s (%s)", number(ratios(o.Windows, base, cpuOf).median), number(s.min/spreadOf(base, cpuOf).min))
		}
		columns := []string{
			o.Target,
			spreadOf(o.Windows, perSecondOf).String(),
			fmt.Sprintf("%s (%s)", number(ratios(o.Windows, base, perSecondOf).median),
				number(spreadOf(o.Windows, perSecondOf).max/spreadOf(base, perSecondOf).max)),
			spreadOf(o.Windows, p50Of).String(),
			spreadOf(o.Windows, p99Of).String(),
			number(median(func(w measure.Window) float64 { return w.P999 })),
			cpu, ratio, perCore,
			positive(median(func(w measure.Window) float64 { return megabytes(w.PeakRSS) })),
			positive(median(func(w measure.Window) float64 { return w.AllocBytes / 1024 })),
			fmt.Sprintf("%.2f / %.2f / %.2f", median(func(w measure.Window) float64 { return w.GatewayCores }),
				median(func(w measure.Window) float64 { return w.StubCores }), median(func(w measure.Window) float64 { return w.LoadCores })),
			marks(o.Windows, workload == load.List, r.Pinned != ""),
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(columns, " | "))
	}
}

// marks says which figures of a row deserve distrust.
func marks(windows []measure.Window, list, pinned bool) string {
	var calls, errs, noisy uint64
	var limited bool
	for _, w := range windows {
		calls += w.Calls
		errs += w.Errors
		if w.Noisy {
			noisy++
		}
		limited = limited || w.StubCores > crowded || w.LoadCores > crowded || pinned && w.StubCores+w.LoadCores > crowded
	}
	var m []string
	add := func(yes bool, format string, arguments ...any) {
		if yes {
			m = append(m, fmt.Sprintf(format, arguments...))
		}
	}
	one := len(windows) < 2
	add(errs > 0, "E%d", errs)
	add(limited, "H")
	add(noisy > 0, "N%d", noisy)
	add(list, "%d tools", windows[0].Tools)
	add(calls/uint64(len(windows)) < 1000, "few")
	s := spreadOf(windows, perSecondOf)
	add(one || s.max2 < .95*s.max, "~ops")
	s = spreadOf(windows, cpuOf)
	add(one || s.min2 > 1.05*s.min, "~cpu")
	add(spreadOf(windows, p99Of).width() > .5, "~p99")
	return strings.Join(m, " ")
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

func writeIdle(w io.Writer, rows []*Outcome) {
	fmt.Fprint(w, "| target | held | RSS before MB | during MB | after MB | KB each | open CPU µs | idle cores | remarks |\n"+
		"|---|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, o := range rows {
		if notMeasured(w, o, 9) {
			continue
		}
		// The first round is the clean one: later ones begin with the memory that the earlier ones left behind.
		r := o.Idle[0]
		remarks := ""
		if r.Silent > 0 {
			remarks = fmt.Sprintf("%d streams without a response head", r.Silent)
		}
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %s | %s | %.2f | %s |\n", o.Target, r.Held,
			number(megabytes(r.Before.RSS)), number(megabytes(r.During.RSS)), number(megabytes(r.After.RSS)),
			number(r.PerUnit/1024), number(r.OpenCPU), r.Cores, remarks)
	}
}
