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
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/federation"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/mirror"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/telemetry"
)

// modernRequest is what a request of the modern era says of itself, in params._meta.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta
type modernRequest struct {
	version string
	// capabilities and clientInfo are raw JSON, logLevel is empty if the client wants no log messages.
	capabilities, clientInfo []byte
	logLevel                 string
	// hints are what the parts of a merged answer allow to be kept of it.
	hints cacheHints
}

// isLegacyVersion returns whether a revision has sessions.
func isLegacyVersion(version string) bool {
	return slices.Contains(supportedVersions, version) || version == oldestVersion
}

// allVersions are the revisions that one URL serves, newest first.
func allVersions() []string { return append([]string{modernVersion}, supportedVersions...) }

// readEra finds out whether the message is of the modern era, and reads what it says of itself then. A client with a session
// is not: the modern era has none.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#backward-compatibility-with-initialization-based-versions
func (x *exchange) readEra() *jsonrpc.Error {
	versions := x.r.Header[headerProtocolVersion]
	legacyHeader := len(versions) == 0 || len(versions) == 1 && isLegacyVersion(versions[0])
	if legacyHeader && x.r.Header[headerSessionID] != nil {
		return nil
	}
	m, claimed, err := x.readMeta()
	switch {
	case err != nil:
		return err
	case legacyHeader && (!claimed || isLegacyVersion(m.version)):
		return nil
	case x.message.Kind == jsonrpc.Response:
		return nil // A legacy client's, whose session is missing; the modern era has no such messages.
	}
	x.modern = m
	switch {
	case len(versions) != 1:
		return headerMismatch("exactly one MCP-Protocol-Version header is required")
	case x.message.Kind == jsonrpc.Notification:
		return nil // What headers a notification has is not defined.
	case claimed && m.version != versions[0]:
		return headerMismatch("the MCP-Protocol-Version header is not what the body's params._meta says")
	case versions[0] != modernVersion:
		return unsupportedVersion(versions[0])
	case !claimed || m.capabilities == nil:
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "Invalid params: params._meta must have " +
			metaProtocolVersion + " and " + metaClientCapabilities}
	}
	return x.checkMirrored()
}

// readMeta reads what matters in params._meta, and returns whether it names a revision.
func (x *exchange) readMeta() (m *modernRequest, claimed bool, invalid *jsonrpc.Error) {
	m = &modernRequest{}
	var meta [1]jsonrpc.Span
	var fields [4]jsonrpc.Span
	err := jsonrpc.Lookup(x.body, x.message.Params, []string{"_meta"}, meta[:])
	if err == nil {
		err = jsonrpc.Lookup(x.body, meta[0],
			[]string{metaProtocolVersion, metaClientCapabilities, metaClientInfo, metaLogLevel}, fields[:])
	}
	var e *jsonrpc.Error
	switch {
	case errors.As(err, &e):
		return m, false, e
	case err != nil:
		return m, false, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "Invalid params: " + err.Error()}
	}
	m.version, claimed = jsonrpc.Text(x.body, fields[0])
	if c := fields[1].Of(x.body); len(c) > 0 && c[0] == '{' {
		m.capabilities = c
	}
	if info := fields[2].Of(x.body); len(info) > 0 && info[0] == '{' {
		m.clientInfo = boundedClientInfo(x.body, fields[2], unknownClient)
	} else {
		m.clientInfo = unknownClient
	}
	m.logLevel, _ = jsonrpc.Text(x.body, fields[3])
	return m, claimed, nil
}

// checkMirrored refuses a request whose headers are not what its body says: whoever is between here and the client may have
// decided by the headers.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation
func (x *exchange) checkMirrored() *jsonrpc.Error {
	var name string
	var named bool
	if key := mirror.NameKey(x.message.Method); key != "" {
		var field [1]jsonrpc.Span
		if jsonrpc.Lookup(x.body, x.message.Params, []string{key}, field[:]) == nil {
			name, named = jsonrpc.Text(x.body, field[0])
		}
	}
	return asRefusal(mirror.CheckStandard(x.r.Header, x.message.Method, name, named))
}

