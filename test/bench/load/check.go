//go:build linux

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

package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// reply is a decoded JSON-RPC reply.
type reply struct {
	ID     json.RawMessage `json:"id"`
	Error  json.RawMessage `json:"error"`
	Result *struct {
		ProtocolVersion string `json:"protocolVersion"`
		IsError         bool   `json:"isError"`
		Content         []struct{ Type, Text string }
		Tools           []struct {
			Name        string          `json:"name"`
			InputSchema json.RawMessage `json:"inputSchema"`
		}
		NextCursor string `json:"nextCursor"`
	} `json:"result"`
}

var (
	errNoReply  = errors.New("no reply with the request's id")
	errMismatch = errors.New("wrong answer")
)

// fully is how often a reply is decoded as a whole: every so manyth one. The others are compared byte by byte where that
// decides, which is what keeps the client cheap.
const fully = 64

// messages calls f for each JSON-RPC message in a body, until f returns true.
func messages(contentType, body []byte, f func(message []byte) bool) bool {
	if !wire.IsEventStream(contentType) {
		return f(body)
	}
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, []byte("\n"))
		body = rest
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && f(bytes.TrimSpace(data)) {
			return true
		}
	}
	return false
}

// decodeReply finds and decodes the reply with the given id.
func decodeReply(contentType, body []byte, id int) (*reply, error) {
	var found *reply
	messages(contentType, body, func(message []byte) bool {
		var r reply
		if json.Unmarshal(message, &r) == nil && string(r.ID) == strconv.Itoa(id) {
			found = &r
		}
		return found != nil
	})
	switch {
	case found == nil:
		return nil, fmt.Errorf("%w %d: %.200q", errNoReply, id, body)
	case found.Error != nil:
		return nil, fmt.Errorf("JSON-RPC error: %.200s", found.Error)
	case found.Result == nil:
		return nil, fmt.Errorf("%w: no result: %.200q", errMismatch, body)
	}
	return found, nil
}

// checkCall verifies a reply to tools/call: its id, its text, and that it is no error.
func checkCall(contentType, body []byte, id int, t *template) error {
	if id%fully != 0 && messages(contentType, body, func(m []byte) bool { return isEcho(m, t) }) {
		return nil
	}
	r, err := decodeReply(contentType, body, id)
	if err != nil {
		return err
	}
	if r.Result.IsError || len(r.Result.Content) == 0 || r.Result.Content[0].Text != string(t.text()) {
		return fmt.Errorf("%w: %.200q", errMismatch, body)
	}
	return nil
}

// isEcho looks for exactly the bytes that must be there. False only means that it can't tell.
func isEcho(m []byte, t *template) bool {
	key := []byte(`"id":`)
	at := bytes.Index(m, key)
	if at < 0 || !bytes.HasPrefix(m[at+len(key):], t.digits()) {
		// The id may follow the result.
		if at = bytes.LastIndex(m, key); at < 0 || !bytes.HasPrefix(m[at+len(key):], t.digits()) {
			return false
		}
	}
	from := bytes.Index(m, t.text())
	to := from + t.length
	if from <= 0 || m[from-1] != '"' || to >= len(m) || m[to] != '"' {
		return false
	}
	return bytes.Contains(m[:from], []byte(`"result":`)) && errorFree(m[:from]) && errorFree(m[to:])
}

// errorFree returns whether b has neither a member error nor a member isError that is anything but false.
func errorFree(b []byte) bool {
	for {
		_, rest, found := bytes.Cut(b, []byte(`rror":`))
		if !found {
			return true
		}
		if !bytes.HasPrefix(rest, []byte("false")) {
			return false
		}
		b = rest
	}
}

// checkList verifies one page of tools/list and returns its number of tools and its cursor.
func checkList(contentType, body []byte, id int, decode bool) (tools int, cursor string, err error) {
	if !decode && id%fully != 0 {
		want := []byte(`"id":` + strconv.Itoa(id))
		ok := messages(contentType, body, func(m []byte) bool {
			if !bytes.Contains(m, want) || bytes.Contains(m, []byte(`"nextCursor"`)) {
				return false
			}
			tools = bytes.Count(m, []byte(`"inputSchema":`))
			return tools > 0
		})
		if ok {
			return tools, "", nil
		}
	}
	r, err := decodeReply(contentType, body, id)
	if err != nil {
		return 0, "", err
	}
	for _, t := range r.Result.Tools {
		if t.Name == "" || len(t.InputSchema) == 0 {
			return 0, "", fmt.Errorf("%w: tool without name or schema", errMismatch)
		}
	}
	return len(r.Result.Tools), r.Result.NextCursor, nil
}

// hasTool returns whether a page lists a tool, and else the names for an error message.
func hasTool(contentType, body []byte, id int, name string) (bool, string) {
	r, err := decodeReply(contentType, body, id)
	if err != nil {
		return false, ""
	}
	var names []string
	for _, t := range r.Result.Tools {
		if t.Name == name {
			return true, ""
		}
		names = append(names, t.Name)
	}
	return false, strings.Join(names, " ")
}
