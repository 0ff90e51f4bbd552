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

// Package upstream is the client side of the data plane: it sends HTTP requests to the endpoints of MCP servers. It
// judges addresses after name resolution, chooses endpoints, and has a deadline for everything; what the messages
// mean is not its business.
package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// idleTimeout is how long an unused connection is kept. It is below the 5 s after which Node.js, which most MCP
// servers run on, closes idle connections: a request that meets such a close can't be repeated safely.
const idleTimeout = 4 * time.Second

// Options configure a Client.
type Options struct {
	// Limits bound connecting; see config.Limits.
	Limits config.Limits
	// AllowLoopback permits endpoints on loopback addresses: for development on one machine.
	AllowLoopback bool
	// UserAgent is sent as User-Agent.
	UserAgent string
	// Observe, if not nil, is called for each attempt that failed, and for each request that was not sent. The endpoint
	// is empty where the failure concerns none. It is called by the request's goroutine, and should not wait.
	Observe func(target config.TargetName, endpoint string, kind Kind)
}

// Client sends requests to targets. It is safe for concurrent use.
type Client struct {
	options Options
	dialer  *net.Dialer
	now     func() time.Time

	mu         sync.Mutex
	transports map[string]*transport // by the identity of the TLS configuration
	circuits   map[circuitKey]*circuit
	compiled   []*Target // by the last Compile
}

// maxResponseHeader bounds the header of a response, in bytes.
const maxResponseHeader = 128 << 10

// transport is a connection pool for all targets that connect in the same way.
type transport struct {
	*http.Transport
}

// New returns a Client.
func New(o Options) *Client {
	return &Client{
		options:    o,
		dialer:     newDialer(o.Limits.ConnectTimeout, o.AllowLoopback),
		now:        time.Now,
		transports: map[string]*transport{},
	}
}

// Compile makes targets ready for requests. The result has nil, and the error says why, for a target that can't be
// used as it is configured. What is known of the health of endpoints stays known. Connection pools that none of the
// targets needs are closed, and the health of endpoints that none of them has is forgotten.
func (c *Client) Compile(targets []*config.Target) ([]*Target, []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.transports
	c.transports = make(map[string]*transport, len(before))
	compiled, errs := make([]*Target, len(targets)), make([]error, len(targets))
	for i, t := range targets {
		key := transportKey(t.TLS)
		if known, ok := before[key]; ok {
			c.transports[key] = known
		}
		compiled[i], errs[i] = c.compileTarget(t)
	}
	c.keepCircuits(targets, compiled)
	for key, t := range before {
		if c.transports[key] == nil {
			t.CloseIdleConnections()
		}
	}
	return compiled, errs
}

// Close closes all idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

func transportKey(t *config.TLS) string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%q %q %q", t.ServerName, t.CABundle, t.SubjectAltNames)
}

// transportFor returns the pool for a TLS configuration. The caller holds mu.
func (c *Client) transportFor(t *config.TLS) (*transport, error) {
	key := transportKey(t)
	if known, ok := c.transports[key]; ok {
		return known, nil
	}
	pool := &http.Transport{
		DialContext:            c.dial,
		TLSHandshakeTimeout:    c.options.Limits.ConnectTimeout,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true, // What the server sent is what the client gets.
		MaxResponseHeaderBytes: maxResponseHeader,
	}
	if t != nil {
		conf, err := tlsConfig(t)
		if err != nil {
			return nil, err
		}
		pool.TLSClientConfig = conf
	}
	c.transports[key] = &transport{pool}
	return c.transports[key], nil
}

// Request is one HTTP request to a target.
type Request struct {
	// Method of HTTP.
	Method string
	// Header is sent as it is, and must not be changed until the response's body is closed.
	Header http.Header
	// Body, if not nil, must not be changed until the response's body is closed.
	Body []byte
	// Stream says that the response is a stream that lasts: it gets a connection of its own.
	Stream bool
	// Endpoint to send it to; empty for any. An endpoint that the target does not list is never dialled.
	Endpoint string
	// Path, if not empty, is the path and query to ask for in place of the target's; it begins with '/'. It never changes
	// who is asked.
	Path string
}

