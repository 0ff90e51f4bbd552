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

package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"time"
)

// ProbeTiming says how often a proxy is asked whether it serves.
type ProbeTiming struct {
	// Min is the time between two questions to a proxy that has just started or was given something new to do; it
	// doubles up to Max. Default: 100 ms.
	Min time.Duration
	// Max is the longest time between two questions to a proxy that does not serve. Default: 1 s.
	Max time.Duration
	// Serving is the time between two questions to a proxy that serves. Default: 2 s.
	Serving time.Duration
	// Timeout bounds each question. Default: 2 s.
	Timeout time.Duration
}

func (t *ProbeTiming) setDefaults() {
	for _, field := range []struct {
		value *time.Duration
		byDef time.Duration
	}{
		{&t.Min, 100 * time.Millisecond},
		{&t.Max, time.Second},
		{&t.Serving, 2 * time.Second},
		{&t.Timeout, 2 * time.Second},
	} {
		if *field.value <= 0 {
			*field.value = field.byDef
		}
	}
}

// unansweredLimit is how many questions in a row a proxy that serves may leave without an answer before it counts as
// not serving: a busy machine may miss one. What it answers counts at once.
const unansweredLimit = 3

// maxAddressFileBytes bounds what is read of an address file.
const maxAddressFileBytes = 64

// errNoAddress says that the proxy has not written the address of its admin endpoint yet.
var errNoAddress = errors.New("no admin address yet")

// probe asks the child whether it serves, tells answered, and returns when ctx ends. It returns when the child first
// served; zero: never.
func (p *proxy) probe(ctx context.Context, addressFile, starting string) (servedFrom time.Time) {
	interval := p.options.Probe.Min
	unanswered := 0
	served := false
	for {
		generation := p.wanted()
		said, err := p.ask(ctx, addressFile, generation)
		if ctx.Err() != nil {
			return servedFrom
		}
		switch {
		case err == nil:
			unanswered, served = 0, said.serving
			p.answered(generation, said)
		case errors.Is(err, errNoAddress):
			p.answered(generation, answer{message: starting})
		default:
			unanswered++
			if !served || unanswered >= unansweredLimit {
				served = false
				p.answered(generation, answer{message: "the proxy does not answer: " + printable(err.Error())})
			}
		}
		if served && servedFrom.IsZero() {
			servedFrom = time.Now()
		}

		wait := interval
		interval = min(2*interval, p.options.Probe.Max)
		if served && unanswered == 0 {
			wait, interval = p.options.Probe.Serving, p.options.Probe.Min
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return servedFrom
		case <-p.wake:
			timer.Stop()
			interval = p.options.Probe.Min
		case <-timer.C:
		}
	}
}

func (p *proxy) ask(ctx context.Context, addressFile string, generation int64) (answer, error) {
	address, err := readAddress(addressFile)
	if err != nil {
		return answer{}, err
	}
	return p.prober.ask(ctx, address, generation)
}

// readAddress reads the address of the proxy's admin endpoint. The file is read for each question, so that one that
// was read while it was being written does no lasting harm.
func readAddress(file string) (netip.AddrPort, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return netip.AddrPort{}, errNoAddress
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxAddressFileBytes))
	if err != nil {
		return netip.AddrPort{}, err
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return netip.AddrPort{}, errNoAddress
	}
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the admin address that it wrote: %w", err)
	}
	return address, nil
}
