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
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// large is more than the gateway of these tests takes of one message.
const (
	maxMessage = 1 << 20
	large      = maxMessage + maxMessage/2
)

// stream begins an event stream, and returns how to write to it, which fails once the request has ended.
func stream(w http.ResponseWriter, r *http.Request) func(text string) error {
	w.Header().Set("Content-Type", "text/event-stream")
	response := http.NewResponseController(w)
	return func(text string) error {
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		if err := response.Flush(); err != nil {
			return err
		}
		return r.Context().Err()
	}
}

// again writes a text over and over until the request has ended.
func again(text func(i int) string, pause time.Duration) misbehavior {
	return func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
		write := stream(w, r)
		for i := 0; write(text(i)) == nil; i++ {
			select {
			case <-r.Context().Done():
			case <-time.After(pause):
			}
		}
	}
}

// whole answers with a body of JSON.
func whole(body func(id json.RawMessage) string) misbehavior {
	return func(w http.ResponseWriter, _ *http.Request, id json.RawMessage) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body(id))
	}
}

// refusal answers with an HTTP status.
func refusal(status int, body func(id json.RawMessage) string) misbehavior {
	return func(w http.ResponseWriter, _ *http.Request, id json.RawMessage) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body(id))
	}
}

// oneEvent answers with a stream of one event.
func oneEvent(data func(id json.RawMessage) string) misbehavior {
	return func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
		_ = stream(w, r)("data: " + data(id) + "\n\n")
	}
}

func result(id json.RawMessage, result string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result)
}

func malformed(json.RawMessage) string { return `{"jsonrpc":"2.0","id":` }

func tooLarge(id json.RawMessage) string { return result(id, `{"x":"`+strings.Repeat("x", large)+`"}`) }

func tooDeep(id json.RawMessage) string {
	return result(id, `{"x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}")
}

func wrongID(json.RawMessage) string { return result([]byte(`"another"`), `{"content":[],"tools":[]}`) }

// misbehaviors are what is wrong with a server.
var misbehaviors = map[string]misbehavior{
	"a flood": again(func(int) string {
		return "data: " + `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"` + strings.Repeat("x", 4<<10) + `"}}` + "\n\n"
	}, 0),
	"a flood of questions": again(func(i int) string {
		return fmt.Sprintf(`data: {"jsonrpc":"2.0","id":%d,"method":"ping"}`+"\n\n", i)
	}, time.Millisecond),
	"an endless stream":      again(func(int) string { return ": still there\n\n" }, 10*time.Millisecond),
	"an endless event":       again(func(int) string { return "data: " + strings.Repeat("x", 1000) + "\n" }, 0),
	"an endless line":        again(func(int) string { return strings.Repeat("x", 1000) }, 0),
	"a huge line":            oneEvent(tooLarge),
	"a huge body":            whole(tooLarge),
	"malformed JSON":         whole(malformed),
	"an event of no message": oneEvent(malformed),
	"a deep body":            whole(tooDeep),
	"a deep event":           oneEvent(tooDeep),
	"a wrong id":             whole(wrongID),
	"an event of a wrong id": oneEvent(wrongID),
	"an endless body": func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, strings.Repeat(" ", 10_000))
			_ = http.NewResponseController(w).Flush()
		}
	},
	"a refusal": refusal(http.StatusBadRequest, func(id json.RawMessage) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32600,"message":"no"}}`, id)
	}),
	"a refusal of another request": refusal(http.StatusBadRequest, func(json.RawMessage) string {
		return `{"jsonrpc":"2.0","id":"another","error":{"code":-32600,"message":"no"}}`
	}),
	"a refusal that is cut": refusal(http.StatusBadRequest, func(json.RawMessage) string {
		return `{"error":{"code":-32600,"message":"no"}}}`
	}),
	"an HTTP error":  refusal(http.StatusInternalServerError, func(json.RawMessage) string { return "no" }),
	"no credentials": refusal(http.StatusUnauthorized, func(json.RawMessage) string { return "no" }),
	"a redirect": func(w http.ResponseWriter, r *http.Request, _ json.RawMessage) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
	},
	"no content": func(w http.ResponseWriter, _ *http.Request, _ json.RawMessage) { w.WriteHeader(http.StatusNoContent) },
	"a cut answer": func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
		_ = stream(w, r)("data: " + result(id, "{")[:20])
		panic(http.ErrAbortHandler)
	},
	"no HTTP": func(w http.ResponseWriter, _ *http.Request, _ json.RawMessage) {
		if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(connection, "hello\r\n\r\n")
			_ = connection.Close()
		}
	},
	"an endless header": func(w http.ResponseWriter, _ *http.Request, _ json.RawMessage) {
		if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, err = io.WriteString(connection, "HTTP/1.1 200 OK\r\n")
			for i := 0; err == nil; i++ {
				_, err = fmt.Fprintf(connection, "X-%d: %s\r\n", i, strings.Repeat("x", 1000))
			}
			_ = connection.Close()
		}
	},
	"an endless announcement": func(w http.ResponseWriter, _ *http.Request, _ json.RawMessage) {
		if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
			for err == nil {
				_, err = io.WriteString(connection, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
			}
			_ = connection.Close()
		}
	},
}

