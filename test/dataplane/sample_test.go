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
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// sample is an MCP server made with the Go SDK. It says its name in all that it answers.
type sample struct {
	t         *testing.T
	name      string
	stateless bool
	old       bool   // It is of the HTTP+SSE transport.
	resumable bool   // What a broken stream has lost can be asked for again.
	address   string // Stays the same when the server is stopped and started.
	// cancelled gets the argument "message" of calls of "wait" that were cancelled, and waiting of those that have begun.
	cancelled, waiting chan string

	mu     sync.Mutex
	server *mcp.Server
	dead   context.Context // Ends when the server is killed, and with it what waits.
	stop   func()
}

func newSample(t *testing.T, name string) *sample {
	return startSample(&sample{t: t, name: name})
}

func newStatelessSample(t *testing.T, name string) *sample {
	return startSample(&sample{t: t, name: name, stateless: true})
}

// newOldSample returns a server of the HTTP+SSE transport, which is a static target.
func newOldSample(t *testing.T, name string) *sample {
	return startSample(&sample{t: t, name: name, old: true})
}

func startSample(s *sample) *sample {
	s.t.Helper()
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(servertest.FreePort("127.0.0.1"))) // It comes back there.
	s.cancelled, s.waiting = make(chan string, 100), make(chan string, 100)
	s.start()
	s.t.Cleanup(s.kill)
	return s
}

func (s *sample) target() config.Target {
	if s.old {
		old := target(s.t, s.name, "http://"+s.address+"/sse")
		old.Protocol = config.SSE
		return old
	}
	return target(s.t, s.name, "http://"+s.address+"/")
}

// start starts the server, with no memory of what was before.
func (s *sample) start() {
	s.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = listener.Addr().String()
	server := s.newServer()
	s.server = server
	var events mcp.EventStore
	if s.resumable {
		events = mcp.NewMemoryEventStore(nil)
	}
	var handler http.Handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		EventStore: events,
		Stateless:  s.stateless,
		// Where there are no sessions, the end of its connection is what cancels a request.
		PropagateRequestCancellation: true,
		// Its Host header is that of a Service.
		DisableLocalhostProtection: true,
	})
	if s.old {
		handler = mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return server }, &mcp.SSEOptions{DisableLocalhostProtection: true})
	}
	httpServer := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = httpServer.Serve(listener)
	}()
	dead, die := context.WithCancel(context.Background())
	s.dead = dead
	s.stop = sync.OnceFunc(func() {
		_ = httpServer.Close()
		die()
		<-done
		for session := range server.Sessions() {
			_ = session.Close()
		}
	})
}

// kill breaks all connections and forgets all sessions.
func (s *sample) kill() {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	stop()
}

// change does something with the server that runs.
func (s *sample) change(what func(*mcp.Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what(s.server)
}

// text is the input of tools that take a text.
type text struct {
	Message string `json:"message"`
}

type sum struct {
	A int `json:"a"`
	B int `json:"b"`
}

type steps struct {
	Steps int `json:"steps"`
}

func (s *sample) newServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: s.name, Version: "1"}, &mcp.ServerOptions{
		Instructions:       "Use " + s.name + ".",
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(_ context.Context, r *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			of := r.Params.Ref.Name + r.Params.Ref.URI
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{s.name + " " + of + " " + r.Params.Argument.Value}}}, nil
		},
	})
	addTool(server, "echo", func(_ context.Context, _ *mcp.CallToolRequest, in text) (string, error) {
		return s.name + ": " + in.Message, nil
	})
	addTool(server, "add", func(_ context.Context, _ *mcp.CallToolRequest, in sum) (string, error) {
		return fmt.Sprint(in.A + in.B), nil
	})
	addTool(server, "slow", s.slow)
	addTool(server, "wait", s.wait)
	addTool(server, "elicit", s.elicit)
	addTool(server, "ask-model", s.askModel)
	addTool(server, "roots", s.roots)
	addTool(server, "log", func(ctx context.Context, r *mcp.CallToolRequest, in text) (string, error) {
		return "logged", r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "warning", Data: s.name + ": " + in.Message})
	})
	server.AddPrompt(&mcp.Prompt{Name: "greet", Arguments: []*mcp.PromptArgument{{Name: "who"}}}, s.greet)
	server.AddResource(&mcp.Resource{Name: "note", URI: "demo://note"}, s.readResource)
	server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "item", URITemplate: "demo://item/{id}"}, s.readResource)
	return server
}

