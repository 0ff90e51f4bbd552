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
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestLogQuotesNoServer: of a server that sends more than it has announced, net/http writes what that was to the standard log.
func TestLogQuotesNoServer(t *testing.T) {
	var logged lockedBuffer
	logger, err := newLogger(&logged, "debug", "json")
	if err != nil {
		t.Fatal(err)
	}
	redirectStandardLog(logger)
	defer log.SetFlags(log.LstdFlags)
	defer log.SetOutput(os.Stderr)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = connection.Close() }()
		if _, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokthe-secret")
		}
		_, _ = io.Copy(io.Discard, connection)
	}()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(logged.String(), "Unsolicited"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say that the server is wrong: %s", logged.String())
		}
	}
	if strings.Contains(logged.String(), "the-secret") || !strings.HasPrefix(logged.String(), "{") {
		t.Errorf("got %s", logged.String())
	}
}
