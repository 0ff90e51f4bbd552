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

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// maxPeerHeader bounds, in bytes, the header of a peer's request: a client's, and what the peer adds.
const maxPeerHeader = maxHeader + 16<<10

// newPeers returns the other replicas of the proxy; nil if there are none.
func newPeers(o Options, keys func() *session.KeyRing) *peer.Peers {
	if o.PeerAddress == "" {
		return nil
	}
	return peer.New(peer.Options{
		Self: o.PeerAddress,
		Keys: keys,
		Resolve: func(ctx context.Context) ([]string, error) {
			return resolvePeers(ctx, net.DefaultResolver.LookupNetIP, o.Peers)
		},
		Log:    o.Log,
		Limits: o.Limits,
	})
}

// resolvePeers returns the addresses that these stand for. A name of several that can't be resolved may be of a replica
// that is not there.
func resolvePeers(
	ctx context.Context, lookup func(ctx context.Context, network, host string) ([]netip.Addr, error), peers []string,
) ([]string, error) {
	var resolved []string
	var errs []error
	for _, address := range peers {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := netip.ParseAddr(host); err == nil {
			resolved = append(resolved, address)
			continue
		}
		ips, err := lookup(ctx, "ip", host)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, ip := range ips {
			resolved = append(resolved, net.JoinHostPort(ip.Unmap().String(), port))
		}
	}
	if len(resolved) == 0 {
		return nil, errors.Join(errs...)
	}
	return resolved, nil
}

// listenPeers serves the peer port until the data plane is drained. It is bound when this returns.
func (d *dataPlane) listenPeers(address string, peers *peer.Peers) error {
	bound, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("bind the peer port: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peerPort = d.serveOn(bound, maxPeerHeader, peers.Handler(d.mcp.ServePeer).ServeHTTP)
	d.log.Info("Listening for other replicas", "address", bound.Addr().String())
	return nil
}
