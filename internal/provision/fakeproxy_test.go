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

package provision

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// The test binary stands in for dynamic-mcp: called with a command it is a fake proxy, or a manager that is going to
// be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "proxy":
			os.Exit(runFakeProxy(os.Args[2:]))
		case "fake-manager":
			os.Exit(runFakeManager(os.Args[2]))
		}
	}
	goleak.VerifyTestMain(m)
}

// What a fake proxy does besides answering /readyz with the generation that the file "generation" in its directory
// allows (1 if there is none), and the key ring that the file "key-ring" names. POST /exit?status=N ends it.
const (
	fakeServes  = "serves"
	fakeCrashes = "crashes" // at once
	fakeMute    = "mute"    // has no admin endpoint
	fakeHangs   = "hangs"   // does not end when asked to
	fakeFloods  = "floods"  // writes more than anybody reads
)

type fakeProxy struct {
	dir, mode   string
	addressFile string
	exit        chan int
}

func runFakeProxy(args []string) int {
	p := fakeProxy{exit: make(chan int, 3)}
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	gateway := flags.String("gateway", "", "")
	bind := flags.String("bind-address", "", "")
	admin := flags.String("admin-address", "", "")
	parent := flags.Bool("exit-with-parent", false, "")
	loopback := flags.Bool("allow-loopback-upstreams", false, "")
	lifetime := flags.Duration("session-lifetime", 0, "")
	body := flags.Int("max-request-body", 0, "")
	_ = flags.String("allowed-origins", "", "")
	flags.StringVar(&p.addressFile, "admin-address-file", "", "")
	flags.StringVar(&p.dir, "fake-dir", "", "")
	flags.StringVar(&p.mode, "fake-mode", fakeServes, "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *gateway == "" || *bind == "" || *admin != "127.0.0.1:0" || !*parent || !*loopback || *lifetime == 0 || *body == 0 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "wrong arguments:", args)
		return 2
	}
	p.note("started", strings.Join(args, " "))

	switch p.mode {
	case fakeCrashes:
		fmt.Fprintln(os.Stderr, "looking around")
		fmt.Fprint(os.Stderr, "Error: nothing\tto serve\x1b[0m")
		return 3
	case fakeFloods:
		fmt.Println(strings.Repeat("long", 1<<18))
		for i := range 100_000 {
			fmt.Println("line", i)
		}
	}
	p.watchParent()
	if p.mode != fakeMute {
		if err := p.serveAdmin(*admin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	fmt.Println("serving", *gateway)
	return <-p.exit
}

// watchParent ends the process when the manager asks for it, by a signal or by the end of the standard input.
func (p *fakeProxy) watchParent() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	end := func(why string) {
		p.note(why, "")
		if p.mode != fakeHangs {
			p.exit <- 0
		}
	}
	go func() {
		end("got-" + (<-signals).String())
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end("got-eof")
	}()
}

func (p *fakeProxy) serveAdmin(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		served, err := os.ReadFile(filepath.Join(p.dir, "generation"))
		if errors.Is(err, os.ErrNotExist) {
			served = []byte("1")
		}
		if ring, err := os.ReadFile(filepath.Join(p.dir, "key-ring")); err == nil {
			w.Header().Set("Dynamic-Mcp-Key-Ring", string(ring))
		}
		if asked := r.URL.Query().Get("generation"); asked != string(served) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, "generation %s is served, not %s\n%s", served, asked, strings.Repeat("x", 1<<20))
		}
	})
	mux.HandleFunc("POST /exit", func(_ http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		p.exit <- status
	})
	go func() { _ = http.Serve(listener, mux) }()
	p.note("admin", listener.Addr().String())
	return os.WriteFile(p.addressFile, []byte(listener.Addr().String()+"\n"), 0o600)
}

// note leaves a file for the test to see; the test never sees half of one.
func (p *fakeProxy) note(name, content string) {
	file := filepath.Join(p.dir, name)
	if err := os.WriteFile(file+".part", []byte(content), 0o600); err == nil {
		_ = os.Rename(file+".part", file)
	}
}

// runFakeManager runs a fake proxy until it is killed.
func runFakeManager(dir string) int {
	s, err := NewSubprocess(SubprocessOptions{
		Client: fake.NewFakeClient(),
		Args:   []string{"--fake-dir=" + dir},
		Dir:    dir,
	})
	if err != nil {
		return 1
	}
	if _, err := s.Ensure(context.Background(), testWanted(testGateway("gw"))); err != nil {
		return 1
	}
	if err := s.Start(context.Background()); err != nil {
		return 1
	}
	return 0
}

// recorder collects what proxies write.
type recorder struct {
	lines atomic.Int64
	seen  chan string // what there was room for
}

func (r *recorder) record(gateway types.NamespacedName, line string) {
	r.lines.Add(1)
	select {
	case r.seen <- gateway.String() + ": " + line:
	default:
	}
}

// startedWith returns the arguments that the fake proxy noted.
func startedWith(dir string) []string {
	content, err := os.ReadFile(filepath.Join(dir, "started"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(content))
}
