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
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/addresses"
)

// ErrAddressRefused is the reason why an address that a target's name resolved to was not dialled.
var ErrAddressRefused = errors.New("address refused")

// newDialer returns a dialer that judges every address after name resolution, so that no DNS answer can lead the
// gateway to an address that its configuration could not have named.
func newDialer(timeout time.Duration, allowLoopback bool) *net.Dialer {
	return &net.Dialer{
		Timeout: timeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			return checkAddress(address, allowLoopback)
		},
	}
}

// dial connects to an address.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialled, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return connection{dialled}, nil
}

// body is a request's, in memory.
type body struct{ *bytes.Reader }

// Close implements io.Closer.
func (body) Close() error { return nil }

// connection is written to without a copy of what is in memory already. http.Transport has io.Copy write bodies, and with a
// *net.TCPConn that makes a buffer of 32 KB for each.
type connection struct{ net.Conn }

// ReadFrom implements io.ReaderFrom.
func (c connection) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if b, ok := limited.R.(body); ok && int64(b.Len()) <= limited.N {
			n, err := b.WriteTo(c.Conn)
			limited.N -= n
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// checkAddress returns an error that wraps ErrAddressRefused for addresses that no MCP server has and that a proxy
// must not be led to: link-local and metadata addresses, and loopback ones unless they are allowed.
func checkAddress(address string, allowLoopback bool) error {
	addrPort, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no IP address and port", ErrAddressRefused, address)
	}
	switch kind := addresses.KindOf(addrPort.Addr()); {
	case kind == addresses.Ordinary, kind == addresses.Loopback && allowLoopback:
		return nil
	case kind == addresses.Loopback:
		return fmt.Errorf("%w: %s is a loopback address", ErrAddressRefused, addrPort.Addr())
	default:
		return fmt.Errorf("%w: %s is an unspecified, link-local, multicast or metadata address", ErrAddressRefused, addrPort.Addr())
	}
}
