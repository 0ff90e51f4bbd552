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

package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

type fromPeer struct{}

// FromPeer returns whether the request with this context was forwarded by a peer: it is served here, and never forwarded
// again.
func FromPeer(ctx context.Context) bool { return ctx.Value(fromPeer{}) != nil }

// Handler serves the peer port. A request that a replica of the same key ring has sent is handed to serve as its client
// sent it; anything else is answered 403, always the same. How long a body may take is the http.Server's to say (ReadTimeout).
//
// A request that is sent again within its 30 seconds is served again: whoever has overheard it has the client's tokens
// too, and could send it as a request of its own to the port that clients use. To let such a one in twice tells it no more
// than once.
func (p *Peers) Handler(serve func(w http.ResponseWriter, r *http.Request, backend string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, backend, err := p.verify(w, r)
		if err != nil {
			p.log.Debug("Peer request refused", "remote", r.RemoteAddr, "error", err)
			w.Header().Set("Connection", "close") // What is left of the body is not read.
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		w.Header()[headerPeer] = []string{served}
		serve(w, request, backend)
	})
}

// verify returns the client's request, and the Backend that it is for.
func (p *Peers) verify(w http.ResponseWriter, r *http.Request) (*http.Request, string, error) {
	keys := p.keys()
	if keys == nil {
		return nil, "", errors.New("there are no keys yet")
	}
	if len(r.Header[headerPeer]) != 1 || len(r.Header[headerPeerHost]) != 1 {
		return nil, "", errors.New("it has no token of a peer")
	}
	sealed, err := keys.OpenPeerRequest(r.Header[headerPeer][0], time.Now())
	if err != nil {
		return nil, "", err
	}
	if r.ContentLength > p.limits.MaxRequestBody {
		return nil, "", &http.MaxBytesError{Limit: p.limits.MaxRequestBody}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, p.limits.MaxRequestBody))
	if err != nil {
		return nil, "", err
	}
	host := r.Header[headerPeerHost][0]
	if digest(r.Method, r.RequestURI, host, sealed.Backend, body) != sealed.Digest {
		return nil, "", errors.New("the token is of another request")
	}
	request := r.Clone(context.WithValue(r.Context(), fromPeer{}, true))
	delete(request.Header, headerPeer)
	delete(request.Header, headerPeerHost)
	request.Host = host
	request.ContentLength = int64(len(body))
	request.Body = io.NopCloser(bytes.NewReader(body))
	return request, sealed.Backend, nil
}