// Do sends the request and returns the response as soon as its header is there, with the endpoint that gave it.
// Endpoints that can't be connected to are passed over for the next one, as nothing has been sent to them; so are those
// whose circuit is open. Where there is no other, the request fails at once. The error is an *Error. The caller closes
// the response's body; the context bounds the body too. What ends the context counts as the endpoint's failure to answer
// unless its cause is, or wraps, context.Canceled.
func (c *Client) Do(ctx context.Context, t *Target, r *Request) (*http.Response, string, error) {
	candidates, err := t.candidates(r.Endpoint)
	if err == nil && ctx.Err() != nil {
		err = explain(ctx, ctx.Err()).asError(t) // No endpoint is to blame.
	}
	var path *url.URL
	if err == nil && r.Path != "" {
		path, err = t.parsePath(r.Path)
	}
	if err != nil {
		c.observe(t, "", err.Kind)
		return nil, "", err
	}
	response, address, err := c.sendToAny(ctx, t, candidates, r, path, false)
	if response == nil && err == nil {
		response, address, err = c.sendToAny(ctx, t, candidates, r, path, true)
	}
	if response == nil && err == nil {
		err = c.refuse(t, candidates)
	}
	if err != nil {
		return nil, "", err
	}
	return response, address, nil
}

// sendToAny sends the request to the first endpoint that can be connected to, beginning anywhere. It returns neither a
// response nor an error if all circuits are open.
func (c *Client) sendToAny(
	ctx context.Context, t *Target, candidates []endpoint, r *Request, path *url.URL, nowhereElse bool,
) (_ *http.Response, address string, failed *Error) {
	first := 0
	if len(candidates) > 1 {
		first = rand.IntN(len(candidates)) //nolint:gosec // spreading load needs no secrecy
	}
	for i := range candidates {
		e := &candidates[(first+i)%len(candidates)]
		permit, ok := e.circuit.admit(c.now, nowhereElse)
		if !ok {
			continue
		}
		response, err := c.send(ctx, t, e.urlOf(path), r)
		if err == nil {
			c.answered(t, e, permit, response.StatusCode)
			if response.StatusCode == http.StatusOK && isEncoded(response.Header) {
				_ = response.Body.Close()
				c.observe(t, e.address, KindOther)
				f := failure{kind: KindOther, reason: "it answers with a Content-Encoding, which it was asked not to"}
				return nil, "", f.asError(t)
			}
			return response, e.address, nil
		}
		f := explain(ctx, err)
		c.notAnswered(t, e, permit, r.Stream || r.Method == http.MethodGet, f)
		failed = f.asError(t)
		if !notConnected(err) || ctx.Err() != nil {
			break
		}
	}
	return nil, "", failed
}

// isEncoded returns whether an answer's body is not what the server said, but a compressed form of it. It can't be read, and the
// client has not said that it could.
// https://www.rfc-editor.org/rfc/rfc9110#section-8.4
func isEncoded(h http.Header) bool {
	encodings := h["Content-Encoding"]
	return len(encodings) > 0 && (len(encodings) > 1 || encodings[0] != "" && !strings.EqualFold(encodings[0], "identity"))
}

func (c *Client) send(ctx context.Context, t *Target, to *url.URL, r *Request) (*http.Response, error) {
	request := (&http.Request{
		Method:     r.Method,
		URL:        to,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     r.Header,
		Host:       t.host,
	}).WithContext(ctx)
	for attempt := 1; ; attempt++ {
		if r.Body != nil {
			request.ContentLength = int64(len(r.Body))
			// With GetBody the transport may repeat a request of which no byte was sent, on another connection.
			request.GetBody = func() (io.ReadCloser, error) { return body{bytes.NewReader(r.Body)}, nil }
			request.Body, _ = request.GetBody()
		}
		if r.Stream {
			return t.transport.openStream(ctx, request)
		}
		response, err := t.transport.RoundTrip(request)
		if err == nil || attempt == maxAttempts || !closedIdle(err) || ctx.Err() != nil {
			return response, err
		}
	}
}

// maxAttempts is how many idle connections may turn out to be closed before a request is given up.
const maxAttempts = 3

// closedIdle returns whether a server closed an idle connection in the moment in which a request was about to use it.
// The transport says so only if it had noticed before it wrote anything, but repeats just requests that are idempotent;
// its error has no name.
func closedIdle(err error) bool { return err.Error() == "http: server closed idle connection" }

// UserAgent returns what to send as User-Agent.
func (c *Client) UserAgent() string { return c.options.UserAgent }
