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

// Package compare measures MCP gateways side by side: it starts the stub and each gateway, and puts the same loads on all of
// them in interleaved rounds.
package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// Suite is what is compared, read from a JSON file. In its strings and in the files that it names, ${NAME} is replaced:
// BENCH is this program, HERE the folder of the JSON file, RUN the scratch folder; others are environment variables.
type Suite struct {
	// Baseline is the target that the tables' ratios refer to.
	Baseline string `json:"baseline"`
	// Stub are the addresses of the stub, see stub.Server.Listen. The first takes the settings of cells.
	Stub    []string  `json:"stub"`
	Targets []*Target `json:"targets"`
	Cells   []Cell    `json:"cells"`
	Goals   []Goal    `json:"goals"`
}

// Target is a gateway. Each has upstream ports of its own: connections that one opens or leaves must not disturb others.
type Target struct {
	Name string `json:"name"`
	// URL of its MCP endpoint, on IPv4 loopback.
	URL string `json:"url"`
	// Tool is the name under which it offers the stub's echo; default echo.
	Tool    string            `json:"tool"`
	Headers map[string]string `json:"headers"`
	// Command starts it. Empty: nothing is started, and no CPU is counted.
	Command []string `json:"command"`
	Env     []string `json:"env"`
	// Files are templates, copied to RUN.
	Files []string `json:"files"`
	// Install says how to get the program. A target with it is left out where the program is not installed; without it,
	// that is an error.
	Install string `json:"install"`
	// SkipCells are names of cells to leave it out of.
	SkipCells []string `json:"skipCells"`
	// GoStats is a URL for process.FetchGoStats.
	GoStats string `json:"goStats"`

	here string // the folder of the file that it is from
	process
}

// Cell is one load that every target gets.
type Cell struct {
	Name     string `json:"name"`
	Workload string `json:"workload"`
	// Era is legacy or modern. A target that answers the modern one with an error is left out of the cell.
	Era     string  `json:"era"`
	Hold    string  `json:"hold"`
	Clients int     `json:"clients"`
	Payload int     `json:"payload"`
	Rate    float64 `json:"rate"`
	// Each is how many operations each client does, in place of a window.
	Each   int      `json:"each"`
	Window Duration `json:"window"` // in place of the run's
	Rounds int      `json:"rounds"` // in place of the run's
	// Restart starts every target anew before the cell.
	Restart bool `json:"restart"`
	// Stub are settings of the stub, see stub.Config; those not named have their defaults.
	Stub map[string]string `json:"stub"`
}

// Duration is written as in Go: "1s500ms".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	*d = Duration(parsed)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// ReadSuite reads the suite of a JSON file, and adds the targets, cells and goals of others.
func ReadSuite(files ...string) (*Suite, error) {
	var all Suite
	for i, file := range files {
		s, err := decodeSuite(file)
		if err != nil {
			return nil, err
		}
		here, err := filepath.Abs(filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		for _, t := range s.Targets {
			t.here = here
		}
		if i == 0 {
			all = *s
			continue
		}
		all.Targets = append(all.Targets, s.Targets...)
		all.Cells = append(all.Cells, s.Cells...)
		all.Goals = append(all.Goals, s.Goals...)
	}
	return &all, all.check()
}

func decodeSuite(file string) (*Suite, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := new(Suite)
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i := range s.Cells {
		c := &s.Cells[i]
		defaultTo(&c.Workload, load.Call)
		defaultTo(&c.Era, wire.Legacy)
	}
	return s, nil
}

func defaultTo(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// check finds names that refer to nothing, before an hour is measured.
func (s *Suite) check() error {
	targets, cells := map[string]bool{}, map[string]bool{}
	for _, t := range s.Targets {
		if t.Name == "" || targets[t.Name] {
			return fmt.Errorf("targets need names that differ: %q", t.Name)
		}
		targets[t.Name] = true
	}
	for _, c := range s.Cells {
		if c.Name == "" || cells[c.Name] {
			return fmt.Errorf("cells need names that differ: %q", c.Name)
		}
		cells[c.Name] = true
	}
	if len(s.Stub) == 0 {
		return errors.New("the stub needs an address")
	}
	if !targets[s.Baseline] {
		return fmt.Errorf("the baseline %q is no target", s.Baseline)
	}
	for _, g := range s.Goals {
		if !cells[g.Cell] || !targets[g.Target] || g.Over != "" && !targets[g.Over] {
			return fmt.Errorf("a goal names what there is not: %+v", g)
		}
	}
	return nil
}

// Select keeps the targets and the cells whose whole names match.
func (s *Suite) Select(targets, cells string) error {
	var err error
	if s.Targets, err = matching(s.Targets, targets, func(t *Target) string { return t.Name }); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	if s.Cells, err = matching(s.Cells, cells, func(c Cell) string { return c.Name }); err != nil {
		return fmt.Errorf("cells: %w", err)
	}
	return nil
}

func matching[T any](all []T, expression string, name func(T) string) ([]T, error) {
	pattern, err := regexp.Compile("^(?:" + expression + ")$")
	if err != nil {
		return nil, err
	}
	var kept []T
	for _, v := range all {
		if pattern.MatchString(name(v)) {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("nothing matches %q", expression)
	}
	return kept, nil
}
