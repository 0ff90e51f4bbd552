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

package keyring_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const (
	day    = 24 * time.Hour
	margin = time.Minute
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	daily = keyring.Policy{Every: day, Lifetime: day}
)

func newRing(t *testing.T) *session.KeyRing {
	t.Helper()
	ring, err := session.NewKeyRing()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return ring
}

func TestDecide(t *testing.T) {
	ring := newRing(t)
	const older, silent = "0011-2233", ""
	has := ring.ID()
	settledAt := func(at time.Time) keyring.Stored { return keyring.Stored{Ring: ring, Settled: at} }
	unsettled := settledAt(time.Time{})
	soon, late := keyring.LookSoon, keyring.LookAtLeast

	for name, test := range map[string]struct {
		stored   keyring.Stored
		replicas []string
		policy   keyring.Policy
		want     keyring.Decision
	}{
		// Before every ready replica has the ring.
		"new, no replica is ready":              {unsettled, nil, daily, keyring.Decision{LookAfter: late}},
		"new, one of two has another":           {unsettled, []string{has, older}, daily, keyring.Decision{LookAfter: soon}},
		"new, one of two does not say":          {unsettled, []string{silent, has}, daily, keyring.Decision{LookAfter: soon}},
		"new, none says":                        {unsettled, []string{silent, silent}, daily, keyring.Decision{LookAfter: soon}},
		"new, the only one has it":              {unsettled, []string{has}, daily, keyring.Decision{Step: keyring.Settle, Due: noon.Add(day + margin), LookAfter: late}},
		"new, all have it":                      {unsettled, []string{has, has, has}, daily, keyring.Decision{Step: keyring.Settle, Due: noon.Add(day + margin), LookAfter: late}},
		"new, a short time between two":         {unsettled, []string{has}, keyring.Policy{Every: time.Second, Lifetime: time.Second}, keyring.Decision{Step: keyring.Settle, Due: noon.Add(time.Second + margin), LookAfter: time.Second + margin}},
		"never, whatever the replicas have":     {unsettled, []string{has}, keyring.Policy{Lifetime: day}, keyring.Decision{LookAfter: late}},
		"never any more, though it was due":     {settledAt(noon.Add(-9 * day)), []string{has}, keyring.Policy{Lifetime: day}, keyring.Decision{LookAfter: late}},
		"never any more, with a replica astray": {settledAt(noon.Add(-9 * day)), []string{older}, keyring.Policy{Lifetime: day}, keyring.Decision{LookAfter: late}},

		// Until it is due.
		"settled just now":                {settledAt(noon), []string{has}, daily, keyring.Decision{Due: noon.Add(day + margin), LookAfter: late}},
		"a minute too early":              {settledAt(noon.Add(-day)), []string{has}, daily, keyring.Decision{Due: noon.Add(margin), LookAfter: margin}},
		"a moment too early":              {settledAt(noon.Add(1 - day - margin)), []string{has}, daily, keyring.Decision{Due: noon.Add(1), LookAfter: 1}},
		"settled, no replica is ready":    {settledAt(noon), nil, daily, keyring.Decision{Due: noon.Add(day + margin), LookAfter: late}},
		"settled, one does not say":       {settledAt(noon), []string{has, silent}, daily, keyring.Decision{Due: noon.Add(day + margin), LookAfter: late}},
		"settled, one turns up astray":    {settledAt(noon), []string{has, older}, daily, keyring.Decision{Step: keyring.Unsettle, LookAfter: soon}},
		"sessions last longer than asked": {settledAt(noon.Add(-day)), []string{has}, keyring.Policy{Every: time.Hour, Lifetime: 2 * day}, keyring.Decision{Due: noon.Add(day + margin), LookAfter: late}},
		"less often than needed":          {settledAt(noon.Add(-2 * day)), []string{has}, keyring.Policy{Every: 3 * day, Lifetime: day}, keyring.Decision{Due: noon.Add(day + margin), LookAfter: late}},

		// When it is due.
		"due":                            {settledAt(noon.Add(-day - margin)), []string{has, has}, daily, keyring.Decision{Step: keyring.Promote, LookAfter: soon}},
		"overdue":                        {settledAt(noon.Add(-300 * day)), []string{has}, daily, keyring.Decision{Step: keyring.Promote, LookAfter: soon}},
		"due, one has another":           {settledAt(noon.Add(-2 * day)), []string{has, older}, daily, keyring.Decision{Step: keyring.Unsettle, LookAfter: soon}},
		"due, one has another, one mute": {settledAt(noon.Add(-2 * day)), []string{silent, older, has}, daily, keyring.Decision{Step: keyring.Unsettle, LookAfter: soon}},
		"due, one does not say":          {settledAt(noon.Add(-2 * day)), []string{has, silent}, daily, keyring.Decision{LookAfter: soon}},
		"due, no replica is ready":       {settledAt(noon.Add(-2 * day)), nil, daily, keyring.Decision{LookAfter: late}},

		// When the clock has gone back.
		"settled in the future":                   {settledAt(noon.Add(time.Second)), []string{has}, daily, keyring.Decision{Step: keyring.Settle, Due: noon.Add(day + margin), LookAfter: late}},
		"settled years ahead":                     {settledAt(noon.Add(9999 * day)), []string{has}, daily, keyring.Decision{Step: keyring.Settle, Due: noon.Add(day + margin), LookAfter: late}},
		"settled in the future, none is ready":    {settledAt(noon.Add(9999 * day)), nil, daily, keyring.Decision{Due: noon.Add(10000*day + margin), LookAfter: late}},
		"settled in the future, one is not there": {settledAt(noon.Add(time.Hour)), []string{older}, daily, keyring.Decision{Step: keyring.Unsettle, LookAfter: soon}},
	} {
		t.Run(name, func(t *testing.T) {
			got := keyring.Decide(test.stored, test.replicas, test.policy, noon)
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

func TestAfter(t *testing.T) {
	ring := newRing(t)
	settled := keyring.Stored{Ring: ring, Settled: noon.Add(-day)}
	for step, want := range map[keyring.Step]keyring.Stored{
		keyring.Keep:     settled,
		keyring.Settle:   {Ring: ring, Settled: noon},
		keyring.Unsettle: {Ring: ring},
	} {
		t.Run(step.String(), func(t *testing.T) {
			g := NewWithT(t)
			got, err := settled.After(step, noon)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(want))
		})
	}
	t.Run("promote", func(t *testing.T) {
		g := NewWithT(t)
		got, err := settled.After(keyring.Promote, noon)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Settled).To(BeZero())
		g.Expect(got.Ring.ID()).NotTo(Equal(ring.ID()))
		for _, pair := range [][2]*session.KeyRing{{ring, got.Ring}, {got.Ring, ring}} {
			token, err := pair[0].SealSession(&session.Session{Expires: noon.Add(day)})
			g.Expect(err).NotTo(HaveOccurred())
			_, err = pair[1].OpenSession(token, noon)
			g.Expect(err).NotTo(HaveOccurred())
		}
	})
}

func TestMark(t *testing.T) {
	ring, other := newRing(t), newRing(t)
	stored := keyring.Stored{Ring: ring, Settled: noon.Add(time.Millisecond).In(time.FixedZone("", 3600))}
	const at = "2026-03-01T12:00:00Z"
	for name, test := range map[string]struct {
		ring *session.KeyRing
		mark string
		want time.Time
	}{
		"its own":            {ring, stored.Mark(), noon},
		"as it is written":   {ring, at + " " + ring.ID(), noon},
		"another ring's":     {other, stored.Mark(), time.Time{}},
		"none":               {ring, "", time.Time{}},
		"of no ring":         {ring, at, time.Time{}},
		"without a time":     {ring, " " + ring.ID(), time.Time{}},
		"of the ring alone":  {ring, ring.ID(), time.Time{}},
		"no time":            {ring, "yesterday " + ring.ID(), time.Time{}},
		"something after it": {ring, stored.Mark() + " ", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := keyring.Read(test.ring, test.mark)
			g.Expect(got.Settled.Equal(test.want)).To(BeTrue(), "%s", got.Settled)
			g.Expect(got.Ring).To(BeIdenticalTo(test.ring))
		})
	}
	NewWithT(t).Expect(keyring.Stored{Ring: ring}.Mark()).To(BeEmpty())
}

// replica is a proxy in the simulation: what it seals, and what it opens, is by its ring.
type replica struct {
	ring  *session.KeyRing
	ready bool
}

// Replicas get rings late, come and go, and open and seal all the time; whatever one of the ready ones seals, all ready ones
// open until it expires.
func TestNoSessionIsLost(t *testing.T) {
	g := NewWithT(t)
	const (
		lifetime = time.Hour
		tick     = 5 * time.Minute
	)
	type token struct {
		sealed  session.SealedSessionID
		expires time.Time
	}
	policy := keyring.Policy{Every: lifetime, Lifetime: lifetime}
	stored := keyring.Stored{Ring: newRing(t)}
	replicas := []*replica{{stored.Ring, true}, {stored.Ring, true}, {stored.Ring, true}}
	var tokens []token
	promotions, now := 0, noon
	for step := range 800 {
		now = now.Add(tick)
		if step%100 == 50 {
			now = now.Add(-tick / 2) // a clock that is set right
		}
		// The first takes over at once, the second late, the third very late and is unready for a while, during which it
		// misses nothing.
		if replicas[0].ring = stored.Ring; step%7 == 0 {
			replicas[1].ring = stored.Ring
		}
		replicas[2].ready = step%100 > 10
		if step%30 == 0 || !replicas[2].ready {
			replicas[2].ring = stored.Ring
		}

		var ids []string
		for _, r := range replicas {
			if !r.ready {
				continue
			}
			ids = append(ids, r.ring.ID())
			sealed, err := r.ring.SealSession(&session.Session{Expires: now.Add(lifetime)})
			g.Expect(err).NotTo(HaveOccurred())
			tokens = append(tokens, token{sealed, now.Add(lifetime)})
		}
		live := tokens[:0]
		for _, t := range tokens {
			if !now.Before(t.expires) {
				continue
			}
			live = append(live, t)
			for i, r := range replicas {
				if r.ready {
					_, err := r.ring.OpenSession(t.sealed, now)
					g.Expect(err).NotTo(HaveOccurred(), "replica %d at step %d", i, step)
				}
			}
		}
		tokens = live

		decision := keyring.Decide(stored, ids, policy, now)
		if decision.Step == keyring.Promote {
			promotions++
		}
		var err error
		stored, err = stored.After(decision.Step, now)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(promotions).To(BeNumerically(">", 5))
}
