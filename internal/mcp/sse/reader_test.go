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
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// message is the event with that data.
func message(data string) Event { return Event{Retry: -1, Data: []byte(data), HasData: true} }

// readAll reads the stream to its end, which must be io.EOF or, if the limit is exceeded, ErrTooLarge.
func readAll(t *testing.T, source io.Reader, limit int) (events []Event, tooLarge bool) {
	t.Helper()
	r := NewReader(source, limit)
	defer r.Close()
	for {
		var e Event
		err := r.Next(&e)
		if err != nil {
			if again := r.Next(&e); !errors.Is(again, err) {
				t.Fatalf("the error was %v and is now %v", err, again)
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			return events, errors.Is(err, ErrTooLarge)
		}
		if e.HasData != (e.Data != nil) {
			t.Fatalf("HasData is %v and Data is %q", e.HasData, e.Data)
		}
		e.Data = append([]byte(nil), e.Data...)
		if e.HasData && e.Data == nil {
			e.Data = []byte{}
		}
		events = append(events, e)
	}
}

// show prints events so that their data can be read.
func show(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "{name %q, id %q %v, retry %d, data %q %v} ", e.Name, e.ID, e.HasID, e.Retry, e.Data, e.HasData)
	}
	return b.String()
}

var streams = map[string]struct {
	in   string
	want []Event
}{
	"nothing":              {"", nil},
	"one event":            {"data: {\"a\":1}\n\n", []Event{message(`{"a":1}`)}},
	"two events":           {"data: a\n\ndata: b\n\n", []Event{message("a"), message("b")}},
	"every field":          {"event: message\nid: 7\nretry: 1500\ndata: x\n\n", []Event{{Name: "message", ID: "7", HasID: true, Retry: 1500, Data: []byte("x"), HasData: true}}},
	"lines end in CRLF":    {"id: 1\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []Event{{ID: "1", HasID: true, Retry: -1, Data: []byte("a"), HasData: true}, message("b")}},
	"lines end in CR":      {"id: 1\rdata: a\r\rdata: b\r\r", []Event{{ID: "1", HasID: true, Retry: -1, Data: []byte("a"), HasData: true}, message("b")}},
	"lines end in each":    {"data: a\ndata: b\r\ndata: c\rdata: d\n\r\n", []Event{message("a\nb\nc\nd")}},
	"LF then CR":           {"data: a\n\rdata: b\n\n", []Event{message("a"), message("b")}},
	"several lines":        {"data: a\ndata:\ndata: b\n\n", []Event{message("a\n\nb")}},
	"lines between others": {"data: a\n: c\nid: 1\ndata: b\nx: y\ndata: c\n\n", []Event{{ID: "1", HasID: true, Retry: -1, Data: []byte("a\nb\nc"), HasData: true}}},
	"no space":             {"data:a\n\n", []Event{message("a")}},
	"two spaces":           {"data:  a\n\n", []Event{message(" a")}},
	"colon in value":       {"data:a:b\n\n", []Event{message("a:b")}},
	"empty data":           {"data:\n\n", []Event{message("")}},
	"field without colon":  {"data\n\n", []Event{message("")}},
	"two without colon":    {"data\ndata\n\n", []Event{message("\n")}},
	"data, then without":   {"data: ab\ndata\n\n", []Event{message("ab\n")}},
	"priming event":        {"id: p-0\ndata: \n\n", []Event{{ID: "p-0", HasID: true, Retry: -1, Data: []byte{}, HasData: true}}},
	"id alone":             {"id: p-0\n\n", []Event{{ID: "p-0", HasID: true, Retry: -1}}},
	"empty id":             {"id\ndata: a\n\n", []Event{{HasID: true, Retry: -1, Data: []byte("a"), HasData: true}}},
	"id is not kept":       {"id: 1\ndata: a\n\ndata: b\n\n", []Event{{ID: "1", HasID: true, Retry: -1, Data: []byte("a"), HasData: true}, message("b")}},
	"id with NUL":          {"id: a\x00b\ndata: a\n\n", []Event{message("a")}},
	"last id counts":       {"id: 1\nid: 2\n\n", []Event{{ID: "2", HasID: true, Retry: -1}}},
	"retry alone":          {"retry: 0\n\n", []Event{{Retry: 0}}},
	"retry is no number":   {"retry: 1s\nretry: -1\nretry:\nretry: 1.5\ndata: a\n\n", []Event{message("a")}},
	"retry is too large":   {"retry: 99999999999999999999999\n\n", []Event{{Retry: math.MaxInt32}}},
	"largest retry":        {"retry: 2147483647\n\n", []Event{{Retry: math.MaxInt32}}},
	"name alone":           {"event: x\n\ndata: a\n\n", []Event{message("a")}},
	"other names":          {"event: endpoint\ndata: /m\n\nevent: ping\ndata: x\n\n", []Event{{Name: "endpoint", Retry: -1, Data: []byte("/m"), HasData: true}, {Name: "ping", Retry: -1, Data: []byte("x"), HasData: true}}},
	"names are exact":      {"Data: a\ndata : b\n data: c\n\n", nil},
	"unknown field":        {"foo: bar\nbaz\n\n", nil},
	"comments":             {": hello\n\n:\n\n:data: x\ndata: a\n\n", []Event{message("a")}},
	"many empty lines":     {"\n\n\r\r\n\ndata: a\n\n\n\n", []Event{message("a")}},
	"incomplete event":     {"data: a\n\ndata: b\n", []Event{message("a")}},
	"incomplete line":      {"data: a\n\ndata: b", []Event{message("a")}},
	"byte order mark":      {"\xef\xbb\xbfdata: a\n\n", []Event{message("a")}},
	"only the first mark":  {"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", nil},
	"mark, then no line":   {"\xef\xbb\xbf\ndata: a\n\n", []Event{message("a")}},
	"half a mark":          {"\xef\xbb", nil},
	"larger than buffers":  {"id: 1\ndata: " + strings.Repeat("x", 3*largeBuffer) + "\ndata: y\n\ndata: z\n\n", []Event{{ID: "1", HasID: true, Retry: -1, Data: []byte(strings.Repeat("x", 3*largeBuffer) + "\ny"), HasData: true}, message("z")}},
	"many lines":           {strings.Repeat("data: 1\n: c\n", smallBuffer) + "\n", []Event{message(strings.Repeat("1\n", smallBuffer-1) + "1")}},
}

func TestNextReadsEvents(t *testing.T) {
	for name, test := range streams {
		t.Run(name, func(t *testing.T) {
			got, tooLarge := readAll(t, strings.NewReader(test.in), 1<<20)
			if tooLarge || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %s\nwant %s", show(got), show(test.want))
			}
		})
	}
}

