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

// Package load is a load client for MCP servers that checks every answer: its id, its text, and that it is no error. Each
// virtual client has one connection and one session, made before the load begins and deleted after it. All of them are
// driven from one event loop, at about 7 µs of CPU a call.
package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// Workloads: what the clients do over and over.
const (
	Call    = "call"    // tools/call of an echo tool
	List    = "list"    // tools/list, all pages
	Session = "session" // initialize, initialized, tools/list, tools/call, DELETE
	Idle    = "idle"    // nothing: they only hold what Hold says
)

// What idle clients hold.
const (
	HoldSessions    = "sessions"    // a session without a connection
	HoldConnections = "connections" // a session and a connection
	HoldStreams     = "streams"     // a session and a GET stream, or a subscription in the modern era
)

// Config says what one run does.
type Config struct {
	// URL of the MCP endpoint, on IPv4 loopback.
	URL string
	// Tool is the name under which the endpoint offers the stub's echo. Empty: echo.
	Tool string
	// Headers are sent with every request.
	Headers map[string]string
	// Era is wire.Legacy (the default) or wire.Modern.
	Era string
	// Workload is Call (the default), List, Session or Idle.
	Workload string
	// Hold is HoldStreams (the default), HoldConnections or HoldSessions, for Idle.
	Hold string
	// Clients is the number of virtual clients.
	Clients int
	// Payload is the length of a call's argument in bytes; at least 40.
	Payload int
	// Tools is how many tools tools/list must return; 0 takes what the first list gives.
	Tools int
	// Rate is in operations per second, sent whether or not earlier ones have been answered (open loop). 0: each client
	// sends when it has been answered (closed loop).
	Rate float64
	// Each is how many operations each client of a closed loop does; 0: until Drain.
	Each int
	// Timeout of one request; default 30 s.
	Timeout time.Duration
}

// maxClients is bounded by the ports towards one address.
const maxClients = 20_000

// complete fills in what is not set, and checks the rest.
func (c *Config) complete() error {
	defaultTo(&c.Tool, "echo")
	defaultTo(&c.Era, wire.Legacy)
	defaultTo(&c.Workload, Call)
	defaultTo(&c.Hold, HoldStreams)
	c.Payload = max(c.Payload, minPayload)
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	switch {
	case c.Clients < 1 || c.Clients > maxClients:
		return fmt.Errorf("clients must be 1 to %d, not %d", maxClients, c.Clients)
	case c.Era != wire.Legacy && c.Era != wire.Modern:
		return fmt.Errorf("era must be %s or %s, not %q", wire.Legacy, wire.Modern, c.Era)
	case c.Workload != Call && c.Workload != List && c.Workload != Session && c.Workload != Idle:
		return fmt.Errorf("workload must be %s, %s, %s or %s, not %q", Call, List, Session, Idle, c.Workload)
	case c.Hold != HoldStreams && c.Hold != HoldConnections && c.Hold != HoldSessions:
		return fmt.Errorf("hold must be %s, %s or %s, not %q", HoldStreams, HoldConnections, HoldSessions, c.Hold)
	case c.Rate < 0 || c.Rate > 1e6:
		return errors.New("rate must be between 0 and a million")
	}
	return nil
}

func defaultTo(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// Result is what a run counted.
type Result struct {
	// Latency runs to the last byte of the response. In the open loop it begins when the operation was due, so that a
	// server that stalls is not spared. Only what was recorded counts.
	Latency Histogram
	// Lag: of the open loop, how late the client itself sent.
	Lag Histogram
	// Calls are the successful operations that were recorded, Total all of them.
	Calls, Total uint64
	// Errors are counted whether they were recorded or not.
	Errors     uint64
	ErrorKinds map[string]int
	FirstError string
	// Reconnects are connections that the server closed between operations.
	Reconnects int
	// MaxQueue and Unsent: of the open loop, operations that waited for a free client, and those never sent.
	MaxQueue, Unsent int
	// Tools is how many there are in tools/list.
	Tools int
	// Held is how many idle clients held what they should at the end; Silent of them are streams whose response head
	// had not come within 2 s.
	Held, Silent int
}
