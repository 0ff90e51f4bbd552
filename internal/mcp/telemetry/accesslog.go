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

package telemetry

import (
	"io"
	"log/slog"
	"net"
	"time"
)

// NewAccessLog returns a log that writes one line of JSON for each request. Its records have neither a level nor a message.
func NewAccessLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}}))
}

// accessLog writes exchanges.
type accessLog struct {
	handler   slog.Handler
	addresses bool
}

// write writes an exchange that has ended. The handler escapes what clients sent. A line that can't be written is lost:
// there is nobody to tell.
func (l *accessLog) write(e *Exchange, duration time.Duration) {
	ctx := e.request.Context()
	if !l.handler.Enabled(ctx, slog.LevelInfo) {
		return
	}
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "", 0)
	record.AddAttrs(
		slog.String("backend", e.backend.key),
		slog.String("method", e.method.String()),
		slog.String("target", e.target.target),
		slog.String("tool", e.tool),
		slog.String("era", string(e.era)),
		slog.Int("status", e.writer.status),
		slog.String("result", e.result.String()),
		slog.Float64("durationMs", float64(duration.Microseconds())/1000),
		slog.Int64("bytes", e.writer.bytes),
	)
	if l.addresses {
		address, _, err := net.SplitHostPort(e.request.RemoteAddr)
		if err != nil {
			address = e.request.RemoteAddr
		}
		record.AddAttrs(slog.String("client", address))
	}
	_ = l.handler.Handle(ctx, record)
}
