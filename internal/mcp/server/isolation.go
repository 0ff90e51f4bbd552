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
	"errors"
	"io"
	"strconv"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/jsonrpc"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/sse"
)

// isShared returns whether there are several targets, so that what one of them sends must not harm clients' use of the others.
// There are SDKs that end their session at an answer that breaks off or is no message, and all of them take a response with the
// id of another request for the answer to that one. A target that is alone harms nobody else, and passes as it is.
func (b *backend) isShared() bool { return len(b.targets) > 1 }

// wrongAnswer says why a body is not the answer to the request; it is empty if it is.
func (x *exchange) wrongAnswer(body []byte, m *jsonrpc.Message, unreadable error) string {
	switch {
	case unreadable != nil || m.Kind != jsonrpc.Response:
		return "its answer is no JSON-RPC response"
	case !sameID(body, m.ID, x.id()):
		return "its answer has another id than the request"
	default:
		return ""
	}
}

// isOwnError returns whether a body that has a JSON-RPC error may be the answer to the request. It need not have an id.
func (x *exchange) isOwnError(body []byte) bool {
	if !x.backend.isShared() {
		return true
	}
	var m jsonrpc.Message
	err := jsonrpc.Scan(body, &m)
	return err == nil && (m.ID.Empty() || string(m.ID.Of(body)) == "null" || sameID(body, m.ID, x.id()))
}

// isForeign returns whether an event of a stream that answers the request has something else for a message than what belongs
// there. The message is zero if it could not be read.
func (x *exchange) isForeign(event *sse.Event, m *jsonrpc.Message) bool {
	if !x.backend.isShared() || len(event.Data) == 0 || !event.IsMessage() {
		return false
	}
	return m.Kind == jsonrpc.Invalid || m.Kind == jsonrpc.Response && !sameID(event.Data, m.ID, x.id())
}

// readWhole reads all of a body, in the buffer if it fits. Of one that is larger than the limit it reads a little more than that.
func readWhole(body io.Reader, buffer []byte, limit int64) ([]byte, error) {
	for n := 0; n < len(buffer); {
		read, err := body.Read(buffer[n:])
		n += read
		switch {
		case errors.Is(err, io.EOF):
			return buffer[:n], nil
		case err != nil:
			return nil, err
		}
	}
	whole := bytes.NewBuffer(make([]byte, 0, 4*len(buffer)))
	_, _ = whole.Write(buffer)
	_, err := whole.ReadFrom(io.LimitReader(body, limit+1-int64(len(buffer))))
	return whole.Bytes(), err
}

func (x *exchange) tooLarge() string {
	return "its answer is larger than " + strconv.FormatInt(x.limits.MaxMessage, 10) + " bytes"
}
