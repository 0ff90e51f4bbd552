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

package provision

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
)

// prober asks proxies whether they serve.
type prober struct {
	client *http.Client
}

// newProber returns a prober that connects by dial; nil for the network.
func newProber(timeout time.Duration, dial func(ctx context.Context, network, address string) (net.Conn, error)) *prober {
	return &prober{client: &http.Client{
		Timeout: timeout,
		// No proxy of the environment, no connection that outlives its question.
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what a proxy says about itself.
type answer struct {
	// serving is whether it serves the generation that it was asked about; message says why not.
	serving bool
	message string
	// keyRing is the id of the key ring that it has; empty if it does not say.
	keyRing string
}

// maxKeyRingID is more than the id of a key ring needs.
const maxKeyRingID = 64

// ask returns whether the proxy serves that generation of its Gateway; an error if it did not answer.
func (p *prober) ask(ctx context.Context, address netip.AddrPort, generation int64) (answer, error) {
	target := url.URL{
		Scheme:   "http",
		Host:     address.String(),
		Path:     "/readyz",
		RawQuery: "generation=" + strconv.FormatInt(generation, 10),
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return answer{}, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		var urlError *url.Error
		if errors.As(err, &urlError) {
			err = urlError.Err // without the URL, which says nothing to the reader of a status
		}
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	said := answer{serving: response.StatusCode == http.StatusOK}
	if id := response.Header.Get(keyring.Header); len(id) <= maxKeyRingID {
		said.keyRing = id
	}
	if said.serving {
		return said, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMessageBytes+1))
	if err != nil {
		return answer{}, err
	}
	reason := printable(string(body))
	if reason == "" {
		reason = response.Status
	}
	said.message = "the proxy is not ready: " + reason
	return said, nil
}
