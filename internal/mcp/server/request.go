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
	"net/http"
	"slices"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// request answers a request, or has a target answer it. A target that is the whole Backend gets it as it is.
func (x *exchange) request() {
	kind, isList := federation.KindOfList(x.message.Method)
	only := x.backend.only()
	switch {
	case x.message.Method == "ping":
		// The client asks whether the other end of its session lives, and that is the gateway.
		writeJSON(x.w, http.StatusOK, jsonrpc.AppendResult(nil, x.id(), []byte("{}")))
	case only != nil && isList:
		x.listOnly(only, kind)
	case only != nil:
		if x.message.Method == "logging/setLevel" {
			x.rememberLogLevel()
		}
		x.toOnly(only)
	case isList:
		x.listMerged(kind)
	default:
		x.routed()
	}
}

// routed answers a request to one of several targets.
func (x *exchange) routed() {
	kind, at, err := x.reference()
	switch {
	case err != nil:
		x.invalidParams(err)
	case kind != federation.Kinds:
		x.toOwner(kind, at)
	case x.message.Method == "logging/setLevel":
		x.setLogLevel()
	case len(x.backend.targets) == 1:
		x.forward(x.backend.targets[0], x.body, nil)
	default:
		x.fail(&jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf(
			"Method not found: Backend %s can't tell which of its %d servers this method is for", x.backend.Key, len(x.backend.targets))})
	}
}

// reference returns what of a server the request names, and where; federation.Kinds if it is not that kind of request.
func (x *exchange) reference() (kind federation.Kind, at jsonrpc.Span, err error) {
	var field [1]jsonrpc.Span
	switch x.message.Method {
	case "tools/call":
		err = jsonrpc.Lookup(x.body, x.message.Params, []string{"name"}, field[:])
		return federation.Tools, field[0], err
	case "prompts/get":
		err = jsonrpc.Lookup(x.body, x.message.Params, []string{"name"}, field[:])
		return federation.Prompts, field[0], err
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		err = jsonrpc.Lookup(x.body, x.message.Params, []string{"uri"}, field[:])
		return federation.Resources, field[0], err
	case "completion/complete":
		return x.completed()
	default:
		return federation.Kinds, jsonrpc.Span{}, nil
	}
}

// completed returns the prompt or the template of whose argument the client asks for completions.
// https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/completion
func (x *exchange) completed() (federation.Kind, jsonrpc.Span, error) {
	var ref [1]jsonrpc.Span
	var fields [2]jsonrpc.Span
	err := jsonrpc.Lookup(x.body, x.message.Params, []string{"ref"}, ref[:])
	if err == nil {
		err = jsonrpc.Lookup(x.body, ref[0], []string{"name", "uri"}, fields[:])
	}
	if fields[0].Empty() {
		return federation.Templates, fields[1], err
	}
	return federation.Prompts, fields[0], err
}

// toOnly sends a request to the target that is the whole Backend, as it is. Only what the client calls by a qualified
// name, which works in every mode, has to be looked up.
func (x *exchange) toOnly(t *target) {
	kind, at, err := x.reference()
	switch {
	case err != nil || at.Empty():
	case begins(at.Of(x.body), t, kind):
		x.toOwner(kind, at)
		return
	default:
		if uri, ok := jsonrpc.Text(x.body, at); ok && kind == federation.Resources {
			x.noteSubscription(t, uri, uri)
		}
	}
	x.forward(t, x.body, nil)
}

// begins returns whether a name in a message, still quoted, begins as a qualified name of the target does.
func begins(quoted []byte, t *target, kind federation.Kind) bool {
	prefix := kind.Qualified(t.Name, "")
	return len(quoted) > len(prefix) && string(quoted[1:1+len(prefix)]) == prefix
}

// listOnly answers a list of a target that is the whole Backend: as the target does, or empty while it does not answer.
func (x *exchange) listOnly(t *target, kind federation.Kind) {
	if x.backend.failClosed() {
		x.forward(t, x.body, nil)
		return
	}
	x.forward(t, x.body, func(error) {
		x.finish([]byte(`{"` + kind.Member() + `":[]}`))
	})
}

