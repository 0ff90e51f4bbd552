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
	"syscall"
	"time"
	"unsafe"
)

// MinProcs is the GOMAXPROCS that event loops need: see Poller.
const MinProcs = 6

// Poller is one epoll instance, used by a single goroutine that is locked to its thread. It waits with raw system calls:
// the goroutine keeps its P while it sleeps, which spares the scheduler's hand-offs (several microseconds a call) and is
// safe because a preemption signal interrupts epoll_pwait2. The process therefore needs more Ps than it has loops:
// GOMAXPROCS of at least MinProcs.
type Poller struct {
	fd     int
	events [256]syscall.EpollEvent
}

// sysEpollPwait2 is the same number on every architecture that Kubernetes runs on. Linux has it since 5.11.
const sysEpollPwait2 = 441

// NewPoller makes a poller; close it after use.
func NewPoller() (*Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &Poller{fd: fd}, nil
}

// Add begins to watch a descriptor.
func (p *Poller) Add(fd int, events uint32) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// Modify changes what a descriptor is watched for.
func (p *Poller) Modify(fd int, events uint32) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_MOD, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// Wait returns the ready events; none when the timeout ran out or a signal came. They are valid until the next call.
func (p *Poller) Wait(timeout time.Duration) ([]syscall.EpollEvent, error) {
	ts := syscall.NsecToTimespec(int64(max(timeout, 0)))
	n, _, errno := syscall.RawSyscall6(sysEpollPwait2, uintptr(p.fd),
		uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return p.events[:n], nil
	case syscall.EINTR:
		return nil, nil
	}
	return nil, fmt.Errorf("epoll_pwait2: %w", errno)
}

// Close ends the poller; its descriptors stay open.
func (p *Poller) Close() { _ = syscall.Close(p.fd) }

// Read reads from a descriptor that does not block. The buffer must not be empty.
func Read(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Write writes to a descriptor that does not block. The buffer must not be empty. SIGPIPE, which a peer that closed
// first causes, is ignored by Go's runtime for descriptors other than 1 and 2.
func Write(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// NoDelay sends small writes at once.
func NoDelay(fd int) error {
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

// SharpTimers makes the timeouts of the calling thread exact; the kernel's default is to be up to 50 µs late.
func SharpTimers() {
	const prSetTimerSlack = 29
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
}
