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

package server

import (
	"context"
	"net/http"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// upstreamCall is one HTTP request to a target as the legacy revisions' streamable HTTP has it: a POST of one message, a GET for a
// stream, or a DELETE. What the server really speaks is the business of do.
type upstreamCall struct {
	target *target
	// session is the client's.
	session *clientSession
	// upstream is the target's side of it; without an id and with the version that the server speaks for initialize.
	upstream upstreamSession
	method   string // Of HTTP.
	header   http.Header
	body     []byte
	// lasts is whether the answer is a stream for hours, not one for a call.
	lasts bool
	// asIs, if not nil, is the id of a request that the server gets as it is, although it is of the modern era: so is the request.
	asIs []byte
	// observed is of the client's request that this is a part of; nil if it is of none.
	observed *telemetry.Exchange
	// name is the method of MCP, if it has a message that observed shows.
	name string
}

// do sends a request to a target and returns the answer as soon as its header is there, with the endpoint that gave it. To
// callers all servers speak the legacy revisions: those that don't are bridged here. The error is an *upstream.Error, or
// errEraChanged; the caller closes the answer's body, and the context bounds the body too.
func (s *Server) do(ctx context.Context, c *upstreamCall) (*http.Response, string, error) {
	name := c.name
	if name == "" {
		name = c.method
	}
	attempt := c.observed.Attempt(name, c.target.Name)
	attempt.Inject(c.header)
	response, endpoint, err := s.doAs(ctx, c)
	attempt.Done(ctx, response, endpoint, err)
	s.noteCircuits(c.target, err)
	return response, endpoint, err
}

// noteCircuits shows how many endpoints of a target are out of use, after a request to it.
func (s *Server) noteCircuits(t *target, err error) {
	if err == nil && t.outOfUse.Load() == 0 {
		return
	}
	count := t.requests.OutOfUse()
	if int(t.outOfUse.Swap(int32(count))) != count {
		s.telemetry.CircuitOpen(t.backend.Key, t.Name, count)
	}
}

// doAs sends a request to a target in the way that the target understands.
func (s *Server) doAs(ctx context.Context, c *upstreamCall) (*http.Response, string, error) {
	switch {
	case c.target.Protocol == config.SSE:
		return s.doSSE(ctx, c)
	case c.upstream.version == modernVersion && c.asIs == nil:
		return s.doModern(ctx, c)
	default:
		return s.doDirect(ctx, c)
	}
}

// doDirect sends a request as it is.
func (s *Server) doDirect(ctx context.Context, c *upstreamCall) (*http.Response, string, error) {
	return s.sendAs(ctx, c.target, c.upstream.era(), c.asIs, &upstream.Request{
		Method: c.method, Header: c.header, Endpoint: c.upstream.endpoint, Body: c.body,
		Stream: c.lasts,
	})
}
