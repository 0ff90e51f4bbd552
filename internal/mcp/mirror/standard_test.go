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
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// headers returns a header with these names and fields.
func headers(namesAndFields ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(namesAndFields); i += 2 {
		h.Add(namesAndFields[i], namesAndFields[i+1])
	}
	return h
}

// checkError checks that an error is a *jsonrpc.Error of that code with a message that says this and no secret. Without a
// text, there must be no error.
func checkError(t *testing.T, err error, code jsonrpc.Code, text string) {
	t.Helper()
	var e *jsonrpc.Error
	switch {
	case text == "":
		if err != nil {
			t.Errorf("got %v", err)
		}
	case !errors.As(err, &e):
		t.Errorf("got %v", err)
	case e.Code != code || !strings.Contains(e.Message, text):
		t.Errorf("got %q (%d), want %q (%d)", e.Message, e.Code, text, code)
	case strings.Contains(e.Message, "secret"):
		t.Errorf("%q repeats a value", e.Message)
	}
}

func TestCheckStandard(t *testing.T) {
	for name, test := range map[string]struct {
		h            http.Header
		method, name string
		noName       bool
		want         string
	}{
		"method":                      {h: headers("mcp-method", "tools/list"), method: "tools/list"},
		"method in upper-case header": {h: headers("MCP-METHOD", " tools/list "), method: "tools/list"},
		"no method":                   {h: headers("Mcp-Name", "a"), method: "tools/list", want: "Header mismatch: Mcp-Method header is missing"},
		"no headers":                  {method: "tools/list", want: "Mcp-Method header is missing"},
		"other method":                {h: headers("Mcp-Method", "prompts/secret"), method: "tools/list", want: "Header mismatch: Mcp-Method header value does not match the body's method"},
		"method in upper case":        {h: headers("Mcp-Method", "TOOLS/LIST"), method: "tools/list", want: "does not match"},
		"method twice":                {h: headers("Mcp-Method", "tools/list", "Mcp-Method", "tools/list"), method: "tools/list", want: "more than once"},
		"method encoded":              {h: headers("Mcp-Method", "=?base64?dG9vbHMvbGlzdA==?="), method: "tools/list", want: "does not match"},
		"name that no one mirrors":    {h: headers("Mcp-Method", "tools/list", "Mcp-Name", "a"), method: "tools/list", name: "b"},
		"tool":                        {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "get_weather"), method: "tools/call", name: "get_weather"},
		"tool with space around":      {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "  get_weather "), method: "tools/call", name: "get_weather"},
		"prompt":                      {h: headers("Mcp-Method", "prompts/get", "Mcp-Name", "=?base64?w6k=?="), method: "prompts/get", name: "é"},
		"resource":                    {h: headers("Mcp-Method", "resources/read", "Mcp-Name", "file:///a"), method: "resources/read", name: "file:///a"},
		"other tool":                  {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "secret"), method: "tools/call", name: "secrets", want: "Header mismatch: Mcp-Name header value does not match the body's params.name"},
		"other resource":              {h: headers("Mcp-Method", "resources/read", "Mcp-Name", "secret"), method: "resources/read", name: "secrets", want: "does not match the body's params.uri"},
		"name in other case":          {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "Get"), method: "tools/call", name: "get", want: "does not match"},
		"no name":                     {h: headers("Mcp-Method", "tools/call"), method: "tools/call", name: "secret", want: "Header mismatch: Mcp-Name header is missing"},
		"name twice":                  {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "a", "Mcp-Name", "a"), method: "tools/call", name: "a", want: "more than once"},
		"name not in Base64":          {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "=?base64?secret?="), method: "tools/call", name: "secret", want: "is not Base64"},
		"name not in ASCII":           {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "é"), method: "tools/call", name: "é", want: "invalid characters"},
		"name not encoded again":      {h: headers("Mcp-Method", "tools/call", "Mcp-Name", "=?base64?QQ==?="), method: "tools/call", name: "=?base64?QQ==?=", want: "does not match"},
		"empty name":                  {h: headers("Mcp-Method", "tools/call", "Mcp-Name", ""), method: "tools/call"},
		"body without name":           {h: headers("Mcp-Method", "tools/call", "Mcp-Name", ""), method: "tools/call", noName: true, want: "the body has no such value"},
		"neither has a name":          {h: headers("Mcp-Method", "tools/call"), method: "tools/call", noName: true},
	} {
		t.Run(name, func(t *testing.T) {
			checkError(t, CheckStandard(test.h, test.method, test.name, !test.noName), jsonrpc.CodeHeaderMismatch, test.want)
		})
	}
}

func TestNameKey(t *testing.T) {
	for method, want := range map[string]string{
		"tools/call": "name", "prompts/get": "name", "resources/read": "uri", "tools/list": "", "resources/subscribe": "", "": "",
	} {
		if got := NameKey(method); got != want {
			t.Errorf("%s: got %q", method, got)
		}
	}
}

// codeOf returns the code of an error that must be a *jsonrpc.Error.
func codeOf(err error) jsonrpc.Code {
	var e *jsonrpc.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
