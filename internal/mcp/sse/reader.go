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

package sse

import (
	"bytes"
	"io"
	"math"
)

// byteOrderMark may begin a stream and is then no part of it.
var byteOrderMark = []byte("\xef\xbb\xbf")

// Reader splits a stream into events. It is not safe for concurrent use.
//
// An event's data is joined in place, in the buffer that the stream is read into, so that the usual event, which has all
// its data on one line, is never copied. The buffer holds the data of the event that is being read, then what was read
// but not looked at yet:
//
//	buf:  … data … | already looked at | … line … |  free
//	     dataStart dataEnd            next     filled
type Reader struct {
	source io.Reader
	limit  int
	err    error // what Next returns from now on

	buf                []byte
	dataStart, dataEnd int
	next, filled       int
	searched           int // no line ends in buf[next:searched]
	lineFeed           int // where the first \n at or after searched is, filled without one; if less, it is not known

	started bool // the first line has been read, with the byte order mark that it may have
	skipLF  bool // a line ended with \r: if \n follows, it belongs to it
}

// NewReader returns a reader of the stream source. An event is too large if its data, joined, and the line being read
// exceed maxEvent bytes together. Close gives the reader's buffer back; it does not close the source.
func NewReader(source io.Reader, maxEvent int) *Reader {
	return &Reader{source: source, limit: maxEvent}
}

// Close ends the use of the reader and of the last event's data.
func (r *Reader) Close() error {
	putBuffer(r.buf)
	*r = Reader{err: io.ErrClosedPipe}
	return nil
}

// Next reads the next event into e. e.Data is valid until the next call. Besides events with data, it delivers those
// that have only an id or only a reconnection time: these change how the stream is resumed. Comments and unknown fields
// are skipped.
//
// At the end of the stream the error is io.EOF; an event that is not complete by then is dropped, as the standard wants.
// A larger event than the limit is ErrTooLarge. Other errors are the source's. After an error every call returns it.
func (r *Reader) Next(e *Event) error {
	*e = Event{Retry: -1}
	r.dataStart, r.dataEnd = r.next, r.next
	for {
		start, end, err := r.line()
		if err != nil {
			*e = Event{Retry: -1}
			return err
		}
		if start < end {
			if err := r.field(e, start, end); err != nil {
				*e = Event{Retry: -1}
				return err
			}
			continue
		}
		if e.HasData || e.HasID || e.Retry >= 0 {
			if e.HasData {
				e.Data = r.buf[r.dataStart:r.dataEnd:r.dataEnd]
			}
			return nil
		}
		e.Name = "" // The name counts for the event that it stands in.
	}
}

// field takes in the line buf[start:end], which is not empty.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
func (r *Reader) field(e *Event, start, end int) error {
	line := r.buf[start:end]
	colon := bytes.IndexByte(line, ':')
	value := end
	if colon >= 0 {
		if value = start + colon + 1; value < end && r.buf[value] == ' ' {
			value++
		}
		line = line[:colon]
	}
	switch string(line) {
	case "data":
		return r.data(e, value, end)
	case "event":
		e.Name = eventName(r.buf[value:end])
	case "id":
		if id := r.buf[value:end]; bytes.IndexByte(id, 0) < 0 {
			e.ID, e.HasID = string(id), true
		}
	case "retry":
		if ms := milliseconds(r.buf[value:end]); ms >= 0 {
			e.Retry = ms
		}
	}
	return nil
}

// data adds the line of data buf[start:end] to the event's data.
func (r *Reader) data(e *Event, start, end int) error {
	if !e.HasData {
		e.HasData = true
		r.dataStart, r.dataEnd = start, end
		return nil
	}
	// What is overwritten has been looked at: the field's name is longer than the line feed that replaces it.
	r.buf[r.dataEnd] = '\n'
	r.dataEnd += 1 + copy(r.buf[r.dataEnd+1:], r.buf[start:end])
	return nil
}