func TestChunksMakeNoDifference(t *testing.T) {
	for name, test := range streams {
		t.Run(name, func(t *testing.T) {
			for readerName, source := range map[string]io.Reader{
				"one byte":      iotest.OneByteReader(strings.NewReader(test.in)),
				"half":          iotest.HalfReader(strings.NewReader(test.in)),
				"data with EOF": iotest.DataErrReader(strings.NewReader(test.in)),
			} {
				if got, _ := readAll(t, source, 1<<20); !reflect.DeepEqual(got, test.want) {
					t.Errorf("%s: got  %s\nwant %s", readerName, show(got), show(test.want))
				}
			}
			cuts := min(len(test.in), 300)
			if len(test.in) > largeBuffer/2 {
				cuts = 30
			}
			for i := range cuts {
				source := io.MultiReader(strings.NewReader(test.in[:i]), strings.NewReader(test.in[i:]))
				if got, _ := readAll(t, source, 1<<20); !reflect.DeepEqual(got, test.want) {
					t.Errorf("cut at %d: got  %s\nwant %s", i, show(got), show(test.want))
				}
			}
		})
	}
}

func TestNextDoesNotWaitForMoreThanTheEvent(t *testing.T) {
	for name, in := range map[string]string{"LF": "data: a\n\n", "CR": "data: a\r\r", "CRLF without the last LF": "data: a\r\n\r"} {
		t.Run(name, func(t *testing.T) {
			blocked := errors.New("asked for more")
			r := NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(blocked)), 100)
			defer r.Close()
			var e Event
			if err := r.Next(&e); err != nil || string(e.Data) != "a" {
				t.Fatalf("got %q and error %v", e.Data, err)
			}
			if err := r.Next(&e); !errors.Is(err, blocked) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	for name, test := range map[string]struct {
		in       string
		events   int
		tooLarge bool
	}{
		"exact":                       {"data: 4567890\n\n", 1, false},
		"one more":                    {"data: 45678901\n\n", 0, true},
		"before, all is well":         {"data: a\n\ndata: b\n\ndata: 45678901\n\ndata: c\n\n", 2, true},
		"joined data and its line":    {"data: a\ndata: b\ndata: c\n\n", 1, false},
		"joined data is too much":     {"data: a\ndata: b\ndata: c\ndata: d\ndata: e\n\n", 0, true},
		"line without end":            {"data: 45678901", 0, true},
		"comment":                     {": 34567890123\n\n", 0, false},
		"comment that is too long":    {": 345678901234\n\n", 0, true},
		"comments don't add up":       {strings.Repeat(": 34567890\n", 100) + "data: a\n\n", 1, false},
		"comments in event, neither":  {"data: 1\n" + strings.Repeat(": 34567\n", 100) + "\n", 1, false},
		"events don't add up":         {strings.Repeat("data: 4567\n\n", 100), 100, false},
		"empty lines don't add up":    {strings.Repeat("\n", 100) + "data: a\n\n", 1, false},
		"carriage returns, then more": {strings.Repeat("\r", 10*smallBuffer) + "data: 45678901\n", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, source := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				events, tooLarge := readAll(t, source, 13)
				if len(events) != test.events || tooLarge != test.tooLarge {
					t.Errorf("got %d events, too large: %v", len(events), tooLarge)
				}
			}
		})
	}
}

