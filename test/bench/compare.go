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

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/compare"
)

// pinnedVariable is set in the environment of a process that runs on the CPUs that it should.
const pinnedVariable = "BENCH_PINNED"

// compareFlags are the flags of compare.
type compareFlags struct {
	files          []string
	targets, cells string
	baseline       string
	json, markdown string
	deadline       time.Duration
	strict         bool
	options        compare.Options
}

func parseCompare(arguments []string) (*compareFlags, error) {
	f := &compareFlags{options: compare.Options{Progress: os.Stderr}}
	o := &f.options
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.Func("suite", "JSON file with targets, cells and goals (default test/bench/targets/suite.json); a further one adds to it",
		func(v string) error {
			f.files = append(f.files, v)
			return nil
		})
	flags.StringVar(&f.targets, "targets", ".*", "regular expression: the targets to measure")
	flags.StringVar(&f.cells, "cells", ".*", "regular expression: the cells to measure")
	flags.StringVar(&f.baseline, "baseline", "", "target that the tables' ratios refer to (default: the suite's)")
	flags.IntVar(&o.Rounds, "rounds", 5, "interleaved rounds")
	flags.DurationVar(&o.Warmup, "warmup", 300*time.Millisecond, "load before each window")
	flags.DurationVar(&o.Window, "window", time.Second, "length of each window")
	flags.DurationVar(&o.Rest, "rest", 2*time.Second, "time between the start of a target and the measurement of its memory")
	flags.Float64Var(&o.Foreign, "foreign", 0.25, "cores that other processes may use; above that a window is not begun, or is repeated, while there is patience left")
	flags.DurationVar(&o.Patience, "patience", 30*time.Second, "how long to wait for a quiet machine, and to repeat windows that were disturbed, in all")
	flags.BoolVar(&o.Fresh, "fresh", false,
		"restart every target before each window, so that the luck of one process start does not stick to it")
	flags.StringVar(&o.OwnCPUs, "own-cpus", "", "pin load and stub to these CPUs, as taskset lists them")
	flags.StringVar(&o.GatewayCPUs, "gateway-cpus", "", "pin the gateways to these CPUs")
	flags.DurationVar(&f.deadline, "deadline", 90*time.Minute, "end the whole run after this time")
	flags.BoolVar(&f.strict, "strict", false, "exit with status 1 if a goal is missed; otherwise only if a measurement failed")
	flags.StringVar(&f.json, "json", "", "file to write everything measured to")
	flags.StringVar(&f.markdown, "markdown", "", "file to write the tables to, too")
	flags.StringVar(&o.Run, "run", "", "scratch folder: configurations and logs of the targets (default: a temporary one, removed at the end)")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if len(f.files) == 0 {
		f.files = []string{"test/bench/targets/suite.json"}
	}
	if o.Rounds < 1 || o.Window <= 0 || o.Window > maxWindow {
		return nil, fmt.Errorf("-rounds must be positive, and -window positive and at most %s", maxWindow)
	}
	return f, nil
}

// runCompare measures a suite and prints its tables.
func runCompare(ctx context.Context, arguments []string) error {
	f, err := parseCompare(arguments)
	if err != nil {
		return err
	}
	if f.options.OwnCPUs != "" && os.Getenv(pinnedVariable) == "" {
		return execPinned(f.options.OwnCPUs)
	}
	suite, err := compare.ReadSuite(f.files...)
	if err != nil {
		return err
	}
	if f.baseline != "" {
		suite.Baseline = f.baseline
	}
	if err := suite.Select(f.targets, f.cells); err != nil {
		return err
	}
	remove, err := f.scratch()
	if err != nil {
		return err
	}
	defer remove()
	ctx, cancel := context.WithTimeout(ctx, f.deadline)
	defer cancel()
	report, err := compare.Run(ctx, suite, f.options)
	return errors.Join(err, f.print(report), f.verdict(report))
}

// scratch makes the scratch folder and returns what removes it, if it is a temporary one.
func (f *compareFlags) scratch() (remove func(), err error) {
	if given := f.options.Run; given != "" {
		if f.options.Run, err = filepath.Abs(given); err != nil {
			return nil, err
		}
		return func() {}, os.MkdirAll(f.options.Run, 0o755)
	}
	if f.options.Run, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	return func() { _ = os.RemoveAll(f.options.Run) }, nil
}

// print writes the tables to standard output, and to the files that flags name.
func (f *compareFlags) print(r *compare.Report) error {
	tables := func(w io.Writer) error {
		r.WriteTables(w)
		r.WriteGoals(w)
		return nil
	}
	err := tables(os.Stdout)
	if f.markdown != "" {
		err = errors.Join(err, writeFile(f.markdown, tables))
	}
	if f.json != "" {
		err = errors.Join(err, writeFile(f.json, func(w io.Writer) error {
			encoder := json.NewEncoder(w)
			encoder.SetIndent("", " ")
			return encoder.Encode(r)
		}))
	}
	return err
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	return errors.Join(write(w), w.Flush(), file.Close())
}

// verdict returns an error if a measurement failed, or, if that is asked for, if a goal was missed.
func (f *compareFlags) verdict(r *compare.Report) error {
	var errs []error
	if failures := r.Failures(); len(failures) > 0 {
		errs = append(errs, fmt.Errorf("measurements failed:\n  %s", strings.Join(failures, "\n  ")))
	}
	for _, v := range r.Verdicts() {
		if f.strict && !v.Reached {
			errs = append(errs, fmt.Errorf("goal missed: %s: %.4g, at most %.4g", v.What, v.Value, v.AtMost))
		}
	}
	return errors.Join(errs...)
}

// execPinned starts this program again under taskset, so that all its threads have the affinity from the start.
func execPinned(cpus string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return err
	}
	return syscall.Exec(taskset, append([]string{"taskset", "-c", cpus, self}, os.Args[1:]...), append(os.Environ(), pinnedVariable+"=1"))
}

// runTable prints the tables of an earlier comparison again.
func runTable(_ context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("usage: bench table FILE.json")
	}
	report, err := compare.ReadReport(arguments[0])
	if err != nil {
		return err
	}
	report.WriteTables(os.Stdout)
	report.WriteGoals(os.Stdout)
	return nil
}