// TestBadServerHarmsItselfAlone: whatever one of three servers answers to a method, the others don't notice, and nothing of it
// goes on once nobody waits for it. What calls are answered with reaches clients, each of which takes it in its own way.
func TestBadServerHarmsItselfAlone(t *testing.T) {
	for name, answer := range misbehaviors {
		for _, method := range []string{"initialize", "tools/list"} {
			t.Run(name+" to "+method, func(t *testing.T) {
				t.Parallel()
				harmsItselfAlone(t, connectGo, method, answer)
			})
		}
		t.Run(name+" to tools/call", func(t *testing.T) {
			eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
				harmsItselfAlone(t, connect, "tools/call", answer)
			})
		})
	}
}

func harmsItselfAlone(t *testing.T, connect func(*testing.T, string) client, method string, answer misbehavior) {
	g := NewWithT(t)
	first, bad, third := newSample(t, "first"), newRawServer(t, "bad"), newStatelessSample(t, "third")
	bad.answerTools()
	bad.misbehave(method, answer)
	gw := newGateway(t, []config.Target{first.target(), bad.target(), third.target()}, withLimits(func(l *config.Limits) {
		short(l)
		l.MaxMessage = maxMessage
	}))
	c := connect(t, gw.url)
	g.Expect(names(t, c, "tools")).To(ContainElements("echo", "add", "third_echo"))
	briefly, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.call(briefly, "bad_own", nil, "")
	g.Expect(err).To(HaveOccurred())
	g.Expect(called(t, c, "echo", message("hi"))).To(Equal("first: hi"))
	g.Expect(called(t, c, "third_echo", message("hi"))).To(Equal("third: hi"))
	g.Expect(c.prompt(within(t), "greet", map[string]string{"who": "you"})).To(Equal("first greets you"))
	g.Eventually(bad.misbehaving).WithTimeout(patience).Should(BeZero(), "the server still answers")

	bad.misbehave(method, nil)
	g.Eventually(func() (string, error) { return c.call(within(t), "bad_own", nil, "") }).WithTimeout(patience).Should(Equal(""))
	g.Expect(c.close()).To(Succeed())
}

// TestEventsSplitAtEveryByte: how a server's bytes are cut into packets means nothing.
func TestEventsSplitAtEveryByte(t *testing.T) {
	eachSDK(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		raw, other := newRawServer(t, "raw"), newSample(t, "other")
		raw.answerTools()
		for ending, lines := range map[string]string{"LF": "\n", "CR": "\r", "CRLF": "\r\n"} {
			raw.misbehave("tools/call", func(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
				write := stream(w, r)
				text := strings.Join([]string{
					"\ufeff: a comment", "", "event: message", `data: {"jsonrpc":"2.0",`, `data: "id":` + string(id) + `,`,
					`data:"result":{"content":[{"type":"text","text":"` + ending + ` é"}]}}`, "retry: 100", "", "",
				}, lines)
				for i := range len(text) {
					if write(text[i:i+1]) != nil {
						return
					}
				}
			})
			c := connect(t, newGateway(t, []config.Target{raw.target(), other.target()}).url)
			g.Expect(called(t, c, "own", nil)).To(Equal(ending + " é"))
			g.Expect(c.close()).To(Succeed())
		}
	})
}

// TestClientThatTakesNothing: a server's flood waits for the client that it is for, in bounded memory and for a bounded time, and
// no other client for that one.
func TestClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	raw, other := newRawServer(t, "raw"), newSample(t, "other")
	raw.answerTools()
	var written atomic.Int64
	event := `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"` + strings.Repeat("x", 32<<10) + `"}}` + "\n\n"
	raw.misbehave("tools/call", again(func(int) string {
		written.Add(int64(len(event)))
		return event
	}, 0))
	gw := newGateway(t, []config.Target{raw.target(), other.target()}, withLimits(func(l *config.Limits) { l.WriteTimeout = 2 * time.Second }))
	session := newRawClient(t, gw.url).session
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(gw.url, "http://"), "/mcp"))
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = connection.Close() }()
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"own"}}`
	_, err = fmt.Fprintf(connection, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n"+
		"Content-Type: application/json\r\nMcp-Session-Id: %s\r\nContent-Length: %d\r\n\r\n%s", session, len(body), body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(written.Load).WithTimeout(patience).Should(BeNumerically(">", 1<<20))

	c := connectGo(t, gw.url)
	g.Expect(called(t, c, "other_echo", message("hi"))).To(Equal("other: hi"))
	g.Eventually(raw.misbehaving).WithTimeout(patience).Should(BeZero(), "the server still waits for the client")
	g.Expect(written.Load()).To(BeNumerically("<", 64<<20))
	g.Expect(c.close()).To(Succeed())
}
