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
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
)

const (
	// streamBuffer is what is read of a stream's connection at once, in bytes, where the reader does not take more.
	streamBuffer = 1 << 10
	// maxInterim is how many interim responses may come before the response.
	maxInterim = 5
)

var (
	errHeaderTooLarge = fmt.Errorf("the response has a header of more than %d bytes", maxResponseHeader)
	errInterim        = fmt.Errorf("more than %d interim responses", maxInterim)
)

// openStream sends a request on a connection of its own, which ends with the response's body. An http.Transport keeps two
// goroutines and two buffers of 4 KB for each connection, so that it can be used again: a stream that is listened on for
// hours has no use for them, and they were most of what it cost.
func (t *transport) openStream(ctx context.Context, request *http.Request) (*http.Response, error) {
	connection, err := t.dial(ctx, request.URL)
	if err != nil {
		return nil, err
	}
	// Whatever is being read or written ends with the context.
	s := &stream{ctx: ctx, Conn: connection, left: maxResponseHeader}
	s.stop = context.AfterFunc(ctx, func() { _ = connection.Close() })
	response, err := s.ask(request)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return response, nil
}

// dial connects to the URL's host and port.
func (t *transport) dial(ctx context.Context, to *url.URL) (net.Conn, error) {
	connection, err := t.DialContext(ctx, "tcp", to.Host)
	if err != nil || t.TLSClientConfig == nil {
		return connection, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.TLSHandshakeTimeout)
	defer cancel()
	secured := tls.Client(connection, t.TLSClientConfig)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = connection.Close()
		return nil, err
	}
	return secured, nil
}

// stream is a connection with one request and its response.
type stream struct {
	net.Conn
	ctx  context.Context
	stop func() bool
	left int64 // How much of the response may still be read.
	body io.Reader
}

// ask sends the request and reads the response's header.
func (s *stream) ask(request *http.Request) (*http.Response, error) {
	var message bytes.Buffer
	if err := request.Write(&message); err != nil {
		return nil, err
	}
	if _, err := s.Write(message.Bytes()); err != nil {
		return nil, err
	}
	reader := bufio.NewReaderSize(limited{s}, streamBuffer)
	for range maxInterim {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= http.StatusOK || response.StatusCode == http.StatusSwitchingProtocols {
			s.left = math.MaxInt64
			s.body, response.Body = response.Body, responseBody{s}
			return response, nil
		}
	}
	return nil, errInterim
}

// limited reads the connection as far as is allowed.
type limited struct{ *stream }

func (l limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errHeaderTooLarge
	}
	n, err := l.Conn.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// responseBody is what http.ReadResponse makes the body of, but that closing it does not wait for its end.
type responseBody struct{ *stream }

func (b responseBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = context.Cause(b.ctx) // Nobody else closes the connection under a reader.
	}
	return n, err
}

func (s *stream) Close() error {
	s.stop()
	return s.Conn.Close()
}
