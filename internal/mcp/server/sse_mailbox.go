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

package server

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// Bounds of what waits in a mailbox. One message that is larger may wait alone.
const (
	maxMail      = 256
	maxMailBytes = 1 << 20
)

// errNotRead is why messages for somebody who does not read them are given up.
var errNotRead = errors.New("its messages were not read in time")

// mail is a message of a server on its way to whoever reads it.
type mail struct {
	data []byte
	kind jsonrpc.Kind
	// own is whether it belongs to the one request: its progress or its response. All else is for the client.
	own bool
	// response is whether it is the response, after which nothing comes.
	response bool
}

func (m mail) isNotification() bool { return m.kind == jsonrpc.Notification }

// isProgress returns whether the message is worth nothing once a newer one is there.
func (m mail) isProgress() bool { return m.own && !m.response }

// mailbox is what waits for one reader.
type mailbox struct {
	mu       sync.Mutex
	messages []mail
	size     int
	ended    error         // Why no more comes; io.EOF if all has come.
	changed  chan struct{} // Closed at the next change, if anybody waits for one.
}

// wait returns what is closed at the next change. The caller holds mu.
func (b *mailbox) wait() <-chan struct{} {
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

// tell wakes all that wait. The caller holds mu.
func (b *mailbox) tell() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// fits returns whether there is room for a message. The caller holds mu.
func (b *mailbox) fits(m *mail) bool {
	return len(b.messages) == 0 || len(b.messages) < maxMail && b.size+len(m.data) <= maxMailBytes
}

// add adds a message. The caller holds mu.
func (b *mailbox) add(m *mail) {
	b.messages = append(b.messages, *m)
	b.size += len(m.data)
	b.tell()
}

// remove removes the message at i. The caller holds mu.
func (b *mailbox) remove(i int) {
	b.size -= len(b.messages[i].data)
	b.messages = slices.Delete(b.messages, i, i+1)
	b.tell()
}

// put adds a message. Where there is no room for it, the oldest news of progress makes some, or it waits for the reader, but no
// longer than that.
func (b *mailbox) put(ctx context.Context, m *mail, patience time.Duration) error {
	var tired <-chan time.Time
	for {
		b.mu.Lock()
		b.makeRoom(m, mail.isProgress)
		switch {
		case b.ended != nil:
			defer b.mu.Unlock()
			return b.ended
		case b.fits(m):
			defer b.mu.Unlock()
			b.add(m)
			return nil
		}
		changed := b.wait()
		b.mu.Unlock()
		if tired == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			tired = timer.C
		}
		select {
		case <-changed:
		case <-tired:
			return errNotRead
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// makeRoom removes the oldest of such messages until another one fits, and returns how many it has. The caller holds mu.
func (b *mailbox) makeRoom(m *mail, such func(mail) bool) (removed int) {
	for b.ended == nil && !b.fits(m) {
		oldest := slices.IndexFunc(b.messages, such)
		if oldest < 0 {
			break
		}
		b.remove(oldest)
		removed++
	}
	return removed
}

// offer adds a message without waiting: where there is no room, the oldest notifications make some. It returns how many
// have, and whether that was enough.
func (b *mailbox) offer(m *mail) (dropped int, taken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	dropped = b.makeRoom(m, mail.isNotification)
	if b.ended != nil || !b.fits(m) {
		return dropped, false
	}
	b.add(m)
	return dropped, true
}

// next takes the oldest message, and waits for one if there is none.
func (b *mailbox) next(ctx context.Context) (mail, error) {
	for {
		b.mu.Lock()
		switch {
		case len(b.messages) > 0:
			defer b.mu.Unlock()
			m := b.messages[0]
			b.remove(0)
			return m, nil
		case b.ended != nil:
			defer b.mu.Unlock()
			return mail{}, b.ended
		}
		changed := b.wait()
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return mail{}, context.Cause(ctx)
		}
	}
}

// end takes no more messages, for that reason. What waits can still be read.
func (b *mailbox) end(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended == nil {
		b.ended = why
		b.tell()
	}
}

// leave ends the mailbox, whose reader has gone, and returns what was not read.
func (b *mailbox) leave(why error) []mail {
	b.end(why)
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := b.messages
	b.messages, b.size = nil, 0
	return rest
}

// complete returns whether all has come.
func (b *mailbox) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended == io.EOF //nolint:errorlint // It is this one, and never wrapped.
}

// mailBody is the body of an answer that is a stream of a mailbox's messages.
type mailBody struct {
	ctx     context.Context
	box     *mailbox
	buffer  []byte
	unread  []byte // The rest of the buffer.
	release func() // Called once, when the body is closed.
}

// Read implements io.Reader.
func (b *mailBody) Read(p []byte) (int, error) {
	if len(b.unread) == 0 {
		m, err := b.box.next(b.ctx)
		if err != nil {
			return 0, err
		}
		b.fill(&m)
	}
	n := copy(p, b.unread)
	b.unread = b.unread[n:]
	return n, nil
}

// fill makes a message the next that is read. Events have no ids: what is lost can't be had again.
func (b *mailBody) fill(m *mail) {
	const spare = 64 << 10
	if cap(b.buffer) > spare {
		b.buffer = nil // One large message does not hold its memory for as long as the stream lives.
	}
	b.buffer = sse.AppendEvent(b.buffer[:0], messageEvent(m.data))
	b.unread = b.buffer
}

// Close implements io.Closer.
func (b *mailBody) Close() error {
	b.release()
	return nil
}
