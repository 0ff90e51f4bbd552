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

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newServer returns a server with these tools, a prompt, a resource and a resource template.
func newServer(name string, tools []string) (*mcp.Server, error) {
	server := mcp.NewServer(&mcp.Implementation{Name: name, Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "A sample server. Try its tool echo.",
	})
	for _, tool := range tools {
		add, known := toolbox[tool]
		if !known {
			return nil, fmt.Errorf("there is no tool %q: take any of %s", tool, strings.Join(toolNames(), ", "))
		}
		add(server)
	}
	server.AddPrompt(&mcp.Prompt{
		Name:        "explain",
		Description: "Asks for an explanation in one sentence.",
		Arguments:   []*mcp.PromptArgument{{Name: "topic", Description: "What to explain.", Required: true}},
	}, explain)
	server.AddResource(&mcp.Resource{
		URI:         "sample://about",
		Name:        "about",
		Description: "Which server this is.",
		MIMEType:    "text/plain",
	}, about(name))
	server.AddResourceTemplate(&mcp.ResourceTemplate{
		URITemplate: squarePrefix + "{n}",
		Name:        "square",
		Description: "The square of a number.",
		MIMEType:    "text/plain",
	}, square)
	return server, nil
}

// toolbox has what the server can offer. Input schemas are made from the types of the handlers' arguments.
var toolbox = map[string]func(*mcp.Server){
	"echo": func(s *mcp.Server) {
		mcp.AddTool(s, &mcp.Tool{Name: "echo", Description: "Says what it is told."}, echo)
	},
	"add": func(s *mcp.Server) {
		mcp.AddTool(s, &mcp.Tool{Name: "add", Description: "Adds two numbers."}, add)
	},
	"countdown": func(s *mcp.Server) {
		mcp.AddTool(s, &mcp.Tool{Name: "countdown", Description: "Counts down slowly, and tells its progress."}, countdown)
	},
	"greet": func(s *mcp.Server) {
		mcp.AddTool(s, &mcp.Tool{Name: "greet", Description: "Asks for a name, and greets."}, greet)
	},
	"forecast": func(s *mcp.Server) {
		mcp.AddTool(s, &mcp.Tool{Name: "forecast", Description: "Tells the weather of a city, always the same."}, forecast)
	},
}

func toolNames() []string { return slices.Sorted(maps.Keys(toolbox)) }

// text returns a result that is one text.
func text(format string, args ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
}

type echoInput struct {
	Message string `json:"message" jsonschema:"what to say"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in echoInput) (*mcp.CallToolResult, any, error) {
	return text("Echo: %s", in.Message), nil, nil
}

type addInput struct {
	A float64 `json:"a" jsonschema:"the first number"`
	B float64 `json:"b" jsonschema:"the second number"`
}

type addOutput struct {
	Sum float64 `json:"sum"`
}

// add has a result with a type: clients get its schema, and the result as JSON.
func add(_ context.Context, _ *mcp.CallToolRequest, in addInput) (*mcp.CallToolResult, addOutput, error) {
	return nil, addOutput{Sum: in.A + in.B}, nil
}

type countdownInput struct {
	From   int `json:"from,omitempty" jsonschema:"where to begin, 1 to 60; default 5"`
	Millis int `json:"millis,omitempty" jsonschema:"milliseconds between two numbers, 1 to 10000; default 1000"`
}

// countdown tells the client after each step how far it is, if the client asked for that, and stops when the client
// cancels the call.
func countdown(ctx context.Context, req *mcp.CallToolRequest, in countdownInput) (*mcp.CallToolResult, any, error) {
	if in.From == 0 {
		in.From = 5
	}
	if in.Millis == 0 {
		in.Millis = 1000
	}
	if in.From < 1 || in.From > 60 || in.Millis < 1 || in.Millis > 10000 {
		return nil, nil, errors.New("from must be 1 to 60, and millis 1 to 10000")
	}
	ticker := time.NewTicker(time.Duration(in.Millis) * time.Millisecond)
	defer ticker.Stop()
	for left := in.From - 1; left >= 0; left-- {
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-ticker.C:
		}
		token := req.Params.GetProgressToken()
		if token == nil {
			continue
		}
		// A client that can't be told still gets its result.
		_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token,
			Progress:      float64(in.From - left),
			Total:         float64(in.From),
			Message:       fmt.Sprintf("%d to go", left),
		})
	}
	return text("Lift-off!"), nil, nil
}

// askName is the key of the one question that greet asks.
const askName = "name"

// greet asks the client's user for a name. The call returns with the question and is made again with the answer; for
// clients of MCP revisions before 2026-07-28 the SDK sends the question as a request of its own.
func greet(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	answer, answered := req.Params.InputResponses[askName].(*mcp.ElicitResult)
	if !answered {
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{askName: &mcp.ElicitParams{
			Message: "What is your name?",
			RequestedSchema: map[string]any{
				"type":       "object",
				"properties": map[string]any{"name": map[string]any{"type": "string", "title": "Name"}},
				"required":   []string{"name"},
			},
		}}}, nil, nil
	}
	if answer.Action != "accept" {
		return text("Hello, whoever you are!"), nil, nil
	}
	return text("Hello, %v!", answer.Content["name"]), nil, nil
}

type forecastInput struct {
	City string `json:"city" jsonschema:"name of the city"`
}

// forecast makes the weather up from the city's name.
func forecast(_ context.Context, _ *mcp.CallToolRequest, in forecastInput) (*mcp.CallToolResult, any, error) {
	skies := []string{"sunny", "cloudy", "rainy", "windy", "foggy"}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(strings.ToLower(in.City)))
	sum := hash.Sum32()
	return text("%s: %s, %d °C", in.City, skies[sum%5], 5+sum/5%25), nil, nil
}

func explain(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	question := "Explain in one sentence: " + req.Params.Arguments["topic"]
	return &mcp.GetPromptResult{
		Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: question}}},
	}, nil
}

// contents returns a resource that is one text.
func contents(uri, text string) *mcp.ReadResourceResult {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: "text/plain", Text: text}}}
}

func about(name string) mcp.ResourceHandler {
	return func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return contents(req.Params.URI, fmt.Sprintf("I am the sample server %q.", name)), nil
	}
}

const squarePrefix = "sample://squares/"

func square(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(req.Params.URI, squarePrefix), 10, 32)
	if err != nil {
		return nil, mcp.ResourceNotFoundError(req.Params.URI)
	}
	return contents(req.Params.URI, strconv.FormatInt(n*n, 10)), nil
}
