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

package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// BenchmarkDo is what a request to healthy endpoints costs here: the server at the other end of the pipe costs nothing
// that is counted.
func BenchmarkDo(b *testing.B) {
	c := New(Options{Limits: config.DefaultLimits()})
	defer c.Close()
	compiled, errs := c.Compile([]*config.Target{testTarget("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")})
	if errs[0] != nil {
		b.Fatal(errs[0])
	}
	target := compiled[0]
	target.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerAll(server)
		return client, nil
	}
	request := &Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{}`)}
	b.ReportAllocs()
	for b.Loop() {
		response, _, err := c.Do(b.Context(), target, request)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// answerAll answers requests that arrive in one piece.
func answerAll(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	buffer := make([]byte, 4096)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	for {
		if _, err := connection.Read(buffer); err != nil {
			return
		}
		if _, err := connection.Write(answer); err != nil {
			return
		}
	}
}
