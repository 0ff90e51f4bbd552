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
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// setup starts further clients while few are on their way.
func (e *Engine) setup() {
	limit := 32
	if e.config.Workload == Idle {
		limit = 256
	}
	for e.started < len(e.clients) && e.inSetup < limit && e.err == nil {
		c := e.clients[e.started]
		e.started++
		e.inSetup++
		if e.config.Workload == Session && c.index > 0 {
			e.isReady(c) // each operation makes its own session
			continue
		}
		e.open(c)
	}
	if e.started == len(e.clients) && e.inSetup == 0 && e.err == nil {
		e.stage.Store(int32(stageReady))
		close(e.ready)
	}
}

// open begins a session.
func (e *Engine) open(c *client) {
	c.session, c.version = "", wire.LegacyVersion
	if e.config.Era == wire.Modern {
		e.send(c, opInitialize, e.post(c, e.newID(c), "server/discover", "", ""))
		return
	}
	e.send(c, opInitialize, e.post(c, e.newID(c), "initialize", "",
		fmt.Sprintf(`"protocolVersion":%q,"capabilities":{},"clientInfo":%s`, wire.LegacyVersion, clientInfo)))
}

func (e *Engine) newID(c *client) int {
	c.id = max(c.id, firstID) + 1
	return c.id
}

// begin starts the first operation of each client.
func (e *Engine) begin(now time.Duration) {
	switch {
	case e.config.Rate > 0:
		e.free = append(e.free, e.clients...)
		e.nextDue = now
	case e.config.Workload != Idle:
		for _, c := range e.clients {
			c.begun = e.now()
			e.operate(c)
		}
	}
}

// maxQueue is how many operations of the open loop may wait for a free client.
const maxQueue = 1 << 20

// arrive sends the operations of the open loop that are due and returns the time until the next one.
func (e *Engine) arrive(now time.Duration) time.Duration {
	for e.nextDue <= now {
		a := arrival{e.nextDue, e.recording.Load()}
		e.nextDue += time.Duration(float64(time.Second) / e.config.Rate)
		if n := len(e.free); n > 0 {
			c := e.free[n-1]
			e.free = e.free[:n-1]
			if a.record {
				e.result.Lag.Add(e.now() - a.due)
			}
			c.begun, c.record = a.due, a.record
			e.operate(c)
			continue
		}
		e.queue = append(e.queue, a)
		e.result.MaxQueue = max(e.result.MaxQueue, len(e.queue))
		if len(e.queue) > maxQueue {
			e.err = errors.New("open loop: a million calls wait; the rate is far above what the server can do")
			return 0
		}
	}
	return e.nextDue - e.now()
}

// operate sends the first request of the workload's operation.
func (e *Engine) operate(c *client) {
	if c.lost {
		e.open(c)
		return
	}
	switch e.config.Workload {
	case Call:
		c.callRequest.number(e.newID(c))
		e.send(c, opCall, c.callRequest.request)
	case List:
		c.tools = 0
		c.listRequest.number(e.newID(c))
		e.send(c, opList, c.listRequest.request)
	case Session:
		e.open(c)
	}
}

// finish ends one operation and starts the client's next one.
func (e *Engine) finish(c *client, failed bool) {
	record := e.recording.Load()
	if e.config.Rate > 0 {
		record = c.record
	}
	if !failed {
		e.failures = 0
		e.result.Total++
		if record {
			e.result.Calls++
			e.result.Latency.Add(e.now() - c.begun)
		}
	}
	at := e.at()
	switch {
	case e.config.Rate == 0 && at == stageRun:
		if c.did++; c.did == e.config.Each {
			if e.finished++; e.finished == len(e.clients) {
				e.Drain()
			}
			return
		}
		c.begun = e.now()
		e.operate(c)
	case e.config.Rate > 0 && (at == stageRun || at == stageDrain):
		if len(e.queue) == 0 {
			e.free = append(e.free, c)
			return
		}
		a := e.queue[0]
		e.queue = e.queue[1:]
		c.begun, c.record = a.due, a.record
		e.operate(c)
	}
}

func (e *Engine) isReady(c *client) {
	c.ready = true
	e.inSetup--
	if e.config.Workload == Idle {
		if e.config.Hold == HoldSessions {
			e.disconnect(c)
		}
		return
	}
	e.prepare(c)
}

// prepare builds the client's requests for its present session.
func (e *Engine) prepare(c *client) {
	c.callRequest = e.newCall(c)
	request := e.post(c, firstID, "tools/list", "", "")
	at := bytes.Index(request, []byte(`"id":`)) + len(`"id":`)
	c.listRequest = template{request: request, id: at, first: at, last: at}
}

// proceed takes the step that follows a successful request.
func (e *Engine) proceed(c *client, done operation) {
	inSession := e.config.Workload == Session && c.session != ""
	switch done {
	case opInitialize:
		if e.config.Era == wire.Legacy {
			e.send(c, opInitialized, e.post(c, 0, "notifications/initialized", "", ""))
			return
		}
		e.opened(c)
	case opInitialized:
		e.opened(c)
	case opList:
		e.haveList(c, inSession)
	case opCall:
		if inSession {
			e.delete(c)
			return
		}
		e.finish(c, false)
	case opDelete:
		c.session = ""
		switch {
		case !c.ready:
			e.isReady(c)
		case e.at() != stageTeardown:
			e.finish(c, false)
		}
	}
}

// haveList goes on after a page of tools.
func (e *Engine) haveList(c *client, inSession bool) {
	switch {
	case c.cursor != "":
		e.send(c, opList, e.post(c, e.newID(c), "tools/list", "", fmt.Sprintf(`"cursor":%q`, c.cursor)))
	case e.config.Workload == Session && c.ready:
		c.callRequest = e.newCall(c)
		c.callRequest.number(e.newID(c))
		e.send(c, opCall, c.callRequest.request)
	case inSession:
		e.delete(c)
	case !c.ready:
		e.settle(c)
	default:
		e.finish(c, false)
	}
}

// opened goes on after a session began.
func (e *Engine) opened(c *client) {
	switch {
	case c.ready && c.lost:
		c.lost = false
		e.prepare(c)
		e.operate(c)
	case c.ready || c.index == 0:
		c.tools = 0
		e.send(c, opList, e.post(c, e.newID(c), "tools/list", "", ""))
	default:
		e.settle(c)
	}
}

// settle ends a client's setup; that of an idle client with the opening of a stream.
func (e *Engine) settle(c *client) {
	switch {
	case e.config.Workload != Idle || e.config.Hold != HoldStreams:
		e.isReady(c)
	case e.config.Era == wire.Modern:
		e.send(c, opStream, e.post(c, e.newID(c), "subscriptions/listen", "", `"notifications":{"toolsListChanged":true}`))
	default:
		e.send(c, opStream, append(e.requestHead(c, "GET", "", ""), "\r\n"...))
	}
}

// holds notes that a client has its stream.
func (e *Engine) holds(c *client) {
	c.op = opNone
	e.inFlight--
	c.held = true
	c.in, c.need = nil, 0
	e.isReady(c)
}

func (e *Engine) delete(c *client) {
	e.send(c, opDelete, append(e.requestHead(c, "DELETE", "", ""), "\r\n"...))
}

// teardown ends the sessions and returns whether all have ended.
func (e *Engine) teardown() bool {
	for e.started < len(e.clients) && e.inFlight < 32 {
		c := e.clients[e.started]
		e.started++
		if c.held {
			c.held = false
			e.disconnect(c)
		}
		if c.session != "" {
			e.delete(c)
		}
	}
	return e.started == len(e.clients) && e.inFlight == 0
}
