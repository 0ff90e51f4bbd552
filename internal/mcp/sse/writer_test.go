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
	"strings"
	"testing"
	"time"
)

func TestAppendEvent(t *testing.T) {
	for name, test := range map[string]struct {
		event Event
		want  string
	}{
		"data":                       {message(`{"a":1}`), "data: {\"a\":1}\n\n"},
		"data without HasData":       {Event{Retry: -1, Data: []byte("a")}, "data: a\n\n"},
		"every field":                {Event{Name: "message", ID: "7", HasID: true, Retry: 0, Data: []byte("a"), HasData: true}, "event: message\nid: 7\nretry: 0\ndata: a\n\n"},
		"empty data":                 {message(""), "data: \n\n"},
		"several lines":              {message("a\nb\r\nc\rd\n"), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"},
		"priming event":              {Event{ID: "7", HasID: true, Retry: -1, HasData: true}, "id: 7\ndata: \n\n"},
		"id alone":                   {Event{ID: "7", HasID: true, Retry: -1}, "id: 7\n\n"},
		"id without HasID":           {Event{ID: "7", Retry: -1}, "id: 7\n\n"},
		"empty id":                   {Event{HasID: true, Retry: -1}, "id: \n\n"},
		"retry alone":                {Event{Retry: 1500}, "retry: 1500\n\n"},
		"nothing":                    {Event{Retry: -1}, ""},
		"name alone":                 {Event{Name: "x", Retry: -1}, ""},
		"name with a line end":       {Event{Name: "x\ndata: y", Retry: -1, Data: []byte("a")}, "data: a\n\n"},
		"id with a line end":         {Event{ID: "x\rdata: y", HasID: true, Retry: -1, Data: []byte("a")}, "data: a\n\n"},
		"id with NUL":                {Event{ID: "x\x00", HasID: true, Retry: -1, Data: []byte("a")}, "data: a\n\n"},
		"id with a line end, alone":  {Event{ID: "x\n", HasID: true, Retry: -1}, ""},
		"data that begins with BOM":  {message("\xef\xbb\xbfa"), "data: \xef\xbb\xbfa\n\n"},
		"data that begins with ' '":  {message(" a"), "data:  a\n\n"},
		"data that looks like field": {message("id: 1"), "data: id: 1\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(AppendEvent([]byte("x"), &test.event)); got != "x"+test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAppendComment(t *testing.T) {
	for in, want := range map[string]string{
		"keep-alive":   ": keep-alive\n\n",
		"":             ": \n\n",
		"a\ndata: b\r": ": a\n: data: b\n: \n\n",
	} {
		got := string(AppendComment(nil, in))
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if events, _ := readAll(t, strings.NewReader(got), 100); events != nil {
			t.Errorf("readers see %s", show(events))
		}
	}
}

func TestManyCarriageReturnsAreNoLoad(t *testing.T) {
	data := strings.Repeat("\r", 1<<20) + "\n"
	e := message(data)
	start := time.Now()
	wire := AppendEvent(nil, &e)
	for _, in := range []string{
		string(wire[:len(wire)/8]),
		"data: " + strings.Repeat("x", 1<<20) + strings.Repeat("\r", 1<<20),
	} {
		if _, tooLarge := readAll(t, strings.NewReader(in), 4<<20); tooLarge {
			t.Error("too large")
		}
	}
	// Looking for the line feed again at every carriage return would take minutes.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestAppendEventAllocatesNothingInALargeEnoughBuffer(t *testing.T) {
	buf := make([]byte, 0, 1000)
	e := Event{Name: "message", ID: "7", HasID: true, Retry: 5, Data: []byte("a\nb")}
	if n := testing.AllocsPerRun(100, func() { AppendEvent(buf, &e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
