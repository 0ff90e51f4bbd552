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

package measure

import (
	"context"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/process"
)

// Idle is the outcome of clients that only hold something. Memory is in bytes.
type Idle struct {
	Held       int            `json:"held"`
	Hold       string         `json:"hold"`
	Silent     int            `json:"silent,omitempty"` // streams without a response head
	Errors     uint64         `json:"errors,omitempty"`
	ErrorKinds map[string]int `json:"errorKinds,omitempty"`
	FirstError string         `json:"firstError,omitempty"`
	Opening    float64        `json:"openingSeconds"`
	Before     process.Memory `json:"before"`
	During     process.Memory `json:"during"`
	After      process.Memory `json:"after"`
	// PerUnit is by how much RSS grew for each session, connection or stream held.
	PerUnit float64 `json:"rssPerUnit"`
	OpenCPU float64 `json:"openCPU"`   // of the gateway, in microseconds, for each one opened
	Cores   float64 `json:"idleCores"` // of the gateway, used while idle
}

// RunIdle opens what config.Hold says, holds it, and measures the memory.
func RunIdle(ctx context.Context, config load.Config, watch Watch, hold time.Duration) (Idle, error) {
	config.Workload = load.Idle
	r := Idle{Hold: config.Hold, Before: process.MemoryOf(watch.Gateway)}
	from, start := process.CPU(watch.Gateway), time.Now()
	e, err := ready(ctx, config)
	if err != nil {
		return r, err
	}
	r.Opening = time.Since(start).Seconds()
	opened, held := process.CPU(watch.Gateway), time.Now()
	e.Start()
	wait(e, hold)
	r.During = process.MemoryOf(watch.Gateway)
	r.Cores = (process.CPU(watch.Gateway) - opened).Seconds() / time.Since(held).Seconds()
	e.Drain()
	<-e.Done()
	r.After = process.MemoryOf(watch.Gateway)

	result, err := e.Result()
	r.Held, r.Silent = result.Held, result.Silent
	r.Errors, r.ErrorKinds, r.FirstError = result.Errors, result.ErrorKinds, result.FirstError
	if r.Held > 0 {
		r.PerUnit = float64(r.During.RSS-r.Before.RSS) / float64(r.Held)
		r.OpenCPU = micros(opened-from) / float64(r.Held)
	}
	return r, err
}
