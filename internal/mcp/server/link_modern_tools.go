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
	"context"
	"errors"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
)

// unknownAgain is how long a tool that was not in a server's list is taken for unknown before the server is asked again.
const unknownAgain = 10 * time.Second

// mirroredParams returns the parameters of a tool that are mirrored in headers. The server is asked for its tools if the
// tool is not known, or to refresh what is. A server that can't be asked judges the call without such headers.
func (b *modernCall) mirroredParams(ctx context.Context, name string, refresh bool) []mirror.Param {
	t, cs := b.c.target, b.c.session
	known := cs.known(t.backend, t, federation.Tools)
	tool, ok := known.find(name)
	if refresh || !ok && (known == nil || !time.Now().Before(known.at.Add(unknownAgain))) {
		ctx, cancel := context.WithTimeoutCause(ctx, b.limits.ListTimeout, errors.New("it did not list its tools in time"))
		defer cancel()
		x := &exchange{Server: b.Server, r: (&http.Request{Header: b.c.header}).WithContext(ctx), backend: t.backend, session: cs}
		listed, err := x.list(ctx, t, federation.Tools)
		if err != nil {
			b.log.Warn("Target did not list its tools for a call", "backend", t.backend.Key, "target", t.Name, "error", err)
			return nil
		}
		tool, ok = listed.find(name)
	}
	if !ok {
		return nil
	}
	params, err := mirror.Params(tool)
	if err != nil {
		return nil // No list has it.
	}
	return params
}

// find returns the JSON of the entry of that name.
func (l *listing) find(name string) ([]byte, bool) {
	if l == nil {
		return nil, false
	}
	for i := range l.Items {
		if l.Items[i].Name == name {
			return l.Items[i].Raw(), true
		}
	}
	return nil, false
}

// withoutInvalidTools takes the tools out of a list that no client may offer, because the headers that mirror their
// parameters can't be told. It returns the answer and what it is.
// https://modelcontextprotocol.io/specification/2026-07-28/server/tools#x-mcp-header
func (b *modernCall) withoutInvalidTools(answer []byte, m jsonrpc.Message) ([]byte, jsonrpc.Message) {
	var array [1]jsonrpc.Span
	if jsonrpc.Lookup(answer, m.Result, []string{"tools"}, array[:]) != nil {
		return answer, m
	}
	kept, invalid := []byte{'['}, 0
	err := jsonrpc.Elements(answer, array[0], func(element jsonrpc.Span) bool {
		tool := element.Of(answer)
		if _, err := mirror.Params(tool); err != nil {
			invalid++
			b.warnOfTool(tool, err)
			return true
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, tool...)
		return true
	})
	if err != nil || invalid == 0 {
		return answer, m
	}
	edited := jsonrpc.Splice(nil, answer, jsonrpc.Edit{Span: array[0], New: append(kept, ']')})
	if jsonrpc.Scan(edited, &m) != nil {
		return answer, m
	}
	return edited, m
}

// maxWarned bounds how many tools are remembered of which the log has been told.
const maxWarned = 1024

// warnedOf are the tools that the log has been told of already.
type warnedOf struct{ *lru.Cache[string, struct{}] }

func newWarnedOf() warnedOf {
	tools, _ := lru.New[string, struct{}](maxWarned) // It fails only for sizes that are not positive.
	return warnedOf{tools}
}

func (b *modernCall) warnOfTool(tool []byte, err error) {
	t := b.c.target
	var field [1]jsonrpc.Span
	_ = jsonrpc.Lookup(tool, jsonrpc.Span{End: len(tool)}, []string{"name"}, field[:])
	name, _ := jsonrpc.Text(tool, field[0])
	key := t.backend.Key + "\x00" + string(t.Service) + "\x00" + bounded(name) + "\x00" + err.Error()
	if told, _ := b.warned.ContainsOrAdd(key, struct{}{}); !told {
		b.log.Warn("Tool is left out of lists: its definition is not valid",
			"backend", t.backend.Key, "target", t.Name, "tool", bounded(name), "error", err)
	}
}