// asRefusal returns the error that a check of the headers gave; nil for none.
func asRefusal(err error) *jsonrpc.Error {
	var e *jsonrpc.Error
	if err == nil || errors.As(err, &e) {
		return e
	}
	return headerMismatch(err.Error())
}

func headerMismatch(what string) *jsonrpc.Error {
	return &jsonrpc.Error{Code: jsonrpc.CodeHeaderMismatch, Message: "Header mismatch: " + what}
}

// unsupportedVersion is the error for a revision that is not served, with those that are.
func unsupportedVersion(requested string) *jsonrpc.Error {
	data := []byte(`{"supported":[`)
	for i, v := range allVersions() {
		if i > 0 {
			data = append(data, ',')
		}
		data = jsonrpc.AppendString(data, v)
	}
	data = append(data, `],"requested":`...)
	data = jsonrpc.AppendString(data, bounded(requested))
	return &jsonrpc.Error{Code: jsonrpc.CodeUnsupportedVersion, Message: "Unsupported protocol version (supported versions: " +
		strings.Join(allVersions(), ", ") + ")", Data: append(data, '}')}
}

// modernStatus is the HTTP status of an error in the modern era. Only errors that say that the request was wrong have another
// than 200: what went wrong while it was served is its answer.
func modernStatus(code jsonrpc.Code) int {
	switch code {
	case jsonrpc.CodeMethodNotFound:
		return http.StatusNotFound
	case jsonrpc.CodeParse, jsonrpc.CodeInvalidRequest, jsonrpc.CodeInvalidParams,
		jsonrpc.CodeHeaderMismatch, jsonrpc.CodeMissingClientCapability, jsonrpc.CodeUnsupportedVersion:
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

// fail answers with an error, with the status that the client's era has for it.
func (x *exchange) fail(e *jsonrpc.Error) {
	x.observed.Result(resultOf(e))
	status := http.StatusOK
	if x.modern != nil {
		if replaced, ok := replacedCodes[e.Code]; ok {
			e = &jsonrpc.Error{Code: replaced, Message: e.Message, Data: e.Data}
		}
		status = modernStatus(e.Code)
	}
	writeJSON(x.w, status, jsonrpc.AppendError(nil, x.id(), e))
}

// resultOf says what an error that the client gets is: of a target that does not answer, or of the request.
func resultOf(e *jsonrpc.Error) telemetry.Result {
	if e.Code == jsonrpc.CodeInternal {
		return telemetry.Unavailable
	}
	return telemetry.RPCError
}

// finish answers with a result that the gateway has made.
func (x *exchange) finish(result []byte) {
	if x.modern != nil {
		result = x.modernResult(result, x.modern.hints)
	}
	writeJSON(x.w, http.StatusOK, jsonrpc.AppendResult(nil, x.id(), result))
}

// removedMethods are those of the legacy era that the modern one does not have.
var removedMethods = []string{"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}

// serveModern answers a message of the modern era.
func (x *exchange) serveModern() {
	if x.message.Kind == jsonrpc.Notification {
		x.w.WriteHeader(http.StatusAccepted) // The revision defines none that a client sends over HTTP.
		return
	}
	x.session = x.audience()
	kind, isList := federation.KindOfList(x.message.Method)
	only := x.backend.only()
	switch {
	case slices.Contains(removedMethods, x.message.Method):
		x.fail(&jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf(
			"Method not found: revision %s has no %s", modernVersion, x.message.Method)})
	case x.message.Method == methodDiscover:
		x.discover()
	case x.message.Method == methodListen:
		x.listenModern()
	case only != nil && isList:
		x.listOnly(only, kind)
	case only != nil:
		x.toOnly(only)
	case isList:
		x.listMerged(kind)
	default:
		x.routed()
	}
}

// audience returns the session for what the gateway itself asks targets on behalf of clients of one kind: lists, above all. No
// client's call is ever made in it, so that it holds nothing of any client.
func (x *exchange) audience() *clientSession {
	params := clientInitialize{capabilities: x.modern.capabilities, clientInfo: x.modern.clientInfo}
	if len(params.capabilities) > maxCapabilities {
		params.capabilities = []byte("{}")
	}
	late := params.late()
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "audience %q ", x.backend.ID)
	_, _ = h.Write(late)
	opened := &session.Session{
		Backend: x.backend.ID, ProtocolVersion: modernVersion, Initialize: late, Expires: time.Now().Add(x.limits.SessionLifetime),
	}
	copy(opened.SID[:], h.Sum(nil))
	return x.sessions.find(opened)
}

// cacheHints is for how long, and by whom, an answer may be kept.
// https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching
type cacheHints struct {
	ttl    time.Duration
	public bool
}

// and returns what holds for an answer that has parts with these hints.
func (c cacheHints) and(other cacheHints) cacheHints {
	return cacheHints{ttl: min(c.ttl, other.ttl), public: c.public && other.public}
}

// hintsOf reads the hints of a result. Without any it may not be kept.
func hintsOf(result []byte) (c cacheHints) {
	const longest = 24 * time.Hour
	var fields [2]jsonrpc.Span
	if jsonrpc.Lookup(result, jsonrpc.Span{End: len(result)}, []string{"ttlMs", "cacheScope"}, fields[:]) != nil {
		return cacheHints{}
	}
	var ms float64
	if _, err := fmt.Sscanf(string(fields[0].Of(result)), "%g", &ms); err == nil && ms > 0 {
		c.ttl = time.Duration(min(ms, float64(longest.Milliseconds()))) * time.Millisecond
	}
	scope, _ := jsonrpc.Text(result, fields[1])
	c.public = scope == "public"
	return c
}

// cacheable returns whether results of a method have hints.
func cacheable(method string) bool {
	_, isList := federation.KindOfList(method)
	return isList || method == "resources/read" || method == methodDiscover
}

// modernResult adds to a result what the modern era demands of one, where it is missing: its type, the hints, and who gives it.
func (x *exchange) modernResult(result []byte, hints cacheHints) []byte {
	whole := jsonrpc.Span{End: len(result)}
	var fields [4]jsonrpc.Span
	if jsonrpc.Lookup(result, whole, []string{"resultType", "ttlMs", "cacheScope", "_meta"}, fields[:]) != nil {
		return result
	}
	var added []byte
	if fields[0].Empty() {
		added = append(added, `"resultType":"complete",`...)
	}
	if cacheable(x.message.Method) {
		if fields[1].Empty() {
			added = fmt.Appendf(added, `"ttlMs":%d,`, hints.ttl.Milliseconds())
		}
		if fields[2].Empty() {
			scope := "private"
			if hints.public {
				scope = "public"
			}
			added = append(added, `"cacheScope":"`+scope+`",`...)
		}
	}
	if fields[3].Empty() {
		added = append(added, `"_meta":{"`+metaServerInfo+`":`...)
		added = append(x.appendServerInfo(added), `},`...)
	}
	return withMembers(result, added)
}

func (x *exchange) appendServerInfo(dst []byte) []byte {
	dst = append(dst, `{"name":`...)
	dst = jsonrpc.AppendString(dst, x.backend.ServerName)
	dst = append(dst, `,"version":`...)
	dst = jsonrpc.AppendString(dst, x.version)
	return append(dst, '}')
}

// withMembers puts members, each with a comma after it, at the begin of an object.
func withMembers(object, members []byte) []byte {
	if len(members) == 0 || len(object) < 2 || object[0] != '{' {
		return object
	}
	for _, c := range object[1:] {
		switch c {
		case ' ', '\t', '\n', '\r':
			continue
		case '}':
			members = members[:len(members)-1]
		}
		break
	}
	dst := make([]byte, 0, len(object)+len(members))
	dst = append(append(dst, '{'), members...)
	return append(dst, object[1:]...)
}
