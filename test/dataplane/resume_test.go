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
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// TestCallsOutliveTheirConnections: the client asks for the rest of the answer, and another replica may be the one that is asked.
func TestCallsOutliveTheirConnections(t *testing.T) {
	eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		s := startSample(&sample{t: t, name: "sample", resumable: true})
		broken := make(chan struct{})
		s.change(func(server *mcp.Server) {
			addTool(server, "two-halves", func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (string, error) {
				return "done", s.twoHalves(ctx, r, broken)
			})
		})
		gw := newGateway(t, []config.Target{newSample(t, "other").target(), s.target()}, withReplicas(2))
		c := connect(t, gw.url)
		type answer struct {
			text string
			err  error
		}
		answered := make(chan answer, 1)
		go func() {
			text, err := c.call(within(t), "two-halves", nil, "token")
			answered <- answer{text, err}
		}()
		told := func() map[string]int { return c.seen().all("progress token ") }
		g.Eventually(told).WithTimeout(patience).Should(HaveKey("progress token 1/2"))
		gw.balancer.breakConnections()
		close(broken)
		g.Eventually(answered).WithTimeout(patience).Should(Receive(Equal(answer{text: "done"})))
		g.Eventually(told).WithTimeout(patience).Should(Equal(map[string]int{"progress token 1/2": 1, "progress token 2/2": 1}))
		g.Expect(called(t, c, "sample_echo", message("hi"))).To(Equal("sample: hi"), "the session goes on")
		g.Expect(c.close()).To(Succeed())
	})
}

// twoHalves tells of two halves, the second of which begins when it is told so.
func (s *sample) twoHalves(ctx context.Context, r *mcp.CallToolRequest, second <-chan struct{}) error {
	for i := range 2 {
		if i > 0 {
			<-second
		}
		err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: r.Params.GetProgressToken(), Progress: float64(i + 1), Total: 2,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// TestMissedAnswerComesWithWhatAServerReplays: server-everything replays all that it has sent since an event, on whichever stream
// that was. A client whose call broke off before its stream had any event to resume after gets the answer so.
func TestMissedAnswerComesWithWhatAServerReplays(t *testing.T) {
	g := NewWithT(t)
	all := []config.Target{newSample(t, "other").target(), target(t, "everything", everything(t, 0).URL())}
	c := newRawClient(t, newGateway(t, all, withReplicas(2)).url)
	defer func() { g.Expect(c.do(http.MethodDelete, "").Body.Close()).To(Succeed()) }()
	c.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)

	listening, stop := context.WithCancel(within(t))
	first := make(chan string, 1)
	go c.listen(listening, "", func(id, _ string) bool { first <- id; return false })
	g.Eventually(func() int {
		// What it logs goes to those that listen, but the first of it may come too early.
		c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"toggle-simulated-logging","arguments":{}}}`)
		return len(first)
	}).WithTimeout(patience).Should(Equal(1))
	stop()
	after := <-first

	g.Expect(c.do(http.MethodPost, `{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"trigger-long-running-operation",`+
		`"arguments":{"duration":1,"steps":1}}}`).Body.Close()).To(Succeed())
	g.Eventually(func() (answer string) {
		ctx, cancel := context.WithTimeout(within(t), time.Second)
		defer cancel()
		c.listen(ctx, after, func(_, data string) bool {
			if strings.Contains(data, `"id":77`) {
				answer = data
			}
			return answer == ""
		})
		return answer
	}).WithTimeout(patience).Should(ContainSubstring("Long running operation completed"))
}

// listen opens a GET stream and hands each event to what is to be done with it, until that returns false or the context ends.
func (c *rawClient) listen(ctx context.Context, after string, each func(id, data string) bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Session-Id", c.session)
	if after != "" {
		r.Header.Set("Last-Event-Id", after)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	id, lines := "", bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = value
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && !each(id, data) {
			return
		}
	}
}