func TestMemoryIsBoundByTheLimit(t *testing.T) {
	const limit = 1 << 20
	in := strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", limit/1001-2) + strings.Repeat(": comment\n", 1<<18) + "\n"
	r := NewReader(strings.NewReader(in), limit)
	defer r.Close()
	var e Event
	if err := r.Next(&e); err != nil || !e.HasData {
		t.Fatal(err)
	}
	if got := len(r.buf); got > limit*5/4+smallBuffer {
		t.Errorf("the buffer has %d bytes", got)
	}
}

func TestIdleReaderGivesItsLargeBufferBack(t *testing.T) {
	source := io.MultiReader(strings.NewReader("data: "+strings.Repeat("x", largeBuffer)+"\n\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	r := NewReader(source, 1<<20)
	defer r.Close()
	var e Event
	if err := r.Next(&e); err != nil || len(r.buf) <= largeBuffer {
		t.Fatalf("got error %v and a buffer of %d bytes", err, len(r.buf))
	}
	if err := r.Next(&e); !errors.Is(err, io.ErrUnexpectedEOF) || len(r.buf) != smallBuffer {
		t.Errorf("got error %v and a buffer of %d bytes", err, len(r.buf))
	}
}

// nothing is a reader that returns neither bytes nor an error.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestReaderWithoutProgressIsAnError(t *testing.T) {
	r := NewReader(nothing{}, 100)
	defer r.Close()
	if err := r.Next(&Event{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got error %v", err)
	}
}

func TestClosedReaderReadsNothing(t *testing.T) {
	r := NewReader(strings.NewReader("data: a\n\ndata: b\n\n"), 100)
	var e Event
	if err := r.Next(&e); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := r.Next(&e); !errors.Is(err, io.ErrClosedPipe) || e.HasData {
		t.Errorf("got error %v and %q", err, e.Data)
	}
}

func TestReadingAllocatesNothingForMessages(t *testing.T) {
	in := bytes.Repeat([]byte("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"), 1000)
	source := bytes.NewReader(in)
	r := NewReader(source, 1<<20)
	defer r.Close()
	var e Event
	if err := r.Next(&e); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(500, func() {
		if err := r.Next(&e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for an event", n)
	}
}

func TestIsMessage(t *testing.T) {
	for name, want := range map[string]bool{"": true, "message": true, "endpoint": false, "Message": false} {
		if got := (&Event{Name: name}).IsMessage(); got != want {
			t.Errorf("IsMessage of %q is %v", name, got)
		}
	}
}
