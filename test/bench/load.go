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
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// maxWindow is how long one window may be: every run ends by itself.
const maxWindow = 10 * time.Minute

// runLoad puts one load on one endpoint and prints what it measured as JSON.
func runLoad(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	config := load.Config{Headers: map[string]string{}}
	flags.StringVar(&config.URL, "url", "http://127.0.0.1:19101/mcp", "MCP endpoint, on IPv4 loopback")
	flags.StringVar(&config.Tool, "tool", "echo", "name of the stub's echo tool at this endpoint")
	flags.Func("header", "\"NAME: VALUE\", sent with every request; may be repeated", func(v string) error {
		name, value, ok := strings.Cut(v, ":")
		if !ok {
			return errors.New("want NAME: VALUE")
		}
		config.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
		return nil
	})
	flags.StringVar(&config.Era, "era", wire.Legacy, "legacy or modern")
	flags.StringVar(&config.Workload, "workload", load.Call, "call, list, session or idle")
	flags.StringVar(&config.Hold, "hold", load.HoldStreams, "what idle clients hold: sessions, connections or streams")
	flags.IntVar(&config.Clients, "clients", 1, "virtual clients, each with a connection and a session")
	flags.IntVar(&config.Payload, "payload", 64, "bytes of the argument, at least 40")
	flags.IntVar(&config.Tools, "tools", 0, "tools that tools/list must return; 0 takes the first answer")
	flags.Float64Var(&config.Rate, "rate", 0, "open loop: operations per second; 0 for a closed loop")
	flags.IntVar(&config.Each, "each", 0, "closed loop: end after so many operations of each client; 0 for the window")
	flags.DurationVar(&config.Timeout, "timeout", 30*time.Second, "of one request")
	warmup := flags.Duration("warmup", 500*time.Millisecond, "load before the window")
	window := flags.Duration("window", 3*time.Second, "length of the window, or of holding")
	var watch measure.Watch
	flags.Func("pid", "process of the gateway; its children count too; may be repeated", pids(&watch.Gateway))
	flags.Func("stub-pid", "process of the server behind it; may be repeated", pids(&watch.Stub))
	flags.StringVar(&watch.GoStats, "go-stats", "", "URL of the gateway's Go memory statistics: expvar, or /debug/pprof/heap?debug=1")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *window <= 0 || *window > maxWindow {
		return fmt.Errorf("-window must be positive and at most %s", maxWindow)
	}
	var result any
	var err error
	if config.Workload == load.Idle {
		result, err = measure.RunIdle(ctx, config, watch, *window)
	} else {
		result, err = measure.Run(ctx, config, watch, *warmup, *window)
	}
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// pids returns a flag's function that adds to a list.
func pids(list *[]int) func(string) error {
	return func(v string) error {
		pid, err := strconv.Atoi(v)
		*list = append(*list, pid)
		return err
	}
}
