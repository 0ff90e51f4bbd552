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
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
	machine "github.com/dynamic-mcp/dynamic-mcp/test/bench/process"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/stub"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// Options say how a suite is measured.
type Options struct {
	// Run is a scratch folder.
	Run string
	// Rounds is how often each target gets each cell.
	Rounds int
	// Warmup is how long there is load before a window, Window how long the window is.
	Warmup, Window time.Duration
	// Rest is how long a target is left alone after its start before its memory is measured.
	Rest time.Duration
	// Foreign is how many cores other processes may use. Above that a window is not begun, or is repeated, as long as
	// there is Patience left.
	Foreign  float64
	Patience time.Duration
	// Fresh restarts every target before each window, so that the luck of one process start does not stick to it.
	Fresh bool
	// OwnCPUs and GatewayCPUs are what the processes are pinned to, if they are. This process is already.
	OwnCPUs, GatewayCPUs string
	// Progress takes a line for each measurement.
	Progress io.Writer
}

// comparison is a running one.
type comparison struct {
	Options
	suite    *Suite
	report   *Report
	stub     process
	settings string // of the stub, in force
}

// Run measures a suite. The report is good as far as it goes also with an error; what failed in one target alone is in the
// report only.
func Run(ctx context.Context, suite *Suite, options Options) (*Report, error) {
	for _, t := range suite.Targets {
		if err := t.complete(options.Run); err != nil {
			return &Report{}, fmt.Errorf("target %s: %w", t.Name, err)
		}
	}
	c := &comparison{Options: options, suite: suite}
	c.report = &Report{
		Date: time.Now().UTC().Format("2006-01-02 15:04 MST"), Machine: machine.Describe(),
		Rounds: options.Rounds, Window: Duration(options.Window), Baseline: suite.Baseline, Cells: suite.Cells, Goals: suite.Goals,
	}
	if options.GatewayCPUs != "" {
		c.report.Pinned = fmt.Sprintf("gateway on CPU %s, load and stub on CPU %s", options.GatewayCPUs, options.OwnCPUs)
	}
	defer func() {
		for _, t := range suite.Targets {
			t.stop()
		}
		c.stub.stop()
	}()
	if err := c.startStub(ctx); err != nil {
		return c.report, fmt.Errorf("stub: %w", err)
	}
	started := c.startTargets(ctx)
	for _, cell := range suite.Cells {
		if err := c.cell(ctx, &cell, started); err != nil {
			return c.report, err
		}
	}
	return c.report, ctx.Err()
}

func (c *comparison) say(format string, arguments ...any) {
	fmt.Fprintf(c.Progress, time.Now().Format("15:04:05 ")+format+"\n", arguments...)
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *comparison) startStub(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	arguments := []string{self, "stub"}
	for _, address := range c.suite.Stub {
		arguments = append(arguments, "-address", address)
	}
	if err := c.stub.start(c.Run, "stub", arguments, nil); err != nil {
		return err
	}
	for range 100 {
		if err = c.configureStub(nil); err == nil {
			return nil
		}
		if err := errors.Join(c.stub.ended(), pause(ctx, 100*time.Millisecond)); err != nil {
			return err
		}
	}
	return err
}

// configureStub puts the stub into a cell's state.
func (c *comparison) configureStub(settings map[string]string) error {
	query := url.Values{}
	for name, value := range map[string]string{
		"mode": wire.Legacy, "sessions": "true", "reply": "json", "tools": "10", "pad": "0", "page": "0", "delay": "0s",
	} {
		query.Set(name, value)
	}
	for name, value := range settings {
		query.Set(name, value)
	}
	state := query.Encode()
	if state == c.settings {
		return nil
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + stub.Addresses(c.suite.Stub...)[0] + "/ctl?" + state)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("the stub refuses %s: %s", state, b)
	}
	c.settings = state
	return nil
}

// startTargets starts the targets and probes each. One whose program is not installed is left out; one that can't be
// started or probed is in the report as a failure of each cell.
func (c *comparison) startTargets(ctx context.Context) map[*Target]error {
	started := map[*Target]error{}
	for _, t := range c.suite.Targets {
		err := t.begin(c.Run, c.GatewayCPUs)
		if missing, ok := errors.AsType[notInstalledError](err); ok {
			c.report.LeftOut = append(c.report.LeftOut, fmt.Sprintf("%s: %v", t.Name, missing))
			c.say("%s is left out: %v", t.Name, missing)
			continue
		}
		if err == nil {
			err = c.probe(ctx, t)
		}
		if err != nil {
			c.say("%s: %v", t.Name, err)
		}
		started[t] = err
	}
	return started
}

// restart replaces a target's process by a new one.
func (c *comparison) restart(ctx context.Context, t *Target) error {
	if t.command == nil {
		return nil
	}
	t.stop()
	if err := t.begin(c.Run, c.GatewayCPUs); err != nil {
		return err
	}
	return c.probe(ctx, t)
}

// probe makes one session and one call, until that works or 30 s have passed.
func (c *comparison) probe(ctx context.Context, t *Target) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := c.speaks(ctx, t, wire.Legacy)
		if err == nil {
			return nil
		}
		if ended := t.ended(); ended != nil {
			return ended
		}
		if time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// speaks makes one session and one call in an era.
func (c *comparison) speaks(ctx context.Context, t *Target, era string) error {
	config := t.load(&Cell{Era: era, Workload: load.Call, Clients: 1})
	config.Each, config.Timeout = 1, 5*time.Second
	w, err := measure.Run(ctx, config, measure.Watch{}, 0, time.Minute)
	if err == nil && (w.Errors > 0 || w.Calls == 0) {
		err = errors.New(w.FirstError)
	}
	return err
}

// load returns the load of a cell on the target.
func (t *Target) load(cell *Cell) load.Config {
	return load.Config{
		URL: t.URL, Tool: t.Tool, Headers: t.Headers, Era: cell.Era, Workload: cell.Workload, Hold: cell.Hold,
		Clients: cell.Clients, Payload: cell.Payload, Rate: cell.Rate, Each: cell.Each,
	}
}
