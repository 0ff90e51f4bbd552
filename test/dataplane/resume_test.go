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
	"testing"

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
