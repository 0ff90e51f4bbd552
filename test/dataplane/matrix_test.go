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
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/test/era"
)

// matrixClients and matrixServers are the kinds of docs/mcp.md; each kind of client is tried with each SDK that has it.
var (
	matrixKinds   = []string{"legacy", "modern", "HTTP+SSE"}
	matrixClients = map[string]map[string]func(t *testing.T, url string) (client, error){
		"legacy": {
			"Go SDK": byGo(func(url string, transport *http.Transport) mcp.Transport {
				return &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: era.LegacyOnly(transport)}}
			}),
			"TypeScript SDK 1.x": byNode(nodeKind{}, ""),
			"TypeScript SDK 2.x": byNode(nodeKind{mode: "legacy"}, ""),
		},
		"modern": {
			"Go SDK": byGo(func(url string, transport *http.Transport) mcp.Transport {
				return &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: transport}}
			}),
			"TypeScript SDK 2.x": byNode(nodeKind{mode: modernVersion}, ""),
		},
		"HTTP+SSE": {
			"Go SDK": byGo(func(url string, transport *http.Transport) mcp.Transport {
				return &mcp.SSEClientTransport{Endpoint: url + "/sse", HTTPClient: &http.Client{Transport: transport}}
			}),
			"TypeScript SDK 1.x": byNode(nodeKind{sse: true}, "/sse"),
			"TypeScript SDK 2.x": byNode(nodeKind{mode: "legacy", sse: true}, "/sse"),
		},
	}
	matrixServers = map[string]func(t *testing.T, name string) *sample{
		"legacy": newSample, "modern": newModernSample, "HTTP+SSE": newOldSample,
	}
)

func byGo(transport func(url string, transport *http.Transport) mcp.Transport) func(*testing.T, string) (client, error) {
	return func(t *testing.T, url string) (client, error) {
		connections := &http.Transport{}
		t.Cleanup(connections.CloseIdleConnections)
		return dialGoBy(t, transport(url, connections))
	}
}

func byNode(kind nodeKind, path string) func(*testing.T, string) (client, error) {
	return func(t *testing.T, url string) (client, error) { return kind.dial(t, url+path) }
}

// matrixFeatures are the rows of docs/mcp.md, in its order.
var matrixFeatures = []struct {
	name string
	try  func(t *testing.T, c client, s *sample) error
}{
	{"connect", func(_ *testing.T, c client, _ *sample) error {
		return want("virtual", c.server(), nil)
	}},
	{"tools", func(t *testing.T, c client, _ *sample) error {
		listed, err := c.list(within(t), "tools")
		if err != nil || !strings.Contains(strings.Join(listed, " "), "echo") {
			return fmt.Errorf("listed %v, %w", listed, err)
		}
		got, err := c.call(within(t), "echo", message("hi"), "")
		return want("server: hi", got, err)
	}},
	{"progress", func(t *testing.T, c client, _ *sample) error {
		got, err := c.call(within(t), "slow", map[string]any{"steps": 2}, "matrix")
		if err := want("server: done", got, err); err != nil {
			return err
		}
		return soon(func() error { return want(2, len(c.seen().all("progress matrix ")), nil) })
	}},
	{"logging", func(t *testing.T, c client, _ *sample) error {
		if err := c.setLevel(within(t), "debug"); err != nil {
			return err
		}
		if _, err := c.call(within(t), "log", message("a word"), ""); err != nil {
			return err
		}
		return soon(func() error { return want(1, c.seen().count("log warning server: a word"), nil) })
	}},
	{"prompts", func(t *testing.T, c client, _ *sample) error {
		got, err := c.prompt(within(t), "greet", map[string]string{"who": "Ada"})
		return want("server greets Ada", got, err)
	}},
	{"resources and templates", func(t *testing.T, c client, _ *sample) error {
		for _, uri := range []string{"demo://note", "demo://item/7"} {
			got, err := c.read(within(t), uri)
			if err := want(uri+": server", got, err); err != nil {
				return err
			}
		}
		listed, err := c.list(within(t), "templates")
		return want("[demo://item/{id}]", fmt.Sprint(listed), err)
	}},
	{"completion", func(t *testing.T, c client, _ *sample) error {
		got, err := c.complete(within(t), "greet", "", "who", "A")
		return want("[server greet A]", fmt.Sprint(got), err)
	}},
	{"elicitation", asks("elicitation", "elicit")},
	{"sampling", asks("sampling", "ask-model")},
	{"roots", asks("roots", "roots")},
	{"list changes", func(_ *testing.T, c client, s *sample) error {
		before := c.seen().count("tools changed")
		return soon(func() error {
			s.change(func(server *mcp.Server) {
				addTool(server, fmt.Sprintf("more-%d", time.Now().UnixNano()), func(context.Context, *mcp.CallToolRequest, text) (string, error) {
					return "", nil
				})
			})
			time.Sleep(50 * time.Millisecond)
			if c.seen().count("tools changed") == before {
				return fmt.Errorf("the client was not told")
			}
			return nil
		})
	}},
	{"resource subscriptions", func(t *testing.T, c client, s *sample) error {
		if err := c.subscribe(within(t), "demo://note"); err != nil {
			return err
		}
		return soon(func() error {
			updateNote(s)
			time.Sleep(50 * time.Millisecond)
			if c.seen().count("updated demo://note") == 0 {
				return fmt.Errorf("the client was not told")
			}
			return nil
		})
	}},
	{"cancellation", func(t *testing.T, c client, s *sample) error {
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := c.call(ctx, "wait", message("matrix"), "")
			failed <- err
		}()
		if err := received(s.waiting); err != nil {
			return err
		}
		cancel()
		if err := received(failed); err != nil {
			return err
		}
		return received(s.cancelled)
	}},
}

