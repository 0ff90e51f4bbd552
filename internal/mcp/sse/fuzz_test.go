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
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// reference reads a stream the simple way: all lines, one after the other, as the standard describes it.
func reference(in string, limit int) (events []Event, tooLarge bool) {
	text := strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	e, data := Event{Retry: -1}, ""
	for i, line := range lines {
		if len(data)+len(line) > limit {
			return events, true
		}
		if i == len(lines)-1 {
			break // Either empty or a line without an end.
		}
		if i == 0 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if line == "" {
			if e.HasData {
				e.Data = []byte(data)
			}
			if e.HasData || e.HasID || e.Retry >= 0 {
				events = append(events, e)
			}
			e, data = Event{Retry: -1}, ""
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			if e.HasData {
				data += "\n"
			}
			data += value
			e.HasData = true
		case "event":
			e.Name = value
		case "id":
			if !strings.Contains(value, "\x00") {
				e.ID, e.HasID = value, true
			}
		case "retry":
			if strings.Trim(value, "0123456789") == "" && value != "" {
				if n, err := strconv.ParseInt(value, 10, 32); err == nil || n > 0 {
					e.Retry = int(n)
				}
			}
		}
	}
	return events, false
}

// chunks is a reader that returns the text in pieces of the sizes that sizes says, over and over.
type chunks struct {
	text  string
	sizes []byte
	next  int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	size := len(p)
	if len(c.sizes) > 0 {
		size = int(c.sizes[c.next%len(c.sizes)])
		c.next++
	}
	n := copy(p[:min(size, len(p))], c.text)
	c.text = c.text[n:]
	return n, nil
}

// FuzzReader holds the reader against the reference, with any chunks and any limit.
func FuzzReader(f *testing.F) {
	for _, test := range streams {
		f.Add(test.in, []byte{3, 1, 7}, uint16(1000))
	}
	f.Add(strings.Repeat("data: 0123456789\r\n: c\n", 1000)+"\n", []byte{255, 1}, uint16(11000))
	f.Fuzz(func(t *testing.T, in string, sizes []byte, limit uint16) {
		sizes = bytes.ReplaceAll(sizes, []byte{0}, []byte{1})
		want, wantTooLarge := reference(in, int(limit))
		got, tooLarge := readAll(t, &chunks{text: in, sizes: sizes}, int(limit))
		if tooLarge != wantTooLarge {
			t.Fatalf("too large: %v, want %v", tooLarge, wantTooLarge)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %s\nwant %s", show(got), show(want))
		}
	})
}

// FuzzRoundTrip writes an event and reads it back: all that the format can express survives.
func FuzzRoundTrip(f *testing.F) {
	f.Add("message", "7", true, 1500, []byte("{}"), true)
	f.Add("a\nb", "\x00", true, -1, []byte("a\r\n\rb\n"), true)
	f.Fuzz(func(t *testing.T, name, id string, hasID bool, retry int, data []byte, hasData bool) {
		e := Event{Name: name, ID: id, HasID: hasID, Retry: min(retry, 1<<31-1), Data: data, HasData: hasData}
		in := AppendEvent(AppendComment(nil, name+id), &e)
		in = AppendEvent(in, &Event{Retry: -1, Data: []byte("next")})
		got, tooLarge := readAll(t, bytes.NewReader(in), 1<<20)
		if tooLarge {
			return
		}
		want := Event{Retry: max(e.Retry, -1)}
		if (hasID || id != "") && !strings.ContainsAny(id, "\r\n\x00") {
			want.ID, want.HasID = id, true
		}
		if hasData || len(data) > 0 {
			text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
			want.Data, want.HasData = []byte(text), true
		}
		if !strings.ContainsAny(name, "\r\n") {
			want.Name = name
		}
		events := []Event{want, message("next")}
		if !want.HasID && !want.HasData && want.Retry < 0 {
			events = events[1:]
		}
		if !reflect.DeepEqual(got, events) {
			t.Fatalf("got  %s\nwant %s", show(got), show(events))
		}
	})
}

func BenchmarkReader(b *testing.B) {
	for name, data := range map[string]string{"200B": strings.Repeat("x", 200), "32KB": strings.Repeat("x", 32<<10)} {
		b.Run(name, func(b *testing.B) {
			in := []byte("event: message\nid: 0123456789abcdef\ndata: " + data + "\n\n")
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			source := bytes.NewReader(nil)
			for b.Loop() {
				source.Reset(in)
				r := NewReader(source, 1<<20)
				var e Event
				if err := r.Next(&e); err != nil {
					b.Fatal(err)
				}
				if err := r.Next(&e); !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
				_ = r.Close()
			}
		})
	}
}
