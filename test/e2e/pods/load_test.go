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

package pods

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	// loadClients is how many clients of each kind a load has, and loadPause how long each rests after a call: it is
	// there to miss nothing, not to be a burden.
	loadClients = 2
	loadPause   = 50 * time.Millisecond
	// loadLasts bounds a load that nobody stops.
	loadLasts = 5 * time.Minute
	// callDeadline is when a call has failed for its client.
	callDeadline = 15 * time.Second
	// maxFailures bounds how many failures are kept to be shown.
	maxFailures = 20
)

const (
	legacyVersion = "2025-11-25"
	modernVersion = "2026-07-28"
)

// load is clients that call the tool echo all the time, each in its own way, and count what fails. They do nothing about
// a failure: no call is sent again.
type load struct {
	url     string
	client  *http.Client
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	calls    int
	failed   int
	failures []string
	slowest  time.Duration
}

// startLoad starts a load that ends with the story at the latest.
func startLoad(url string) *load {
	ctx, cancel := context.WithTimeout(context.Background(), loadLasts)
	l := &load{url: url, cancel: cancel, client: &http.Client{
		Timeout:   callDeadline,
		Transport: &http.Transport{MaxIdleConnsPerHost: 8 * loadClients},
	}}
	for range loadClients {
		for _, calls := range []func(context.Context){l.inOneSession, l.inManySessions, l.withoutSession, l.longCalls} {
			l.running.Go(func() { calls(ctx) })
		}
	}
	DeferCleanup(func() { l.stop() })
	return l
}

func (l *load) stop() {
	l.cancel()
	l.running.Wait()
	l.client.CloseIdleConnections()
}

// made returns how many calls have been made so far. It is for Eventually.
func (l *load) made() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

// goOn waits until every client has made some more calls.
func (l *load) goOn(ctx context.Context) {
	GinkgoHelper()
	Eventually(l.made).WithContext(ctx).Should(BeNumerically(">=", l.made()+20*loadClients))
}

// expectNoFailure lets the load go on for a moment, ends it, and tells what came of it.
func (l *load) expectNoFailure(ctx context.Context, what string) {
	GinkgoHelper()
	l.goOn(ctx)
	l.stop()
	measured(what, fmt.Sprintf("%d calls, %d failed, the slowest took %s", l.calls, l.failed, l.slowest.Round(time.Millisecond)))
	Expect(l.failures).To(BeEmpty())
}

// inOneSession keeps its session for as long as the load lasts. If the session ends, that is a failure.
func (l *load) inOneSession(ctx context.Context) {
	session := ""
	for ctx.Err() == nil {
		if session == "" {
			session = l.open(ctx)
			continue
		}
		l.legacyCall(ctx, session, `"echo","arguments":{"message":"one session"}`, "Echo: one session")
	}
}

// inManySessions opens a session for each call, and ends it.
func (l *load) inManySessions(ctx context.Context) {
	for ctx.Err() == nil {
		session := l.open(ctx)
		l.legacyCall(ctx, session, `"echo","arguments":{"message":"many sessions"}`, "Echo: many sessions")
		l.count(ctx, "end the session", func(ctx context.Context) error {
			_, err := l.send(ctx, http.MethodDelete, "", legacyHeader(session))
			return err
		})
	}
}

// longCalls makes calls that take longer than a pod would like to wait when it ends.
func (l *load) longCalls(ctx context.Context) {
	session := l.open(ctx)
	for ctx.Err() == nil {
		l.legacyCall(ctx, session, `"trigger-long-running-operation","arguments":{"duration":3,"steps":3}`, "completed")
	}
}

// withoutSession is a client of the modern era.
func (l *load) withoutSession(ctx context.Context) {
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"no session"},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernVersion + `","io.modelcontextprotocol/clientCapabilities":{}}}}`
	header := http.Header{}
	header.Set("Mcp-Protocol-Version", modernVersion)
	header.Set("Mcp-Method", "tools/call")
	header.Set("Mcp-Name", "echo")
	for ctx.Err() == nil {
		l.count(ctx, "call without a session", func(ctx context.Context) error {
			return l.expect(ctx, body, header, "Echo: no session")
		})
	}
}

func legacyHeader(session string) http.Header {
	header := http.Header{}
	header.Set("Mcp-Protocol-Version", legacyVersion)
	header.Set("Mcp-Session-Id", session)
	return header
}

// open opens a session; its id is empty if that failed.
func (l *load) open(ctx context.Context) (session string) {
	l.count(ctx, "initialize", func(ctx context.Context) error {
		response, err := l.send(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+
			legacyVersion+`","capabilities":{},"clientInfo":{"name":"load","version":"1"}}}`, http.Header{})
		if err != nil {
			return err
		}
		if response.header.Get("Mcp-Session-Id") == "" {
			return errors.New("no session")
		}
		_, err = l.send(ctx, http.MethodPost, `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
			legacyHeader(response.header.Get("Mcp-Session-Id")))
		if err == nil {
			session = response.header.Get("Mcp-Session-Id")
		}
		return err
	})
	return session
}

// legacyCall calls a tool, if there is a session.
func (l *load) legacyCall(ctx context.Context, session, call, want string) {
	if session == "" {
		return
	}
	l.count(ctx, "call "+call, func(ctx context.Context) error {
		return l.expect(ctx, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":`+call+`}}`, legacyHeader(session), want)
	})
}

func (l *load) expect(ctx context.Context, body string, header http.Header, want string) error {
	response, err := l.send(ctx, http.MethodPost, body, header)
	if err == nil && (!strings.Contains(response.body, want) || strings.Contains(response.body, `"isError":true`)) {
		err = fmt.Errorf("not %q: %s", want, response.body)
	}
	return err
}

type loadResponse struct {
	header http.Header
	body   string
}

func (l *load) send(ctx context.Context, method, body string, header http.Header) (*loadResponse, error) {
	request, err := http.NewRequestWithContext(ctx, method, l.url, bytes.NewBufferString(body))
	if err != nil {
		return nil, err
	}
	request.Header = header.Clone()
	request.Header.Set("Accept", "application/json, text/event-stream")
	request.Header.Set("Content-Type", "application/json")
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %s", response.Status, content)
	}
	return &loadResponse{header: response.Header, body: string(content)}, nil
}

// count makes a call and counts it. One that the load's end has interrupted does not count: calls have a context of their
// own, so that those in flight are finished.
func (l *load) count(ctx context.Context, what string, call func(context.Context) error) {
	if ctx.Err() != nil {
		return
	}
	begin := time.Now()
	err := call(context.WithoutCancel(ctx))
	took := time.Since(begin)

	l.mu.Lock()
	l.calls++
	l.slowest = max(l.slowest, took)
	if err != nil {
		l.failed++
		if len(l.failures) < maxFailures {
			l.failures = append(slices.Clone(l.failures), fmt.Sprintf("%s, %s after its begin: %s: %v", begin.Format(time.TimeOnly), took.Round(time.Millisecond), what, err))
		}
	}
	l.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(loadPause):
	}
}
