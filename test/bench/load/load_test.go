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

package load_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/stub"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

// timing runs the tests that hold only where nothing else keeps the machine busy.
var timing = flag.Bool("timing", false, "run the tests that depend on how fast the machine is")

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(wire.MinProcs)
	goleak.VerifyTestMain(m)
}

// startStub serves a stub until the test ends.
func startStub(t *testing.T, settings ...string) (server *stub.Server, url string) {
	t.Helper()
	config := stub.Default()
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		if err := config.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	server = stub.New(config)
	loop, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server, "http://" + loop.Bound()[0] + "/mcp"
}

// start begins a load, and fails the test if its clients don't get their sessions.
func start(t *testing.T, config load.Config) *load.Engine {
	t.Helper()
	e, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go e.Run(ctx)
	t.Cleanup(func() {
		cancel()
		<-e.Done()
	})
	select {
	case <-e.Ready():
	case <-e.Done():
		_, err := e.Result()
		t.Fatal(err)
	}
	return e
}

// end waits for the end of a load.
func end(t *testing.T, e *load.Engine) *load.Result {
	t.Helper()
	<-e.Done()
	r, err := e.Result()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run lets each client do what config.Each says, all of it recorded.
func run(t *testing.T, config load.Config) *load.Result {
	t.Helper()
	e := start(t, config)
	e.Record(true)
	e.Start()
	return end(t, e)
}

func TestEveryWorkloadAgainstTheStub(t *testing.T) {
	for _, mode := range []string{wire.Legacy, wire.Modern} {
		for _, reply := range []string{"json", "sse"} {
			for _, workload := range []string{load.Call, load.List, load.Session} {
				t.Run(mode+"/"+reply+"/"+workload, func(t *testing.T) {
					server, url := startStub(t, "mode="+mode, "reply="+reply, "page=3")
					r := run(t, load.Config{URL: url, Era: mode, Workload: workload, Clients: 3, Payload: 5000, Each: 70})
					if r.Errors != 0 || r.Calls != 3*70 || r.Total != r.Calls || workload == load.List && r.Tools != 10 {
						t.Errorf("%d errors in %d of %d calls, %d tools: %s", r.Errors, r.Calls, r.Total, r.Tools, r.FirstError)
					}
					got := server.Stats()
					if workload == load.Call && got.Methods["tools/call"] != 3*70 {
						t.Errorf("the stub counted %+v", got)
					}
					if got.Sessions != 0 {
						t.Errorf("%d sessions were not deleted", got.Sessions)
					}
				})
			}
		}
	}
}

// pieces is an MCP server that shares no code with the harness. It writes in small pieces, reorders members, and closes
// some connections.
type pieces struct{ calls atomic.Int64 }

// ServeHTTP implements http.Handler.
func (s *pieces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodDelete {
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct{ Arguments struct{ Message string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result := `{"protocolVersion":"2025-11-25"}`
	switch m.Method {
	case "initialize":
		w.Header().Set("Mcp-Session-Id", "s")
	case "notifications/initialized":
		w.WriteHeader(http.StatusAccepted)
		return
	case "tools/list":
		result = `{"tools":[{"name":"echo","inputSchema":{}}]}`
	case "tools/call":
		n := s.calls.Add(1)
		result = fmt.Sprintf(`{"isError": false, "content": [{"text": %q, "type": "text"}]}`, m.Params.Arguments.Message)
		if n%5 == 0 {
			w.Header().Set("Connection", "close")
		}
		if n%2 == 0 {
			s.stream(w, m.ID, result)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{ "result": %s, "id": %s, "jsonrpc": "2.0" }`, result, m.ID)
}

func (s *pieces) stream(w http.ResponseWriter, id []byte, result string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, piece := range []string{
		": comment\r\n\r\n",
		"id: 5\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\r\n\r\n",
		"event: message\r\ndata: {\"result\": " + result + ", \"id\":",
		string(id) + ", \"jsonrpc\": \"2.0\"}\r\n\r\n",
	} {
		fmt.Fprint(w, piece)
		w.(http.Flusher).Flush()
	}
}

func TestServerOfNetHTTP(t *testing.T) {
	for payload, each := range map[int]int{64: 70, 100_000: 12} {
		handler := &pieces{}
		server := httptest.NewServer(handler)
		r := run(t, load.Config{URL: server.URL + "/x", Clients: 4, Payload: payload, Each: each})
		server.Close()
		if got := handler.calls.Load(); r.Errors != 0 || r.Calls != uint64(4*each) || got != int64(4*each) {
			t.Errorf("the server saw %d calls, the client %d, and %d errors: %s", got, r.Calls, r.Errors, r.FirstError)
		}
	}
}

func TestEachFaultIsCounted(t *testing.T) {
	kinds := map[string]string{"id": "mismatch", "text": "mismatch", "rpcerror": "rpc", "toolerror": "mismatch", "http500": "http 500", "close": "io"}
	for _, reply := range []string{"json", "sse"} {
		for fault, kind := range kinds {
			t.Run(reply+"/"+fault, func(t *testing.T) {
				_, url := startStub(t, "reply="+reply, "fault="+fault, "faultevery=7")
				r := run(t, load.Config{URL: url, Clients: 3, Payload: 300, Each: 140})
				if r.Errors != 3*140/7 || r.ErrorKinds[kind] != 3*140/7 || r.Calls != 3*140-3*140/7 {
					t.Errorf("%d calls, %d errors, want %d: %v %s", r.Calls, r.Errors, 3*140/7, r.ErrorKinds, r.FirstError)
				}
			})
		}
	}
}

func TestSessionsThatAreLostAreMadeAnew(t *testing.T) {
	// At the 29th call both clients have calls left; the 58th, which is the last one to succeed, spoils nothing.
	server, url := startStub(t, "fault=forget", "faultevery=29")
	r := run(t, load.Config{URL: url, Clients: 2, Each: 30})
	if r.Errors != 2 || r.ErrorKinds["http 404"] != 2 || r.Calls != 58 {
		t.Errorf("%d calls, errors %v: %s", r.Calls, r.ErrorKinds, r.FirstError)
	}
	// A client whose last call failed needs no session any more.
	if n := server.Stats().Methods["initialize"]; n < 3 || n > 4 {
		t.Errorf("%d sessions were made", n)
	}
}

func TestIdle(t *testing.T) {
	for _, mode := range []string{wire.Legacy, wire.Modern} {
		for _, hold := range []string{load.HoldSessions, load.HoldConnections, load.HoldStreams} {
			t.Run(mode+"/"+hold, func(t *testing.T) {
				server, url := startStub(t, "mode="+mode)
				e := start(t, load.Config{URL: url, Era: mode, Workload: load.Idle, Clients: 50, Hold: hold})
				want := stub.Stats{Sessions: 50, Streams: 50, Open: 50}
				if mode == wire.Modern {
					want.Sessions = 0
				}
				if hold != load.HoldStreams {
					want.Streams = 0
				}
				e.Start()
				got := server.Stats()
				if got.Sessions != want.Sessions || got.Streams != want.Streams || hold != load.HoldSessions && got.Open != want.Open {
					t.Errorf("got %+v, want %+v", got, want)
				}
				e.Drain()
				if r := end(t, e); r.Held != 50 || r.Errors != 0 {
					t.Errorf("%d held, %d errors: %s", r.Held, r.Errors, r.FirstError)
				}
				if got := server.Stats(); got.Sessions != 0 {
					t.Errorf("left: %+v", got)
				}
			})
		}
	}
}

func TestToolThatIsNotThere(t *testing.T) {
	_, url := startStub(t)
	e, err := load.New(load.Config{URL: url, Clients: 1, Tool: "b_echo"})
	if err != nil {
		t.Fatal(err)
	}
	e.Run(t.Context())
	if _, err := e.Result(); err == nil || !strings.Contains(err.Error(), `tool "b_echo" is not in the list: echo tool_001`) {
		t.Errorf("got %v", err)
	}
}

func TestContextEndsALoad(t *testing.T) {
	_, url := startStub(t)
	e, err := load.New(load.Config{URL: url, Clients: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go e.Run(ctx)
	<-e.Ready()
	e.Start()
	cancel()
	<-e.Done()
	if _, err := e.Result(); err == nil {
		t.Error("no error")
	}
}

func TestConfigThatCantWork(t *testing.T) {
	for name, config := range map[string]load.Config{
		"no clients":       {URL: "http://127.0.0.1:1/"},
		"too many clients": {URL: "http://127.0.0.1:1/", Clients: 1e6},
		"another machine":  {URL: "http://192.0.2.1:1/", Clients: 1},
		"workload":         {URL: "http://127.0.0.1:1/", Clients: 1, Workload: "x"},
		"era":              {URL: "http://127.0.0.1:1/", Clients: 1, Era: "x"},
		"hold":             {URL: "http://127.0.0.1:1/", Clients: 1, Hold: "x"},
		"rate":             {URL: "http://127.0.0.1:1/", Clients: 1, Rate: -1},
	} {
		if _, err := load.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h load.Histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		h.Add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{.5, .9, .99, .999, 1} {
		got, want := h.Quantile(q), all[int(q*float64(len(all)))-1]
		if d := float64(got-want) / float64(want); d < 0 || d > .01 {
			t.Errorf("p%g: got %s, want %s", q*100, got, want)
		}
	}
	if h.Max() != all[len(all)-1] || h.Mean() <= 0 {
		t.Errorf("max %s, mean %s", h.Max(), h.Mean())
	}
	if empty := (&load.Histogram{}); empty.Quantile(.5) != 0 || empty.Mean() != 0 {
		t.Error("an empty histogram has values")
	}
}

// For a time the stub answers nothing: evenly spaced arrivals must see it, and a closed loop hides it.
func TestStallShowsInTheOpenLoop(t *testing.T) {
	if !*timing {
		t.Skip("needs -timing")
	}
	_, url := startStub(t, "stall=100ms", "stallevery=500ms")
	recorded := func(config load.Config) *load.Result {
		e := start(t, config)
		e.Record(true)
		e.Start()
		time.Sleep(2 * time.Second)
		e.Drain()
		return end(t, e)
	}
	closed := recorded(load.Config{URL: url, Clients: 1})
	open := recorded(load.Config{URL: url, Clients: 8, Rate: 500})
	if p99 := closed.Latency.Quantile(.99); p99 > 20*time.Millisecond {
		t.Errorf("closed loop: p99 %s", p99)
	}
	p50, p90 := open.Latency.Quantile(.5), open.Latency.Quantile(.9)
	if p90 < 30*time.Millisecond || p90 > 80*time.Millisecond || p50 > 20*time.Millisecond || open.Calls < 950 || open.Calls > 1050 {
		t.Errorf("open loop: %d calls, p50 %s, p90 %s", open.Calls, p50, p90)
	}
}

func TestLatencyOfAKnownDelay(t *testing.T) {
	if !*timing {
		t.Skip("needs -timing")
	}
	_, url := startStub(t, "delay=20ms")
	r := run(t, load.Config{URL: url, Clients: 10, Each: 25})
	if p50 := r.Latency.Quantile(.5); p50 < 20*time.Millisecond || p50 > 23*time.Millisecond {
		t.Errorf("p50 %s", p50)
	}
}
