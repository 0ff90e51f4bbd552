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
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fakeClock stands still unless a test advances it.
type fakeClock struct {
	begun  time.Time
	passed atomic.Int64
}

func newFakeClock() *fakeClock {
	return &fakeClock{begun: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
}

func (f *fakeClock) now() time.Time { return f.begun.Add(time.Duration(f.passed.Load())) }

func (f *fakeClock) advance(d time.Duration) { f.passed.Add(int64(d)) }

var (
	refused  = failure{KindConnect, "it refuses connections", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	brokeOff = failure{KindClosed, "it closed the connection without an answer", io.EOF}
	silence  = failure{KindTimeout, "it did not answer within 15s", context.DeadlineExceeded}
)

// openCircuit returns a circuit that has just opened.
func openCircuit(t *testing.T, clock *fakeClock, f failure) *circuit {
	t.Helper()
	c := &circuit{since: clock.now()}
	for range failureThreshold {
		wantState(t, c, clock, Closed)
		p, ok := c.admit(clock.now, false)
		if !ok {
			t.Fatal("a closed circuit refuses a request")
		}
		c.failed(p, f, clock.now())
	}
	wantState(t, c, clock, Open)
	return c
}

func wantState(t *testing.T, c *circuit, clock *fakeClock, want State) {
	t.Helper()
	if got, _, _ := c.state(clock.now()); got != want {
		t.Fatalf("the circuit is %s, want %s", got, want)
	}
}

// probe returns the permit of a probe, which must be given as soon as the backoff is over.
func probe(t *testing.T, c *circuit, clock *fakeClock) permit {
	t.Helper()
	if _, ok := c.admit(clock.now, false); ok {
		t.Fatal("a request is let through before the backoff is over")
	}
	clock.advance(c.next.Sub(clock.now()))
	wantState(t, c, clock, HalfOpen)
	p, ok := c.admit(clock.now, false)
	if !ok {
		t.Fatal("no probe is let through after the backoff")
	}
	wantState(t, c, clock, HalfOpen)
	if _, ok := c.admit(clock.now, false); ok {
		t.Fatal("a second probe is let through beside the first")
	}
	return p
}

func TestFailingProbesLengthenTheBackoff(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, test := range []struct {
		name   string
		f      failure
		limits []time.Duration
	}{
		{"up to 1 s for what fails at once", brokeOff, []time.Duration{250 * ms, 500 * ms, 1000 * ms, 1000 * ms, 1000 * ms}},
		{"up to 10 s for what takes its time", silence,
			[]time.Duration{250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 10000 * ms, 10000 * ms}},
	} {
		clock := newFakeClock()
		c := openCircuit(t, clock, test.f)
		for i, limit := range test.limits {
			if wait := c.next.Sub(clock.now()); wait < limit/2 || wait > limit {
				t.Errorf("%s: backoff %d is %s, want at most %s and half of that at least", test.name, i, wait, limit)
			}
			c.failed(probe(t, c, clock), test.f, clock.now())
		}
	}
	t.Run("a server that fails at once after it was silent is asked soon", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := openCircuit(t, clock, silence)
		for range 10 {
			c.failed(probe(t, c, clock), silence, clock.now())
		}
		c.failed(probe(t, c, clock), brokeOff, clock.now())
		if wait := c.next.Sub(clock.now()); wait > maxBackoff {
			t.Errorf("it is asked after %s", wait)
		}
	})
	t.Run("it is short again after a success", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := openCircuit(t, clock, silence)
		for range 10 {
			c.failed(probe(t, c, clock), silence, clock.now())
		}
		probe(t, c, clock)
		c.succeeded(clock.now)
		for range failureThreshold {
			wantState(t, c, clock, Closed)
			p, _ := c.admit(clock.now, false)
			c.failed(p, silence, clock.now())
		}
		if wait := c.next.Sub(clock.now()); wait > minBackoff {
			t.Errorf("the backoff is %s", wait)
		}
	})
}

func TestOnlyFailuresInARowOpen(t *testing.T) {
	t.Parallel()
	clock := newFakeClock()
	c := &circuit{}
	for i := range 5 * failureThreshold {
		p, _ := c.admit(clock.now, false)
		if i%failureThreshold == failureThreshold-1 {
			c.succeeded(clock.now)
		} else {
			c.failed(p, brokeOff, clock.now())
		}
		wantState(t, c, clock, Closed)
	}
}

