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

package certs

import (
	"crypto/x509"
	"slices"
	"time"
)

const (
	// renewAfter is the age at which a certificate gets a successor, long before its end.
	renewAfter = 90 * 24 * time.Hour
	// settle is how long the API servers trust a successor before it is served, and a predecessor after it was served.
	settle = 10 * time.Minute
	// handover is how long a replica that has a trusted certificate goes on serving it after another one took its place:
	// API servers learn of the new one through a watch, like we do.
	handover = 5 * time.Second
	// recheck bounds how long what is in the cluster is taken for granted.
	recheck = time.Hour
)

// rotation is the state that all replicas share, kept in the Secret.
type rotation struct {
	// current is what is served.
	current *pair
	// since is when current became current.
	since time.Time
	// next is trusted already, and will be served; nil most of the time.
	next *pair
	// previous are trusted still, for replicas that have not heard yet.
	previous []*x509.Certificate
}

// trusted is what API servers trust.
func (r rotation) trusted() []*x509.Certificate {
	trusted := []*x509.Certificate{r.current.certificate}
	if r.next != nil {
		trusted = append(trusted, r.next.certificate)
	}
	return append(trusted, r.previous...)
}

// trusts is whether API servers trust the certificate.
func (r rotation) trusts(p *pair) bool {
	return p != nil && slices.ContainsFunc(r.trusted(), p.certificate.Equal)
}

// step returns the state that follows: r itself if there is nothing to do. names are what API servers call us; serving is
// what this replica serves, which stays trusted for a while if the state is lost, so that nothing fails meanwhile.
func (r rotation) step(names []string, serving *pair, now time.Time) (_ rotation, changed bool, err error) {
	if !r.current.usable(names, now) {
		return r.begin(names, serving, now)
	}
	switch {
	case now.Before(r.current.created().Add(renewAfter)):
		if r.next != nil {
			r.next, changed = nil, true
		}
	case !r.next.usable(names, now):
		if r.next, err = newPair(names, now); err != nil {
			return r, false, err
		}
		changed = true
	case !now.Before(r.next.created().Add(settle)):
		r.previous = append(slices.Clip(r.previous), r.current.certificate)
		r.current, r.since, r.next = r.next, now, nil
		changed = true
	}
	kept := slices.DeleteFunc(slices.Clone(r.previous), func(certificate *x509.Certificate) bool {
		return !now.Before(r.since.Add(settle)) || !now.Before(certificate.NotAfter) || certificate.Equal(r.current.certificate)
	})
	if len(kept) != len(r.previous) {
		r.previous, changed = kept, true
	}
	return r, changed, nil
}

// begin starts with a new certificate, because there is none that works.
func (r rotation) begin(names []string, serving *pair, now time.Time) (rotation, bool, error) {
	current, err := newPair(names, now)
	if err != nil {
		return r, false, err
	}
	begun := rotation{current: current, since: now}
	if serving != nil && now.Before(serving.certificate.NotAfter) {
		begun.previous = append(begun.previous, serving.certificate)
	}
	return begun, true, nil
}

// wait is how long there is nothing to do.
func (r rotation) wait(now time.Time) time.Duration {
	next := now.Add(recheck)
	for _, at := range []time.Time{r.current.created().Add(renewAfter), r.current.certificate.NotAfter, r.since.Add(settle)} {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	if r.next != nil {
		if at := r.next.created().Add(settle); at.After(now) && at.Before(next) {
			next = at
		}
	}
	// Certificates know times to the second.
	return next.Sub(now) + time.Second
}

// serve returns which certificate a replica serves that served another one before (nil: none), and in how long it serves
// another one (0: this is the one).
func (r rotation) serve(serving *pair, names []string, now time.Time) (*pair, time.Duration) {
	until := r.since.Add(handover)
	if serving.same(r.current) || !serving.usable(names, now) || !r.trusts(serving) || !now.Before(until) {
		return r.current, 0
	}
	return serving, until.Sub(now)
}
