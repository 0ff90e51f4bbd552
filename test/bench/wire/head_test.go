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

package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	const whole = "POST /mcp HTTP/1.1\r\nHost: x\r\nCONTENT-length: 12\r\nContent-Type: text/Event-Stream; charset=utf-8\r\n" +
		"connection: keep-alive, Close\r\nExpect: 100-continue\r\nTransfer-Encoding: Chunked\r\nMcp-Session-Id: s\r\n" +
		"MCP-Protocol-Version:2025-11-25 \r\nMcp-Method: m\r\nMcp-Name: n\r\n\r\n"
	var h Head
	for n := range len(whole) {
		if got, err := ParseHead([]byte(whole[:n]), &h); got != 0 || err != nil {
			t.Fatalf("%d bytes: %d, %v", n, got, err)
		}
	}
	n, err := ParseHead([]byte(whole+"body"), &h)
	if n != len(whole) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for got, want := range map[string]string{
		string(h.First): "POST /mcp HTTP/1.1", string(h.Session): "s", string(h.Version): "2025-11-25",
		string(h.Method): "m", string(h.Name): "n",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if h.ContentLength != 12 || !h.Close || !h.Expect || !h.Chunked || !IsEventStream(h.ContentType) {
		t.Errorf("got %+v", h)
	}
	for _, bad := range []string{"\n\r\n\r\n", "GET /\r\nno colon\r\n\r\n", "GET /\r\n: x\r\n\r\n", "GET /\r\nContent-Length: 1x\r\n\r\n",
		"GET /\r\nContent-Length: -1\r\n\r\n", strings.Repeat("x", maxHead+1)} {
		if n, err := ParseHead([]byte(bad), &h); err == nil {
			t.Errorf("%.40q was accepted: %d", bad, n)
		}
	}
}

// FuzzHead holds the parser to net/http, where that takes the request.
func FuzzHead(f *testing.F) {
	f.Add([]byte("POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nMcp-Session-Id: s\r\n\r\nbody"))
	f.Add([]byte("\n\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Head
		n, err := ParseHead(b, &h)
		if n < 0 || n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if n == 0 || err != nil || bytes.Count(b[:n], []byte("\n")) != bytes.Count(b[:n], []byte("\r\n")) {
			return // net/http takes bare line feeds for line ends
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		if r.ContentLength > 0 && len(r.Header["Content-Length"]) == 1 && h.ContentLength != int(r.ContentLength) {
			t.Errorf("Content-Length: got %d, want %d", h.ContentLength, r.ContentLength)
		}
		if ids := r.Header["Mcp-Session-Id"]; len(ids) == 1 && string(h.Session) != ids[0] {
			t.Errorf("Mcp-Session-Id: got %q, want %q", h.Session, ids[0])
		}
	})
}

func TestDechunk(t *testing.T) {
	const whole = "5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nTrailer: 1\r\n\r\nrest"
	var scratch []byte
	for n := range len(whole) + 1 {
		body, used, done, err := Dechunk([]byte(whole[:n]), &scratch)
		if err != nil {
			t.Fatal(err)
		}
		if want := n >= len(whole)-4; done != want {
			t.Fatalf("%d bytes: done %v", n, done)
		}
		if done && (string(body) != "hello, world" || used != len(whole)-4) {
			t.Fatalf("body %q, used %d", body, used)
		}
	}
	for _, bad := range []string{"x\r\n", "\r\n", "-1\r\n", "fffffffff\r\n"} {
		if _, _, _, err := Dechunk([]byte(bad), &scratch); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// FuzzDechunk writes a body in chunks of every size and reads it back, and must not panic on anything else.
func FuzzDechunk(f *testing.F) {
	f.Add([]byte("hello, world"), 5)
	f.Add([]byte("1\r\na\r\n0\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		var scratch []byte
		_, used, _, _ := Dechunk(b, &scratch)
		if used < 0 || used > len(b) {
			t.Fatalf("%d of %d bytes", used, len(b))
		}
		if size < 1 {
			return
		}
		var wire bytes.Buffer
		for rest := bytes.NewReader(b); rest.Len() > 0; {
			n := min(size, rest.Len())
			wire.WriteString(strconv.FormatInt(int64(n), 16) + "\r\n")
			_, _ = io.CopyN(&wire, rest, int64(n))
			wire.WriteString("\r\n")
		}
		wire.WriteString("0\r\n\r\n")
		body, used, done, err := Dechunk(wire.Bytes(), &scratch)
		if !bytes.Equal(body, b) || used != wire.Len() || !done || err != nil {
			t.Errorf("got %q, %d, %v, %v", body, used, done, err)
		}
	})
}

func TestOnlyLoopbackIsAllowed(t *testing.T) {
	for _, url := range []string{"http://10.0.0.1:80/mcp", "http://example.com:80/mcp", "https://127.0.0.1:1/", "http://0.0.0.0:1/", "http://[::1]:1/", "http://127.0.0.1/"} {
		if _, err := ParseEndpoint(url); err == nil {
			t.Errorf("%s was accepted", url)
		}
	}
	for _, url := range []string{"http://127.0.0.1:80/mcp", "http://localhost:80/mcp?x=y", "http://127.8.8.8:80"} {
		if _, err := ParseEndpoint(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
