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

package measure_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynamic-mcp/dynamic-mcp/test/bench/load"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/measure"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/stub"
	"github.com/dynamic-mcp/dynamic-mcp/test/bench/wire"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(wire.MinProcs)
	goleak.VerifyTestMain(m)
}

func startStub(t *testing.T, config stub.Config) (server *stub.Server, url string) {
	t.Helper()
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

func TestWindow(t *testing.T) {
	server, url := startStub(t, stub.Default())
	asked := 0
	stats := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		pages := []string{`{"memstats":{"TotalAlloc":1000,"Mallocs":10,"NumGC":1}}`, `{"memstats":{"TotalAlloc":5000,"Mallocs":30,"NumGC":4}}`}
		_, _ = w.Write([]byte(pages[min(asked, 1)]))
		asked++
	}))
	defer stats.Close()
	defer http.DefaultClient.CloseIdleConnections()
	watch := measure.Watch{Gateway: []int{os.Getpid()}, GoStats: stats.URL}
	w, err := measure.Run(t.Context(), load.Config{URL: url, Clients: 2, Each: 100}, watch, time.Hour, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if w.Calls != 200 || w.Total != 200 || w.Errors != 0 || server.Stats().Calls != 200 {
		t.Errorf("got %+v", w)
	}
	if w.AllocBytes != 20 || w.Allocs != .1 || w.GCs != 3 {
		t.Errorf("got %v bytes and %v allocations a call, %v GCs", w.AllocBytes, w.Allocs, w.GCs)
	}
	if w.RSS <= 0 || w.PeakRSS < w.RSS || w.P50 <= 0 || w.P99 < w.P50 || w.Max < w.P99 || w.PerSecond <= 0 {
		t.Errorf("got %+v", w)
	}
}

func TestFaultsAreErrorsOfTheWindow(t *testing.T) {
	config := stub.Default()
	config.Fault, config.FaultEvery = "text", 4
	_, url := startStub(t, config)
	w, err := measure.Run(t.Context(), load.Config{URL: url, Clients: 2, Each: 10}, measure.Watch{}, 0, time.Hour)
	if err != nil || w.Errors != 5 || w.Calls != 15 || w.FirstError == "" {
		t.Errorf("got %+v, %v", w, err)
	}
}

func TestIdle(t *testing.T) {
	server, url := startStub(t, stub.Default())
	r, err := measure.RunIdle(t.Context(), load.Config{URL: url, Clients: 20}, measure.Watch{Gateway: []int{os.Getpid()}}, time.Millisecond)
	if err != nil || r.Held != 20 || r.Silent != 0 || r.Errors != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if r.Before.RSS <= 0 || r.During.RSS <= 0 || r.After.RSS <= 0 {
		t.Errorf("got %+v", r)
	}
	if got := server.Stats(); got.Sessions != 0 {
		t.Errorf("left: %+v", got)
	}
}

func TestNobodyAnswers(t *testing.T) {
	config := load.Config{URL: "http://127.0.0.1:1/mcp", Clients: 1}
	if _, err := measure.Run(t.Context(), config, measure.Watch{}, 0, time.Hour); err == nil {
		t.Error("no error")
	}
	if r, err := measure.RunIdle(t.Context(), config, measure.Watch{}, time.Millisecond); err == nil && r.Errors == 0 {
		t.Errorf("got %+v", r)
	}
}
