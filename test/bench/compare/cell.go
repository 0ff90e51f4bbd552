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
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
	machine "github.com/dynamic-mcp/dynamic-mcp/test/bench/process"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// cell measures one cell: in each round every target once, each round beginning with another target, so that none always
// follows the same neighbour.
func (c *comparison) cell(ctx context.Context, cell *Cell, started map[*Target]error) error {
	if err := c.configureStub(cell.Stub); err != nil {
		return err
	}
	var targets []*Target
	outcomes := map[*Target]*Outcome{}
	for _, t := range c.suite.Targets {
		err, ok := started[t]
		if !ok || slices.Contains(t.SkipCells, cell.Name) {
			continue
		}
		o := &Outcome{Cell: cell.Name, Target: t.Name}
		c.report.Outcomes = append(c.report.Outcomes, o)
		if err != nil {
			o.Failure = err.Error()
			continue
		}
		if c.prepare(ctx, t, cell, o); o.Failure == "" && o.LeftOut == "" {
			targets, outcomes[t] = append(targets, t), o
		}
	}
	rounds := c.Rounds
	if cell.Rounds > 0 {
		rounds = cell.Rounds
	}
	for round := range rounds {
		for i := range targets {
			t := targets[(i+round)%len(targets)]
			o := outcomes[t]
			if o.Failure != "" {
				continue
			}
			if err := c.one(ctx, t, cell, o); err != nil {
				o.Failure = err.Error()
				c.say("%-6s %-8s %v", cell.Name, t.Name, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare restarts a target for a cell, if the cell wants that, and finds out whether it speaks the cell's era.
func (c *comparison) prepare(ctx context.Context, t *Target, cell *Cell, o *Outcome) {
	if cell.Restart {
		if err := c.restart(ctx, t); err != nil {
			o.Failure = err.Error()
			c.say("%-6s %-8s %v", cell.Name, t.Name, err)
			return
		}
	}
	if cell.Era == wire.Legacy {
		return
	}
	if err := c.speaks(ctx, t, cell.Era); err != nil {
		o.LeftOut = fmt.Sprintf("it does not answer %s: %v", wire.ModernVersion, err)
		c.say("%-6s %-8s is left out: %s", cell.Name, t.Name, o.LeftOut)
	}
}

// one measures one target once.
func (c *comparison) one(ctx context.Context, t *Target, cell *Cell, o *Outcome) error {
	length := c.Window
	if cell.Window > 0 {
		length = time.Duration(cell.Window)
	}
	if cell.Workload == load.Idle {
		return c.idle(ctx, t, cell, o, length)
	}
	var best measure.Window
	for try := 0; ; try++ {
		if c.Fresh {
			if err := c.restart(ctx, t); err != nil {
				return err
			}
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
		begin := time.Now()
		calibration := machine.Calibrate()
		w, err := measure.Run(ctx, t.load(cell), c.watch(t), c.Warmup, length)
		if err != nil {
			return err
		}
		if w.Errors > 0 || w.Calls == 0 {
			return fmt.Errorf("%d errors in %d calls; the first: %s", w.Errors, w.Total, w.FirstError)
		}
		w.Calibration = float64(calibration) / float64(time.Microsecond)
		w.Noisy = w.ForeignCores+w.StealCores > c.Foreign
		if try == 0 || w.ForeignCores+w.StealCores < best.ForeignCores+best.StealCores {
			best = w
		}
		if !w.Noisy || c.Patience <= 0 {
			break
		}
		c.Patience -= time.Since(begin)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	o.Windows = append(o.Windows, best)
	noisy := ""
	if best.Noisy {
		noisy = " NOISY"
	}
	c.say("%-6s %-8s %8.0f/s p50 %6.0f p99 %6.0f cpu %6.1f cores %.2f/%.2f/%.2f foreign %.2f%s", cell.Name, t.Name, best.PerSecond,
		best.P50, best.P99, best.GatewayCPU, best.GatewayCores, best.StubCores, best.LoadCores, best.ForeignCores, noisy)
	return nil
}

func (c *comparison) watch(t *Target) measure.Watch {
	return measure.Watch{Gateway: t.pids(), Stub: c.stub.pids(), GoStats: t.GoStats}
}

// idle measures what idle clients cost. It takes a fresh process, whose memory has nothing of earlier cells.
func (c *comparison) idle(ctx context.Context, t *Target, cell *Cell, o *Outcome, length time.Duration) error {
	if err := c.restart(ctx, t); err != nil {
		return err
	}
	if err := errors.Join(pause(ctx, c.Rest), c.settle(ctx)); err != nil {
		return err
	}
	r, err := measure.RunIdle(ctx, t.load(cell), c.watch(t), length)
	if err == nil && (r.Errors > 0 || r.Held != cell.Clients) {
		err = fmt.Errorf("%d of %d held, %d errors; the first: %s", r.Held, cell.Clients, r.Errors, r.FirstError)
	}
	if err != nil {
		return err
	}
	o.Idle = append(o.Idle, r)
	c.say("%-6s %-8s held %d, RSS %.1f → %.1f MB", cell.Name, t.Name, r.Held, megabytes(r.Before.RSS), megabytes(r.During.RSS))
	return nil
}

// settle waits until the machine is quiet: between windows all our processes are idle, so whatever is busy is foreign.
func (c *comparison) settle(ctx context.Context) error {
	const interval = 200 * time.Millisecond
	for {
		before := machine.ReadMachine()
		if err := pause(ctx, interval); err != nil {
			return err
		}
		busy, steal := machine.ReadMachine().Busy(before)
		if busy+steal <= c.Foreign || c.Patience <= 0 {
			return nil
		}
		c.Patience -= interval
	}
}
