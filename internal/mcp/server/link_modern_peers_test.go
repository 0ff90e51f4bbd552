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
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/peer"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// newReplicas returns two replicas of one proxy.
func newReplicas(t *testing.T, targets []config.Target) (a, b *gateway) {
	t.Helper()
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	var listeners [2]net.Listener
	var addresses []string
	for i := range listeners {
		if listeners[i], err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, listeners[i].Addr().String())
	}
	var replicas [2]*gateway
	for i, l := range listeners {
		peers := peer.New(peer.Options{
			Self: addresses[i], Keys: func() *session.KeyRing { return keys }, Limits: config.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
			Resolve: func(context.Context) ([]string, error) { return addresses, nil },
		})
		t.Cleanup(peers.Close)
		replicas[i] = newGateway(t, targets, withKeys(keys), func(o *Options, _ *config.Backend) { o.Peers = peers })
		port := servertest.NewUnstarted(peers.Handler(replicas[i].mcp.ServePeer))
		_ = port.Listener.Close()
		port.Listener = l
		port.Start()
		t.Cleanup(port.Close)
	}
	return replicas[0], replicas[1]
}

func TestAnswerFindsTheReplicaThatHasAskedTheClient(t *testing.T) {
	server := newModernServer(t)
	server.tools = []string{}
	server.asking(ask(`"1"`, elicit), ask(`"2"`, roots))
	a, b := newReplicas(t, server.targets())
	id := a.openWith(everyCapability)
	s := a.stream(call{session: id, body: callBody})
	first := s.nextRequest()
	b.reply(id, first, `"result":{"action":"accept"}`)
	a.reply(id, s.nextRequest(), `"result":{"roots":[]}`)
	if got := s.next(); !strings.Contains(got, `"responses":{"where":{"roots":[]}}`) {
		t.Errorf("got %s", got)
	}
	if got := string(server.requests("tools/call")[1].Params.InputResponses); got != `{"who":{"action":"accept"}}` {
		t.Errorf("the server got %s", got)
	}
	if n := len(b.mcp.inputs.awaited); n != 0 {
		t.Errorf("the other replica awaits %d answers", n)
	}
}

func TestCancellationFindsTheReplicaThatAsksTheServer(t *testing.T) {
	server := newModernServer(t)
	server.tools = []string{}
	began, ended := make(chan struct{}), make(chan struct{})
	server.answer = func(_ http.ResponseWriter, r *http.Request, _ *modernMessage) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}
	a, b := newReplicas(t, server.targets())
	id := a.open()
	done := make(chan reply, 1)
	go func() { done <- a.do(call{session: id, body: callBody}) }()
	<-began
	if got := b.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`}); got.status != http.StatusAccepted {
		t.Errorf("got %d", got.status)
	}
	<-ended
	<-done
}

func TestCancellationIsToldToALegacyServerOnce(t *testing.T) {
	server := newFakeServer(t)
	a, b := newReplicas(t, server.targets())
	id := a.open()
	b.do(call{session: id, body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`})
	if n := len(server.requests("notifications/cancelled")); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestSubscriptionReachesTheReplicaThatHasTheStream(t *testing.T) {
	server := newModernServer(t)
	a, b := newReplicas(t, server.targets())
	id := a.open()
	s := a.listen(id, nil)
	eventually(t, "somebody listens", func() bool { return server.listening() == 1 })
	b.subscribe(id, "subscribe", "demo://x")
	filters := server.filters()
	if got := filters[len(filters)-1]; !strings.HasPrefix(got, `{"resourceSubscriptions":["demo://x"],`) {
		t.Errorf("the server is asked for %s", got)
	}
	server.tell(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://x",` + subscriptionMeta + `}}`)
	s.until(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://x"}}`)
	b.subscribe(id, "unsubscribe", "demo://x")
	filters = server.filters()
	if got := filters[len(filters)-1]; strings.Contains(got, "demo://x") {
		t.Errorf("the server is asked for %s", got)
	}
	s.close()
}

func TestLogLevelIsKnownToAllReplicas(t *testing.T) {
	server := newModernServer(t)
	server.tools = []string{}
	a, b := newReplicas(t, server.targets())
	id := a.open()
	b.do(call{session: id, body: `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`})
	a.do(call{session: id, body: callBody})
	if got := string(server.requests("tools/call")[0].Params.Meta[metaLogLevel]); got != `"error"` {
		t.Errorf("got %s", got)
	}
}
