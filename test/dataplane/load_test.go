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

package dataplane

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/test/era"
)

var loadFor = flag.Duration("load", 4*time.Second, "how long TestMixedLoad lasts")

// TestMixedLoad: clients of all eras call servers of all eras through two replicas, while both endpoints of one server are
// restarted, one after the other. No call fails.
func TestMixedLoad(t *testing.T) {
	first, second := newSample(t, "pair"), newSample(t, "pair")
	pair := first.target()
	pair.Endpoints = append(pair.Endpoints, second.target().Endpoints...)
	modern, old := newModernSample(t, "modern"), newOldSample(t, "old")
	gw := newGateway(t, []config.Target{pair, modern.target(), old.target()}, withReplicas(2))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	load := &mixedLoad{calls: map[string]*atomic.Int64{}, servers: []string{"pair", "modern", "old"}}
	var clients sync.WaitGroup
	for name, connect := range clientsOfAllEras(gw.url) {
		count := &atomic.Int64{}
		load.calls[name] = count
		for range 2 {
			clients.Go(func() { load.run(ctx, name, connect(), count) })
		}
	}

	pause := *loadFor / 4
	time.Sleep(pause)
	for _, restarted := range []*sample{first, second} {
		// As in a cluster: the endpoint is taken out, and the server goes when it has nothing to do any more.
		without := pair
		without.Endpoints = other(first, second, restarted).target().Endpoints
		gw.update(without, modern.target(), old.target())
		time.Sleep(pause / 2)
		restarted.kill()
		restarted.start()
		gw.update(pair, modern.target(), old.target())
		time.Sleep(pause)
	}
	cancel()
	clients.Wait()
	load.report(t)
}

// clientsOfAllEras returns how clients of each era connect.
func clientsOfAllEras(url string) map[string]func() mcp.Transport {
	return map[string]func() mcp.Transport{
		"legacy": func() mcp.Transport {
			return &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: era.LegacyOnly(&http.Transport{})}}
		},
		"modern": func() mcp.Transport {
			return &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: &http.Transport{}}}
		},
		"HTTP+SSE": func() mcp.Transport {
			return &mcp.SSEClientTransport{Endpoint: url + "/sse", HTTPClient: &http.Client{Transport: &http.Transport{}}}
		},
	}
}

// TestSessionMovesToAnotherEndpoint: the endpoint that holds a session refuses connections before the configuration says that
// it is gone.
func TestSessionMovesToAnotherEndpoint(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		first, second := newSample(t, "pair"), newSample(t, "pair")
		pair := first.target()
		pair.Endpoints = append(pair.Endpoints, second.target().Endpoints...)
		c := connect(t, newGateway(t, []config.Target{pair}).url)
		g.Expect(called(t, c, "echo", message("one"))).To(Equal("pair: one"))
		for _, gone := range []*sample{first, second} {
			gone.kill()
			// A call that meets the end of a connection which was open may have been worked on, and is not repeated.
			g.Eventually(func() (string, error) { return c.call(within(t), "echo", message("two"), "") }).WithTimeout(patience).
				Should(Equal("pair: two"))
			gone.start()
		}
		g.Expect(c.close()).To(Succeed())
	})
}

func other(a, b, than *sample) *sample {
	if a == than {
		return b
	}
	return a
}

// mixedLoad counts what becomes of calls.
type mixedLoad struct {
	calls map[string]*atomic.Int64
	// servers are called in turn.
	servers []string

	mu       sync.Mutex
	failures []string
}

func (l *mixedLoad) failed(format string, arguments ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 50 {
		l.failures = append(l.failures, time.Now().Format("05.000 ")+fmt.Sprintf(format, arguments...))
	}
}

// report fails the test for each call that did.
func (l *mixedLoad) report(t *testing.T) {
	t.Helper()
	for _, failure := range l.failures {
		t.Error(failure)
	}
	for name, count := range l.calls {
		t.Logf("%s clients: %d calls", name, count.Load())
		if count.Load() == 0 {
			t.Errorf("no call of the %s clients", name)
		}
	}
	t.Logf("%d calls failed in %s", len(l.failures), *loadFor)
}

// run is one client that calls the servers in turn.
func (l *mixedLoad) run(ctx context.Context, kind string, transport mcp.Transport, count *atomic.Int64) {
	client := mcp.NewClient(&mcp.Implementation{Name: kind, Version: "1"}, nil)
	session, err := client.Connect(context.WithoutCancel(ctx), transport, nil)
	if err != nil {
		l.failed("%s client: connect: %v", kind, err)
		return
	}
	defer func() { _ = session.Close() }()
	for i := 0; ctx.Err() == nil; i++ {
		for _, server := range l.servers {
			message := fmt.Sprintf("%s %d", kind, i)
			calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			result, err := session.CallTool(calling, &mcp.CallToolParams{
				Name: server + "_echo", Arguments: map[string]any{"message": message},
			})
			cancel()
			count.Add(1)
			switch {
			case err != nil:
				l.failed("%s client, %s: %v", kind, server, err)
			case len(result.Content) != 1 || result.Content[0].(*mcp.TextContent).Text != server+": "+message:
				l.failed("%s client, %s: wrong answer to %q: %+v", kind, server, message, result)
			}
		}
	}
}
