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
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Backoff is the time between the end of a proxy and its next start: Initial, doubled each time up to Max, and Initial
// again after a proxy that served for ResetAfter.
type Backoff struct {
	// Initial defaults to 1 s.
	Initial time.Duration
	// Max defaults to 30 s.
	Max time.Duration
	// ResetAfter defaults to 1 min.
	ResetAfter time.Duration
}

func (b *Backoff) setDefaults() {
	if b.Initial <= 0 {
		b.Initial = time.Second
	}
	if b.Max <= 0 {
		b.Max = 30 * time.Second
	}
	if b.ResetAfter <= 0 {
		b.ResetAfter = time.Minute
	}
}

// next returns the delay that follows current; 0 stands for no delay yet.
func (b *Backoff) next(current time.Duration) time.Duration {
	if current <= 0 {
		return min(b.Initial, b.Max)
	}
	return min(2*current, b.Max)
}

// proxy supervises the child process of one Gateway.
type proxy struct {
	gateway types.NamespacedName
	uid     types.UID
	args    []string
	options *SubprocessOptions
	prober  *prober
	output  func(line string)
	changed func()
	// addressFile returns a path that no earlier start was given, so that an address is never that of an earlier
	// process.
	addressFile func() string
	wake        chan struct{} // the prober asks again at once
	done        chan struct{} // closed when supervision, once launched, has ended

	// These belong to the Subprocess and its lock.
	cancel      context.CancelFunc // nil until launched
	removed     bool
	predecessor *proxy

	mu         sync.Mutex
	generation int64
	state      State
	keyRing    string // what it said last, also while it does not serve
}

// want asks for a generation of the Gateway and returns what is known about it.
func (p *proxy) want(generation int64) State {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation != generation {
		p.generation = generation
		if p.state.Serving {
			p.state = State{Message: fmt.Sprintf("the proxy has not taken over generation %d yet", generation)}
		}
		poke(p.wake)
	}
	return p.state
}

func (p *proxy) wanted() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// answered stores what the proxy said about a generation, unless another one is wanted by now.
func (p *proxy) answered(generation int64, said answer) {
	p.mu.Lock()
	changed := p.generation == generation && p.setState(said.serving, said.message)
	if p.keyRing != said.keyRing {
		p.keyRing, changed = said.keyRing, true
	}
	p.mu.Unlock()
	if changed {
		p.changed()
	}
}

// notRunning stores why there is nothing to ask.
func (p *proxy) notRunning(message string) {
	p.mu.Lock()
	changed := p.setState(false, message)
	p.mu.Unlock()
	if changed {
		p.changed()
	}
}

// keyRings returns the id of the ring that the proxy has, if it serves.
func (p *proxy) keyRings() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.state.Serving {
		return nil
	}
	return []string{p.keyRing}
}

func (p *proxy) setState(serving bool, message string) bool {
	if p.state.Serving == serving && p.state.Message == message {
		return false
	}
	p.state = State{Serving: serving, Message: message}
	return true
}

// supervise runs the child, again and again with backoff, until ctx ends.
func (p *proxy) supervise(ctx context.Context) {
	log := p.options.Log.WithValues("gateway", p.gateway)
	starting := messageStarting
	var delay time.Duration
	for ctx.Err() == nil {
		end := p.run(ctx, starting)
		if ctx.Err() != nil {
			break
		}
		if end.served >= p.options.Backoff.ResetAfter {
			delay = 0
		}
		delay = p.options.Backoff.next(delay)
		log.Info("Proxy ended, restarting", "reason", end.reason, "lastWords", end.lastWords, "delay", delay.String())
		p.notRunning(fmt.Sprintf("proxy exited (%s); restarting in %s%s", end.reason, delay, end.suffix()))
		starting = fmt.Sprintf("the proxy is starting again; it had exited (%s)%s", end.reason, end.suffix())
		sleep(ctx, delay)
	}
	log.V(1).Info("Proxy ended for good")
}

// ending is how one run of a proxy ended.
type ending struct {
	reason    string
	lastWords string
	served    time.Duration // from the first time that it served
}

func (e *ending) suffix() string {
	if e.lastWords == "" {
		return ""
	}
	return ": " + e.lastWords
}

// run starts the child, watches it, and returns when it has ended, by itself or because ctx ended.
func (p *proxy) run(ctx context.Context, starting string) ending {
	c, err := p.start(ctx)
	if err != nil {
		return ending{reason: "it could not be started: " + printable(err.Error())}
	}
	defer func() { _ = os.Remove(c.addressFile) }()
	p.options.Log.Info("Proxy started", "gateway", p.gateway, "pid", c.cmd.Process.Pid)

	probing, stopProbing := context.WithCancel(ctx)
	var prober sync.WaitGroup
	var servedFrom time.Time
	prober.Go(func() { servedFrom = p.probe(probing, c.addressFile, starting) })

	<-c.exited
	stopProbing()
	prober.Wait()

	end := ending{reason: c.exitReason()}
	if c.cmd.ProcessState.ExitCode() > 0 {
		// A process that was killed has not said why.
		end.lastWords = c.stderr.lastWords()
	}
	if !servedFrom.IsZero() {
		end.served = time.Since(servedFrom)
	}
	return end
}

// child is one run of a proxy's process.
type child struct {
	cmd         *exec.Cmd
	stderr      *lineWriter
	addressFile string

	exited  chan struct{}
	waitErr error // once exited is closed
}

// start starts the child. When ctx ends it is asked to end, and killed if it has not ended after the grace period.
func (p *proxy) start(ctx context.Context) (*child, error) {
	c := &child{
		stderr:      &lineWriter{emit: p.output},
		addressFile: p.addressFile(),
		exited:      make(chan struct{}),
	}
	stdout := &lineWriter{emit: p.output}
	c.cmd = exec.CommandContext(ctx, p.options.Executable, p.arguments(c.addressFile)...) //nolint:gosec // our own binary
	c.cmd.Stdout, c.cmd.Stderr = stdout, c.stderr
	c.cmd.SysProcAttr = childAttributes()
	// The child reads end of file from its standard input when the manager is gone, however it went.
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.cmd.Cancel = func() error {
		// Where there is no SIGTERM, the end of the standard input says the same.
		_ = stdin.Close()
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		return nil
	}
	// It also bounds the time that a process which the child left behind can hold its output open.
	c.cmd.WaitDelay = p.options.GracePeriod
	if err := c.cmd.Start(); err != nil {
		_ = stdin.Close()
		return nil, err
	}
	go func() {
		c.waitErr = c.cmd.Wait()
		stdout.flush()
		c.stderr.flush()
		close(c.exited)
	}()
	return c, nil
}

func (p *proxy) arguments(addressFile string) []string {
	return slices.Concat([]string{
		"proxy",
		"--gateway", p.gateway.String(),
		"--bind-address", p.options.BindAddress.String(),
		"--admin-address", "127.0.0.1:0",
		"--admin-address-file", addressFile,
		"--exit-with-parent",
		"--allow-loopback-upstreams",
	}, p.args, p.options.Args)
}

// exitReason says how the child ended: "exit status 1", "signal: killed".
func (c *child) exitReason() string {
	if c.waitErr != nil {
		return printable(c.waitErr.Error())
	}
	return "exit status " + strconv.Itoa(c.cmd.ProcessState.ExitCode())
}

// sleep waits for the time to pass or for ctx to end.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
