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
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// era is a family of revisions that have the same transport.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#terminology
type era uint32

const (
	eraUnknown era = iota
	// eraLegacy is streamable HTTP with initialize and sessions: 2025-03-26 to 2025-11-25.
	eraLegacy
	// eraModern is streamable HTTP without sessions: 2026-07-28.
	eraModern
)

// modernVersion is the revision without sessions.
const modernVersion = "2026-07-28"

// errEraChanged is the failure of a request to a server that turned out to speak another era than it did. Nothing has come
// of the request.
var errEraChanged = errors.New("its MCP revision has changed")

// eraMemo is what is remembered of the era that a target speaks, for as long as the target is reached in the same way.
type eraMemo struct {
	reached config.Target

	known atomic.Uint32 // An era.

	mu      sync.Mutex
	probing *probing // Nil if no probe goes on.
}

// probing is a probe that goes on; its other fields may be read once done is closed.
type probing struct {
	done  chan struct{}
	found era
	err   error
}

// eraMemos are those of a Backend's targets.
type eraMemos struct {
	byService map[session.ServiceHash]*eraMemo
}

// update gives each target its memo. What is known of a target is forgotten when its endpoints, or anything else of how it
// is reached, change: another server may be there now.
func (m *eraMemos) update(targets []*target) {
	next := make(map[session.ServiceHash]*eraMemo, len(targets))
	for _, t := range targets {
		reached := *t.Target
		reached.Name, reached.Unready = "", ""
		memo := m.byService[t.hash]
		if memo == nil || !reflect.DeepEqual(memo.reached, reached) {
			memo = &eraMemo{reached: reached}
		}
		t.era, next[t.hash] = memo, memo
	}
	m.byService = next
}

// forget makes the next who needs to know the era find out. What others have found out meanwhile stays.
func (m *eraMemo) forget(wrong era) { m.known.CompareAndSwap(uint32(wrong), uint32(eraUnknown)) }

// current returns what is known.
func (m *eraMemo) current() era { return era(m.known.Load()) }

// eraOf returns the era that a target speaks, and probes it if that is not known. A server that can't be reached is an
// *upstream.Error.
func (s *Server) eraOf(ctx context.Context, t *target) (era, error) {
	m := t.era
	m.mu.Lock()
	if known := m.current(); known != eraUnknown {
		m.mu.Unlock()
		return known, nil
	}
	p := m.probing
	if p == nil {
		p = &probing{done: make(chan struct{})}
		m.probing = p
		s.background.Go(func() { s.probeFor(t, p) })
	}
	m.mu.Unlock()
	select {
	case <-p.done:
		return p.found, p.err
	case <-ctx.Done():
		return eraUnknown, &upstream.Error{Target: t.Name, Reason: context.Cause(ctx).Error(), Err: context.Cause(ctx)}
	}
}

// probeTimeout is how long a server may take to answer the probe. One that does not answer is taken for a legacy one:
// among these are some that are silent to whoever has not initialized.
const probeTimeout = 2 * time.Second

// probeFor probes a target on behalf of all that wait.
func (s *Server) probeFor(t *target, p *probing) {
	p.found, p.err = s.probe(s.running, t)
	t.era.mu.Lock()
	defer t.era.mu.Unlock()
	t.era.known.Store(uint32(p.found))
	t.era.probing = nil
	close(p.done)
}

// probe asks a target what it speaks.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#backward-compatibility
func (s *Server) probe(ctx context.Context, t *target) (era, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	body := []byte(`{"jsonrpc":"2.0","id":"probe","method":"server/discover","params":{"_meta":{` +
		`"` + metaProtocolVersion + `":"` + modernVersion + `","` + metaClientInfo + `":` + string(s.ownInfo()) +
		`,"` + metaClientCapabilities + `":{}}}}`)
	header := http.Header{}
	s.setOwnHeaders(header, upstreamSession{version: modernVersion})
	header[headerMethod] = []string{methodDiscover}
	response, endpoint, err := s.upstream.Do(ctx, t.requests, &upstream.Request{Method: http.MethodPost, Header: header, Body: body})
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		return eraLegacy, nil
	default:
		return eraUnknown, err
	}
	defer closeBody(response)
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // There is nobody to answer.
		return eraUnknown, &upstream.Error{Target: t.Name, Reason: statusError(response).Error()}
	}
	// A legacy server may have taken the probe for the begin of a session.
	s.abandon(t, upstreamSession{id: session.UpstreamSessionID(response.Header.Get(headerSessionID)), endpoint: endpoint})
	return s.eraByAnswer(response), nil
}

// eraByAnswer judges a server by its answer to the probe.
func (s *Server) eraByAnswer(response *http.Response) era {
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
		if err == nil && isModernError(body) {
			return eraModern
		}
		return eraLegacy
	}
	answer, err := s.readAnswer(response)
	var m jsonrpc.Message
	if err != nil || jsonrpc.Scan(answer, &m) != nil {
		return eraLegacy
	}
	if m.Result.Empty() {
		if isModernError(answer) {
			return eraModern
		}
		return eraLegacy
	}
	if slices.Contains(stringsOf(answer, m.Result, "supportedVersions"), modernVersion) {
		return eraModern
	}
	return eraLegacy
}

// isModernError returns whether a body is a JSON-RPC error that only servers of the modern era give: one of the codes that
// the revision defines, and of UnsupportedProtocolVersion one that offers it.
func isModernError(body []byte) bool {
	switch errorCode(body) {
	case jsonrpc.CodeHeaderMismatch, jsonrpc.CodeMissingClientCapability:
		return true
	case jsonrpc.CodeUnsupportedVersion:
		var outer, data [1]jsonrpc.Span
		if jsonrpc.Lookup(body, jsonrpc.Span{End: len(body)}, []string{"error"}, outer[:]) != nil ||
			jsonrpc.Lookup(body, outer[0], []string{"data"}, data[:]) != nil {
			return false
		}
		return slices.Contains(stringsOf(body, data[0], "supported"), modernVersion)
	default:
		return false
	}
}

// stringsOf returns the strings in an array that is a member of an object.
func stringsOf(data []byte, object jsonrpc.Span, member string) (texts []string) {
	const most = 64
	var array [1]jsonrpc.Span
	if object.Empty() || jsonrpc.Lookup(data, object, []string{member}, array[:]) != nil || array[0].Empty() {
		return nil
	}
	_ = jsonrpc.Elements(data, array[0], func(element jsonrpc.Span) bool {
		if text, ok := jsonrpc.Text(data, element); ok {
			texts = append(texts, text)
		}
		return len(texts) < most
	})
	return texts
}

// ownInfo is how the gateway names itself to servers.
func (s *Server) ownInfo() []byte {
	return fmt.Appendf(nil, `{"name":"dynamic-mcp","version":%s}`, jsonrpc.AppendString(nil, s.version))
}
