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

// Package mirror makes and checks the request headers that mirror a message's body from revision 2026-07-28 on, so that
// intermediaries can route by them: Mcp-Method, Mcp-Name, and Mcp-Param-… for the parameters of a tool that its server
// marked with x-mcp-header.
//
// Bodies are read as they are, with package jsonrpc. Errors about a request are of type *jsonrpc.Error: what to answer.
// None of them repeats a value, of the header or of the body, because values may be secrets.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#request-metadata
package mirror

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// The marks around a value in Base64. They are case-sensitive.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#value-encoding
const (
	sentinelPrefix = "=?base64?"
	sentinelSuffix = "?="
)

// Encode returns the header field for a value, which must be UTF-8: the value itself if it can be sent as it is and would
// not be taken for an encoded one, else the value in Base64. The empty value is encoded too, because some servers can't
// tell an empty field from an absent one.
func Encode(value string) string {
	if value != "" && trim(value) == value && isFieldText(value) && !isSentinel(value) {
		return value
	}
	return sentinelPrefix + base64.StdEncoding.EncodeToString([]byte(value)) + sentinelSuffix
}

// Decode returns the value that a header field stands for; false if it stands for none: it has characters that no field
// may have, or is marked as Base64 and is not exactly that (RFC 4648 with padding, of UTF-8). White space around the field
// is not part of it (RFC 9110, 5.5).
func Decode(field string) (value string, ok bool) {
	field = trim(field)
	// This comes first because the decoder skips line breaks.
	if !isFieldText(field) {
		return "", false
	}
	if !isSentinel(field) {
		return field, true
	}
	if len(field) < len(sentinelPrefix)+len(sentinelSuffix) {
		// The two marks share their question mark: some take that for an empty value, others for a plain one.
		return "", false
	}
	encoded := field[len(sentinelPrefix) : len(field)-len(sentinelSuffix)]
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || !utf8.Valid(decoded) {
		return "", false
	}
	return string(decoded), true
}

// isSentinel says whether a field is marked as Base64, or would be taken for it.
func isSentinel(field string) bool {
	return strings.HasPrefix(field, sentinelPrefix) && strings.HasSuffix(field, sentinelSuffix)
}

// isFieldText says whether a field has no other characters than those that MCP allows: visible ASCII, space and tab.
func isFieldText(field string) bool {
	for i := range len(field) {
		if c := field[i]; (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// trim removes the white space that HTTP allows around a field.
func trim(field string) string { return strings.Trim(field, " \t") }
