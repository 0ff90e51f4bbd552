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
	"net/http"
	"slices"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// modernListener is what a subscriptions/listen adds to the streams that a listening client has.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions
type modernListener struct {
	id []byte // Of the request, raw: it tags every notification.
	// audience is the session whose lists the notifications concern.
	audience *clientSession
	lists    map[string]bool // The notifications of changed lists that the client wants, by method.
	uris     []subscribedURI
	// others is whether the filter has members that are not of the core protocol; then so may notifications be.
	others bool
}

// subscribedURI is a resource that a listener wants to hear of.
type subscribedURI struct {
	uri    string
	target *target
}

// listenNotifications are the members of a filter and the notifications that they stand for.
var listenNotifications = []struct{ member, method string }{
	{"toolsListChanged", "notifications/tools/list_changed"},
	{"promptsListChanged", "notifications/prompts/list_changed"},
	{"resourcesListChanged", "notifications/resources/list_changed"},
}

const methodUpdated = "notifications/resources/updated"

// listenModern answers subscriptions/listen: a stream of what changes, for as long as the client wants it.
func (x *exchange) listenModern() {
	m := &modernListener{id: x.id(), audience: x.session}
	cs := newClientSession(&session.Session{
		SID: session.NewSID(), Backend: x.backend.ID, ProtocolVersion: modernVersion, Expires: time.Now().Add(x.limits.SessionLifetime),
		// A listener can't be asked anything.
		Initialize: (&clientInitialize{capabilities: []byte("{}"), clientInfo: x.modern.clientInfo}).late(),
	})
	if e := x.readFilter(m, cs); e != nil {
		x.fail(e)
		return
	}
	x.observed.Stream(telemetry.StreamListen)
	snapshot, key := x.snapshot, x.backend.Key
	hold(x.w, x.r, x.observed, func(w http.ResponseWriter, r *http.Request) {
		l := &listening{
			Server: x.Server, r: r, session: cs, key: key, stream: x.newEventStream(w), modern: m, observed: x.observed,
		}
		l.stream.start()
		defer l.stream.stop()
		defer l.endSessions()
		l.listen(snapshot)
		if r.Context().Err() == nil {
			_ = l.stream.send(messageEvent(jsonrpc.AppendResult(nil, m.id,
				append(append([]byte(`{"resultType":"complete","_meta":{"`+metaSubscriptionID+`":`), m.id...), "}}"...))))
		}
	})
}

// readFilter reads what the client wants to hear of.
func (x *exchange) readFilter(m *modernListener, cs *clientSession) *jsonrpc.Error {
	invalid := &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams,
		Message: "Invalid params: subscriptions/listen needs notifications, an object without duplicate members"}
	var filter [1]jsonrpc.Span
	if jsonrpc.Lookup(x.body, x.message.Params, []string{"notifications"}, filter[:]) != nil || filter[0].Empty() ||
		x.body[filter[0].Start] != '{' {
		return invalid
	}
	var fields [4]jsonrpc.Span
	var members []string
	for _, n := range listenNotifications {
		members = append(members, n.member)
	}
	if jsonrpc.Lookup(x.body, filter[0], append(members, "resourceSubscriptions"), fields[:]) != nil {
		return invalid
	}
	m.lists = map[string]bool{}
	for i, n := range listenNotifications {
		if string(fields[i].Of(x.body)) == "true" {
			m.lists[n.method] = true
		}
	}
	known := 0
	for _, field := range fields {
		if !field.Empty() {
			known++
		}
	}
	_ = jsonrpc.Members(x.body, filter[0], func(_, _ jsonrpc.Span) bool { known--; return known >= 0 })
	m.others = known < 0
	cs.subscribed = map[subscription]string{}
	_ = jsonrpc.Elements(x.body, fields[3], func(element jsonrpc.Span) bool {
		uri, _ := jsonrpc.Text(x.body, element)
		if t, own := x.subscribedTo(uri); t != nil {
			cs.subscribed[subscription{t.hash, own}] = uri
			m.uris = append(m.uris, subscribedURI{uri, t})
		}
		return len(cs.subscribed) < maxSubscriptions
	})
	cs.listenFilter = filter[0].Of(x.body)
	return nil
}

