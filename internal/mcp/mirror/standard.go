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

package mirror

import (
	"net/http"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// Names of header fields, in Go's canonical form.
const (
	// HeaderMethod mirrors the message's method. Its value is never encoded.
	HeaderMethod = "Mcp-Method"
	// HeaderName mirrors the member of params that NameKey tells.
	HeaderName = "Mcp-Name"
	// HeaderParamPrefix is what the names of all headers that mirror a tool's parameters begin with.
	HeaderParamPrefix = "Mcp-Param-"
)

// NameKey returns the key of the member of params that Mcp-Name mirrors in requests of that method, or "" if there is none.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#standard-request-headers
func NameKey(method string) string {
	switch method {
	case "tools/call", "prompts/get":
		return "name"
	case "resources/read":
		return "uri"
	default:
		return ""
	}
}

// CheckStandard checks Mcp-Method and, if the method has a NameKey, Mcp-Name against a request's body. The name is the
// decoded value of that member. hasName is whether params has one: without it, which no server can accept, it is a mismatch
// if there is a header nevertheless, and for the caller to refuse (CodeInvalidParams) if there is none.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation
func CheckStandard(h http.Header, method, name string, hasName bool) error {
	field, err := single(h, HeaderMethod)
	if err != nil {
		return err
	}
	if trim(field) != method {
		return mismatch(HeaderMethod, "header value does not match the body's method")
	}
	key := NameKey(method)
	if key == "" {
		return nil
	}
	if !hasName {
		return checkAbsent(h, HeaderName)
	}
	if field, err = single(h, HeaderName); err != nil {
		return err
	}
	value, ok := Decode(field)
	if !ok {
		return mismatch(HeaderName, wrongEncoding)
	}
	if value != name {
		return mismatch(HeaderName, "header value does not match the body's params."+key)
	}
	return nil
}

// What is wrong with a header, for mismatch.
const (
	wrongEncoding = "header value has invalid characters, or is marked as Base64 and is not Base64 of UTF-8"
	wrongValue    = "header value does not match the body's value"
)

// mismatch is the error for a header that is not what the body says.
func mismatch(header, what string) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeHeaderMismatch, Message: "Header mismatch: " + header + " " + what}
}

// single returns the field of a header that must be there once: of two, an intermediary may have read the other one.
func single(h http.Header, header string) (string, error) {
	switch fields := h[header]; len(fields) {
	case 1:
		return fields[0], nil
	case 0:
		return "", mismatch(header, "header is missing")
	default:
		return "", mismatch(header, "header occurs more than once")
	}
}

// checkAbsent checks that a header is absent, because the body has nothing that it could mirror.
func checkAbsent(h http.Header, header string) error {
	if len(h[header]) > 0 {
		return mismatch(header, "header is present, but the body has no such value")
	}
	return nil
}
