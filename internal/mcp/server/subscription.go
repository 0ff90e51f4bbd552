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
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// maxSubscriptions bounds what is remembered for one session.
const maxSubscriptions = 1024

// subscription is a resource by the name that its server knows.
type subscription struct {
	service session.ServiceHash
	uri     string
}

// noteSubscription remembers, or forgets, what the client subscribes to, and by which name.
// https://modelcontextprotocol.io/specification/2025-11-25/server/resources#subscriptions
func (x *exchange) noteSubscription(t *target, own, name string) {
	to := subscription{t.hash, own}
	switch x.message.Method {
	case "resources/subscribe":
		x.session.subscribe(to, name)
	case "resources/unsubscribe":
		x.session.unsubscribe(to)
	default:
		return
	}
	x.tellKept(t)
}

func (cs *clientSession) subscribe(to subscription, name string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.subscribed == nil {
		cs.subscribed = map[subscription]string{}
	}
	if len(cs.subscribed) < maxSubscriptions {
		cs.subscribed[to] = name
	}
}

func (cs *clientSession) unsubscribe(to subscription) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.subscribed, to)
}

// subscriptions returns the messages that subscribe to a server's resources anew.
func (s *Server) subscriptions(cs *clientSession, t *target) (messages [][]byte) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for to := range cs.subscribed {
		if to.service == t.hash {
			message := append([]byte(`{"jsonrpc":"2.0","id":`), s.ownID()...)
			message = append(message, `,"method":"resources/subscribe","params":{"uri":`...)
			message = jsonrpc.AppendString(message, to.uri)
			messages = append(messages, append(message, "}}"...))
		}
	}
	return messages
}

// resourceName returns what the client calls a target's resource: what it subscribed to, or what the lists have.
func (o *streamOwner) resourceName(uri string) string {
	o.session.mu.Lock()
	name, ok := o.session.subscribed[subscription{o.target.hash, uri}]
	o.session.mu.Unlock()
	if ok {
		return name
	}
	x := &exchange{Server: o.Server, r: o.r, backend: o.backend, session: o.session}
	resources, _ := x.catalogue(o.r.Context(), federation.Resources, false)
	if _, listed := resources.Find(federation.Resources.Qualified(o.target.Name, uri)); listed {
		return resources.NameFor(o.target.Name, uri)
	}
	templates, _ := x.catalogue(o.r.Context(), federation.Templates, false)
	for _, template := range templates.Shown {
		literal, _, _ := strings.Cut(template.Own, "{")
		if template.Target == o.target.Name && template.Name != template.Own && strings.HasPrefix(uri, literal) {
			return federation.Resources.Qualified(o.target.Name, uri)
		}
	}
	return uri
}
