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

// The program behind `make run`: the walkthrough on one machine, without a cluster. It copies the sample manifests to a
// directory where they can be edited, starts two sample MCP servers and `dynamic-mcp standalone` on that directory,
// shows what tools a connected client sees, and ends all of it together.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	bin         string
	dir         string
	port        int
	firstPort   int
	weatherPort int
}

// startDeadline is for all parts together; when warm they take about a second.
const startDeadline = 30 * time.Second

func main() {
	// On Linux the parts die with the thread that started them, which must therefore be the one that lasts.
	runtime.LockOSThread()
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "the directory of dynamic-mcp and sample-server")
	flag.StringVar(&o.dir, "dir", filepath.Join("bin", "run"), "where the manifests are copied to")
	flag.IntVar(&o.port, "port", 8080, "the port of the gateway")
	flag.IntVar(&o.firstPort, "first-port", 3001, "the port of the first MCP server")
	flag.IntVar(&o.weatherPort, "weather-port", 3002, "the port of the second MCP server")
	flag.Parse()

	// SIGHUP comes when the terminal is closed, SIGPIPE when the reader of our output goes.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		waitForHangup(os.Stdout)
	}()
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// waitForHangup returns when the terminal is gone. SIGHUP goes to the leader of the session only, which passes it on if it
// is a shell, but not if it is make (ssh -t HOST make run). Then nothing can be written any more, not even nothing.
func waitForHangup(terminal *os.File) {
	for range time.Tick(time.Second) {
		if _, err := terminal.Write(nil); err != nil {
			return
		}
	}
}

// run returns nil when ctx ends, and an error if something else ends it.
func run(ctx context.Context, o options, out io.Writer) error {
	begin := time.Now()
	if err := freePorts(ctx, o); err != nil {
		return err
	}
	if err := copyManifests(o); err != nil {
		return err
	}
	screen := &screen{out: out}
	parts := newGroup(context.WithoutCancel(ctx), screen)
	defer parts.end()
	for _, p := range partsOf(o) {
		if err := parts.start(&p); err != nil {
			return err
		}
	}

	watching, stopWatching := context.WithCancel(ctx)
	watcher := startWatcher(watching, endpoint(o), screen)
	defer watcher.wait()
	defer stopWatching()
	select {
	case <-ctx.Done():
		return nil
	case p := <-parts.ended:
		return p.obituary()
	case <-time.After(startDeadline):
		return fmt.Errorf("%s does not answer after %s; see the output above", endpoint(o), startDeadline)
	case tools := <-watcher.connected:
		screen.print(guide(o, tools, time.Since(begin)))
	}
	watcher.showChanges()
	select {
	case <-ctx.Done():
		screen.print("\nEnding the gateway and both servers.\n")
		return nil
	case p := <-parts.ended:
		return p.obituary()
	}
}

func endpoint(o options) string { return fmt.Sprintf("http://127.0.0.1:%d/mcp", o.port) }

// partsOf returns the processes to start.
func partsOf(o options) []part {
	server := func(name, tools, service string, port int) part {
		return part{name: name, program: filepath.Join(o.bin, "sample-server"), args: []string{"--name", name, "--tools", tools,
			"--address", fmt.Sprintf("127.0.0.1:%d", port), "--hosts", service + ".default.svc.cluster.local"}}
	}
	return []part{
		server("everything", "echo,add,countdown,greet", "mcp-server-everything", o.firstPort),
		server("weather", "echo,forecast", "weather", o.weatherPort),
		{name: "gateway", program: filepath.Join(o.bin, "dynamic-mcp"), args: []string{"standalone", "--log-level=warn", "-f", o.dir}},
	}
}

// errEnded marks that a part ended, which none should before the others.
var errEnded = errors.New("so everything ends")
