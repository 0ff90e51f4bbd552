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
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func goldenState() RequestState {
	return RequestState{
		Home: "10.244.1.7:15022", Service: HashService("a"), ID: "0123456789abcdef", Principal: "alice@example.com",
		Expires: testNow.Add(time.Minute), Digest: [16]byte{0: 0xff, 15: 1},
	}
}

func goldenConnection() ConnectionID {
	return ConnectionID{Home: "[fd00::1]:15022", ID: "5d1f7c3a-0000-4fff-8abc-0123456789ab"}
}

func goldenPeer() PeerRequest {
	return PeerRequest{Backend: "default/tools", Expires: testNow.Add(30 * time.Second), Digest: [32]byte{0: 0xff, 31: 1}}
}

func sealState(t testing.TB, ring *KeyRing, state RequestState) string {
	t.Helper()
	token, err := ring.SealRequestState(state)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func sealConnection(t testing.TB, ring *KeyRing, id ConnectionID) string {
	t.Helper()
	token, err := ring.SealConnection(id)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func sealPeer(t testing.TB, ring *KeyRing, request PeerRequest) string {
	t.Helper()
	token, err := ring.SealPeerRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestRequestStatesComeBack(t *testing.T) {
	ring := newRing(t)
	for _, want := range []RequestState{
		goldenState(),
		{Expires: testNow.Add(time.Second)},
		{Home: strings.Repeat("a", maxHome), ID: "x", Expires: time.Unix(maxTime, 0)},
	} {
		token := sealState(t, ring, want)
		if got, err := ring.OpenRequestState(token, testNow); err != nil || got != want {
			t.Errorf("got %v and error %v, want %v", got, err, want)
		}
		if again := sealState(t, ring, want); again == token {
			t.Error("the same state gave the same token twice")
		}
		if _, err := promote(t, ring).OpenRequestState(token, testNow); err != nil {
			t.Errorf("after a promotion: %v", err)
		}
	}
}

func TestConnectionsComeBack(t *testing.T) {
	ring := newRing(t)
	for _, want := range []ConnectionID{goldenConnection(), {}, {Home: strings.Repeat("a", maxHome), ID: "x"}} {
		token := sealConnection(t, ring, want)
		if got, err := ring.OpenConnection(token); err != nil || got != want {
			t.Errorf("got %v and error %v, want %v", got, err, want)
		}
		if again := sealConnection(t, ring, want); again == token {
			t.Error("the same connection gave the same token twice")
		}
	}
}

func TestPeerRequestsComeBack(t *testing.T) {
	ring := newRing(t)
	for _, want := range []PeerRequest{goldenPeer(), {Expires: testNow.Add(time.Second)}} {
		if got, err := ring.OpenPeerRequest(sealPeer(t, ring, want), testNow); err != nil || got != want {
			t.Errorf("got %v and error %v, want %v", got, err, want)
		}
	}
}

func TestExpiredTokensAreUnknown(t *testing.T) {
	ring := newRing(t)
	for _, expires := range []time.Time{testNow, testNow.Add(time.Second / 2), testNow.Add(-time.Second), {}} {
		if _, err := ring.OpenRequestState(sealState(t, ring, RequestState{Expires: expires}), testNow); !errors.Is(err, ErrUnknownID) {
			t.Errorf("state that expires %v: error %v", expires, err)
		}
		if _, err := ring.OpenPeerRequest(sealPeer(t, ring, PeerRequest{Expires: expires}), testNow); !errors.Is(err, ErrUnknownID) {
			t.Errorf("peer request that expires %v: error %v", expires, err)
		}
	}
}

func TestTokensOfReplicasHaveBounds(t *testing.T) {
	ring := newRing(t)
	long, large := strings.Repeat("x", maxHome+1), strings.Repeat("x", maxPacked)
	for name, err := range map[string]error{
		"home of a state":          second(ring.SealRequestState(RequestState{Home: long})),
		"id of a state":            second(ring.SealRequestState(RequestState{ID: large})),
		"home of a connection":     second(ring.SealConnection(ConnectionID{Home: long})),
		"id of a connection":       second(ring.SealConnection(ConnectionID{ID: large})),
		"backend of peers request": second(ring.SealPeerRequest(PeerRequest{Backend: large})),
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestChangedTokensOfReplicasAreUnknown(t *testing.T) {
	ring := newRing(t)
	for name, test := range map[string]struct {
		token string
		open  func(token string) error
	}{
		"state": {sealState(t, ring, goldenState()), func(token string) error {
			return second(ring.OpenRequestState(token, testNow))
		}},
		"connection": {sealConnection(t, ring, goldenConnection()), func(token string) error {
			return second(ring.OpenConnection(token))
		}},
		"peer": {sealPeer(t, ring, goldenPeer()), func(token string) error {
			return second(ring.OpenPeerRequest(token, testNow))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.open(test.token); err != nil {
				t.Fatal(err)
			}
			for i := range len(test.token) {
				for _, c := range []byte{'A', '_', test.token[i] ^ 1, '\n', '=', 0, 0xff} {
					if c == test.token[i] {
						continue
					}
					changed := []byte(test.token)
					changed[i] = c
					if err := test.open(string(changed)); !errors.Is(err, ErrUnknownID) {
						t.Fatalf("byte %d changed from %q to %q: error %v", i, test.token[i], c, err)
					}
				}
				if err := test.open(test.token[:i]); !errors.Is(err, ErrUnknownID) {
					t.Fatalf("the first %d bytes alone: error %v", i, err)
				}
			}
			for _, more := range []string{"A", "AA", "AAAA", "=", "\n"} {
				if err := test.open(test.token + more); !errors.Is(err, ErrUnknownID) {
					t.Fatalf("with %q: error %v", more, err)
				}
			}
		})
	}
}

// fuzzPacked tries the input as a token, which must not open, and as what a token holds: what can be unpacked can be
// packed and unpacked again to the same.
func fuzzPacked[T comparable](
	t *testing.T, in []byte, open func(*KeyRing, string) (T, error), unpack func([]byte) (T, bool), pack func([]byte, *T) []byte,
) {
	t.Helper()
	if _, err := open(newRing(t), string(in)); !errors.Is(err, ErrUnknownID) {
		t.Fatalf("got error %v", err)
	}
	value, ok := unpack(in)
	if !ok {
		return
	}
	packed := pack(nil, &value)
	again, ok := unpack(packed)
	if !ok || again != value {
		t.Fatalf("got  %v, %v\nwant %v", again, ok, value)
	}
	if !bytes.Equal(pack(nil, &again), packed) {
		t.Fatal("the same value was packed in two ways")
	}
}

func FuzzOpenRequestState(f *testing.F) {
	state := goldenState()
	f.Add(appendRequestState(nil, &state))
	f.Add(appendRequestState(nil, &RequestState{}))
	f.Add([]byte(sealState(f, newRing(f), state)))
	f.Fuzz(func(t *testing.T, in []byte) {
		open := func(ring *KeyRing, token string) (RequestState, error) { return ring.OpenRequestState(token, testNow) }
		fuzzPacked(t, in, open, unpackRequestState, appendRequestState)
	})
}

func FuzzOpenConnection(f *testing.F) {
	id := goldenConnection()
	f.Add(appendConnection(nil, &id))
	f.Add(appendConnection(nil, &ConnectionID{}))
	f.Add([]byte(sealConnection(f, newRing(f), id)))
	f.Fuzz(func(t *testing.T, in []byte) {
		fuzzPacked(t, in, (*KeyRing).OpenConnection, unpackConnection, appendConnection)
	})
}

func FuzzOpenPeerRequest(f *testing.F) {
	request := goldenPeer()
	f.Add(appendPeerRequest(nil, &request))
	f.Add(appendPeerRequest(nil, &PeerRequest{}))
	f.Add([]byte(sealPeer(f, newRing(f), request)))
	f.Fuzz(func(t *testing.T, in []byte) {
		open := func(ring *KeyRing, token string) (PeerRequest, error) { return ring.OpenPeerRequest(token, testNow) }
		fuzzPacked(t, in, open, unpackPeerRequest, appendPeerRequest)
	})
}
