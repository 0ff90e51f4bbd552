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
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// retryPause is how long the watcher waits before it connects again.
const retryPause = 100 * time.Millisecond

// watcher is an MCP client that shows how the list of tools changes.
type watcher struct {
	endpoint string
	screen   *screen
	// connected gets the tools once, when there are any.
	connected chan []string
	// show is closed when changes are to be shown.
	show chan struct{}
	done chan struct{}
	// begun is set when connected has got the tools, and seen are those that were shown last.
	begun bool
	seen  []string
}

// startWatcher watches until ctx ends.
func startWatcher(ctx context.Context, endpoint string, screen *screen) *watcher {
	w := &watcher{endpoint: endpoint, screen: screen,
		connected: make(chan []string, 1), show: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			// What goes wrong here is no news: the gateway says it, or its end does.
			_ = w.session(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(retryPause):
			}
		}
	}()
	return w
}

// wait waits until the watcher has ended; not for long, because a gateway that hangs must not keep anyone here.
func (w *watcher) wait() {
	select {
	case <-w.done:
	case <-time.After(2 * time.Second):
	}
}

func (w *watcher) showChanges() { close(w.show) }

// session connects and follows the tools until the session ends.
func (w *watcher) session(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	client := mcp.NewClient(&mcp.Implementation{Name: "make-run", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: w.endpoint}, nil)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = session.Wait()
	}()
	defer func() {
		_ = session.Close()
		<-ended
	}()
	for {
		tools, err := listTools(ctx, session)
		if err != nil {
			return err
		}
		w.saw(ctx, tools)
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case <-changed:
		}
	}
}

func listTools(ctx context.Context, session *mcp.ClientSession) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var names []string
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, tool.Name)
	}
	return names, nil
}

// saw shows what is new and what is gone.
func (w *watcher) saw(ctx context.Context, tools []string) {
	if !w.begun {
		if len(tools) == 0 {
			return
		}
		w.begun, w.seen = true, tools
		w.connected <- tools
		return
	}
	select {
	case <-w.show:
	case <-ctx.Done():
		return
	}
	var changes []string
	for _, name := range tools {
		if !slices.Contains(w.seen, name) {
			changes = append(changes, "+"+name)
		}
	}
	for _, name := range w.seen {
		if !slices.Contains(tools, name) {
			changes = append(changes, "-"+name)
		}
	}
	if len(changes) > 0 {
		now := "there are no tools now"
		if len(tools) > 0 {
			now = "the tools are now: " + strings.Join(tools, " ")
		}
		w.screen.say("client", fmt.Sprintf("%s %s (%s)", time.Now().Format(time.TimeOnly), now, strings.Join(changes, " ")))
	}
	w.seen = tools
}