// subscribedTo returns the target that has a resource, and its name for it; nil if nobody has it.
func (x *exchange) subscribedTo(uri string) (*target, string) {
	if t := x.backend.only(); t != nil {
		return t, uri
	}
	entry, err := x.find(federation.Resources, uri)
	if err != nil {
		return nil, ""
	}
	return x.backend.named(entry.Target), entry.Own
}

// acknowledge tells the client what it will hear of.
func (l *listening) acknowledge(b *backend) {
	data := []byte(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"` + metaSubscriptionID + `":`)
	data = append(append(data, l.modern.id...), `},"notifications":`...)
	data = append(l.appendAgreed(data, b), "}}"...)
	_ = l.stream.send(messageEvent(data))
}

// appendAgreed appends the part of the client's filter that is heeded.
func (l *listening) appendAgreed(dst []byte, b *backend) []byte {
	dst = append(dst, '{')
	begin := len(dst)
	for i, n := range listenNotifications {
		if l.modern.lists[n.method] && (b.Dynamic || l.anyHas(b, listCapabilities[i])) {
			dst = append(dst, `"`+n.member+`":true,`...)
		}
	}
	var uris []string
	for _, u := range l.modern.uris {
		if us, ok := l.session.existing(u.target); ok && us.capabilities.Has(session.CapabilitySubscribe) {
			uris = append(uris, u.uri)
		}
	}
	if len(uris) > 0 {
		dst = append(dst, `"resourceSubscriptions":`...)
		dst = append(appendStrings(dst, uris), ',')
	}
	if len(dst) > begin {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '}')
}

// listCapabilities are what a server has that has the lists of listenNotifications.
var listCapabilities = [...]session.Capabilities{session.CapabilityTools, session.CapabilityPrompts, session.CapabilityResources}

func (l *listening) anyHas(b *backend, capability session.Capabilities) bool {
	return slices.ContainsFunc(b.targets, func(t *target) bool {
		us, ok := l.session.existing(t)
		return ok && us.capabilities.Has(capability)
	})
}

// deliver sends the client an event: to a modern listener only what it wants to hear of, and tagged.
func (l *listening) deliver(event *sse.Event) error {
	select {
	case <-l.begun:
	case <-l.stream.failed.Done():
	}
	if l.modern == nil {
		return l.stream.send(event)
	}
	var m jsonrpc.Message
	if len(event.Data) == 0 || !event.IsMessage() || jsonrpc.Scan(event.Data, &m) != nil ||
		m.Kind != jsonrpc.Notification || !l.modern.wants(m.Method) {
		return nil //nolint:nilerr // It is nothing that the client listens for.
	}
	edits, err := jsonrpc.SetMeta(event.Data, &m, jsonrpc.Member{Key: metaSubscriptionID, Value: l.modern.id})
	if err != nil {
		return nil //nolint:nilerr // Its params are no object: it is no notification of MCP.
	}
	return l.stream.send(messageEvent(jsonrpc.Splice(nil, event.Data, edits...)))
}

func (m *modernListener) wants(method string) bool {
	switch method {
	case methodUpdated:
		return len(m.uris) > 0
	case "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed":
		return m.lists[method]
	case "notifications/message", "notifications/progress", "notifications/cancelled", "notifications/elicitation/complete":
		return false
	default:
		return m.others
	}
}

// endSessions ends the targets' sides of the listener's session, which nobody else uses.
func (l *listening) endSessions() {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	for _, late := range l.session.late {
		l.background.Go(func() {
			if <-late.done; late.err == nil {
				l.abandon(late.target, late.session)
			}
		})
	}
}
