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

package httproute

import (
	"fmt"
	"net/http"
	"testing"
)

// requestCase is a request with a name.
type requestCase struct {
	name string
	*http.Request
}

// benchmarkTable returns a table with a thousand routes on ten listeners.
func benchmarkTable(t testing.TB) *Table {
	listeners := []Listener{{Name: "any", Port: 80, Routes: []Route{route("ns/all", rule("all", prefix("/mcp")))}}}
	for i := range 9 {
		listener := Listener{Name: fmt.Sprint("l", i), Port: 80, Hostname: fmt.Sprintf("*.l%d.example.com", i)}
		for j := range 111 {
			header := Match{PathType: PathPrefix, Path: "/mcp", Headers: []ValueMatch{{Name: "X-Team", Value: "a"}}}
			listener.Routes = append(listener.Routes, Route{
				Name:      fmt.Sprint("ns/r", j),
				Hostnames: []string{fmt.Sprintf("h%d.l%d.example.com", j, i)},
				Rules:     []Rule{rule("header", header), rule("prefix", prefix("/mcp")), rule("exact", exact("/health"))},
			})
		}
		listeners = append(listeners, listener)
	}
	return compile(t, listeners)
}

func benchmarkRequests(t testing.TB) map[string]*http.Request {
	return map[string]*http.Request{
		"any host":            request(t, "POST 10.0.0.1:8080/mcp"),
		"one of 1000 routes":  request(t, "POST h77.l5.example.com:8080/mcp", "Accept", "application/json"),
		"header":              request(t, "POST h77.l5.example.com/mcp/x", "X-Team", "a"),
		"no route":            request(t, "POST h77.l5.example.com/unknown/deep/path/of/a/request"),
		"no listener's route": request(t, "POST nobody.l5.example.com/mcp?session=1"),
	}
}

func BenchmarkMatch(b *testing.B) {
	table := benchmarkTable(b)
	for name, r := range benchmarkRequests(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Match(r)
			}
		})
	}
	b.Run("path with two readings", func(b *testing.B) {
		r := request(b, "POST h77.l5.example.com/mcp/a%2Fb/../c")
		b.ReportAllocs()
		for b.Loop() {
			table.Match(r)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		benchmarkTable(b)
	}
}
