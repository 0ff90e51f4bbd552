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
	"net/http"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/upstream"
)

// discoverTTL is for how long a client may keep what a Backend is whose targets come and go.
const discoverTTL = time.Minute

// discover answers server/discover: as the target does that is the whole Backend, or for all of them together.
// https://modelcontextprotocol.io/specification/2026-07-28/server/discover
func (x *exchange) discover() {
	parts := make([]discovered, len(x.backend.targets))
	failed := x.eachTarget(x.r.Context(), x.backend.targets, x.limits.InitializeTimeout,
		func(ctx context.Context, i int, t *target) (err error) {
			parts[i], err = x.discoverTarget(ctx, t)
			return err
		})
	if x.r.Context().Err() != nil {
		return
	}
	for _, f := range failed {
		x.log.Warn("Target did not answer server/discover", "backend", x.backend.Key, "target", f.target.Name, "error", f.err)
	}
	if len(failed) > 0 && (x.backend.failClosed() || !x.backend.Dynamic && len(failed) == len(x.backend.targets)) {
		x.fail(asUnavailable(failed[0].target, failed[0].err))
		return
	}
	if x.backend.only() != nil && parts[0].result != nil {
		result, err := x.presentDiscovered(parts[0].result)
		if err == nil {
			x.finish(result)
			return
		}
		x.log.Warn("Target's answer to server/discover can't be read",
			"backend", x.backend.Key, "target", x.backend.targets[0].Name, "error", err)
	}
	x.modern.hints = cacheHints{ttl: discoverTTL, public: true}
	var all []part
	for i, p := range parts {
		if !p.answered {
			x.modern.hints.ttl = 0
			continue
		}
		x.modern.hints = x.modern.hints.and(p.hints)
		all = append(all, part{x.backend.targets[i].Name, p.capabilities, p.instructions})
	}
	x.finish(x.composedDiscovery(all))
}

// discovered is what a target says of itself.
type discovered struct {
	answered     bool
	result       []byte // Of server/discover; nil for a legacy target.
	capabilities session.Capabilities
	instructions string
	hints        cacheHints
}

// discoverTarget asks a target what it is; a legacy one has said so when it was initialized.
func (x *exchange) discoverTarget(ctx context.Context, t *target) (discovered, error) {
	for attempt := 1; ; attempt++ {
		d, err := x.discoverOnce(ctx, t)
		if attempt == maxRoundTrips || !errors.Is(err, errEraChanged) {
			return d, err
		}
	}
}

func (x *exchange) discoverOnce(ctx context.Context, t *target) (discovered, error) {
	us, instructions, err := x.described(ctx, x.session, t)
	if err != nil {
		return discovered{}, err
	}
	d := discovered{answered: true, capabilities: us.capabilities, instructions: instructions}
	if us.era() != eraModern {
		return d, nil
	}
	header := x.upstreamHeader(x.r.Header, us)
	response, endpoint, err := x.sendAs(ctx, t, eraModern, x.id(), &upstream.Request{Method: http.MethodPost, Header: header, Body: x.body})
	if err != nil {
		return discovered{}, err
	}
	defer closeBody(response)
	answer, err := x.readAnswer(response)
	if err != nil {
		return discovered{}, err
	}
	var m jsonrpc.Message
	if err := jsonrpc.Scan(answer, &m); err != nil {
		return discovered{}, err
	}
	if m.Result.Empty() {
		if errorCode(answer) == jsonrpc.CodeMethodNotFound && x.isReplaced(ctx, t, endpoint, eraModern) {
			return discovered{}, errEraChanged // Every server of the modern era knows it.
		}
		return discovered{}, remoteError(answer, m.Error)
	}
	d.result = m.Result.Of(answer)
	d.hints = hintsOf(d.result)
	var fields [2]jsonrpc.Span
	if err := jsonrpc.Lookup(d.result, jsonrpc.Span{End: len(d.result)}, []string{"capabilities", "instructions"}, fields[:]); err != nil {
		return discovered{}, err
	}
	d.capabilities = capabilitiesOf(d.result, fields[0])
	d.instructions, _ = jsonrpc.Text(d.result, fields[1])
	return d, nil
}

// presentDiscovered edits a server's answer to server/discover into the Backend's: what revisions this URL has, the Backend's
// name, and what a dynamic Backend offers. All else stays as the server said.
func (x *exchange) presentDiscovered(result []byte) ([]byte, error) {
	whole := jsonrpc.Span{End: len(result)}
	edit := func(name string, absent []byte, change func([]byte) ([]byte, error)) (err error) {
		result, err = withMember(result, name, absent, change)
		whole.End = len(result)
		return err
	}
	versions := appendStrings(nil, allVersions())
	if err := edit("supportedVersions", versions, func([]byte) ([]byte, error) { return versions, nil }); err != nil {
		return nil, err
	}
	own := x.appendServerInfo(nil)
	named := func(info []byte) ([]byte, error) {
		name := jsonrpc.AppendString(nil, x.backend.ServerName)
		return withMember(info, "name", name, func([]byte) ([]byte, error) { return name, nil })
	}
	absent := append(append([]byte(`{"`+metaServerInfo+`":`), own...), '}')
	err := edit("_meta", absent, func(meta []byte) ([]byte, error) { return withMember(meta, metaServerInfo, own, named) })
	if err != nil || !x.backend.Dynamic {
		return result, err
	}
	offered, err := withListChanged([]byte("{}"))
	if err == nil {
		err = edit("capabilities", offered, withListChanged)
	}
	return result, err
}

func appendStrings(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonrpc.AppendString(dst, text)
	}
	return append(dst, ']')
}

// composedDiscovery is the answer to server/discover of a Backend with several targets, or with none that speaks the modern era.
func (x *exchange) composedDiscovery(all []part) []byte {
	result := append([]byte(`{"supportedVersions":`), appendStrings(nil, allVersions())...)
	result = append(result, `,"capabilities":`...)
	result = appendCapabilities(result, all)
	instructions := joinInstructions(all)
	if len(all) == 1 && x.backend.only() != nil {
		instructions = all[0].instructions // They are not to be told from others'.
	}
	if instructions != "" {
		result = append(result, `,"instructions":`...)
		result = jsonrpc.AppendString(result, instructions)
	}
	return append(result, '}')
}
