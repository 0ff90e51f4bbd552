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
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

const (
	// headerPeer has, in a request, the sealed session.PeerRequest. In an answer it says that the request was served
	// there: an answer without it comes from one who refused, or from a program that is no replica.
	headerPeer = "Dynamic-Mcp-Peer"
	served     = "served"
	// headerPeerHost has the Host header of the client's request.
	headerPeerHost = "Dynamic-Mcp-Peer-Host"
)

// hopByHop are headers that concern one connection alone, besides those that a Connection header names.
// https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
var hopByHop = []string{
	"Connection", "Expect", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// removeHopByHop removes what concerns one connection alone, and what only replicas may say.
func removeHopByHop(h http.Header) {
	for _, field := range h["Connection"] {
		for name := range strings.SplitSeq(field, ",") {
			delete(h, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
	delete(h, headerPeer)
	delete(h, headerPeerHost)
}

// digest covers what a request to a peer consists of, but for the header: who could change that on its way could as well
// take the session that is named in it.
func digest(method, uri, host, backend string, body []byte) [32]byte {
	hash := sha256.New()
	var length [8]byte
	for _, part := range [][]byte{[]byte(method), []byte(uri), []byte(host), []byte(backend), body} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		_, _ = hash.Write(length[:])
		_, _ = hash.Write(part)
	}
	return [32]byte(hash.Sum(nil))
}

// request returns the client's request as it is sent to the replica at address.
func (p *Peers) request(ctx context.Context, r *http.Request, body []byte, backend, address string) (*http.Request, error) {
	keys := p.keys()
	if keys == nil {
		return nil, errors.New("there are no keys yet")
	}
	u := &url.URL{
		Scheme: "http", Host: address, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery,
	}
	sealed, err := keys.SealPeerRequest(session.PeerRequest{
		Backend: backend,
		Expires: time.Now().Add(lifetime),
		Digest:  digest(r.Method, u.RequestURI(), r.Host, backend, body),
	})
	if err != nil {
		return nil, err
	}
	header := r.Header.Clone()
	removeHopByHop(header)
	delete(header, "Content-Length") // It is the body's.
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = []string{""} // None of the transport's own.
	}
	header[headerPeer] = []string{sealed}
	header[headerPeerHost] = []string{r.Host}
	request := (&http.Request{
		Method: r.Method, URL: u, Host: address, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}).WithContext(ctx)
	if len(body) > 0 {
		request.ContentLength = int64(len(body))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		request.Body, _ = request.GetBody()
	}
	return request, nil
}
