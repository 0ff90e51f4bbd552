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

package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// modernRevision is the one revision that programs of the modern era speak here.
const modernRevision = "2026-07-28"

// onlyOf serves an MCP server, or the gateway, to what speaks one era only. The Go SDK's programs speak more: its client
// falls back to an older revision where a newer one is refused, and its server without sessions answers `initialize` too.
// Whoever starts it closes it.
func onlyOf(speaks era, address string) (listening string, end func(), err error) {
	to, err := url.Parse(address)
	if err != nil {
		return "", nil, err
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path = to.Scheme, to.Host, to.Path
			r.Out.Host = ""
		},
		ErrorLog: log.New(io.Discard, "", 0), // Clients go away in the middle of streams.
	}
	refuse := refuseModern
	if speaks == modern {
		refuse = refuseLegacy
	}
	listener := servertest.NewUnstarted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An answer that begins before the body was taken to its end would be cut off.
		body, err := io.ReadAll(r.Body)
		if err != nil || refuse(w, r, body) {
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		proxy.ServeHTTP(w, r)
	}))
	listener.Start()
	end = func() {
		listener.Close()
		transport.CloseIdleConnections()
	}
	return "http://localhost:" + listener.URL[len("http://127.0.0.1:"):] + "/", end, nil
}

// refuseModern refuses the modern revision as servers do that have never heard of it.
func refuseModern(w http.ResponseWriter, r *http.Request, _ []byte) bool {
	if r.Header.Get("Mcp-Protocol-Version") != modernRevision {
		return false
	}
	http.Error(w, "Bad Request: Unsupported protocol version", http.StatusBadRequest)
	return true
}

// refuseLegacy refuses all other revisions, and the methods of HTTP that only they have, as the modern revision says.
func refuseLegacy(w http.ResponseWriter, r *http.Request, body []byte) bool {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	if r.Header.Get("Mcp-Protocol-Version") == modernRevision {
		return false
	}
	var request struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(body, &request) != nil || request.ID == nil {
		request.ID = json.RawMessage("null")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32022,"message":"Unsupported protocol version",`+
		`"data":{"supported":[%q],"requested":%q}}}`, request.ID, modernRevision, r.Header.Get("Mcp-Protocol-Version"))
	return true
}
