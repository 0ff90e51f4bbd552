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

package upstream

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// State says whether requests go to an endpoint.
type State string

const (
	// Closed endpoints take requests.
	Closed State = "closed"
	// Open endpoints have failed, and are left alone for a while.
	Open State = "open"
	// HalfOpen endpoints have failed, and take one request to see whether they still do.
	HalfOpen State = "half_open"
)

// EndpointHealth is what is known of one endpoint.
type EndpointHealth struct {
	// Target that has the endpoint.
	Target config.TargetName
	// Address is that of the endpoint, "host:port".
	Address string
	State   State
	// Since is when the endpoint was first known or last recovered if it is closed, otherwise when it ceased to be.
	Since time.Time
	// Reason is why it is not closed.
	Reason string `json:",omitempty"`
}

// Health returns what is known of the endpoints of the targets that were compiled last, sorted by target and address.
// Each pair of them is there once: where targets of several Backends have both in common, it is the worst.
func (c *Client) Health() []EndpointHealth {
	type key struct {
		target  config.TargetName
		address string
	}
	severity := map[State]int{Closed: 0, HalfOpen: 1, Open: 2}
	worst := map[key]EndpointHealth{}
	c.mu.Lock()
	compiled := c.compiled
	c.mu.Unlock()
	now := c.now()
	for _, t := range compiled {
		for i := range t.endpoints {
			e := &t.endpoints[i]
			h := EndpointHealth{Target: t.Name, Address: e.address}
			h.State, h.Since, h.Reason = e.circuit.state(now)
			known, ok := worst[key{t.Name, e.address}]
			if !ok || severity[h.State] > severity[known.State] {
				worst[key{t.Name, e.address}] = h
			}
		}
	}
	return slices.SortedFunc(maps.Values(worst), func(a, b EndpointHealth) int {
		return cmp.Or(strings.Compare(string(a.Target), string(b.Target)), strings.Compare(a.Address, b.Address))
	})
}

// OutOfUse returns how many of the target's endpoints get no requests for now because they failed.
func (t *Target) OutOfUse() (count int) {
	for i := range t.endpoints {
		if !isClosed(t.endpoints[i].circuit.epoch.Load()) {
			count++
		}
	}
	return count
}

// circuitKey tells endpoints apart, whatever target has them.
type circuitKey struct {
	service   config.ServiceID
	address   string
	transport *transport
}

// keepCircuits gives each endpoint its circuit: the one that it had before, or a new one. Those of other endpoints are
// forgotten. The result has nil for targets that can't be used. The caller holds mu.
func (c *Client) keepCircuits(configs []*config.Target, compiled []*Target) {
	before := c.circuits
	c.circuits = make(map[circuitKey]*circuit, len(before))
	c.compiled = nil
	now := c.now()
	for i, t := range compiled {
		if t == nil {
			continue
		}
		c.compiled = append(c.compiled, t)
		for j := range t.endpoints {
			key := circuitKey{configs[i].Service, t.endpoints[j].address, t.transport}
			known := cmp.Or(c.circuits[key], before[key])
			if known == nil {
				known = &circuit{since: now}
			}
			c.circuits[key], t.endpoints[j].circuit = known, known
		}
	}
}

// answered notes an endpoint's answer.
func (c *Client) answered(t *Target, e *endpoint, p permit, status int) {
	if isUnavailable(status) {
		e.circuit.failed(p, statusFailure(status), c.now())
		c.observe(t, e.address, KindStatus)
		return
	}
	e.circuit.succeeded(c.now)
}

// notAnswered notes that an attempt failed.
func (c *Client) notAnswered(t *Target, e *endpoint, p permit, stream bool, f failure) {
	if f.isEndpoints(stream) {
		e.circuit.failed(p, f, c.now())
	} else {
		e.circuit.released(p, c.now())
	}
	c.observe(t, e.address, f.kind)
}

// refuse returns the error for a request that no endpoint may take now: the reason of the one that is tried again first.
func (c *Client) refuse(t *Target, candidates []endpoint) *Error {
	now := c.now()
	var (
		soonest *endpoint
		when    time.Time
		why     failure
	)
	for i := range candidates {
		e := &candidates[i]
		if next, f := e.circuit.refusal(now); soonest == nil || next.Before(when) {
			soonest, when, why = e, next, f
		}
	}
	c.observe(t, soonest.address, why.kind)
	return why.asError(t)
}

func (c *Client) observe(t *Target, address string, k Kind) {
	if c.options.Observe != nil {
		c.options.Observe(t.Name, address, k)
	}
}
