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
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// managerLogLevels are the values of the manager's --log-level.
var managerLogLevels = map[string]zapcore.Level{
	"debug": zapcore.DebugLevel,
	"info":  zapcore.InfoLevel,
	"warn":  zapcore.WarnLevel,
	"error": zapcore.ErrorLevel,
}

// newManagerLogger returns the manager's log.
func newManagerLogger(w io.Writer, level, format string) (logr.Logger, error) {
	zapLevel, ok := managerLogLevels[level]
	if !ok {
		return logr.Logger{}, fmt.Errorf("--log-level must be debug, info, warn or error, not %q", level)
	}
	times := func(c *zapcore.EncoderConfig) { c.EncodeTime = zapcore.RFC3339NanoTimeEncoder }
	encoder := zap.JSONEncoder(times)
	switch format {
	case "json":
	case "text":
		encoder = zap.ConsoleEncoder(times)
	default:
		return logr.Logger{}, fmt.Errorf("--log-format must be json or text, not %q", format)
	}
	// A stack trace of a reconciler shows controller-runtime, not what went wrong.
	return zap.New(encoder, zap.Level(zapLevel), zap.StacktraceLevel(zapcore.PanicLevel), zap.WriteTo(w)), nil
}

// proxyOutput returns what becomes of the lines that subprocess proxies write. Between text, a line gets the Gateway's
// name. Between JSON, a proxy's own log, which names the Gateway, stays as it is, and other lines, of a panic say, are
// logged, so that everything can be parsed.
func proxyOutput(w io.Writer, format string, log logr.Logger) func(types.NamespacedName, string) {
	return func(gateway types.NamespacedName, line string) {
		switch {
		case format == "text":
			_, _ = fmt.Fprintf(w, "[%s] %s\n", gateway, line)
		case strings.HasPrefix(line, "{") && json.Valid([]byte(line)):
			_, _ = io.WriteString(w, line+"\n")
		default:
			log.Info("Proxy wrote", "gateway", gateway, "line", line)
		}
	}
}
