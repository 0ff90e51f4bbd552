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

package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// operation is the request that a client has in flight.
type operation int

const (
	opNone operation = iota
	opInitialize
	opInitialized
	opList
	opCall
	opDelete
	opStream
)

func (o operation) String() string {
	return [...]string{"-", "initialize", "initialized", "tools/list", "tools/call", "DELETE", "the stream"}[o]
}

// stage of a run; Start moves it from ready to run, Drain from run to drain.
type stage int32

const (
	stageSetup stage = iota
	stageReady
	stageRun
	stageDrain
	stageTeardown
	stageEnd
)

const (
	// setupTimeout is how long it may take until all clients have their sessions, idleSetupTimeout until idle ones have.
	setupTimeout     = 90 * time.Second
	idleSetupTimeout = 3 * time.Minute
	// drainTimeout is how long answers may take after the end.
	drainTimeout    = 15 * time.Second
	teardownTimeout = 60 * time.Second
	// silence is how long a GET may stay unanswered before it counts as an idle stream.
	silence = 2 * time.Second
)

// client is one virtual MCP client.
type client struct {
	index       int
	fd          int // −1 when not connected
	op          operation
	id          int  // of the JSON-RPC request in flight
	ready       bool // its setup is complete
	gone        bool // it gave up during setup
	held        bool // an idle stream is open
	session     string
	version     string
	callRequest template
	listRequest template
	tools       int    // counted over the pages of one list
	cursor      string // of the next page
	listed      bool   // the tool was seen in the setup's list
	lost        bool   // the session is unknown to the server; make a new one
	did         int    // operations, successful or not
	begun       time.Duration
	sentAt      time.Duration
	record      bool // open loop: due while recording
	out         []byte
	in          []byte
	need        int
}

// arrival is an operation of the open loop that waits for a free client.
type arrival struct {
	due    time.Duration
	record bool
}

// Engine drives all virtual clients from one event loop on one thread.
type Engine struct {
	config    Config
	endpoint  wire.Endpoint
	poller    *wire.Poller
	base      time.Time
	clients   []*client
	byFD      map[int]*client
	started   int // clients whose setup, or whose teardown, began
	inSetup   int
	inFlight  int
	finished  int // clients that have done what Each says
	stage     atomic.Int32
	recording atomic.Bool
	ready     chan struct{}
	done      chan struct{}
	err       error
	buffer    []byte
	chunks    []byte
	free      []*client
	queue     []arrival
	nextDue   time.Duration
	endBy     time.Duration
	begun     bool
	draining  bool
	failures  int // in a row
	result    Result
}

// New prepares a run.
func New(config Config) (*Engine, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	endpoint, err := wire.ParseEndpoint(config.URL)
	if err != nil {
		return nil, err
	}
	poller, err := wire.NewPoller()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		config: config, endpoint: endpoint, poller: poller, base: time.Now(), byFD: map[int]*client{},
		ready: make(chan struct{}), done: make(chan struct{}), buffer: make([]byte, 1<<20),
		result: Result{Tools: config.Tools, ErrorKinds: map[string]int{}},
	}
	for i := range config.Clients {
		e.clients = append(e.clients, &client{index: i, fd: -1})
	}
	return e, nil
}

// Ready is closed once all clients have their sessions, and idle ones their streams.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Done is closed at the end of the run.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Start begins the load. Call it once the engine is ready.
func (e *Engine) Start() { e.stage.CompareAndSwap(int32(stageReady), int32(stageRun)) }

// Record says whether operations that end from now on are recorded.
func (e *Engine) Record(on bool) { e.recording.Store(on) }

// Drain ends the load: what is in flight is awaited, and the sessions are deleted.
func (e *Engine) Drain() { e.stage.CompareAndSwap(int32(stageRun), int32(stageDrain)) }

// Result returns what the run counted, and why it ended early, if it did. Call it when the engine is done.
func (e *Engine) Result() (*Result, error) {
	e.result.Held = -e.result.ErrorKinds[streamClosed]
	for _, c := range e.clients {
		if !c.gone {
			e.result.Held++
		}
	}
	return &e.result, e.err
}

func (e *Engine) now() time.Duration { return time.Since(e.base) }

