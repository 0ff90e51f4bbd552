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

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	headerSession = "Mcp-Session-Id"
	headerVersion = "Mcp-Protocol-Version"
	// version is what raw clients speak.
	version = "2025-11-25"

	initializeRequest = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + version +
		`","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`
	initializedNotification = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	pingRequest             = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

// sessionsSeen has every session id that any client of the suite was given.
var sessionsSeen sightings

type sightings struct {
	mu  sync.Mutex
	ids []string
}

func (s *sightings) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != "" && !slices.Contains(s.ids, id) {
		s.ids = append(s.ids, id)
	}
}

func (s *sightings) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

// watching is a RoundTripper that remembers the session ids that it sees.
type watching struct{}

func (watching) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		sessionsSeen.add(response.Header.Get(headerSession))
	}
	return response, err
}

var sessionOpened = regexp.MustCompile(`Session initialized with ID: (\S+)`)

// sessionsOpened returns the session ids in server-everything's output.
func sessionsOpened(output string) []string {
	var ids []string
	for _, match := range sessionOpened.FindAllStringSubmatch(output, -1) {
		ids = append(ids, match[1])
	}
	return ids
}

// rawClient sends single HTTP requests, well-formed or not.
type rawClient struct {
	url string
	// session and version are sent if set.
	session, version string
	// method is POST unless set.
	method string
	// host is the Host header if it is to differ from the URL's.
	host string
	// header replaces the usual headers; an empty value removes one.
	header map[string]string
}

// answer is an HTTP response whose body has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// message returns the JSON-RPC message of the answer, whether it came as JSON or as the last event of a stream.
func (a answer) message() string {
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
		return a.body
	}
	var last string
	lines := bufio.NewScanner(strings.NewReader(a.body))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if data, found := strings.CutPrefix(lines.Text(), "data:"); found && strings.TrimSpace(data) != "" {
			last = strings.TrimPrefix(data, " ")
		}
	}
	return last
}

// code returns the code of the JSON-RPC error in the answer; 0 if there is none.
func (a answer) code() int {
	var message struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal([]byte(a.message()), &message)
	return message.Error.Code
}

// send sends a request and reads the whole answer.
func (c rawClient) send(ctx context.Context, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	response, err := c.open(ctx, body)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(content)}, nil
}

// open sends a request and leaves the answer's body to the caller.
func (c rawClient) open(ctx context.Context, body string) (*http.Response, error) {
	method := c.method
	if method == "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url, bytes.NewBufferString(body))
	if err != nil {
		return nil, err
	}
	request.Host = c.host
	request.Header.Set("Accept", "application/json, text/event-stream")
	request.Header.Set("Content-Type", "application/json")
	if c.session != "" {
		request.Header.Set(headerSession, c.session)
	}
	if c.version != "" {
		request.Header.Set(headerVersion, c.version)
	}
	for name, value := range c.header {
		request.Header.Del(name)
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	return watching{}.RoundTrip(request)
}

// mustSend is send for what must get an answer.
func (c rawClient) mustSend(ctx context.Context, body string) answer {
	GinkgoHelper()
	a, err := c.send(ctx, body)
	Expect(err).NotTo(HaveOccurred())
	return a
}

// openSession initializes a session and returns a client that uses it.
func openSession(ctx context.Context, url string) rawClient {
	GinkgoHelper()
	c := rawClient{url: url}
	initialized := c.mustSend(ctx, initializeRequest)
	Expect(initialized.status).To(Equal(http.StatusOK), initialized.body)
	c.session, c.version = initialized.header.Get(headerSession), version
	Expect(c.session).NotTo(BeEmpty())
	Expect(c.mustSend(ctx, initializedNotification).status).To(Equal(http.StatusAccepted))
	return c
}
