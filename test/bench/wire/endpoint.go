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

package wire

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
)

// Loopback parses host:port and refuses every address that is not loopback: the harness must never send load off the
// machine.
func Loopback(hostport string) (*syscall.SockaddrInet4, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	if !address.Addr().Is4() || !address.Addr().IsLoopback() {
		return nil, fmt.Errorf("%s: only IPv4 loopback addresses are allowed", hostport)
	}
	return &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}, nil
}

// Endpoint is a parsed URL of an MCP endpoint.
type Endpoint struct {
	Host, Path string
	address    *syscall.SockaddrInet4
}

// ParseEndpoint parses http://127.0.0.1:PORT/PATH.
func ParseEndpoint(raw string) (Endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Endpoint{}, err
	}
	if u.Scheme != "http" || u.Port() == "" {
		return Endpoint{}, fmt.Errorf("%s: want http://127.0.0.1:PORT/PATH", raw)
	}
	address, err := Loopback(u.Host)
	if err != nil {
		return Endpoint{}, err
	}
	return Endpoint{Host: u.Host, Path: u.RequestURI(), address: address}, nil
}

// Dial connects and returns a descriptor that does not block. Connecting blocks; on loopback that takes microseconds.
func (e Endpoint) Dial() (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = syscall.Connect(fd, e.address); err == nil {
		if err = NoDelay(fd); err == nil {
			err = syscall.SetNonblock(fd, true)
		}
	}
	if err != nil {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("connect %s: %w", e.Host, err)
	}
	return fd, nil
}
