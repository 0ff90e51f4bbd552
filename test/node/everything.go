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

// Package node runs the real MCP server and the real MCP client that tests are made against, both from npm:
package node

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Mode is the transport that server-everything speaks.
type Mode string

const (
	// StreamableHTTP serves the path /mcp.
	StreamableHTTP Mode = "streamableHttp"
	// SSE serves the path /sse.
	SSE Mode = "sse"
)

// guard is loaded into the server before its own code. server-everything would listen on all interfaces and has a tool
// that shows its environment to anybody: here it listens on the loopback interface, and says on which port. A port that
// it can't have ends it; by itself it would go on without one. And it ends when its standard input does, so that it never
// outlives the tests, however they end.
const guard = `
import net from 'node:net';
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
	this.once('listening', () => console.error('[guard] port ' + this.address().port + ';'));
	this.once('error', (error) => { console.error('[guard] ' + error.message); process.exit(1); });
	return listen.call(this, port, '127.0.0.1', ...rest);
};
process.stdin.on('end', () => process.exit(0)).resume();
`

// Server is a running server-everything.
type Server struct {
	// Port it listens on, on 127.0.0.1.
	Port int

	command *exec.Cmd
	stdin   io.Closer
	output  lockedBuffer
	exited  chan struct{}
	waitErr error
}

// StartEverything starts server-everything on 127.0.0.1 and returns when it accepts connections. Port 0 takes a free
// one. Whoever starts it stops it.
func (t *Toolchain) StartEverything(ctx context.Context, port int, mode Mode) (*Server, error) {
	s := &Server{exited: make(chan struct{})}
	// The context bounds the start only: the server must outlive it.
	s.command = exec.Command(t.node,
		"--import", "data:text/javascript;base64,"+base64.StdEncoding.EncodeToString([]byte(guard)),
		filepath.Join(t.modules, "@modelcontextprotocol", "server-everything", "dist", "index.js"), string(mode))
	s.command.Env = []string{"PORT=" + strconv.Itoa(port), "PATH=" + os.Getenv("PATH")}
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	stdin, err := s.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.stdin = stdin
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start server-everything: %w", err)
	}
	go func() {
		s.waitErr = s.command.Wait()
		close(s.exited)
	}()
	if err := s.waitUntilListening(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start server-everything: %w\n%s", err, s.Output())
	}
	return s, nil
}

// portPattern is what the guard says.
var portPattern = regexp.MustCompile(`\[guard\] port (\d+);`)

func (s *Server) waitUntilListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if said := portPattern.FindStringSubmatch(s.Output()); said != nil {
			var err error
			s.Port, err = strconv.Atoi(said[1])
			return err
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("it ended: %w", s.waitErr)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// URL returns the address of the server's streamable HTTP endpoint.
func (s *Server) URL() string { return fmt.Sprintf("http://127.0.0.1:%d/mcp", s.Port) }

// Output returns what the server has printed so far. It names the sessions that it opened.
func (s *Server) Output() string { return s.output.String() }

// Stop kills the server and returns when it is gone. Its clients see their connections break.
func (s *Server) Stop() {
	_ = s.command.Process.Kill()
	<-s.exited
	_ = s.stdin.Close()
}

// lockedBuffer is a buffer that may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	data []byte
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	return len(p), nil
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}
