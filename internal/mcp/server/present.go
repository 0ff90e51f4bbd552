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
	"errors"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
)

// Bounds of what a token keeps of the client's initialize.
const (
	maxCapabilities = 2 << 10
	maxClientInfo   = 512
)

// unknownClient is the info of a client that gives none.
var unknownClient = []byte(`{"name":"unknown","version":"0"}`)

// clientInitialize is what matters of a client's initialize.
type clientInitialize struct {
	version                  string
	capabilities, clientInfo []byte // Raw JSON.
}

// clientParams reads the parameters of an initialize.
func clientParams(body []byte, params jsonrpc.Span) (*clientInitialize, *jsonrpc.Error) {
	invalid := func(message string) (*clientInitialize, *jsonrpc.Error) {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "Invalid params: " + message}
	}
	if params.Empty() {
		return invalid("initialize needs protocolVersion, capabilities and clientInfo")
	}
	var fields [3]jsonrpc.Span
	if err := jsonrpc.Lookup(body, params, []string{"protocolVersion", "capabilities", "clientInfo"}, fields[:]); err != nil {
		var e *jsonrpc.Error
		if errors.As(err, &e) {
			return nil, e
		}
		return invalid(err.Error())
	}
	version, ok := jsonrpc.Text(body, fields[0])
	if fields[0].Empty() || !ok {
		return invalid("protocolVersion must be a string")
	}
	p := &clientInitialize{version: version, capabilities: []byte("{}"), clientInfo: unknownClient}
	if c := fields[1]; !c.Empty() && c.End-c.Start <= maxCapabilities {
		p.capabilities = c.Of(body)
	}
	if c := fields[2]; !c.Empty() {
		p.clientInfo = boundedClientInfo(body, c, p.clientInfo)
	}
	return p, nil
}

// boundedClientInfo returns the client's info, or just its name and version where the whole is too large: it may hold
// icons.
func boundedClientInfo(body []byte, info jsonrpc.Span, otherwise []byte) []byte {
	if info.End-info.Start <= maxClientInfo {
		return info.Of(body)
	}
	var fields [2]jsonrpc.Span
	if jsonrpc.Lookup(body, info, []string{"name", "version"}, fields[:]) != nil ||
		fields[0].Empty() || fields[1].Empty() {
		return otherwise
	}
	short := append([]byte(nil), `{"name":`...)
	short = append(short, fields[0].Of(body)...)
	short = append(short, `,"version":`...)
	short = append(short, fields[1].Of(body)...)
	short = append(short, '}')
	if len(short) > maxClientInfo {
		return otherwise
	}
	return short
}

// late returns what the token keeps for an initialize in the client's name later on: members of its params, without
// the version, which is in the token by itself.
func (p *clientInitialize) late() []byte {
	members := append([]byte(nil), `"capabilities":`...)
	members = append(members, p.capabilities...)
	members = append(members, `,"clientInfo":`...)
	return append(members, p.clientInfo...)
}

// present edits a server's answer to initialize into the Backend's: the name is the Backend's, and a dynamic Backend
// offers tools, prompts and resources with listChanged, whatever this server has. All else stays as the server said.
func (x *exchange) present(answer []byte) ([]byte, error) {
	var m jsonrpc.Message
	if err := jsonrpc.Scan(answer, &m); err != nil {
		return nil, err
	}
	var fields [2]jsonrpc.Span
	if err := jsonrpc.Lookup(answer, m.Result, []string{"serverInfo", "capabilities"}, fields[:]); err != nil {
		return nil, err
	}
	serverInfo, capabilities := fields[0], fields[1]
	var edits []jsonrpc.Edit
	if !serverInfo.Empty() {
		var name [1]jsonrpc.Span
		if err := jsonrpc.Lookup(answer, serverInfo, []string{"name"}, name[:]); err != nil {
			return nil, err
		}
		if !name[0].Empty() {
			edits = append(edits, jsonrpc.Edit{Span: name[0], New: jsonrpc.AppendString(nil, x.backend.ServerName)})
		}
	}
	if x.backend.Dynamic && !capabilities.Empty() {
		offered, err := withListChanged(answer[capabilities.Start:capabilities.End])
		if err != nil {
			return nil, err
		}
		edits = append(edits, jsonrpc.Edit{Span: capabilities, New: offered})
	}
	sortEdits(edits)
	return jsonrpc.Splice(nil, answer, edits...), nil
}

// withListChanged adds what is missing to a server's capabilities, so that they have tools, prompts and resources, each
// with listChanged.
func withListChanged(capabilities []byte) ([]byte, error) {
	for _, name := range []string{"tools", "prompts", "resources"} {
		var err error
		capabilities, err = withMember(capabilities, name, []byte(`{"listChanged":true}`), func(capability []byte) ([]byte, error) {
			return withMember(capability, "listChanged", []byte("true"), func([]byte) ([]byte, error) { return []byte("true"), nil })
		})
		if err != nil {
			return nil, err
		}
	}
	return capabilities, nil
}