// forward sends a request to a target and relays the answer. Failed, if not nil, answers where the target does not.
func (x *exchange) forward(t *target, body []byte, failed func(error)) {
	if failed == nil {
		failed = func(err error) { x.fail(asUnavailable(t, err)) }
	}
	x.observed.Target(t.Name)
	if !t.usable() {
		failed(unavailable(t.Name, t.unready))
		x.observed.Result(telemetry.Unavailable)
		return
	}
	if x.modern != nil {
		x.forwardModern(t, body, failed)
		return
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	defer x.session.begin(string(x.id()), t, cancel)()
	limit := x.limits.CallTimeout
	if _, isList := federation.KindOfList(x.message.Method); isList {
		limit = x.limits.ListTimeout
	}
	watch := newWatchdog(cancel, limit)
	defer watch.stop()
	response, us, err := x.roundTrip(ctx, t, body)
	switch {
	case err == nil:
	case isCancelled(ctx):
		x.endUnanswered()
		return
	case x.r.Context().Err() == nil:
		x.log.Warn("Target did not answer", "backend", x.backend.Key, "target", t.Name, "error", err)
		failed(err)
		x.observed.Result(telemetry.Unavailable)
		return
	default:
		return
	}
	defer closeBody(response)
	response.Body = watch.body(response.Body)
	x.relay(ctx, t, us, response, watch)
}

// toOwner sends the request to the target that has the entry which is named at that span.
func (x *exchange) toOwner(kind federation.Kind, at jsonrpc.Span) {
	name, ok := jsonrpc.Text(x.body, at)
	if at.Empty() || !ok {
		x.invalidParams(errors.New("Invalid params: the name is missing")) //nolint:staticcheck // The text is the client's.
		return
	}
	if x.modern == nil {
		// The client may cancel what is not yet with any server.
		ctx, cancel := context.WithCancelCause(x.r.Context())
		defer cancel(nil)
		defer x.session.begin(string(x.id()), nil, cancel)()
		x.r = x.r.WithContext(ctx)
	}
	entry, e := x.find(kind, name)
	switch {
	case isCancelled(x.r.Context()):
		x.endUnanswered()
		return
	case x.r.Context().Err() != nil:
		return
	case e != nil:
		x.fail(e)
		return
	}
	body := x.body
	if entry.Own != name {
		x.own = entry.Own
		body = jsonrpc.Splice(nil, x.body, jsonrpc.Edit{Span: at, New: jsonrpc.AppendString(nil, entry.Own)})
		if x.message.Method == "resources/read" {
			x.rewrite = func(result []byte) []byte { return renameContents(result, entry.Own, name) }
		}
	}
	t := x.backend.named(entry.Target)
	x.noteSubscription(t, entry.Own, name)
	x.forward(t, body, nil)
}

func (x *exchange) invalidParams(err error) {
	var e *jsonrpc.Error
	if !errors.As(err, &e) {
		e = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: err.Error()}
	}
	x.fail(e)
}

// find returns the entry that the client means by a name. A name that is not known is looked up once more: its target may
// have it since.
func (x *exchange) find(kind federation.Kind, name string) (federation.Entry, *jsonrpc.Error) {
	var failed []targetError
	for _, refresh := range []bool{false, true} {
		var catalogue *federation.Catalogue
		catalogue, failed = x.catalogue(x.r.Context(), kind, refresh && x.session.mayRefresh(kind))
		if entry, ok := x.lookUp(catalogue, kind, name); ok {
			return entry, nil
		}
		if names := catalogue.Cooling(name); len(names) > 0 {
			return federation.Entry{}, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf(
				"the server that had %q is gone; use %s to mean another one's", name, strings.Join(names, " or "))}
		}
		if t := x.qualifiedBy(kind, name); t != nil {
			i := slices.IndexFunc(failed, func(f targetError) bool { return f.target == t })
			if recent := (*recentFailure)(nil); i >= 0 && (refresh || !errors.As(failed[i].err, &recent)) {
				x.observed.Target(t.Name)
				return federation.Entry{}, asUnavailable(t, failed[i].err)
			}
		}
	}
	if t := x.backend.alone(); t != nil {
		return federation.Entry{Name: name, Target: t.Name, Own: name}, nil // It judges by itself what it does not list.
	}
	return federation.Entry{}, x.unknown(kind, name, failed)
}