// modernVersion is the revision without sessions.
const modernVersion = "2026-07-28"

// asks returns what tries whether a server's question reaches the client. Servers of the modern era ask in another way.
func asks(note, tool string) func(*testing.T, client, *sample) error {
	return func(t *testing.T, c client, s *sample) error {
		tool, arguments := tool, message("hi")
		switch {
		case s.stateless:
			tool, arguments = "interview", nil
		case tool != "ask-model":
			arguments = nil
		}
		before := c.seen().count(note)
		got, err := c.call(within(t), tool, arguments, "")
		switch {
		case err != nil || !strings.HasPrefix(got, "server"):
			return fmt.Errorf("got %q, %w", got, err)
		case note == "roots" && strings.Contains(got, clientRoot): // The SDK answers by itself.
			return nil
		default:
			return want(before+1, c.seen().count(note), nil)
		}
	}
}

func want[T comparable](want, got T, err error) error {
	if err != nil || got != want {
		return fmt.Errorf("got %v, %w; want %v", got, err, want)
	}
	return nil
}

// soon tries until there is no error any more, or it takes too long.
func soon(try func() error) (err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return nil
		}
	}
	return err
}

func received[T any](from <-chan T) error {
	select {
	case <-from:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("nothing came")
	}
}

// TestMatrix: each feature with each kind of client and server does what docs/mcp.md says.
func TestMatrix(t *testing.T) {
	page := readMatrix(t)
	for _, clientKind := range matrixKinds {
		for _, serverKind := range matrixKinds {
			said := map[string]string{}
			for _, feature := range matrixFeatures {
				said[feature.name] = page[feature.name][clientKind+" → "+serverKind]
			}
			for sdk, dial := range matrixClients[clientKind] {
				t.Run(fmt.Sprintf("%s → %s/%s", clientKind, serverKind, sdk), func(t *testing.T) {
					t.Parallel()
					s := matrixServers[serverKind](t, "server")
					c, err := dial(t, newGateway(t, []config.Target{s.target()}).url)
					if err != nil {
						t.Fatal(err)
					}
					if c.modern() != (clientKind == "modern") {
						t.Fatalf("the client speaks another era: modern is %t", c.modern())
					}
					tryFeatures(t, c, s, said)
				})
			}
		}
	}
}

// tryFeatures tries all features, of which docs/mcp.md has said something.
func tryFeatures(t *testing.T, c client, s *sample, said map[string]string) {
	t.Helper()
	for _, feature := range matrixFeatures {
		err := feature.try(t, c, s)
		switch said := said[feature.name]; {
		case said == "yes" && err != nil:
			t.Errorf("%s: %v; docs/mcp.md says yes; the client was told %v", feature.name, err, c.seen().all(""))
		case said != "yes" && err == nil:
			t.Errorf("%s works; docs/mcp.md says %q", feature.name, said)
		}
	}
}

// readMatrix returns the cells of docs/mcp.md by feature and pair.
func readMatrix(t *testing.T) map[string]map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/mcp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, matrix, found := strings.Cut(string(page), "<!-- matrix:")
	matrix, _, closed := strings.Cut(matrix, "<!-- end of the matrix -->")
	if !found || !closed {
		t.Fatal("docs/mcp.md has no matrix")
	}
	var pairs []string
	cells := map[string]map[string]string{}
	for line := range strings.Lines(matrix) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		if pairs == nil {
			pairs = columns[1:]
			continue
		}
		row := map[string]string{}
		for i, pair := range pairs {
			if row[pair] = columns[i+1]; row[pair] == "" {
				t.Errorf("%s, %s: the cell is empty", columns[0], pair)
			}
		}
		cells[columns[0]] = row
	}
	if len(cells) != len(matrixFeatures) || len(pairs) != len(matrixKinds)*len(matrixKinds) {
		t.Fatalf("docs/mcp.md has %d rows and %d columns", len(cells), len(pairs))
	}
	return cells
}
