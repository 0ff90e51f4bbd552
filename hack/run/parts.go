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
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// lastLines is how many lines of a part's output are repeated when it ends.
	lastLines = 10
	// grace is how long a part may take to end by itself.
	grace = 5 * time.Second
)

// screen is where everything is printed, one piece at a time.
type screen struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Who can't be shown anything has closed the terminal, and a signal says so.
	_, _ = io.WriteString(s.out, text)
}

// say prints a line after the name of who says it.
func (s *screen) say(who, line string) {
	s.print(strings.TrimRight(fmt.Sprintf("%-10s | %s", who, line), " ") + "\n")
}

// part is one process of several that live and end together.
type part struct {
	name    string
	program string
	args    []string
	// err and last, the last that it said, are set when the part is in the group's ended.
	err  error
	last []string
}

// obituary says how the part ended, with the last that it said.
func (p *part) obituary() error {
	how := "with status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if len(p.last) == 0 {
		return fmt.Errorf("%s (%s) ended: %s; %w. It said nothing", p.name, p.program, how, errEnded)
	}
	return fmt.Errorf("%s (%s) ended: %s; %w. Its last lines:\n  %s", p.name, p.program, how, errEnded,
		strings.Join(p.last, "\n  "))
}

// group is the parts that were started.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	screen *screen
	// running are the parts that have not ended, and ended gets each that does.
	running sync.WaitGroup
	ended   chan *part
}

// maxParts is how many parts a group can have.
const maxParts = 8

func newGroup(ctx context.Context, screen *screen) *group {
	g := &group{screen: screen, ended: make(chan *part, maxParts)}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// start starts a part, and shows what it says line by line, after its name.
func (g *group) start(p *part) error {
	lines := &lineWriter{line: func(line string) {
		g.screen.say(p.name, line)
		p.last = append(p.last, line)
		p.last = p.last[max(0, len(p.last)-lastLines):]
	}}
	cmd := exec.CommandContext(g.ctx, p.program, p.args...) //nolint:gosec // the programs are our own
	cmd.SysProcAttr = processAttributes()
	cmd.Stdout, cmd.Stderr = lines, lines
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	g.screen.say(p.name, fmt.Sprintf("started, process %d", cmd.Process.Pid))
	g.running.Go(func() {
		p.err = cmd.Wait()
		lines.flush()
		g.ended <- p
	})
	return nil
}

// end asks all parts to end, kills those that don't, and waits for them.
func (g *group) end() {
	g.cancel()
	g.running.Wait()
}

// lineWriter cuts what is written to it into lines. It has one writer at a time: exec.Cmd sees to that, because standard
// output and standard error are the same.
type lineWriter struct {
	line func(string)
	rest []byte
}

// maxLine bounds what is kept of a line that doesn't end.
const maxLine = 64 << 10

func (w *lineWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte{'\n'})
		if !found {
			break
		}
		w.line(string(bytes.TrimRight(line, "\r")))
		w.rest = rest
	}
	if len(w.rest) > maxLine {
		w.flush()
	}
	return len(b), nil
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.line(string(w.rest))
		w.rest = nil
	}
}
