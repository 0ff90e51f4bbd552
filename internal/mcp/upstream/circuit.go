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
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// failureThreshold is how many failures in a row open an endpoint's circuit.
	failureThreshold = 3
	// minBackoff is how long an endpoint is left alone at first. Each probe that fails doubles it.
	minBackoff = 250 * time.Millisecond
	// maxBackoff bounds the time for endpoints that fail at once. A probe costs next to nothing, and a server that is back
	// is to be found soon.
	maxBackoff = time.Second
	// maxSlowBackoff bounds the time for endpoints that let requests wait for their deadline.
	maxSlowBackoff = 10 * time.Second
)

// longestBackoff returns the bound after a failure of that kind.
func longestBackoff(k Kind) time.Duration {
	if k == KindTimeout {
		return maxSlowBackoff
	}
	return maxBackoff
}

// circuit remembers whether an endpoint answers. It is closed while it does. After failureThreshold failures in a row
// it opens: no requests go to the endpoint. When the backoff is over it is half-open: one request goes to the endpoint as
// a probe, whose success closes the circuit, and whose failure opens it again for longer.
type circuit struct {
	// epoch is even while the circuit is closed, and grows each time that it opens, opens again or closes. Requests
	// that fail in another epoch than they began in say nothing about the present one.
	epoch atomic.Uint64
	// failures in a row while the circuit is closed.
	failures atomic.Int32

	mu      sync.Mutex
	since   time.Time // When the circuit closed, or when it first opened thereafter.
	backoff time.Duration
	last    failure
	// next is when the next probe may begin; while one is under way, when it is given up.
	next    time.Time
	probing bool
}

// permit lets one request go to an endpoint: the epoch in which it was given. It is settled by one of succeeded, failed
// and released.
type permit uint64

func isClosed(epoch uint64) bool { return epoch%2 == 0 }

// admit returns a permit, unless the circuit is open. A request that has nowhere else to go may always go to an endpoint
// that refuses connections: that costs nothing, and a server that is back is there for the first who asks.
func (c *circuit) admit(now func() time.Time, nowhereElse bool) (permit, bool) {
	if epoch := c.epoch.Load(); isClosed(epoch) {
		return permit(epoch), true
	}
	return c.admitToOpen(now(), nowhereElse)
}

func (c *circuit) admitToOpen(now time.Time, nowhereElse bool) (permit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.probing && !now.Before(c.next) {
		c.giveUpProbe()
	}
	epoch := c.epoch.Load()
	switch {
	case isClosed(epoch), nowhereElse && c.last.isRefusal():
		return permit(epoch), true
	case now.Before(c.next):
		return 0, false
	}
	c.probing, c.next = true, now.Add(longestBackoff(c.last.kind))
	return permit(epoch), true
}

// giveUpProbe settles a probe that is not answered: a call may take minutes, and others need not wait for it. Where
// requests waited for their deadline, they still do. What failed at once no longer does. The caller holds mu.
func (c *circuit) giveUpProbe() {
	if c.last.kind == KindTimeout {
		c.open(c.next, c.last)
	} else {
		c.close(c.next)
	}
}

// succeeded notes an answer. It closes the circuit whenever the request began: the endpoint answers now.
func (c *circuit) succeeded(now func() time.Time) {
	if c.failures.Load() == 0 && isClosed(c.epoch.Load()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures.Store(0)
	if !isClosed(c.epoch.Load()) {
		c.close(now())
	}
}

// failed notes a failure of the endpoint.
func (c *circuit) failed(p permit, f failure, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch := c.epoch.Load()
	if epoch != uint64(p) || isClosed(epoch) && c.failures.Add(1) < failureThreshold {
		return
	}
	c.open(now, f)
}

// released notes that a request ended without saying anything about the endpoint. Another one may be the probe.
func (c *circuit) released(p permit, now time.Time) {
	if isClosed(uint64(p)) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch.Load() == uint64(p) {
		c.probing, c.next = false, now
	}
}

// open opens the circuit, or opens it again for longer. The caller holds mu.
func (c *circuit) open(now time.Time, f failure) {
	if isClosed(c.epoch.Load()) {
		c.backoff, c.since = minBackoff, now
		c.epoch.Add(1)
	} else {
		c.backoff *= 2
		c.epoch.Add(2)
	}
	c.backoff = min(c.backoff, longestBackoff(f.kind))
	c.last, c.probing = f, false
	// Replicas that lost one server don't come back to it all at once.
	c.next = now.Add(c.backoff/2 + rand.N(c.backoff/2)) //nolint:gosec // spreading load needs no secrecy
}

// close closes the circuit. The caller holds mu.
func (c *circuit) close(now time.Time) {
	c.failures.Store(0)
	c.probing, c.since = false, now
	c.epoch.Add(1)
}

// refusal returns when a request to the endpoint may be tried again, and why it is refused until then.
func (c *circuit) refusal(now time.Time) (next time.Time, f failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f = failure{kind: KindCircuitOpen, reason: c.last.reason + " (being tried again)", err: c.last.err}
	if wait := c.next.Sub(now); !c.probing && wait > 0 {
		const step = 100 * time.Millisecond
		f.reason = c.last.reason + " (tried again in " + (wait + step - 1).Truncate(step).String() + ")"
	}
	return c.next, f
}

// state returns what the circuit is, since when it is closed or not, and why it is not.
func (c *circuit) state(now time.Time) (s State, since time.Time, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case isClosed(c.epoch.Load()):
		return Closed, c.since, ""
	case c.probing, !now.Before(c.next):
		return HalfOpen, c.since, c.last.reason
	default:
		return Open, c.since, c.last.reason
	}
}
