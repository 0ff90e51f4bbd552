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

package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"
)

// redirectStandardLog has what the standard library says by itself go to the log. net/http quotes there what servers sent, which
// no log is to have.
func redirectStandardLog(to *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(standardLog{to})
}

type standardLog struct{ to *slog.Logger }

// Write implements io.Writer.
func (l standardLog) Write(p []byte) (int, error) {
	text, _, quotes := strings.Cut(strings.TrimSpace(string(p)), `"`)
	if quotes {
		text += "…"
	}
	l.to.Warn(text)
	return len(p), nil
}

// newLogger returns the data plane's log.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var options slog.HandlerOptions
	switch level {
	case "debug":
		options.Level = slog.LevelDebug
	case "info":
		options.Level = slog.LevelInfo
	case "warn":
		options.Level = slog.LevelWarn
	case "error":
		options.Level = slog.LevelError
	default:
		return nil, fmt.Errorf("--log-level must be debug, info, warn or error, not %q", level)
	}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, &options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, &options)), nil
	default:
		return nil, fmt.Errorf("--log-format must be json or text, not %q", format)
	}
}