// addTool adds a tool whose result is a text.
func addTool[In any](server *mcp.Server, name string, tool func(context.Context, *mcp.CallToolRequest, In) (string, error)) {
	mcp.AddTool(server, &mcp.Tool{Name: name}, func(ctx context.Context, r *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		answer, err := tool(ctx, r, in)
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: answer}}}, nil, nil
	})
}

// slow tells its progress.
func (s *sample) slow(ctx context.Context, r *mcp.CallToolRequest, in steps) (string, error) {
	for i := range in.Steps {
		if token := r.Params.GetProgressToken(); token != nil {
			err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
				ProgressToken: token, Progress: float64(i + 1), Total: float64(in.Steps),
			})
			if err != nil {
				return "", err
			}
		}
	}
	return s.name + ": done", nil
}

// wait answers only when it is cancelled.
func (s *sample) wait(ctx context.Context, _ *mcp.CallToolRequest, in text) (string, error) {
	s.mu.Lock()
	dead := s.dead
	s.mu.Unlock()
	s.waiting <- in.Message
	select {
	case <-ctx.Done():
		s.cancelled <- in.Message
	case <-dead.Done():
	}
	return "", errors.New("cancelled")
}

func (s *sample) elicit(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (string, error) {
	answer, err := r.Session.Elicit(ctx, &mcp.ElicitParams{
		Message: "Who are you?",
		RequestedSchema: map[string]any{
			"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}, "required": []string{"name"},
		},
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s %v", s.name, answer.Action, answer.Content["name"]), nil
}

func (s *sample) askModel(ctx context.Context, r *mcp.CallToolRequest, in text) (string, error) {
	answer, err := r.Session.CreateMessage(ctx, &mcp.CreateMessageParams{
		MaxTokens: 10, Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: in.Message}}},
	})
	if err != nil {
		return "", err
	}
	said, _ := answer.Content.(*mcp.TextContent)
	return fmt.Sprintf("%s: %s by %s", s.name, said.Text, answer.Model), nil
}

func (s *sample) roots(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (string, error) {
	answer, err := r.Session.ListRoots(ctx, nil)
	if err != nil {
		return "", err
	}
	uris := []string{}
	for _, root := range answer.Roots {
		uris = append(uris, root.URI)
	}
	return s.name + ": " + strings.Join(uris, " "), nil
}

func (s *sample) greet(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{
		Role: "user", Content: &mcp.TextContent{Text: s.name + " greets " + r.Params.Arguments["who"]},
	}}}, nil
}

func (s *sample) readResource(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: s.name}}}, nil
}

// sampleTools are the tools of a sample, in the order in which it lists them.
var sampleTools = []string{"add", "ask-model", "echo", "elicit", "log", "roots", "slow", "wait"}

// qualified returns names with the target's name before them.
func qualified(target string, names ...string) []string {
	with := make([]string, 0, len(names))
	for _, name := range names {
		with = append(with, target+"_"+name)
	}
	return with
}

// updateNote says that the server's resource has changed.
func updateNote(s *sample) {
	s.change(func(server *mcp.Server) {
		_ = server.ResourceUpdated(context.Background(), &mcp.ResourceUpdatedNotificationParams{URI: "demo://note"})
	})
}

// sessions returns how many sessions the server holds.
func (s *sample) sessions() (n int) {
	s.change(func(server *mcp.Server) {
		for range server.Sessions() {
			n++
		}
	})
	return n
}
