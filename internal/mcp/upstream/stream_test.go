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
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// says returns a target whose server reads a request and then sends text as it is, whoever asks. The connection stays open
// until the client closes it, or is closed at once.
func says(t *testing.T, text string, closes bool) *Target {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := l.Accept()
			if err != nil {
				return
			}
			answer(connection, text, closes)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return compile(t, newClient(t), testTarget(l.Addr().String()))
}

func answer(connection net.Conn, text string, closes bool) {
	defer func() { _ = connection.Close() }()
	buffer := make([]byte, 4096)
	if _, err := connection.Read(buffer); err != nil {
		return
	}
	_, _ = io.WriteString(connection, text)
	if !closes {
		_, _ = connection.Read(buffer) // Until the client goes.
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, answer string
		body         string
		reason       string
	}{
		{name: "its body ends with the connection",
			answer: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", body: "data: 1\n\n"},
		{name: "chunks", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", body: "abcde"},
		{name: "more than the buffer", answer: "HTTP/1.1 200 OK\r\nX-Long: " + long + "\r\n\r\n" + long, body: long},
		{name: "interim responses",
			answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nyes", body: "yes"},
		{name: "nothing but interim responses", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10),
			reason: "the connection to it failed"},
		{name: "a header without end", answer: "HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", maxResponseHeader),
			reason: "the connection to it failed"},
		{name: "no HTTP", answer: "SSH-2.0-server\r\n", reason: "the connection to it failed"},
		{name: "nothing", reason: "it closed the connection without an answer"},
		{name: "half a header", answer: "HTTP/1.1 200 OK\r\nContent-Type: text/", reason: "it closed the connection without an answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			response, _, err := newClient(t).Do(t.Context(), says(t, c.answer, true), &Request{
				Method: http.MethodGet, Header: http.Header{}, Stream: true,
			})
			if c.reason != "" {
				wantReason(t, err, c.reason)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil || string(body) != c.body {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

func TestStreamSendsTheRequestAsItIs(t *testing.T) {
	t.Parallel()
	type seen struct {
		method, uri, host, body string
		header                  http.Header
		length                  int64
	}
	requests := make(chan seen, 1)
	_, address := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Method, r.RequestURI, r.Host, string(body), r.Header, r.ContentLength}
	})
	c := newClient(t)
	status, endpoint, err := post(t.Context(), t, c, compile(t, c, testTarget(address)), &Request{
		Header: http.Header{"Accept": {"text/event-stream"}, "User-Agent": {"test"}}, Body: []byte("{}"), Stream: true,
	})
	if err != nil || status != http.StatusOK || endpoint != address {
		t.Fatalf("got %d of %s, %v", status, endpoint, err)
	}
	got := <-requests
	want := seen{"POST", "/secret-path/mcp", "tools.default.svc.cluster.local", "{}",
		http.Header{"Accept": {"text/event-stream"}, "User-Agent": {"test"}, "Content-Length": {"2"}}, 2}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestStreamEndsWithItsContext(t *testing.T) {
	t.Parallel()
	target := says(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n", false)
	ctx, cancel := context.WithCancelCause(t.Context())
	response, _, err := newClient(t).Do(ctx, target, &Request{Method: http.MethodGet, Header: http.Header{}, Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.ReadFull(response.Body, make([]byte, len(": hello\n\n"))); err != nil {
		t.Fatal(err)
	}
	why := errors.New("enough")
	read := make(chan error)
	go func() {
		_, err := response.Body.Read(make([]byte, 1))
		read <- err
	}()
	cancel(why)
	if err := <-read; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

// TestStreamIsClosedAtOnce: closing a body that never ends does not wait for its end.
func TestStreamIsClosedAtOnce(t *testing.T) {
	t.Parallel()
	target := says(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false)
	response, _, err := newClient(t).Do(t.Context(), target, &Request{Method: http.MethodGet, Header: http.Header{}, Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("a closed body is read to its end")
	}
}
