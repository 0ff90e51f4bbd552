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

package detached

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// serve returns the address of a server whose handler detaches each answer, if that can be done.
func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (address string, streams *Streams) {
	t.Helper()
	streams = New()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Before", "1")
		stream := Take(w, r)
		if stream == nil {
			t.Error("the answer can't be detached")
			return
		}
		stream.Go(answer)
	}))
	server.Config.BaseContext = func(net.Listener) context.Context { return streams.Context(context.Background()) }
	server.Start()
	t.Cleanup(func() {
		server.Close()
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		streams.Shutdown(ended)
	})
	return server.Listener.Addr().String(), streams
}

// get sends a request and returns the answer, and the connection that it came by.
func get(t *testing.T, address string) (*http.Response, net.Conn) {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	return response, connection
}

func TestAnswerGoesOn(t *testing.T) {
	proceed := make(chan struct{})
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		response := http.NewResponseController(w)
		if err := errors.Join(response.Flush(), response.SetWriteDeadline(time.Now().Add(patience))); err != nil {
			t.Error(err)
		}
		<-proceed
		_, _ = io.WriteString(w, "data: 1\n\n")
		w.WriteHeader(http.StatusTeapot) // Too late.
		w.Header().Set("X-After", "1")
	})
	response, _ := get(t, address)
	close(proceed)
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "data: 1\n\n" {
		t.Errorf("got %q, %v", body, err)
	}
	if response.StatusCode != http.StatusOK || !response.Close || response.Header.Get("Date") == "" {
		t.Errorf("got %v, closes %v", response.Status, response.Close)
	}
	if h := response.Header; h.Get("X-Before") != "1" || h.Get("Content-Type") != "text/event-stream" || h.Get("X-After") != "" {
		t.Errorf("got %v", h)
	}
}

func TestAnswerWithoutAnything(t *testing.T) {
	address, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	response, _ := get(t, address)
	if body, err := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || len(body) != 0 || err != nil {
		t.Errorf("got %d, %q, %v", response.StatusCode, body, err)
	}
}

func TestClientGoes(t *testing.T) {
	ended := make(chan error, 1)
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		Wait(r.Context(), w)
		ended <- r.Context().Err()
	})
	_, connection := get(t, address)
	// What it sends on a connection that takes no more requests is not an end.
	_, _ = io.WriteString(connection, strings.Repeat("GET / HTTP/1.1\r\nHost: test\r\n\r\n", 10))
	select {
	case err := <-ended:
		t.Errorf("the answer ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = connection.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		Wait(ctx, wrapped{w})
		if r.Context().Err() != nil {
			t.Error("the client has not gone")
		}
		_, _ = io.WriteString(w, "done")
	})
	response, _ := get(t, address)
	if body, _ := io.ReadAll(response.Body); string(body) != "done" {
		t.Errorf("got %q", body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	Wait(ctx, httptest.NewRecorder())
}

type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestShutdownWaits(t *testing.T) {
	proceed, begun := make(chan struct{}), make(chan struct{})
	address, streams := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-proceed
		_, _ = io.WriteString(w, "done")
	})
	got := make(chan string)
	go func() {
		response, _ := get(t, address)
		body, _ := io.ReadAll(response.Body)
		got <- string(body)
	}()
	<-begun
	down := make(chan struct{})
	go func() {
		streams.Shutdown(t.Context())
		close(down)
	}()
	select {
	case <-down:
		t.Error("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	close(proceed)
	if body := <-got; body != "done" {
		t.Errorf("got %q", body)
	}
	<-down
}

func TestShutdownCutsOff(t *testing.T) {
	address, streams := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		Wait(r.Context(), w)
	})
	response, _ := get(t, address)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	streams.Shutdown(ctx)
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Error(err)
	}
	streams.Shutdown(ctx) // Nothing is left.
	// A request that comes after that is not answered.
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	if n, err := connection.Read(make([]byte, 1)); err == nil {
		t.Errorf("got %d bytes", n)
	}
}

func TestWhatCannotBeDetached(t *testing.T) {
	streams := New()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if Take(httptest.NewRecorder(), r) != nil {
		t.Error("without Streams")
	}
	r = r.WithContext(streams.Context(t.Context()))
	if Take(httptest.NewRecorder(), r) != nil {
		t.Error("without a connection")
	}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	if Take(httptest.NewRecorder(), r) != nil {
		t.Error("HTTP/2")
	}
	streams.Shutdown(t.Context())
}