// eventName returns the name as a string. It does not allocate for the names that MCP uses.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
func eventName(name []byte) string {
	switch string(name) {
	case "message":
		return "message"
	case "endpoint":
		return "endpoint"
	default:
		return string(name)
	}
}

// milliseconds returns the value of a retry field, or -1 if it is to be ignored because it is no string of digits. What
// is larger than a 32-bit integer becomes the largest of these.
func milliseconds(value []byte) int {
	if len(value) == 0 {
		return -1
	}
	var ms int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return -1
		}
		ms = min(ms*10+int64(c-'0'), math.MaxInt32)
	}
	return int(ms)
}

// line returns where the next line is, without its end.
func (r *Reader) line() (start, end int, err error) {
	for {
		if r.skipLF && r.next < r.filled {
			r.skipLF = false
			if r.buf[r.next] == '\n' {
				r.next++
			}
		}
		end, found := r.lineEnd()
		if r.dataEnd-r.dataStart+end-r.next > r.limit {
			r.err = ErrTooLarge
			r.dataStart, r.dataEnd, r.next, r.filled = 0, 0, 0, 0
			return 0, 0, r.err
		}
		if found {
			start = r.next
			r.next = end + 1
			r.skipLF = r.buf[end] == '\r'
			if !r.started {
				r.started = true
				if bytes.HasPrefix(r.buf[start:end], byteOrderMark) {
					start += len(byteOrderMark)
				}
			}
			return start, end, nil
		}
		if err := r.fill(); err != nil {
			return 0, 0, err
		}
	}
}

// lineEnd returns where the line that begins at next ends: at \n or at \r. If it does not end in what has been read, it
// returns filled and false. It looks at each byte once for either, however long or short the lines are.
func (r *Reader) lineEnd() (end int, found bool) {
	from := max(r.searched, r.next)
	if r.lineFeed < from {
		r.lineFeed = r.filled
		if i := bytes.IndexByte(r.buf[from:r.filled], '\n'); i >= 0 {
			r.lineFeed = from + i
		}
	}
	end = r.lineFeed
	if i := bytes.IndexByte(r.buf[from:end], '\r'); i >= 0 {
		end = from + i
	}
	r.searched = end
	return end, end < r.filled
}

// fill reads more of the stream.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	r.makeRoom()
	r.lineFeed = -1 // There was none in what has been read so far.
	// A reader may return nothing without an error, but not for ever.
	for range 100 {
		n, err := r.source.Read(r.buf[r.filled:])
		r.filled += n
		r.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.err = io.ErrNoProgress
	return r.err
}

// makeRoom sees to it that something can be read. What is still needed moves to the front of the buffer, or to a larger
// one if it is more than half of it. A reader that waits for an event to begin gives a large buffer back, so that many
// idle streams cost little.
func (r *Reader) makeRoom() {
	data, rest := r.dataEnd-r.dataStart, r.filled-r.next
	need := data + rest
	if need > 0 && r.filled < len(r.buf) {
		return
	}
	// The limit holds for what is needed. The quarter more makes moves rare where that is nearly all of the buffer.
	largest := max(r.limit+r.limit/4+smallBuffer, largeBuffer)
	buf := r.buf
	switch {
	case need == 0 && len(buf) != smallBuffer:
		buf = getBuffer(smallBuffer)
	case need > len(buf)/2 && len(buf) < largest:
		buf = getBuffer(min(max(2*len(buf), largeBuffer), largest))
	}
	copy(buf, r.buf[r.dataStart:r.dataEnd])
	copy(buf[data:], r.buf[r.next:r.filled])
	if len(buf) != len(r.buf) {
		putBuffer(r.buf)
		r.buf = buf
	}
	r.searched = max(r.searched-r.next, 0) + data
	r.dataStart, r.dataEnd = 0, data
	r.next, r.filled = data, data+rest
}
