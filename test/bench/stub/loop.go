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

package stub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// Loop serves connections on one thread.
type Loop struct {
	s           *Server
	poller      *wire.Poller
	listeners   []int
	connections map[int]*connection
	in, out     []byte // scratch
	body        []byte // scratch for chunked request bodies
	late        []lateReply
	nextStall   time.Time
}

type connection struct {
	fd      int
	in      []byte // input not yet used
	need    int    // input length below which parsing is pointless
	out     []byte // output not yet sent
	stream  bool   // counted as an open stream
	closing bool
}

type lateReply struct {
	due time.Time
	c   *connection
	b   []byte
}

// Listen binds IPv4 loopback addresses, "HOST:PORT" or "HOST:FIRST-LAST". Several loops may share them.
func (s *Server) Listen(addresses ...string) (*Loop, error) {
	poller, err := wire.NewPoller()
	if err != nil {
		return nil, err
	}
	l := &Loop{s: s, poller: poller, connections: map[int]*connection{}, in: make([]byte, 256<<10)}
	for _, address := range Addresses(addresses...) {
		if err := l.listen(address); err != nil {
			l.shutdown()
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
	}
	return l, nil
}

func (l *Loop) listen(address string) error {
	sockaddr, err := wire.Loopback(address)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	l.listeners = append(l.listeners, fd)
	const soReusePort = 15
	return errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort, 1),
		syscall.Bind(fd, sockaddr), syscall.Listen(fd, 4096), l.poller.Add(fd, syscall.EPOLLIN))
}

// Addresses turns 127.0.0.1:19101-19103 into three addresses.
func Addresses(addresses ...string) []string {
	var out []string
	for _, a := range addresses {
		host, ports, _ := strings.Cut(a, ":")
		first, last, isRange := strings.Cut(ports, "-")
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if !isRange || err1 != nil || err2 != nil {
			out = append(out, a)
			continue
		}
		for port := from; port <= to; port++ {
			out = append(out, fmt.Sprintf("%s:%d", host, port))
		}
	}
	return out
}

// Run serves until the context ends.
func (l *Loop) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.shutdown()
	for ctx.Err() == nil {
		timeout := 50 * time.Millisecond
		if len(l.late) > 0 {
			timeout = min(timeout, time.Until(l.late[0].due))
		}
		events, err := l.poller.Wait(timeout)
		if err != nil {
			return err
		}
		l.stall()
		l.sendLate()
		for _, event := range events {
			fd := int(event.Fd)
			if c := l.connections[fd]; c != nil {
				l.serve(c, event.Events)
			} else if slices.Contains(l.listeners, fd) {
				l.accept(fd)
			}
		}
	}
	return nil
}

// stall stops everything now and then, if that is configured.
func (l *Loop) stall() {
	config := l.s.config.Load()
	if config.Stall <= 0 || config.StallEvery <= 0 {
		return
	}
	now := time.Now()
	if l.nextStall.IsZero() {
		l.nextStall = now.Add(config.StallEvery)
	} else if now.After(l.nextStall) {
		time.Sleep(config.Stall)
		l.nextStall = l.nextStall.Add(config.StallEvery)
	}
}

func (l *Loop) sendLate() {
	for len(l.late) > 0 && !time.Now().Before(l.late[0].due) {
		r := l.late[0]
		l.late = l.late[1:]
		if l.connections[r.c.fd] == r.c {
			l.send(r.c, r.b)
		}
	}
}

func (l *Loop) shutdown() {
	for _, c := range l.connections {
		l.drop(c)
	}
	for _, fd := range l.listeners {
		_ = syscall.Close(fd)
	}
	l.poller.Close()
}

func (l *Loop) accept(listener int) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return // EAGAIN, or a connection that is gone again
		}
		if wire.NoDelay(fd) != nil || l.poller.Add(fd, syscall.EPOLLIN) != nil {
			_ = syscall.Close(fd)
			continue
		}
		l.connections[fd] = &connection{fd: fd}
		l.s.accepted.Add(1)
		l.s.open.Add(1)
	}
}

func (l *Loop) drop(c *connection) {
	if l.connections[c.fd] != c {
		return
	}
	delete(l.connections, c.fd)
	_ = syscall.Close(c.fd)
	l.s.open.Add(-1)
	if c.stream {
		l.s.streams.Add(-1)
	}
}

// serve does what a connection's events ask for.
func (l *Loop) serve(c *connection, events uint32) {
	if events&syscall.EPOLLOUT != 0 && len(c.out) > 0 && !l.flush(c) {
		return
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) == 0 {
		return
	}
	n, errno := wire.Read(c.fd, l.in)
	if errno == syscall.EAGAIN {
		return
	}
	if errno != 0 || n == 0 {
		if len(c.out) == 0 {
			// The gateway closed first. Answering with a reset spares it the TIME_WAIT state: some gateways open a
			// connection for each call, and from about 14,000 used ports on, Linux searches long for a free one.
			_ = syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		}
		l.drop(c)
		return
	}
	data := l.in[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, data...)
		data = c.in
	}
	for len(data) >= max(c.need, 1) {
		used, err := l.request(c, data)
		if err != nil {
			l.drop(c)
			return
		}
		if used == 0 {
			break
		}
		c.need = 0
		data = data[used:]
		if l.connections[c.fd] != c {
			return
		}
	}
	c.in = append(c.in[:0], data...)
}

// flush sends what is left to send, and returns whether the connection goes on.
func (l *Loop) flush(c *connection) bool {
	n, errno := wire.Write(c.fd, c.out)
	if errno != 0 && errno != syscall.EAGAIN {
		l.drop(c)
		return false
	}
	if c.out = c.out[n:]; len(c.out) > 0 {
		return true
	}
	c.out = nil
	if c.closing {
		l.drop(c)
		return false
	}
	_ = l.poller.Modify(c.fd, syscall.EPOLLIN)
	return true
}

func (l *Loop) send(c *connection, b []byte) {
	n := 0
	if len(c.out) == 0 {
		for n < len(b) {
			m, errno := wire.Write(c.fd, b[n:])
			if errno == syscall.EAGAIN {
				break
			}
			if errno != 0 {
				l.drop(c)
				return
			}
			n += m
		}
	}
	if n < len(b) {
		c.out = append(c.out, b[n:]...)
		_ = l.poller.Modify(c.fd, syscall.EPOLLIN|syscall.EPOLLOUT)
		return
	}
	if c.closing {
		l.drop(c)
	}
}

// Bound returns where the loop listens: of port 0, the port that it was given.
func (l *Loop) Bound() []string {
	var all []string
	for _, fd := range l.listeners {
		if name, err := syscall.Getsockname(fd); err == nil {
			if a, ok := name.(*syscall.SockaddrInet4); ok {
				all = append(all, fmt.Sprintf("127.0.0.1:%d", a.Port))
			}
		}
	}
	return all
}
