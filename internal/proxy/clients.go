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
	"net"
	"sync/atomic"
	"time"
)

// clientListener is a listener whose connections don't wait for ever for a client that takes nothing. An http.Server can bound only how
// long a whole answer takes, and answers may take hours.
type clientListener struct {
	net.Listener
	limit time.Duration
}

// Accept implements net.Listener.
func (l clientListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConnection{Conn: connection, limit: l.limit}, nil
}

// clientConnection is a connection each of whose writes has a deadline: the one that was set, or else the limit.
type clientConnection struct {
	net.Conn
	limit time.Duration
	// set is whether there is a deadline that another one has set.
	set atomic.Bool
}

// SetDeadline implements net.Conn.
func (c *clientConnection) SetDeadline(t time.Time) error {
	c.set.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *clientConnection) SetWriteDeadline(t time.Time) error {
	c.set.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

// Write implements net.Conn.
func (c *clientConnection) Write(p []byte) (int, error) {
	if !c.set.Load() {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.limit))
	}
	return c.Conn.Write(p)
}

// CloseWrite is what an http.Server calls so that the client gets the last answer though not all of its request was read.
func (c *clientConnection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
