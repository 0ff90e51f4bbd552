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
	"slices"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// probeTimeout is how long a server may take to answer the probe. One that does not answer is taken for a legacy one:
// among these are some that are silent to whoever has not initialized.
const probeTimeout = 2 * time.Second

// probeAnswer is what came of a probe.
type probeAnswer struct {
	speaks era
	// silent is whether there was no answer in time.
	silent bool
	// err is why nothing is known; an *upstream.Error.
	err error
}

// probe asks an endpoint of a target what it speaks.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#backward-compatibility
func (s *Server) probe(t *target, endpoint string) probeAnswer {
	ctx, cancel := context.WithTimeout(s.running, probeTimeout)
	defer cancel()
	body := []byte(`{"jsonrpc":"2.0","id":"probe","method":"server/discover","params":{"_meta":{` +
		`"` + metaProtocolVersion + `":"` + modernVersion + `","` + metaClientInfo + `":` + string(s.ownInfo()) +
		`,"` + metaClientCapabilities + `":{}}}}`)
	header := http.Header{}
	s.setOwnHeaders(header, upstreamSession{version: modernVersion})
	header[headerMethod] = []string{methodDiscover}
	response, endpoint, err := s.upstream.Do(ctx, t.requests, &upstream.Request{
		Method: http.MethodPost, Header: header, Body: body, Endpoint: endpoint,
	})
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		return probeAnswer{speaks: eraLegacy, silent: true}
	default:
		return probeAnswer{err: err}
	}
	defer closeBody(response)
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // There is nobody to answer.
		return probeAnswer{err: &upstream.Error{Target: t.Name, Reason: statusError(response).Error()}}
	}
	// A legacy server may have taken the probe for the begin of a session.
	s.abandon(t, upstreamSession{id: session.UpstreamSessionID(response.Header.Get(headerSessionID)), endpoint: endpoint})
	return probeAnswer{speaks: s.eraByAnswer(response)}
}

// maxProbes is how many endpoints of a target are probed at a time.
const maxProbes = 16

// survey probes endpoints of a target, notes the answers, and returns what the target speaks by all that is known then. Endpoints
// whose turn does not come within probeTimeout are not asked.
func (s *Server) survey(t *target, endpoints []string) (era, error) {
	answers := make([]probeAnswer, len(endpoints))
	turns, begun := make(chan struct{}, maxProbes), time.Now()
	var probing sync.WaitGroup
	for i, endpoint := range endpoints {
		turns <- struct{}{}
		if i >= maxProbes && time.Since(begun) > probeTimeout {
			break
		}
		probing.Go(func() {
			answers[i] = s.probe(t, endpoint)
			<-turns
		})
	}
	probing.Wait()
	heard := make(map[string]probeAnswer, len(endpoints))
	for i, endpoint := range endpoints {
		heard[endpoint] = answers[i]
	}
	t.era.note(heard)
	if speaks := t.era.current(); speaks != eraUnknown {
		return speaks, nil
	}
	return eraUnknown, answers[0].err
}

// judgeEras returns what the answers of a target's endpoints say; nil if there are none. The target speaks what most of those
// speak that were not silent, and the modern era if they are equally many.
func judgeEras(endpoints []string, answers map[string]probeAnswer) *knownEras {
	known := &knownEras{answers: map[string]probeAnswer{}}
	legacy, modern := 0, 0
	for _, endpoint := range endpoints {
		answer := answers[endpoint]
		switch answer.speaks {
		case eraUnknown:
			continue
		case eraLegacy:
			known.others[eraModern] = append(known.others[eraModern], endpoint)
			if !answer.silent {
				legacy++
			}
		case eraModern:
			known.others[eraLegacy] = append(known.others[eraLegacy], endpoint)
			modern++
		}
		known.answers[endpoint] = answer
	}
	switch {
	case len(known.answers) == 0:
		return nil
	case modern > 0 && modern >= legacy:
		known.target = eraModern
	default:
		known.target = eraLegacy
	}
	return known
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
