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

// Package servertest runs HTTP servers for tests in which clients hold streams open and come back whenever one ends.
//
// httptest.Server.Close waits for every request that is being served. A client that opens its stream again just before that, as
// any MCP client and the gateway do, makes it wait for ever. The requests of these servers end with the server.
package servertest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
)

// Server is an HTTP server on loopback.
type Server struct {
	*httptest.Server

	end context.CancelFunc
}

// TB is what is needed of testing.TB, which Ginkgo's GinkgoT is not.
type TB interface {
	Helper()
	Cleanup(end func())
}

// New starts a server, until the end of the test.
func New(t TB, handler http.Handler) *Server {
	t.Helper()
	s := NewUnstarted(handler)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// NewUnstarted returns a server that listens and does not serve yet. It is the caller's to start and to close.
func NewUnstarted(handler http.Handler) *Server {
	return &Server{Server: httptest.NewUnstartedServer(handler)}
}

// Start serves.
func (s *Server) Start() {
	s.endRequestsOnClose()
	s.Server.Start()
}

// StartTLS serves HTTPS.
func (s *Server) StartTLS() {
	s.endRequestsOnClose()
	s.Server.StartTLS()
}

// endRequestsOnClose has to be called before the server starts. The requests keep the context they would have had.
func (s *Server) endRequestsOnClose() {
	base := s.Config.BaseContext
	ended, end := context.WithCancel(context.Background())
	s.end = end
	s.Config.BaseContext = func(l net.Listener) context.Context {
		if base == nil {
			return ended
		}
		ctx, cancel := context.WithCancel(base(l))
		context.AfterFunc(ended, cancel)
		return ctx
	}
}

// Close ends the context of every request, also of those that still come, cuts the connections and waits for the handlers.
// It may be called again.
func (s *Server) Close() {
	s.end()
	s.CloseClientConnections()
	s.Server.Close()
}
