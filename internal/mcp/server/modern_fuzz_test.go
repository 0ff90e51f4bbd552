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

package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// isModern decides by encoding/json whether a message of a client with these headers is of the modern era; unclear if its _meta is no
// object.
func isModern(body []byte, versions []string, session bool) (modern, unclear bool) {
	legacyHeader := len(versions) == 0 || len(versions) == 1 && isLegacyVersion(versions[0])
	if legacyHeader && session {
		return false, false
	}
	var message, params, meta map[string]json.RawMessage
	_ = json.Unmarshal(body, &message)
	if raw, ok := message["params"]; ok && json.Unmarshal(raw, &params) != nil {
		return false, true
	}
	if raw, ok := params["_meta"]; ok && (json.Unmarshal(raw, &meta) != nil || meta == nil) {
		return false, true
	}
	if message["result"] != nil || message["error"] != nil {
		return false, false
	}
	var version *string
	_ = json.Unmarshal(meta[metaProtocolVersion], &version)
	return !legacyHeader || version != nil && !isLegacyVersion(*version), false
}

// FuzzReadEra tries any body with any headers: what era a message is of is also what encoding/json says, and a modern request that
// is taken has what it must have.
func FuzzReadEra(f *testing.F) {
	for _, p := range []modernPost{callEcho, callAsked, discover, {method: "ping"}, {method: "resources/read", params: `"uri":"\u00e9"`}} {
		c := p.call()
		f.Add([]byte(c.body), modernVersion, p.method, c.header["Mcp-Name"], false)
		f.Add([]byte(c.body), "2025-11-25", p.method, c.header["Mcp-Name"], true)
		f.Add([]byte(strings.Replace(c.body, `"_meta":{`, `"_meta":{"`+metaProtocolVersion+`":"2025-11-25",`, 1)), modernVersion, p.method, "", false)
	}
	f.Add([]byte(initializeBody), "", "", "", false)
	f.Add([]byte(initializedBody), "2027-01-01", "", "", true)
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`), modernVersion+","+modernVersion, "", "", false)
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":[]}}`), "", "", "", false)
	f.Fuzz(func(t *testing.T, body []byte, versions, method, name string, session bool) {
		r := &http.Request{Header: http.Header{}}
		for name, values := range map[string]string{headerProtocolVersion: versions, headerMethod: method, headerName: name} {
			if values != "" {
				r.Header[name] = strings.Split(values, ",")
			}
		}
		if session {
			r.Header[headerSessionID] = []string{"x"}
		}
		x := &exchange{r: r, body: body}
		if x.scan() != nil {
			return
		}
		e := x.readEra()
		modern, unclear := isModern(body, r.Header[headerProtocolVersion], session)
		switch {
		case e != nil:
			duplicate := e.Code == jsonrpc.CodeInvalidRequest
			if !modern && !unclear && !duplicate {
				t.Errorf("a legacy message was refused: %v", e)
			}
			if status := modernStatus(e.Code); status != http.StatusBadRequest {
				t.Errorf("%v has status %d", e, status)
			}
			return
		case unclear || modern != (x.modern != nil):
			t.Fatalf("modern: %v, want %v (unclear: %v)", x.modern != nil, modern, unclear)
		case x.modern == nil || x.message.Kind != jsonrpc.Request:
			return
		}
		var capabilities map[string]json.RawMessage
		if err := json.Unmarshal(x.modern.capabilities, &capabilities); err != nil || capabilities == nil {
			t.Errorf("the capabilities are %q", x.modern.capabilities)
		}
		if err := json.Unmarshal(x.modern.clientInfo, &capabilities); err != nil {
			t.Errorf("the clientInfo is %q", x.modern.clientInfo)
		}
		if x.modern.version != modernVersion || strings.Trim(method, " \t") != x.message.Method {
			t.Errorf("%q was taken with Mcp-Method %q and version %q", x.message.Method, method, x.modern.version)
		}
	})
}

// FuzzLegacyBody tries what legacy servers get of any modern request: a message of the same id and method, without what only the
// modern era has, whose other members are as they were.
func FuzzLegacyBody(f *testing.F) {
	for _, p := range []modernPost{callEcho, callAsked.retry("x", `"input-1":{}`), {method: "x"}, {method: "y", params: `"a":[1,{"b":9007199254740993}],"requestState":"z"`}} {
		f.Add([]byte(p.body()))
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"x","params":{"requestState":1 , "_meta" : { } ,"inputResponses":{}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"x"}`))
	removed := map[string]bool{"inputResponses": true, "requestState": true}
	removedMeta := map[string]bool{metaProtocolVersion: true, metaClientInfo: true, metaClientCapabilities: true, metaLogLevel: true}
	f.Fuzz(func(t *testing.T, body []byte) {
		var before, after jsonrpc.Message
		if jsonrpc.Scan(body, &before) != nil || before.Kind != jsonrpc.Request {
			return
		}
		legacy, err := legacyBody(body)
		if err != nil {
			return
		}
		if err := jsonrpc.Scan(legacy, &after); err != nil || after.Kind != before.Kind || after.Method != before.Method ||
			string(after.ID.Of(legacy)) != string(before.ID.Of(body)) {
			t.Fatalf("%q became %q: %v", body, legacy, err)
		}
		c := &bridgedCall{Server: &Server{}}
		renamed, err := c.rename(legacy)
		if err != nil || jsonrpc.Scan(renamed, &jsonrpc.Message{}) != nil {
			t.Fatalf("%q became %q: %v", legacy, renamed, err)
		}
		sameBut := func(before, after []byte, removed map[string]bool) (was, is []byte) {
			var a, b map[string]json.RawMessage
			_ = json.Unmarshal(before, &a)
			_ = json.Unmarshal(after, &b)
			for key, value := range a {
				if key == "_meta" {
					continue
				}
				if got, ok := b[key]; ok == removed[key] || ok && string(got) != string(value) {
					t.Errorf("%q of %q became %q", key, before, got)
				}
			}
			return a["_meta"], b["_meta"]
		}
		was, is := sameBut(before.Params.Of(body), after.Params.Of(legacy), removed)
		sameBut(was, is, removedMeta)
	})
}
