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

package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// knownFor is how long the replicas' addresses are believed. A sealed address may be old, and belong to somebody else
	// by now.
	knownFor = 5 * time.Second
	// askAgainAfter is the least time between two questions, so that old tokens are no way to make many of them.
	askAgainAfter = time.Second
	// maxReplicas is more than any proxy has.
	maxReplicas = 1024
)

// addressBook knows the addresses of all replicas.
type addressBook struct {
	resolve func(ctx context.Context) ([]string, error)

	mu    sync.Mutex
	asked time.Time
	known []string // Canonical, and not changed once it is here.
	err   error
}

// all returns the addresses of all replicas.
func (b *addressBook) all(ctx context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ask(ctx, knownFor)
	return b.known, b.err
}

// has returns whether the address is a replica's. One that is not known yet may be of a new replica.
func (b *addressBook) has(ctx context.Context, address string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ask(ctx, knownFor); !slices.Contains(b.known, address) {
		b.ask(ctx, askAgainAfter)
	}
	return slices.Contains(b.known, address), b.err
}

// ask asks for the addresses unless that was done a moment ago. The caller holds mu: others wait for the answer too.
func (b *addressBook) ask(ctx context.Context, moment time.Duration) {
	if b.err != nil {
		moment = askAgainAfter
	}
	if !b.asked.IsZero() && time.Since(b.asked) < moment {
		return
	}
	// Whoever asks first may go away before the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	addresses, err := b.resolve(ctx)
	b.asked, b.known, b.err = time.Now(), nil, err
	if err != nil {
		return
	}
	for _, address := range addresses[:min(len(addresses), maxReplicas)] {
		if address, ok := Canonical(address); ok {
			b.known = append(b.known, address)
		}
	}
	slices.Sort(b.known)
	if b.known = slices.Compact(b.known); len(b.known) == 0 {
		b.err = errors.New("no addresses of replicas were found")
	}
}

// Canonical returns the one spelling of an address, "host:port"; false if it can't be a replica's.
func Canonical(address string) (string, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || len(host) > 253 {
		return "", false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap(); ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			return "", false
		}
		return netip.AddrPortFrom(ip, uint16(number)).String(), true
	}
	if slices.Contains(strings.Split(host, "."), "") {
		return "", false
	}
	for _, c := range []byte(host) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return "", false
		}
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10)), true
}