// Requests that began before a circuit opened end after it has.
func TestRequestsThatBeganEarlier(t *testing.T) {
	t.Parallel()
	t.Run("their failures don't lengthen the backoff", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := &circuit{}
		early, _ := c.admit(clock.now, false)
		for range failureThreshold {
			c.failed(early, silence, clock.now())
		}
		next := c.next
		clock.advance(time.Millisecond)
		for range 100 {
			c.failed(early, silence, clock.now())
		}
		if c.next != next {
			t.Errorf("the next probe was to be at %s, and is at %s", next, c.next)
		}
	})
	t.Run("nor do they open it again once it has closed", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := &circuit{}
		early, _ := c.admit(clock.now, false)
		for range failureThreshold {
			c.failed(early, silence, clock.now())
		}
		probe(t, c, clock)
		c.succeeded(clock.now)
		for range 100 {
			c.failed(early, silence, clock.now())
		}
		wantState(t, c, clock, Closed)
	})
	t.Run("their answers close it", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := openCircuit(t, clock, silence)
		c.succeeded(clock.now)
		wantState(t, c, clock, Closed)
		if _, since, _ := c.state(clock.now()); since != clock.now() {
			t.Errorf("closed since %s", since)
		}
	})
	t.Run("a probe fails after another request has closed it", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := openCircuit(t, clock, silence)
		p := probe(t, c, clock)
		c.succeeded(clock.now)
		c.failed(p, silence, clock.now())
		wantState(t, c, clock, Closed)
		if n := c.failures.Load(); n != 0 {
			t.Errorf("%d failures counted", n)
		}
	})
}

func TestProbeThatSaysNothingMakesRoomForAnother(t *testing.T) {
	t.Parallel()
	clock := newFakeClock()
	c := openCircuit(t, clock, brokeOff)
	for range 5 {
		c.released(probe(t, c, clock), clock.now())
		again, ok := c.admit(clock.now, false)
		if !ok {
			t.Fatal("no other probe is let through")
		}
		if _, ok := c.admit(clock.now, false); ok {
			t.Fatal("more than one other is")
		}
		c.failed(again, brokeOff, clock.now())
	}
}

// A probe may be a call that takes minutes to be answered.
func TestProbeThatIsNotAnsweredIsGivenUp(t *testing.T) {
	t.Parallel()
	t.Run("of a server that was silent", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := openCircuit(t, clock, silence)
		slow := probe(t, c, clock)
		clock.advance(maxSlowBackoff - 1)
		wantRefusal(t, c, clock)
		clock.advance(1)
		wantRefusal(t, c, clock)
		next := c.next
		if wait := next.Sub(clock.now()); wait < minBackoff || wait > 2*minBackoff {
			t.Errorf("the backoff is %s", wait)
		}
		// Whatever becomes of the slow one, its failure has been counted.
		c.failed(slow, silence, clock.now())
		c.released(slow, clock.now())
		if c.next != next {
			t.Error("the backoff was changed")
		}
		probe(t, c, clock)
		c.succeeded(clock.now) // Be it the slow one.
		wantState(t, c, clock, Closed)
	})
	t.Run("long ago", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := openCircuit(t, clock, silence)
		probe(t, c, clock)
		clock.advance(time.Hour)
		if _, ok := c.admit(clock.now, false); !ok {
			t.Error("its backoff is counted from now")
		}
		wantRefusal(t, c, clock)
	})
	t.Run("of a server that failed at once, and does so no more", func(t *testing.T) {
		t.Parallel()
		clock := newFakeClock()
		c := openCircuit(t, clock, brokeOff)
		slow := probe(t, c, clock)
		clock.advance(maxBackoff - 1)
		wantRefusal(t, c, clock)
		clock.advance(1)
		for range 2 {
			if _, ok := c.admit(clock.now, false); !ok {
				t.Fatal("it is refused")
			}
			wantState(t, c, clock, Closed)
		}
		c.failed(slow, silence, clock.now())
		if n := c.failures.Load(); n != 0 {
			t.Errorf("%d failures are counted", n)
		}
	})
}

func wantRefusal(t *testing.T, c *circuit, clock *fakeClock) {
	t.Helper()
	if _, ok := c.admit(clock.now, false); ok {
		t.Fatal("a request is let through")
	}
}

