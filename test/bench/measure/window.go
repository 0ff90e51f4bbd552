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

// Package measure runs a load and measures what the processes that it goes through use meanwhile.
package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/process"
)

// Watch names the processes that a measurement accounts for.
type Watch struct {
	// Gateway and Stub are the roots of process trees.
	Gateway, Stub []int
	// GoStats is a URL for process.FetchGoStats of the gateway; empty for none.
	GoStats string
}

// Window is the outcome of one measured window. Times are in microseconds and memory in bytes; rates are per second.
type Window struct {
	Seconds    float64        `json:"seconds"`
	Calls      uint64         `json:"calls"`
	Total      uint64         `json:"totalCalls"` // with warm-up and draining
	Errors     uint64         `json:"errors"`
	ErrorKinds map[string]int `json:"errorKinds,omitempty"`
	FirstError string         `json:"firstError,omitempty"`
	PerSecond  float64        `json:"perSecond"`
	Mean       float64        `json:"mean"`
	P50        float64        `json:"p50"`
	P90        float64        `json:"p90"`
	P99        float64        `json:"p99"`
	P999       float64        `json:"p999"`
	Max        float64        `json:"max"`
	LagP99     float64        `json:"lagP99,omitempty"`   // open loop: how late the client sent
	MaxQueue   int            `json:"maxQueue,omitempty"` // open loop: operations that waited for a free client
	Unsent     int            `json:"unsent,omitempty"`
	Reconnects int            `json:"reconnects,omitempty"`
	Tools      int            `json:"tools,omitempty"`

	GatewayCPU   float64 `json:"gatewayCPU"` // per call, as the next two
	StubCPU      float64 `json:"stubCPU"`
	LoadCPU      float64 `json:"loadCPU"`
	GatewayCores float64 `json:"gatewayCores"` // used on average, as the next four
	StubCores    float64 `json:"stubCores"`
	LoadCores    float64 `json:"loadCores"`
	ForeignCores float64 `json:"foreignCores"` // by everything else
	StealCores   float64 `json:"stealCores"`
	RSS          int64   `json:"rss"`
	PeakRSS      int64   `json:"peakRSS"`
	PSS          int64   `json:"pss"`
	AllocBytes   float64 `json:"allocBytes,omitempty"` // per call
	Allocs       float64 `json:"allocs,omitempty"`     // per call
	GCs          float64 `json:"gcs,omitempty"`        // in the window

	// Calibration is how long a fixed piece of work took just before.
	Calibration float64 `json:"calibration,omitempty"`
	// Noisy: other processes disturbed it, and it was kept nevertheless.
	Noisy bool `json:"noisy,omitempty"`
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// usage is what was used up to one moment.
type usage struct {
	at                  time.Time
	machine             process.Machine
	gateway, stub, load time.Duration
}

func (w *Watch) usage() usage {
	return usage{
		at: time.Now(), machine: process.ReadMachine(),
		gateway: process.CPU(w.Gateway), stub: process.CPU(w.Stub), load: process.OwnCPU(),
	}
}

// Run runs one load and measures the window that follows the warm-up. With config.Each there is no warm-up, and the
// window ends with the load.
func Run(ctx context.Context, config load.Config, watch Watch, warmup, length time.Duration) (Window, error) {
	e, err := ready(ctx, config)
	if err != nil {
		return Window{}, err
	}
	if config.Each > 0 {
		e.Record(true)
		warmup = 0
	}
	e.Start()
	wait(e, warmup)

	var before, after process.GoStats
	if watch.GoStats != "" {
		before, err = process.FetchGoStats(watch.GoStats)
	}
	process.ResetPeak(watch.Gateway)
	from := watch.usage()
	e.Record(true)
	wait(e, length)
	e.Record(false)
	to := watch.usage()
	memory := process.MemoryOf(watch.Gateway)
	if watch.GoStats != "" && err == nil {
		after, err = process.FetchGoStats(watch.GoStats)
	}
	e.Drain()
	<-e.Done()

	result, runErr := e.Result()
	w := windowOf(result)
	w.account(from, to)
	w.RSS, w.PeakRSS, w.PSS = memory.RSS, memory.Peak, memory.PSS
	if watch.GoStats != "" && err == nil {
		n := float64(max(w.Calls, 1))
		w.AllocBytes = (after.TotalAlloc - before.TotalAlloc) / n
		w.Allocs = (after.Mallocs - before.Mallocs) / n
		w.GCs = after.NumGC - before.NumGC
	}
	return w, errors.Join(runErr, err)
}

// ready starts a load and waits until its clients have their sessions.
func ready(ctx context.Context, config load.Config) (*load.Engine, error) {
	e, err := load.New(config)
	if err != nil {
		return nil, err
	}
	go e.Run(ctx)
	select {
	case <-e.Ready():
		return e, nil
	case <-e.Done():
		_, err := e.Result()
		return nil, fmt.Errorf("make the clients' sessions: %w", err)
	}
}

// wait waits until the time is over or the load has ended.
func wait(e *load.Engine, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.Done():
	}
}

func windowOf(r *load.Result) Window {
	quantile := func(q float64) float64 { return micros(r.Latency.Quantile(q)) }
	return Window{
		Calls: r.Calls, Total: r.Total, Errors: r.Errors, ErrorKinds: r.ErrorKinds, FirstError: r.FirstError,
		Mean: micros(r.Latency.Mean()), P50: quantile(.5), P90: quantile(.9), P99: quantile(.99), P999: quantile(.999),
		Max: micros(r.Latency.Max()), LagP99: micros(r.Lag.Quantile(.99)), MaxQueue: r.MaxQueue, Unsent: r.Unsent,
		Reconnects: r.Reconnects, Tools: r.Tools,
	}
}

// account fills in what was used between two moments.
func (w *Window) account(from, to usage) {
	wall := to.at.Sub(from.at).Seconds()
	n := float64(max(w.Calls, 1))
	gateway, stub, load := to.gateway-from.gateway, to.stub-from.stub, to.load-from.load
	w.Seconds, w.PerSecond = wall, float64(w.Calls)/wall
	w.GatewayCPU, w.StubCPU, w.LoadCPU = micros(gateway)/n, micros(stub)/n, micros(load)/n
	w.GatewayCores, w.StubCores, w.LoadCores = gateway.Seconds()/wall, stub.Seconds()/wall, load.Seconds()/wall
	busy, steal := to.machine.Busy(from.machine)
	w.ForeignCores, w.StealCores = max(busy-w.GatewayCores-w.StubCores-w.LoadCores, 0), steal
}