func (e *Engine) at() stage { return stage(e.stage.Load()) }

// Run drives the clients to the end of their sessions, or until the context ends. It is the only goroutine that touches
// them.
func (e *Engine) Run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(e.done)
	defer func() {
		for _, c := range e.clients {
			e.disconnect(c)
		}
		e.poller.Close()
	}()
	wire.SharpTimers()
	e.endBy = setupTimeout
	if e.config.Workload == Idle {
		e.endBy = idleSetupTimeout
	}
	lastScan := e.now()
	for e.err == nil && e.at() != stageEnd {
		now := e.now()
		events, err := e.poller.Wait(e.step(now))
		if err != nil {
			e.err = err
			return
		}
		for i := range events {
			if c := e.byFD[int(events[i].Fd)]; c != nil {
				e.event(c, events[i].Events)
			}
		}
		if now-lastScan > 100*time.Millisecond {
			lastScan = now
			e.scan(now)
			if err := ctx.Err(); err != nil && e.err == nil {
				e.err = err
			}
		}
	}
}

// step does what the stage asks for and returns how long to wait for events.
func (e *Engine) step(now time.Duration) time.Duration {
	const usual = 2 * time.Millisecond
	switch e.at() {
	case stageSetup:
		e.setup()
		if now > e.endBy && e.err == nil {
			e.err = fmt.Errorf("setup took too long; the first error: %q", e.result.FirstError)
		}
	case stageRun:
		e.beginOnce(now)
		if e.config.Rate > 0 {
			return min(usual, e.arrive(now))
		}
	case stageDrain:
		e.beginOnce(now) // however soon the end came: every client has done something
		e.drain(now)
	case stageTeardown:
		if e.teardown() || now > e.endBy {
			e.stage.Store(int32(stageEnd))
			return 0
		}
	}
	return usual
}

func (e *Engine) beginOnce(now time.Duration) {
	if !e.begun {
		e.begun = true
		e.begin(now)
	}
}

// drain goes on to the teardown once nothing is in flight any more, or after a while.
func (e *Engine) drain(now time.Duration) {
	if !e.draining {
		e.draining = true
		e.endBy = now + min(e.config.Timeout, drainTimeout)
	}
	if (e.inFlight > 0 || len(e.queue) > 0) && now <= e.endBy {
		return
	}
	e.result.Unsent = len(e.queue)
	e.queue = nil
	e.started = 0
	for _, c := range e.clients {
		if c.op != opNone {
			e.fail(c, "timeout", "still in flight when draining ended")
		}
	}
	e.stage.Store(int32(stageTeardown))
	e.endBy = now + teardownTimeout
}

// scan ends requests that take too long.
func (e *Engine) scan(now time.Duration) {
	for _, c := range e.clients {
		switch {
		case c.op == opStream && now-c.sentAt > silence:
			// The gateway accepted the GET and sends its head with the first event; that is an open stream too.
			e.result.Silent++
			e.holds(c)
		case c.op != opNone && now-c.sentAt > e.config.Timeout:
			e.fail(c, "timeout", "no reply in time")
		}
	}
}

func (e *Engine) firstError() error {
	if e.result.FirstError == "" {
		return nil
	}
	return errors.New(e.result.FirstError)
}

// fail counts an error, drops the connection and goes on.
func (e *Engine) fail(c *client, kind, detail string) {
	e.inFlight--
	failed := c.op
	c.op = opNone
	e.disconnect(c)
	at := e.at()
	if failed == opDelete && at == stageTeardown {
		return // the session may be gone already
	}
	e.countError(kind, fmt.Sprintf("client %d, %s: %s: %s", c.index, failed, kind, detail))
	if !c.ready {
		c.gone = true
		e.inSetup--
		if e.config.Workload != Idle {
			e.err = e.firstError()
		}
		return
	}
	if e.failures++; e.failures > 100+2*len(e.clients) {
		e.err = fmt.Errorf("too many errors in a row; the first: %s", e.result.FirstError)
		return
	}
	if at == stageRun {
		e.finish(c, true)
	}
}

func (e *Engine) countError(kind, text string) {
	e.result.Errors++
	e.result.ErrorKinds[kind]++
	if e.result.FirstError == "" {
		e.result.FirstError = text
	}
}
