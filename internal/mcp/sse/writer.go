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
	"strconv"
	"strings"
)

// AppendEvent appends the event as it goes over the wire, so that one write sends it. What the format can't express is
// left out: a name or an id with a line end in it, an id with NUL. Line ends in the data become \n. Nothing is appended
// for an event that says nothing.
func AppendEvent(dst []byte, e *Event) []byte {
	hasID := (e.HasID || e.ID != "") && !strings.ContainsAny(e.ID, "\r\n\x00")
	hasData := e.HasData || len(e.Data) > 0
	if !hasID && !hasData && e.Retry < 0 {
		return dst
	}
	if e.Name != "" && !strings.ContainsAny(e.Name, "\r\n") {
		dst = appendLine(dst, "event: ", e.Name)
	}
	if hasID {
		dst = appendLine(dst, "id: ", e.ID)
	}
	if e.Retry >= 0 {
		dst = append(dst, "retry: "...)
		dst = strconv.AppendInt(dst, int64(e.Retry), 10)
		dst = append(dst, '\n')
	}
	if hasData {
		dst = appendData(dst, e.Data)
	}
	return append(dst, '\n')
}

// AppendComment appends a comment, which readers skip: it keeps a stream alive.
func AppendComment(dst []byte, text string) []byte {
	for {
		end := strings.IndexAny(text, "\r\n")
		if end < 0 {
			return append(appendLine(dst, ": ", text), '\n')
		}
		dst = appendLine(dst, ": ", text[:end])
		text = text[end+1:]
	}
}

func appendLine(dst []byte, field, value string) []byte {
	dst = append(append(dst, field...), value...)
	return append(dst, '\n')
}

// appendData appends one line per line of the data.
func appendData(dst, data []byte) []byte {
	lineFeed := -1
	for start := 0; ; {
		// The next line feed is looked for only once, so that data full of carriage returns is not searched again and again.
		if lineFeed < start {
			if lineFeed = bytes.IndexByte(data[start:], '\n'); lineFeed >= 0 {
				lineFeed += start
			} else {
				lineFeed = len(data)
			}
		}
		end := lineFeed
		if i := bytes.IndexByte(data[start:end], '\r'); i >= 0 {
			end = start + i
		}
		dst = append(dst, "data: "...)
		dst = append(dst, data[start:end]...)
		dst = append(dst, '\n')
		if end == len(data) {
			return dst
		}
		if start = end + 1; data[end] == '\r' && start < len(data) && data[start] == '\n' {
			start++
		}
	}
}