// lookUp returns the entry of a name in a catalogue; a resource that is in no list may still be one of a template.
func (x *exchange) lookUp(catalogue *federation.Catalogue, kind federation.Kind, name string) (federation.Entry, bool) {
	entry, ok := catalogue.Find(name)
	if !ok && kind == federation.Resources {
		templates, _ := x.catalogue(x.r.Context(), federation.Templates, false)
		return templates.FindURI(name)
	}
	return entry, ok
}

// qualifiedBy returns the target whose name a qualified name begins with.
func (x *exchange) qualifiedBy(kind federation.Kind, name string) *target {
	for _, t := range x.backend.targets {
		if strings.HasPrefix(name, kind.Qualified(t.Name, "")) {
			return t
		}
	}
	return nil
}

// unknown is the error for a name that no target has.
func (x *exchange) unknown(kind federation.Kind, name string, failed []targetError) *jsonrpc.Error {
	e := &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams}
	switch kind {
	case federation.Tools:
		e.Message = fmt.Sprintf("Unknown tool: %s", name)
	case federation.Prompts:
		e.Message = fmt.Sprintf("Unknown prompt: %s", name)
	default:
		e.Code, e.Message = jsonrpc.CodeResourceNotFound, "Resource not found"
	}
	if len(x.backend.targets) == 0 {
		e.Message += "; Backend " + x.backend.Key + " has no MCP server at the moment"
	}
	for _, f := range failed {
		e.Message += "; " + asUnavailable(f.target, f.err).Message
	}
	return e
}

// renameContents puts the URI that a client knows in the place of the server's own in the contents of a resource.
func renameContents(result []byte, own, name string) []byte {
	var contents [1]jsonrpc.Span
	if jsonrpc.Lookup(result, jsonrpc.Span{End: len(result)}, []string{"contents"}, contents[:]) != nil {
		return result
	}
	var edits []jsonrpc.Edit
	err := jsonrpc.Elements(result, contents[0], func(content jsonrpc.Span) bool {
		var uri [1]jsonrpc.Span
		if jsonrpc.Lookup(result, content, []string{"uri"}, uri[:]) == nil && !uri[0].Empty() {
			if text, ok := jsonrpc.Text(result, uri[0]); ok && text == own {
				edits = append(edits, jsonrpc.Edit{Span: uri[0], New: jsonrpc.AppendString(nil, name)})
			}
		}
		return true
	})
	if err != nil {
		return result
	}
	return jsonrpc.Splice(nil, result, edits...)
}

// setLogLevel tells every server that logs which messages the client wants.
// https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/logging
func (x *exchange) setLogLevel() {
	x.rememberLogLevel()
	params := x.message.Params.Of(x.body)
	failed := x.eachTarget(x.r.Context(), x.backend.targets, x.limits.ListTimeout, func(ctx context.Context, _ int, t *target) error {
		us, err := x.upstreamSession(ctx, x.session, t)
		if err != nil || !us.capabilities.Has(session.CapabilityLogging) {
			return err
		}
		_, _, err = x.ask(ctx, t, x.message.Method, params)
		return err
	})
	for _, f := range failed {
		var refused *jsonrpc.Error
		if errors.As(f.err, &refused) && refused.Code == jsonrpc.CodeInvalidParams {
			x.fail(refused)
			return
		}
		x.log.Warn("Log level not set", "backend", x.backend.Key, "target", f.target.Name, "error", f.err)
	}
	writeJSON(x.w, http.StatusOK, jsonrpc.AppendResult(nil, x.id(), []byte("{}")))
}

func (x *exchange) rememberLogLevel() {
	const maxParams = 1 << 10
	if params := x.message.Params.Of(x.body); len(params) > 0 && len(params) <= maxParams {
		x.session.mu.Lock()
		x.session.logLevel = slices.Clone(params)
		x.session.mu.Unlock()
		x.tellKept(x.backend.targets...)
	}
}
