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

// Package keyring decides when the keys that seal sessions rotate, so that no session is lost. It is pure: who reads the
// stored ring, asks the replicas and writes is the Gateway controller.
//
// A ring has three keys: the current one seals and opens, the next and the previous one only open. To rotate is to promote:
// next becomes current, current becomes previous, previous goes. That loses nothing on two conditions:
//
//   - Every replica has the ring that is promoted. Then those that have not heard of the promotion yet open what the others
//     seal, because its key is their next one; and the other way round, because it is the others' previous one.
//   - Nothing that the previous key sealed is still valid. The last replica to seal with it was the last one to take over
//     the stored ring, so the time counts from there, and not from the promotion before.
package keyring

import (
	"slices"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// Header of a proxy's answer to /readyz says the id of the key ring that it has.
const Header = "Dynamic-Mcp-Key-Ring"

const (
	// LookSoon is the time until the next look while replicas have not all got the stored ring.
	LookSoon = 15 * time.Second
	// LookAtLeast is the longest time until the next look: Secrets are not watched, and one that was deleted or edited by
	// hand is noticed then.
	LookAtLeast = 5 * time.Minute
	// margin is how far the clocks of managers and proxies may differ.
	margin = time.Minute
)

// Policy says how often keys rotate.
type Policy struct {
	// Every is the time between two rotations; 0: never. Less than Lifetime counts as Lifetime.
	Every time.Duration
	// Lifetime is how long what a key has sealed stays valid at most.
	Lifetime time.Duration
}

// Stored is what is stored about a Gateway's keys.
type Stored struct {
	// Ring is never nil.
	Ring *session.KeyRing
	// Settled is since when every ready replica has had the ring. Zero: not known, or not the case.
	Settled time.Time
}

// Step is what happens to what is stored.
type Step int

const (
	// Keep writes nothing.
	Keep Step = iota
	// Settle notes that every ready replica has the ring.
	Settle
	// Unsettle takes that back: a replica turned up with another ring, and seals with another key.
	Unsettle
	// Promote writes the ring that follows.
	Promote
)

// String returns the step's name for logs.
func (s Step) String() string {
	return [...]string{"keep", "settle", "unsettle", "promote"}[s]
}

// Decision is what to do now.
type Decision struct {
	Step Step
	// Due is when the keys rotate, once every ready replica is known to have the ring. Zero: not known, or never.
	Due time.Time
	// LookAfter is the time after which to decide anew. It is never less than zero.
	LookAfter time.Duration
}

// Decide decides, given the ids of the rings that the ready replicas have. A ready replica that does not say which ring it
// has is an empty id: it holds up a promotion, but is not evidence of another ring. Without any ready replica nothing is
// concluded. A clock that goes back makes the next rotation later, never earlier.
func Decide(stored Stored, replicas []string, policy Policy, now time.Time) Decision {
	if policy.Every == 0 {
		return Decision{LookAfter: LookAtLeast}
	}
	behind := slices.ContainsFunc(replicas, func(id string) bool { return id != "" && id != stored.Ring.ID() })
	all := len(replicas) > 0 && !behind && !slices.Contains(replicas, "")
	settled := !stored.Settled.IsZero()
	interval := max(policy.Every, policy.Lifetime) + margin
	due := stored.Settled.Add(interval)
	switch {
	case behind && settled:
		return Decision{Step: Unsettle, LookAfter: LookSoon}
	case all && (!settled || stored.Settled.After(now)):
		return Decision{Step: Settle, Due: now.Add(interval), LookAfter: min(interval, LookAtLeast)}
	case settled && now.Before(due):
		return Decision{Due: due, LookAfter: min(due.Sub(now), LookAtLeast)}
	case all:
		return Decision{Step: Promote, LookAfter: LookSoon}
	case len(replicas) == 0:
		return Decision{LookAfter: LookAtLeast} // The provisioner tells when one is ready.
	}
	return Decision{LookAfter: LookSoon}
}

// After returns what to store after a step that was decided now.
func (s Stored) After(step Step, now time.Time) (Stored, error) {
	switch step {
	case Settle:
		s.Settled = now
	case Unsettle:
		s.Settled = time.Time{}
	case Promote:
		ring, err := s.Ring.Promote()
		if err != nil {
			return Stored{}, err
		}
		s = Stored{Ring: ring}
	case Keep:
	}
	return s, nil
}

// Mark returns Settled as text to store beside the ring; empty if it is not settled. It names the ring, so that it says
// nothing about one that was put in its place by hand.
func (s Stored) Mark() string {
	if s.Settled.IsZero() {
		return ""
	}
	return s.Settled.UTC().Format(time.RFC3339) + " " + s.Ring.ID()
}

// Read returns what is stored, from a ring and its mark. A mark that can't be read, or is another ring's, is none.
func Read(ring *session.KeyRing, mark string) Stored {
	stored := Stored{Ring: ring}
	since, id, _ := strings.Cut(mark, " ")
	if settled, err := time.Parse(time.RFC3339, since); err == nil && id == ring.ID() {
		stored.Settled = settled
	}
	return stored
}
