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

// Command bench measures MCP gateways: a cheap MCP server (stub), a load client that checks every answer (load), and
// interleaved side-by-side runs of several gateways (compare), which is what `make bench` runs. README.md says how to use
// it and what the numbers mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

const usage = "usage: bench stub|load|compare|table|rproxy [flags]; bench COMMAND -h lists the flags"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the command that the arguments name.
func run(ctx context.Context, arguments []string) error {
	commands := map[string]func(context.Context, []string) error{
		"stub": runStub, "load": runLoad, "compare": runCompare, "table": runTable, "rproxy": runReverseProxy,
	}
	if len(arguments) == 0 || commands[arguments[0]] == nil {
		return errors.New(usage)
	}
	if arguments[0] != "rproxy" {
		runtime.GOMAXPROCS(max(wire.MinProcs, runtime.NumCPU()))
		debug.SetGCPercent(400)
	}
	return commands[arguments[0]](ctx, arguments[1:])
}
