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

package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a Client for servers of this machine, unless told otherwise.
func newClient(t *testing.T, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{Limits: config.DefaultLimits(), AllowLoopback: true, UserAgent: "dynamic-mcp/test"}
	for _, c := range change {
		c(&o)
	}
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func testTarget(endpoints ...string) *config.Target {
	return &config.Target{
		Name: "tools", Service: "svc-1:80", Protocol: config.StreamableHTTP,
		Host: "tools.default.svc.cluster.local", Port: 80, Path: "/secret-path/mcp", Endpoints: endpoints,
	}
}

// compile compiles one target that must be right.
func compile(t *testing.T, c *Client, target *config.Target) *Target {
	t.Helper()
	compiled, errs := c.Compile([]*config.Target{target})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	return compiled[0]
}

// newServer returns a server and its address.
func newServer(t *testing.T, handle http.HandlerFunc) (*servertest.Server, string) {
	t.Helper()
	s := servertest.New(t, handle)
	return s, s.Listener.Addr().String()
}

// refusing returns an address at which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(servertest.FreePort("127.0.0.1")))
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// post sends a request and closes the answer's body.
func post(ctx context.Context, t *testing.T, c *Client, target *Target, r *Request) (status int, endpoint string, err error) {
	t.Helper()
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if r.Header == nil {
		r.Header = http.Header{"Content-Type": {"application/json"}}
	}
	response, endpoint, err := c.Do(ctx, target, r)
	if err != nil {
		return 0, endpoint, err
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, endpoint, nil
}

// wantReason checks an error's whole text: that it names the target and says why, and nothing else.
func wantReason(t *testing.T, err error, reason string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if e.Target != "tools" || e.Reason != reason {
		t.Fatalf("got target %q, reason %q (%v), want reason %q", e.Target, e.Reason, e.Err, reason)
	}
	if want := `target "tools" is unavailable: ` + reason; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	for _, secret := range []string{"127.0.0.1", "localhost", "secret-path", "svc.cluster.local", "token"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q carries %q", err, secret)
		}
	}
}
