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

package dataplane

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// rawServer is an MCP server that answers what a test gives it, byte for byte, and remembers what it got.
type rawServer struct {
	t        *testing.T
	name     string
	listener *servertest.Server

	mu sync.Mutex
	// answers are the answers to requests of a method; those to other requests are results without members.
	answers map[string]rawAnswer
	// tools is the result of tools/list.
	tools string
	// stalls is the method that is never answered.
	stalls string
	// misbehaves are what answers requests of a method in whatever way; they must end with the request. Running counts them.
	misbehaves map[string]misbehavior
	running    int
	// getStatus is the answer to GET; 405 unless set.
	getStatus int
	got       map[string][]string // Bodies by method; of responses under "".
	opened    int
	hold      chan struct{} // Ends what stalls.
}

// misbehavior answers a request with that id.
type misbehavior func(w http.ResponseWriter, r *http.Request, id json.RawMessage)

// rawAnswer is an answer. The response to the request comes last; what is before it goes into the stream as well.
type rawAnswer struct {
	contentType string // application/json unless set.
	messages    []string
}

func newRawServer(t *testing.T, name string) *rawServer {
	s := &rawServer{
		t: t, name: name, answers: map[string]rawAnswer{}, tools: `{"tools":[]}`, misbehaves: map[string]misbehavior{},
		got: map[string][]string{}, hold: make(chan struct{}),
	}
	s.listener = servertest.New(t, http.HandlerFunc(s.serve))
	t.Cleanup(func() { close(s.hold) })
	return s
}

func (s *rawServer) target() config.Target { return target(s.t, s.name, s.listener.URL+"/mcp") }

// answer sets the answer to requests of a method.
func (s *rawServer) answer(method string, messages ...string) {
	s.answerAs(method, "", messages...)
}

func (s *rawServer) answerAs(method, contentType string, messages ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[method] = rawAnswer{contentType, messages}
}

// stall makes the server never answer a method; "" makes it answer all.
func (s *rawServer) stall(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalls = method
}

// misbehave has requests of a method answered in another way; nil in the usual one.
func (s *rawServer) misbehave(method string, answer misbehavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misbehaves[method] = answer
}

// misbehaving returns how many requests are being answered in another way.
func (s *rawServer) misbehaving() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// bodies returns what the server got of a method.
func (s *rawServer) bodies(method string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[method]
}

func (s *rawServer) sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *rawServer) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		s.mu.Lock()
		status := s.getStatus
		s.mu.Unlock()
		if r.Method == http.MethodDelete {
			status = http.StatusOK
		} else if status == 0 {
			status = http.StatusMethodNotAllowed
		}
		w.WriteHeader(status)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var m struct {
		ID     json.RawMessage
		Method string
	}
	_ = json.Unmarshal(body, &m)
	s.mu.Lock()
	s.got[m.Method] = append(s.got[m.Method], string(body))
	answer, ok := s.answers[m.Method]
	stalls := m.Method != "" && s.stalls == m.Method
	misbehave := s.misbehaves[m.Method]
	if misbehave != nil {
		s.running++
	}
	if m.Method == "initialize" && !stalls {
		s.opened++
		w.Header().Set("Mcp-Session-Id", fmt.Sprintf("%s-%d", s.name, s.opened))
	}
	s.mu.Unlock()
	switch {
	case misbehave != nil:
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.running--
		}()
		misbehave(w, r, m.ID)
	case stalls:
		select {
		case <-s.hold:
		case <-r.Context().Done():
		}
	case m.Method == "" || m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	case m.Method == "initialize":
		writeRaw(w, rawAnswer{messages: []string{fmt.Sprintf(
			`{"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"prompts":{},"resources":{}},"serverInfo":{"name":%q,"version":"1"}},"jsonrpc":"2.0","id":%s}`,
			s.name, m.ID)}})
	case !ok:
		writeRaw(w, rawAnswer{messages: []string{fmt.Sprintf(`{"result":%s,"jsonrpc":"2.0","id":%s}`, s.emptyResult(m.Method), m.ID)}})
	default:
		writeRaw(w, answer)
	}
}

func (s *rawServer) emptyResult(method string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch method {
	case "tools/list":
		return s.tools
	case "tools/call":
		return `{"content":[]}`
	case "prompts/list":
		return `{"prompts":[]}`
	case "resources/list":
		return `{"resources":[]}`
	case "resources/templates/list":
		return `{"resourceTemplates":[]}`
	default:
		return `{}`
	}
}

func writeRaw(w http.ResponseWriter, answer rawAnswer) {
	if len(answer.messages) == 1 {
		if answer.contentType == "" {
			answer.contentType = "application/json"
		}
		w.Header().Set("Content-Type", answer.contentType)
		_, _ = io.WriteString(w, answer.messages[0])
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, message := range answer.messages {
		_, _ = fmt.Fprintf(w, "event: message\ndata: %s\n\n", message)
		_ = http.NewResponseController(w).Flush()
	}
}

// answerTools makes the server list the tools "echo" and "own".
func (s *rawServer) answerTools() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tools = `{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"own","inputSchema":{"type":"object"}}]}`
}