// withMember changes the member of an object, or adds it at the end if it is absent.
func withMember(object []byte, name string, absent []byte, change func([]byte) ([]byte, error)) ([]byte, error) {
	var value [1]jsonrpc.Span
	if err := jsonrpc.Lookup(object, jsonrpc.Span{End: len(object)}, []string{name}, value[:]); err != nil {
		return nil, err
	}
	if !value[0].Empty() {
		changed, err := change(value[0].Of(object))
		if err != nil {
			return nil, err
		}
		return jsonrpc.Splice(nil, object, jsonrpc.Edit{Span: value[0], New: changed}), nil
	}
	member := jsonrpc.AppendString(nil, name)
	member = append(member, ':')
	member = append(member, absent...)
	end := len(object) - 1 // The closing brace.
	for i := 1; i < end; i++ {
		if c := object[i]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			member = append([]byte{','}, member...)
			break
		}
	}
	return jsonrpc.Splice(nil, object, jsonrpc.Edit{Span: jsonrpc.Span{Start: end, End: end}, New: member}), nil
}

// capabilitiesOf reads what a server says that it has.
func capabilitiesOf(answer []byte, capabilities jsonrpc.Span) (has session.Capabilities) {
	names := [...]string{"tools", "prompts", "resources", "logging", "completions"}
	bits := [...]session.Capabilities{
		session.CapabilityTools, session.CapabilityPrompts, session.CapabilityResources,
		session.CapabilityLogging, session.CapabilityCompletions,
	}
	var spans [len(names)]jsonrpc.Span
	if jsonrpc.Lookup(answer, capabilities, names[:], spans[:]) != nil {
		return 0
	}
	for i, span := range spans {
		if !span.Empty() && string(span.Of(answer)) != "null" {
			has |= bits[i]
		}
	}
	var subscribe [1]jsonrpc.Span
	if jsonrpc.Lookup(answer, spans[2], []string{"subscribe"}, subscribe[:]) == nil && string(subscribe[0].Of(answer)) == "true" {
		has |= session.CapabilitySubscribe
	}
	return has
}

// maxInstructions bounds what several servers' instructions make together.
const maxInstructions = 64 << 10

// part is what one target says of itself.
type part struct {
	name         config.TargetName
	capabilities session.Capabilities
	instructions string
}

// composed is the answer to initialize of a Backend with several targets, or of which none has answered yet.
func (x *exchange) composed(begun initializedTargets, version string) []byte {
	all := make([]part, len(begun))
	for i, b := range begun {
		all[i] = part{b.target.Name, b.session.capabilities, instructionsOf(b.answer)}
	}
	result := append([]byte(nil), `{"protocolVersion":`...)
	result = jsonrpc.AppendString(result, version)
	result = append(result, `,"capabilities":`...)
	result = appendCapabilities(result, all)
	result = append(result, `,"serverInfo":`...)
	result = x.appendServerInfo(result)
	if instructions := joinInstructions(all); instructions != "" {
		result = append(result, `,"instructions":`...)
		result = jsonrpc.AppendString(result, instructions)
	}
	return jsonrpc.AppendResult(nil, x.id(), append(result, '}'))
}

// appendCapabilities appends what several targets have together. Lists are always offered: servers may come later.
func appendCapabilities(dst []byte, all []part) []byte {
	var has session.Capabilities
	for _, p := range all {
		has |= p.capabilities
	}
	dst = append(dst, `{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true`...)
	if has.Has(session.CapabilitySubscribe) {
		dst = append(dst, `,"subscribe":true`...)
	}
	dst = append(dst, '}')
	if has.Has(session.CapabilityLogging) {
		dst = append(dst, `,"logging":{}`...)
	}
	if has.Has(session.CapabilityCompletions) {
		dst = append(dst, `,"completions":{}`...)
	}
	return append(dst, '}')
}

// joinInstructions returns the instructions of all targets, each under its target's name.
func joinInstructions(all []part) string {
	var joined []byte
	for _, p := range all {
		if p.instructions == "" || len(joined)+len(p.instructions) > maxInstructions {
			continue
		}
		if len(joined) > 0 {
			joined = append(joined, "\n\n"...)
		}
		joined = append(joined, "# "+string(p.name)+"\n\n"+p.instructions...)
	}
	return string(joined)
}

func instructionsOf(answer []byte) string {
	var m jsonrpc.Message
	var field [1]jsonrpc.Span
	if jsonrpc.Scan(answer, &m) != nil ||
		jsonrpc.Lookup(answer, m.Result, []string{"instructions"}, field[:]) != nil || field[0].Empty() {
		return ""
	}
	text, _ := jsonrpc.Text(answer, field[0])
	return text
}
