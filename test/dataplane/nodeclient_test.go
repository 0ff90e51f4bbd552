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
	"bufio"
	"bytes"
	"context"
	_ "embed" // The clients' source is part of the tests.
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/test/node"
)

//go:embed client.mjs
var clientSource string

// nodeProcess is the Node.js process in which the clients of both lines of the TypeScript SDK run.
type nodeProcess struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stderr  lockedBuffer
	read    chan struct{} // Closed when its output has ended.

	mu      sync.Mutex
	last    int
	waiting map[int]chan<- nodeAnswer
	notes   map[int]*notes
}

// nodeAnswer is a line that the process writes.
type nodeAnswer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *string         `json:"error"`
	Client int             `json:"client"`
	Note   string          `json:"note"`
}

func startNodeProcess(tools *node.Toolchain) (*nodeProcess, error) {
	p := &nodeProcess{
		command: tools.Script(clientSource), read: make(chan struct{}),
		waiting: map[int]chan<- nodeAnswer{}, notes: map[int]*notes{},
	}
	p.command.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go p.readAnswers(stdout)
	return p, nil
}

func (p *nodeProcess) readAnswers(stdout io.Reader) {
	defer close(p.read)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var a nodeAnswer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue
		}
		p.mu.Lock()
		if a.Note != "" {
			p.notes[a.Client].add("%s", a.Note)
		} else if waiting := p.waiting[a.ID]; waiting != nil {
			delete(p.waiting, a.ID)
			waiting <- a // It has room for one.
		}
		p.mu.Unlock()
	}
}

// stop ends the process and waits for it.
func (p *nodeProcess) stop() error {
	_ = p.stdin.Close()
	<-p.read
	if err := p.command.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, &p.stderr)
	}
	return nil
}

// send gives a client something to do, and returns the command's number.
func (p *nodeProcess) send(command map[string]any, answer chan<- nodeAnswer) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	command["id"] = p.last
	line, err := json.Marshal(command)
	if err != nil {
		return 0, err
	}
	if answer != nil {
		p.waiting[p.last] = answer
	}
	_, err = p.stdin.Write(append(line, '\n'))
	return p.last, err
}

// nodeClient is a client of the TypeScript SDK.
type nodeClient struct {
	process   *nodeProcess
	number    int
	notes     *notes
	connected nodeConnection
	closed    func() error
}

// nodeConnection is what a client knows of what it is connected to.
type nodeConnection struct {
	Server string `json:"server"`
	Modern bool   `json:"modern"`
}

// nodeKind is a kind of client of the TypeScript SDK. The zero value is of the SDK 1.x.
type nodeKind struct {
	mode string // Of the SDK 2.x: "legacy", "auto", or a revision that it insists on.
	sse  bool   // By HTTP+SSE.
}

// connect connects a client of the kind, and fails the test if that fails.
func (k nodeKind) connect(t *testing.T, url string) client {
	t.Helper()
	c, err := k.dial(t, url)
	if err != nil {
		t.Fatalf("%v\n%s", err, &c.process.stderr)
	}
	return c
}

func (k nodeKind) dial(t *testing.T, url string) (*nodeClient, error) {
	t.Helper()
	p := nodeClients(t)
	c := &nodeClient{process: p, notes: &notes{}}
	p.mu.Lock()
	p.last++
	c.number = p.last
	p.notes[c.number] = c.notes
	p.mu.Unlock()
	c.closed = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return c.do(ctx, "close", nil, nil)
	})
	t.Cleanup(func() { _ = c.closed() })
	return c, c.do(within(t), "connect", map[string]any{
		"mode": k.mode, "sse": k.sse, "url": url, "root": clientRoot, "model": sampledBy, "name": elicitedName,
	}, &c.connected)
}

// do has the client do something. When the context ends, a call is cancelled.
func (c *nodeClient) do(ctx context.Context, what string, command map[string]any, result any) error {
	if command == nil {
		command = map[string]any{}
	}
	command["client"], command["do"] = c.number, what
	answered := make(chan nodeAnswer, 1)
	id, err := c.process.send(command, answered)
	if err != nil {
		return err
	}
	var answer nodeAnswer
	select {
	case answer = <-answered:
	case <-c.process.read:
		return errors.New("the process of the clients has ended: " + c.process.stderr.String())
	case <-ctx.Done():
		if what == "call" {
			_, _ = c.process.send(map[string]any{"client": c.number, "do": "cancel", "call": id}, nil)
		}
		return ctx.Err()
	}
	switch {
	case answer.Error != nil:
		return errors.New(*answer.Error)
	case result == nil:
		return nil
	default:
		return json.NewDecoder(bytes.NewReader(answer.Result)).Decode(result)
	}
}

func (c *nodeClient) server() string { return c.connected.Server }

func (c *nodeClient) modern() bool { return c.connected.Modern }

func (c *nodeClient) seen() *notes { return c.notes }

func (c *nodeClient) close() error { return c.closed() }

// ask has the client do something that has a result.
func ask[T any](ctx context.Context, c *nodeClient, what string, command map[string]any) (T, error) {
	var result T
	err := c.do(ctx, what, command, &result)
	return result, err
}

func (c *nodeClient) list(ctx context.Context, what string) ([]string, error) {
	return ask[[]string](ctx, c, "list", map[string]any{"what": what})
}

func (c *nodeClient) call(ctx context.Context, tool string, arguments map[string]any, token string) (string, error) {
	return ask[string](ctx, c, "call", map[string]any{"tool": tool, "arguments": arguments, "token": token})
}

func (c *nodeClient) prompt(ctx context.Context, name string, arguments map[string]string) (string, error) {
	return ask[string](ctx, c, "prompt", map[string]any{"name": name, "arguments": arguments})
}

func (c *nodeClient) read(ctx context.Context, uri string) (string, error) {
	return ask[string](ctx, c, "read", map[string]any{"uri": uri})
}

func (c *nodeClient) subscribe(ctx context.Context, uri string) error {
	return c.do(ctx, "subscribe", map[string]any{"uri": uri}, nil)
}

func (c *nodeClient) unsubscribe(ctx context.Context, uri string) error {
	return c.do(ctx, "unsubscribe", map[string]any{"uri": uri}, nil)
}

func (c *nodeClient) complete(ctx context.Context, prompt, template, argument, value string) ([]string, error) {
	return ask[[]string](ctx, c, "complete", map[string]any{
		"name": prompt, "template": template, "argument": argument, "value": value,
	})
}

func (c *nodeClient) setLevel(ctx context.Context, level string) error {
	return c.do(ctx, "level", map[string]any{"level": level}, nil)
}

func (c *nodeClient) addRoot(ctx context.Context, uri string) error {
	return c.do(ctx, "root", map[string]any{"uri": uri}, nil)
}