func TestOnlyRefusedConnectionsAreTriedByWhoHasNoChoice(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		f     failure
		tried bool
	}{
		{refused, true},
		{brokeOff, false},
		{silence, false},
		{failure{KindConnect, "it can't be reached", &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}}, false},
		// Not while connecting: it has been sent something.
		{failure{KindConnect, "it refuses connections", &net.OpError{Op: "read", Err: syscall.ECONNREFUSED}}, false},
		{statusFailure(503), false},
	} {
		clock := newFakeClock()
		c := openCircuit(t, clock, test.f)
		for range 3 {
			wantRefusal(t, c, clock)
			p, ok := c.admit(clock.now, true)
			if ok != test.tried {
				t.Errorf("%s: got %t", test.f.reason, ok)
			}
			if ok {
				c.failed(p, test.f, clock.now())
			}
		}
		// Beside a probe as well.
		probe(t, c, clock)
		if _, ok := c.admit(clock.now, true); ok != test.tried {
			t.Errorf("%s, beside a probe: got %t", test.f.reason, ok)
		}
	}
}

func TestRefusalSaysWhenItIsTriedAgain(t *testing.T) {
	t.Parallel()
	clock := newFakeClock()
	c := openCircuit(t, clock, refused)
	for _, test := range []struct {
		wait time.Duration
		want string
	}{
		{400 * time.Millisecond, "it refuses connections (tried again in 400ms)"},
		{301 * time.Millisecond, "it refuses connections (tried again in 400ms)"},
		{1, "it refuses connections (tried again in 100ms)"},
		{7150 * time.Millisecond, "it refuses connections (tried again in 7.2s)"},
		{0, "it refuses connections (being tried again)"},
	} {
		c.next = clock.now().Add(test.wait)
		next, f := c.refusal(clock.now())
		if f.reason != test.want || f.kind != KindCircuitOpen || !errors.Is(f.err, refused.err) || next != c.next {
			t.Errorf("%s: got %+v, want %q", test.wait, f, test.want)
		}
	}
	clock.advance(time.Second)
	c.next = clock.now().Add(time.Millisecond)
	probe(t, c, clock)
	if _, f := c.refusal(clock.now()); f.reason != "it refuses connections (being tried again)" {
		t.Errorf("beside a probe: %q", f.reason)
	}
}

// Whatever happens, an endpoint is never left alone for longer than the bounds allow.
func TestCircuitNeverStaysOpen(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		clock := newFakeClock()
		c := &circuit{}
		var permits []permit
		for range 200 {
			switch what := random.IntN(6); {
			case what <= 1:
				if p, ok := c.admit(clock.now, what == 0); ok {
					permits = append(permits, p)
				}
			case what == 2:
				clock.advance(time.Duration(random.Int64N(int64(2 * time.Second))))
			case len(permits) > 0:
				i := random.IntN(len(permits))
				p := permits[i]
				permits = append(permits[:i], permits[i+1:]...)
				switch random.IntN(5) {
				case 0:
					c.succeeded(clock.now)
				case 1:
					c.released(p, clock.now())
				case 2:
					c.failed(p, silence, clock.now())
				case 3:
					c.failed(p, refused, clock.now())
				default:
					c.failed(p, brokeOff, clock.now())
				}
			}
		}
		clock.advance(2 * maxSlowBackoff) // A probe is given up, and a backoff is over.
		if _, ok := c.admit(clock.now, false); !ok {
			t.Fatalf("seed %d: nothing is let through: next in %s, probing %t", seed, c.next.Sub(clock.now()), c.probing)
		}
		c.succeeded(clock.now)
		wantState(t, c, clock, Closed)
	}
}

func TestCircuitIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	clock := newFakeClock()
	c := &circuit{}
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for j := range 2000 {
				clock.advance(time.Millisecond)
				p, ok := c.admit(clock.now, j%2 == 0)
				_, _, _ = c.state(clock.now())
				switch {
				case !ok:
					_, _ = c.refusal(clock.now())
				case (i+j)%7 == 0:
					c.released(p, clock.now())
				case (i+j)%11 == 0:
					c.succeeded(clock.now)
				default:
					c.failed(p, []failure{brokeOff, refused, silence}[j%3], clock.now())
				}
			}
		})
	}
	users.Wait()
	clock.advance(2 * maxSlowBackoff)
	if _, ok := c.admit(clock.now, false); !ok {
		t.Error("nothing is let through")
	}
}

func TestClosedCircuitAllocatesNothing(t *testing.T) {
	clock := newFakeClock()
	c := &circuit{}
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := c.admit(clock.now, false); ok {
			c.succeeded(clock.now)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkClosedCircuit(b *testing.B) {
	c := &circuit{}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := c.admit(time.Now, false); ok {
				c.succeeded(time.Now)
			}
		}
	})
}
