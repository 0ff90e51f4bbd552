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

package proxy

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// serverLog returns the ErrorLog of an http.Server. What it says of clients is for debugging; that a request ended in a panic is
// for whoever operates the proxy.
func serverLog(to *slog.Logger) *log.Logger { return log.New(serverLogWriter{to}, "", 0) }

type serverLogWriter struct{ to *slog.Logger }

// Write implements io.Writer.
func (w serverLogWriter) Write(p []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(p, []byte("http: panic serving ")) {
		level = slog.LevelError
	}
	w.to.Log(context.Background(), level, string(bytes.TrimSpace(p)))
	return len(p), nil
}
