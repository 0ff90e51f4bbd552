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

package provision

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxLineBytes is where a line of a proxy's output is cut.
	maxLineBytes = 8 << 10
	// maxQueuedLines is how many lines of all proxies wait for a slow reader of the manager's output.
	maxQueuedLines = 1024
	// maxMessageBytes bounds what a proxy says in a Gateway's status.
	maxMessageBytes = 256
)

// writeToStderr is the default of SubprocessOptions.Output.
func writeToStderr(gateway types.NamespacedName, line string) {
	_, _ = fmt.Fprintf(os.Stderr, "[%s] %s\n", gateway, line)
}

type outputLine struct {
	gateway types.NamespacedName
	text    string
}

// outputQueue stands between the proxies and the manager's output. When the output is slower than the proxies (a
// terminal that is paused, say), lines are dropped and counted: a data plane must not wait for a reader of its logs.
type outputQueue struct {
	lines   chan outputLine
	dropped atomic.Int64
	write   func(gateway types.NamespacedName, line string)
	log     logr.Logger
}

func newOutputQueue(write func(types.NamespacedName, string), log logr.Logger) *outputQueue {
	return &outputQueue{lines: make(chan outputLine, maxQueuedLines), write: write, log: log}
}

func (q *outputQueue) add(gateway types.NamespacedName, text string) {
	select {
	case q.lines <- outputLine{gateway, text}:
	default:
		q.dropped.Add(1)
	}
}

// run writes the lines until close is called and every line is written.
func (q *outputQueue) run() {
	for line := range q.lines {
		q.write(line.gateway, line.text)
		if dropped := q.dropped.Swap(0); dropped > 0 {
			q.log.Info("Dropped lines of the proxies' output, which came faster than they could be written", "lines", dropped)
		}
	}
}

// close ends run. No line may be added any more.
func (q *outputQueue) close() { close(q.lines) }

// lineWriter cuts one stream of a proxy's output into lines. It never fails and never blocks.
type lineWriter struct {
	emit func(line string)

	mu      sync.Mutex
	partial []byte
	cut     int // bytes of the current line that were left out
	telling string
	panics  bool
}

// Write implements io.Writer.
func (w *lineWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := data; len(rest) > 0; {
		line, after, complete := bytes.Cut(rest, []byte{'\n'})
		room := min(maxLineBytes-len(w.partial), len(line))
		w.partial = append(w.partial, line[:room]...)
		w.cut += len(line) - room
		if complete {
			w.end()
		}
		rest = after
	}
	return len(data), nil
}

// flush ends a last line that has no newline.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 {
		w.end()
	}
}

func (w *lineWriter) end() {
	line := strings.TrimRight(string(w.partial), "\r")
	w.remember(line)
	if w.cut > 0 {
		line = fmt.Sprintf("%s… (%d bytes cut)", line, w.cut)
	}
	w.partial, w.cut = w.partial[:0], 0
	w.emit(line)
}

// remember keeps the line that tells most about why a process ended: the last one, or the one with which a panic
// begins, because what follows it is a stack trace.
func (w *lineWriter) remember(line string) {
	panics := strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
	if panics || (!w.panics && strings.TrimSpace(line) != "") {
		w.telling, w.panics = line, panics
	}
}

// lastWords is the line that tells most about why the process ended, fit for a status message.
func (w *lineWriter) lastWords() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return printable(w.telling)
}

// printable makes one line of bounded length, without control characters, of what another process said.
func printable(text string) string { return printableUpTo(text, maxMessageBytes) }

func printableUpTo(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
