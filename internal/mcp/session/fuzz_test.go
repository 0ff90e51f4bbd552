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

package session

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// FuzzOpenSession takes the input as a token, which must not open, and as what a token holds: what can be unpacked can be
// packed and unpacked again to the same.
func FuzzOpenSession(f *testing.F) {
	ring, err := NewKeyRing()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendSession(nil, goldenSession(), maxPacked))
	f.Add(appendSession(nil, &Session{}, maxPacked))
	f.Add([]byte(sealSession(f, ring, goldenSession())))
	f.Fuzz(func(t *testing.T, in []byte) {
		other, err := NewKeyRing()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.OpenSession(SealedSessionID(in), testNow); !errors.Is(err, ErrUnknownSession) {
			t.Fatalf("got error %v", err)
		}
		if _, err := other.OpenEvent(SID{}, string(in)); !errors.Is(err, ErrUnknownID) {
			t.Fatalf("got error %v", err)
		}
		s, ok := unpackSession(in)
		if !ok {
			return
		}
		packed := appendSession(nil, s, 1<<30)
		again, ok := unpackSession(packed)
		if !ok || !reflect.DeepEqual(s, again) {
			t.Fatalf("got  %+v, %v\nwant %+v", again, ok, s)
		}
		if len(in) > maxPacked {
			return
		}
		// What was packed in another way than appendSession's may be longer now, but sealing says so.
		token, err := other.SealSession(s)
		if err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		if opened, err := other.OpenSession(token, s.Expires.Add(-time.Second)); err == nil && opened.SID != s.SID {
			t.Fatalf("got %+v, want %+v", opened, s)
		}
	})
}

// FuzzRoundTrip seals any values and opens them.
func FuzzRoundTrip(f *testing.F) {
	f.Add("0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "alice", "2025-11-25", []byte("{}"), uint64(7), "abcd", "10.0.0.1:80", int64(5))
	f.Add("", "", "x", []byte{}, uint64(0), "0123456789ABCDEF", "[::1]:80", int64(1)<<41)
	f.Fuzz(func(t *testing.T, backend, principal, version string, initialize []byte, service uint64, id, endpoint string, expires int64) {
		if len(backend)+len(principal)+2*len(version)+len(initialize)+len(id)+2*len(endpoint) > maxPacked-100 {
			return
		}
		ring := newRing(t)
		s := &Session{
			SID: NewSID(), Expires: time.Unix(min(max(expires, 1), maxTime), 0), Backend: config.BackendID(backend), Principal: principal,
			ProtocolVersion: version, Home: endpoint[:min(len(endpoint), maxHome)], Initialize: initialize,
			Targets: []TargetSession{{Service: ServiceHash(service), ProtocolVersion: version, ID: UpstreamSessionID(id), Endpoint: endpoint}},
		}
		got, err := ring.OpenSession(sealSession(t, ring, s), s.Expires.Add(-time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if len(initialize) == 0 {
			s.Initialize = nil
		}
		checkSession(t, got, s)

		event := EventID{Service: ServiceHash(service), Stream: principal, ID: id}
		token, err := ring.SealEvent(s.SID, event)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ring.OpenEvent(s.SID, token); err != nil || got != event {
			t.Fatalf("got %v and error %v, want %v", got, err, event)
		}
		if len(initialize) == 0 {
			return
		}
		want := ServerRequestID{Service: ServiceHash(service), Home: s.Home, Upstream: service, ID: initialize}
		token, err = ring.SealServerRequest(s.SID, want)
		if err != nil {
			t.Fatal(err)
		}
		request, err := ring.OpenServerRequest(s.SID, token)
		if err != nil || !reflect.DeepEqual(request, want) {
			t.Fatalf("got %v and error %v, want %v", request, err, want)
		}
	})
}

// FuzzOpenServerRequest takes the input as a token, which must not open, and as what a token holds: what opens is sealed
// and opened again to the same.
func FuzzOpenServerRequest(f *testing.F) {
	ring := newRing(f)
	f.Add(make([]byte, 18))
	f.Add([]byte("01234567012345670\x1a\x0a\x00\x00\x01\x3a\xae7"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := ring.OpenServerRequest(SID{1}, string(in)); !errors.Is(err, ErrUnknownID) {
			t.Fatalf("got error %v", err)
		}
		if len(in) > maxPacked-maxHome {
			return
		}
		token, err := ring.seal(&scratch{packed: in}, forRequest, SID{1})
		if err != nil {
			t.Fatal(err)
		}
		request, err := ring.OpenServerRequest(SID{1}, token)
		if err != nil {
			return
		}
		if token, err = ring.SealServerRequest(SID{1}, request); err != nil {
			t.Fatal(err)
		}
		if again, err := ring.OpenServerRequest(SID{1}, token); err != nil || !reflect.DeepEqual(again, request) {
			t.Fatalf("got %v and error %v, want %v", again, err, request)
		}
	})
}

// FuzzParseKeyRing reads anything; what is a ring is written and read again to the same.
func FuzzParseKeyRing(f *testing.F) {
	data, err := newRing(f).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"current":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		ring, err := ParseKeyRing(in)
		if err != nil {
			return
		}
		data, err := ring.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseKeyRing(data); err != nil || again.ID() != ring.ID() {
			t.Fatalf("got %v and error %v, want %v", again, err, ring)
		}
	})
}

func BenchmarkOpenSession(b *testing.B) {
	ring := newRing(b)
	one, many := goldenSession(), goldenSession()
	one.Targets = one.Targets[:1]
	for len(many.Targets) < 100 {
		many.Targets = append(many.Targets, many.Targets[0])
	}
	for name, s := range map[string]*Session{"1 target": one, "100 targets": many} {
		b.Run(name, func(b *testing.B) {
			token := sealSession(b, ring, s)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ring.OpenSession(token, testNow); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(token)), "token-bytes")
		})
	}
}

func BenchmarkSealEvent(b *testing.B) {
	ring, sid := newRing(b), NewSID()
	id := EventID{Service: 42, Stream: "get", ID: "5d1f7c3a-0000-4fff-8abc-0123456789ab_1790000000000_abcdefgh"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.SealEvent(sid, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenServerRequest(b *testing.B) {
	ring, sid := newRing(b), NewSID()
	token, err := ring.SealServerRequest(sid, ServerRequestID{Service: 42, ID: []byte("7")})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.OpenServerRequest(sid, token); err != nil {
			b.Fatal(err)
		}
	}
}
