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
	"bytes"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
)

// uriKey is the key of each link's URI; one that is written with escapes is left alone.
var uriKey = []byte(`"uri"`)

// mayLink returns whether results of the request may link to resources that the client has other names for than the server.
func (x *exchange) mayLink() bool {
	return (x.message.Method == "tools/call" || x.message.Method == "prompts/get") && x.backend.only() == nil
}

// hasLinks returns whether an answer, or its result, may have such links. Most have none, and are not looked at any further.
func (x *exchange) hasLinks(answer []byte) bool { return bytes.Contains(answer, uriKey) && x.mayLink() }

// renameLinks gives the resources that a result links to, or embeds, the URIs by which the client reaches those of this server. The
// result is a part of the answer, which is returned so.
func (x *exchange) renameLinks(t *target, answer []byte, result jsonrpc.Span) []byte {
	owner := &streamOwner{Server: x.Server, r: x.r, backend: x.backend, session: x.session, target: t}
	return owner.renameLinks(answer, result)
}

// renameResumed does so for an answer that comes on another stream than that of its request, whose method is not known there.
func (o *streamOwner) renameResumed(answer []byte, result jsonrpc.Span) []byte {
	if result.Empty() || o.backend.only() != nil || !bytes.Contains(answer, uriKey) {
		return answer
	}
	return o.renameLinks(answer, result)
}

// renameLinks renames what a result links to.
// https://modelcontextprotocol.io/specification/2025-11-25/server/tools#resource-links
func (o *streamOwner) renameLinks(answer []byte, result jsonrpc.Span) []byte {
	var edits []jsonrpc.Edit
	rename := func(content jsonrpc.Span) bool {
		edits = append(edits, o.renameLink(answer, content)...)
		return true
	}
	var fields [2]jsonrpc.Span
	if jsonrpc.Lookup(answer, result, []string{"content", "messages"}, fields[:]) != nil {
		return answer
	}
	eachContent(answer, fields[0], rename)
	eachContent(answer, fields[1], func(message jsonrpc.Span) bool {
		var content [1]jsonrpc.Span
		if jsonrpc.Lookup(answer, message, []string{"content"}, content[:]) == nil {
			eachContent(answer, content[0], rename)
		}
		return true
	})
	return jsonrpc.Splice(nil, answer, edits...)
}

// eachContent calls each for the elements of an array, or for what stands in place of one.
func eachContent(data []byte, at jsonrpc.Span, each func(jsonrpc.Span) bool) {
	switch {
	case at.Empty():
	case data[at.Start] == '[':
		_ = jsonrpc.Elements(data, at, each) // What can't be read is the client's to judge.
	default:
		each(at)
	}
}

// renameLink renames the resource of one piece of content, if it has one.
func (o *streamOwner) renameLink(data []byte, content jsonrpc.Span) []jsonrpc.Edit {
	var fields [3]jsonrpc.Span
	if data[content.Start] != '{' || jsonrpc.Lookup(data, content, []string{"type", "uri", "resource"}, fields[:]) != nil {
		return nil
	}
	uri := fields[1:2]
	switch kind, _ := jsonrpc.Text(data, fields[0]); kind {
	case "resource_link":
	case "resource":
		if jsonrpc.Lookup(data, fields[2], []string{"uri"}, uri) != nil {
			return nil
		}
	default:
		return nil
	}
	if uri[0].Empty() {
		return nil
	}
	return o.renameURI(data, uri[0])
}
