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
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

var testNow = time.Unix(1_790_000_000, 0)

// goldenSession has every packing in it.
func goldenSession() *Session {
	return &Session{
		SID:             SID{0: 0xff, 15: 1},
		Expires:         testNow.Add(24 * time.Hour),
		Backend:         "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0",
		Principal:       "alice@example.com",
		ProtocolVersion: "2025-11-25",
		Home:            "10.244.1.7:15022",
		Initialize:      []byte(`{"capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"inspector","version":"2.12.0"}}`),
		Targets: []TargetSession{
			{Service: HashService("a"), ProtocolVersion: "2025-06-18", Capabilities: CapabilityTools | CapabilityCompletions, ID: "5d1f7c3a-0000-4fff-8abc-0123456789ab", Endpoint: "10.244.0.25:3001"},
			{Service: HashService("b"), ProtocolVersion: "2025-03-26", ID: "0123456789abcdef0123456789abcdef", Endpoint: "[fd00::1]:80"},
			{Service: HashService("c"), ProtocolVersion: "DRAFT-2027", ID: "JBSWY3DPEHPK3PXP", Endpoint: "localhost:3001"},
			{Service: HashService("d"), ProtocolVersion: "2024-11-05"},
		},
	}
}

func checkSession(t *testing.T, got, want *Session) {
	t.Helper()
	if !got.Expires.Equal(want.Expires) {
		t.Errorf("expires %v, want %v", got.Expires, want.Expires)
	}
	same := *got
	same.Expires = want.Expires
	if !reflect.DeepEqual(&same, want) {
		t.Errorf("got  %+v\nwant %+v", &same, want)
	}
}

func sealSession(t testing.TB, ring *KeyRing, s *Session) SealedSessionID {
	t.Helper()
	token, err := ring.SealSession(s)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSessionsComeBack(t *testing.T) {
	ring := newRing(t)
	expires := testNow.Add(time.Second)
	target := func(id UpstreamSessionID, endpoint string) *Session {
		return &Session{Expires: expires, Targets: []TargetSession{{Service: 1<<64 - 1, ID: id, Endpoint: endpoint}}}
	}
	for name, s := range map[string]*Session{
		"everything":              goldenSession(),
		"nothing":                 {Expires: expires},
		"upper-case UUID":         target("5D1F7C3A-0000-4FFF-8ABC-0123456789AB", ""),
		"mixed-case UUID":         target("5d1f7c3a-0000-4fff-8abc-0123456789aB", ""),
		"UUID without hyphens":    target("5d1f7c3a00004fff8abc0123456789ab", ""),
		"UUID in braces":          target("{5d1f7c3a-0000-4fff-8abc-0123456789ab}", ""),
		"nearly a UUID":           target("5d1f7c3a-0000-4fff-8abc-0123456789ag", ""),
		"hyphens at other places": target("5d1f7c3a0-000-4fff-8abc-0123456789ab", ""),
		"hyphens instead of hex":  target("--------------------------------------", ""),
		"odd number of digits":    target("0123456789abc", ""),
		"digits with zeros ahead": target("0000", ""),
		"upper-case digits":       target("ABCDEF", ""),
		"text beyond ASCII":       target("é\x00\xff", ""),
		"IPv4 in IPv6":            target("", "[::ffff:10.0.0.1]:80"),
		"IPv6, other spelling":    target("", "[FD00:0::1]:80"),
		"IPv6 with zone":          target("", "[fe80::1%eth0]:80"),
		"port with zeros ahead":   target("", "10.0.0.1:0080"),
		"largest port":            target("", "255.255.255.255:65535"),
		"DNS name":                target("", "mcp.example.com:443"),
		"hexadecimal endpoint":    target("", "abcd"),
		"home with a DNS name":    {Expires: expires, Home: strings.Repeat("a", 253) + ":15022"},
		"home with IPv6":          {Expires: expires, Home: "[fd00::1]:15022"},
		"long id":                 target(UpstreamSessionID(strings.Repeat("x", 5000)), "10.0.0.1:1"),
	} {
		t.Run(name, func(t *testing.T) {
			token := sealSession(t, ring, s)
			got, err := ring.OpenSession(token, testNow)
			if err != nil {
				t.Fatal(err)
			}
			checkSession(t, got, s)
			if len(token) > MaxTokenLength || strings.Trim(string(token), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Errorf("the token has %d bytes: %s", len(token), token)
			}
			if again := sealSession(t, ring, s); again == token {
				t.Error("the same session gave the same token twice")
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	ring := newRing(t)
	for name, test := range map[string]struct {
		expires time.Time
		opens   bool
	}{
		"later":              {testNow.Add(time.Second), true},
		"now":                {testNow, false},
		"earlier":            {testNow.Add(-time.Second), false},
		"never set":          {time.Time{}, false},
		"before 1970":        {time.Unix(-5, 0), false},
		"fractions are lost": {testNow.Add(time.Second / 2), false},
		"very late":          {time.Unix(1<<50, 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ring.OpenSession(sealSession(t, ring, &Session{Expires: test.expires}), testNow)
			if test.opens != (err == nil) || err != nil && !errors.Is(err, ErrUnknownSession) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestTargetsThatDontFitAreLeftOutFromTheEnd(t *testing.T) {
	ring := newRing(t)
	s := goldenSession()
	s.Targets = nil
	for i := range 1024 {
		s.Targets = append(s.Targets, TargetSession{
			Service: ServiceHash(i), ProtocolVersion: "2025-11-25",
			ID: UpstreamSessionID(fmt.Sprintf("5d1f7c3a-0000-4fff-8abc-%012x", i)), Endpoint: fmt.Sprintf("10.1.%d.%d:80", i/256, i%256),
		})
	}
	token := sealSession(t, ring, s)
	got, err := ring.OpenSession(token, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Targets) != 1024 {
		t.Error("sealing changed the session")
	}
	t.Logf("%d targets fit into a token of %d bytes", len(got.Targets), len(token))
	if n := len(got.Targets); n < 150 || n == 1024 || MaxTokenLength-len(token) > 50 {
		t.Errorf("%d targets fit into a token of %d bytes", n, len(token))
	}
	s.Targets = s.Targets[:len(got.Targets)]
	checkSession(t, got, s)
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	ring := newRing(t)
	large := strings.Repeat("x", maxPacked)
	if _, err := ring.SealSession(&Session{Initialize: []byte(large)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("session: got error %v", err)
	}
	if _, err := ring.SealSession(&Session{Home: large[:maxHome+1]}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("session with a home that is none: got error %v", err)
	}
	if _, err := ring.SealServerRequest(SID{}, ServerRequestID{Home: large[:maxHome+1]}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("request with a home that is none: got error %v", err)
	}
	if _, err := ring.SealServerRequest(SID{}, ServerRequestID{ID: []byte(large)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("request: got error %v", err)
	}
	if _, err := ring.SealEvent(SID{}, EventID{ID: large}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("event: got error %v", err)
	}
	fits, err := ring.SealServerRequest(SID{}, ServerRequestID{ID: []byte(large[:maxPacked-17])})
	if err != nil || len(fits) != MaxTokenLength {
		t.Errorf("got a token of %d bytes and error %v", len(fits), err)
	}
	if _, err := ring.OpenServerRequest(SID{}, fits); err != nil {
		t.Errorf("the largest token does not open: %v", err)
	}
}

func TestServerRequestsComeBack(t *testing.T) {
	ring, sid := newRing(t), NewSID()
	for _, id := range []string{"0", "-12", "9007199254740993123", `"abc"`, `"\u00e9\""`} {
		for _, home := range []string{"", "10.0.0.1:15022", "replica-0.proxy.default.svc:15022"} {
			want := ServerRequestID{Service: 42, Home: home, Upstream: 1 << 63, ID: []byte(id)}
			token, err := ring.SealServerRequest(sid, want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ring.OpenServerRequest(sid, token); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v and error %v, want %v", got, err, want)
			}
		}
	}
}

// A cancellation names a request by the id that the client has seen, so both must be sealed to the same text.
func TestEqualServerRequestsGiveEqualTokens(t *testing.T) {
	ring, sid := newRing(t), NewSID()
	seal := func(ring *KeyRing, sid SID, service ServiceHash, home string, upstream uint64, id string) string {
		token, err := ring.SealServerRequest(sid, ServerRequestID{Service: service, Home: home, Upstream: upstream, ID: []byte(id)})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token := seal(ring, sid, 1, "", 2, "3")
	if again := seal(ring, sid, 1, "", 2, "3"); again != token {
		t.Error("the same request gave two tokens")
	}
	for name, other := range map[string]string{
		"session":        seal(ring, NewSID(), 1, "", 2, "3"),
		"service":        seal(ring, sid, 9, "", 2, "3"),
		"home":           seal(ring, sid, 1, "10.0.0.1:15022", 2, "3"),
		"upstream":       seal(ring, sid, 1, "", 9, "3"),
		"id":             seal(ring, sid, 1, "", 2, "4"),
		"type of the id": seal(ring, sid, 1, "", 2, `"3"`),
		"key":            seal(promote(t, ring), sid, 1, "", 2, "3"),
	} {
		// The nonce is in the bytes 5 to 16 of the token, which these characters hold.
		if other[8:22] == token[8:22] {
			t.Errorf("another %s gave the same nonce", name)
		}
	}
}

func TestChangedServerRequestsAreUnknown(t *testing.T) {
	ring := newRing(t)
	token, err := ring.SealServerRequest(SID{1}, ServerRequestID{Service: 42, ID: []byte("7")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(token) {
		changed := []byte(token)
		changed[i] ^= 1
		for _, text := range []string{string(changed), token[:i]} {
			if _, err := ring.OpenServerRequest(SID{1}, text); !errors.Is(err, ErrUnknownID) {
				t.Fatalf("byte %d changed, or missing: error %v", i, err)
			}
		}
	}
}

func TestServerRequestWithoutIDIsUnknown(t *testing.T) {
	ring := newRing(t)
	token, err := ring.SealServerRequest(SID{}, ServerRequestID{Service: 42})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.OpenServerRequest(SID{}, token); !errors.Is(err, ErrUnknownID) {
		t.Errorf("got error %v", err)
	}
}

func TestEventsComeBack(t *testing.T) {
	ring, sid := newRing(t), NewSID()
	for _, id := range []EventID{
		{Service: 42, Stream: "get", ID: "5d1f7c3a-0000-4fff-8abc-0123456789ab"},
		{ID: "5d1f7c3a-0000-4fff-8abc-0123456789ab_12"},
		{Stream: "1234", ID: "00000012"},
		{},
	} {
		token, err := ring.SealEvent(sid, id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ring.OpenEvent(sid, token); err != nil || got != id {
			t.Errorf("got %v and error %v, want %v", got, err, id)
		}
	}
}

func TestTokensOpenOnlyAsWhatTheyAre(t *testing.T) {
	ring, other, sid := newRing(t), newRing(t), NewSID()
	request, err := ring.SealServerRequest(sid, ServerRequestID{Service: 1, ID: []byte("7")})
	if err != nil {
		t.Fatal(err)
	}
	event, err := ring.SealEvent(sid, EventID{Service: 1, ID: "7"})
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{
		"session":    string(sealSession(t, ring, goldenSession())),
		"request":    request,
		"event":      event,
		"state":      sealState(t, ring, goldenState()),
		"connection": sealConnection(t, ring, goldenConnection()),
		"peer":       sealPeer(t, ring, goldenPeer()),
	}
	for name, token := range tokens {
		for what, err := range map[string]error{
			"session":                     second(ring.OpenSession(SealedSessionID(token), testNow)),
			"request":                     second(ring.OpenServerRequest(sid, token)),
			"event":                       second(ring.OpenEvent(sid, token)),
			"state":                       second(ring.OpenRequestState(token, testNow)),
			"connection":                  second(ring.OpenConnection(token)),
			"peer":                        second(ring.OpenPeerRequest(token, testNow)),
			"request of another session":  second(ring.OpenServerRequest(NewSID(), token)),
			"event of another session":    second(ring.OpenEvent(NewSID(), token)),
			"request of session zero":     second(ring.OpenServerRequest(SID{}, token)),
			"event of session zero":       second(ring.OpenEvent(SID{}, token)),
			"session of another key ring": second(other.OpenSession(SealedSessionID(token), testNow)),
			"state of another key ring":   second(other.OpenRequestState(token, testNow)),
			"connection of another ring":  second(other.OpenConnection(token)),
			"peer of another ring":        second(other.OpenPeerRequest(token, testNow)),
		} {
			if opened := err == nil; opened != (what == name) {
				t.Errorf("%s opened as %s: error %v", name, what, err)
			}
		}
	}
}

// second returns the second of a function's two results.
func second[T any](_ T, err error) error { return err }

func TestEveryChangedByteIsNoticed(t *testing.T) {
	ring := newRing(t)
	token := []byte(sealSession(t, ring, goldenSession()))
	for i := range token {
		for _, c := range []byte{'A', '_', token[i] ^ 1, token[i] + 1, '\n', '=', 0, 0xff} {
			if c == token[i] {
				continue
			}
			changed := bytes.Clone(token)
			changed[i] = c
			if _, err := ring.OpenSession(SealedSessionID(changed), testNow); !errors.Is(err, ErrUnknownSession) {
				t.Fatalf("byte %d changed from %q to %q: error %v", i, token[i], c, err)
			}
		}
	}
	for i := range token {
		if _, err := ring.OpenSession(SealedSessionID(token[:i]), testNow); !errors.Is(err, ErrUnknownSession) {
			t.Fatalf("the first %d bytes alone: error %v", i, err)
		}
	}
	for _, more := range []string{"A", "AA", "AAAA", "=", "\n", "\r\n\r\n", " "} {
		for _, changed := range []string{string(token) + more, more + string(token), string(token[:9]) + more + string(token[9:])} {
			if _, err := ring.OpenSession(SealedSessionID(changed), testNow); !errors.Is(err, ErrUnknownSession) {
				t.Fatalf("with %q: error %v", more, err)
			}
		}
	}
	if _, err := ring.OpenSession(SealedSessionID(strings.Repeat("A", 10<<20)), testNow); !errors.Is(err, ErrUnknownSession) {
		t.Errorf("a very long token: error %v", err)
	}
}

func TestUnpackingRefusesWhatWasNotPacked(t *testing.T) {
	head := appendSession(nil, &Session{Expires: testNow}, maxPacked)
	for name, packed := range map[string][]byte{
		"nothing":               nil,
		"half a SID":            make([]byte, 8),
		"half a target":         append(bytes.Clone(head), 1, 2, 3),
		"unknown version":       append(append(bytes.Clone(head), make([]byte, 8)...), 0xfe, 0, 0),
		"text beyond the end":   append(append(bytes.Clone(head), make([]byte, 8)...), 1, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
		"integer without end":   append(append(bytes.Clone(head), make([]byte, 8)...), 1, 0xff),
		"integer too large":     append(append(bytes.Clone(head), make([]byte, 8)...), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"UUID of 4 bytes":       append(append(bytes.Clone(head), make([]byte, 8)...), 1, 4<<2|packedUUID, 1, 2, 3, 4, 0),
		"address of 4 bytes":    append(append(bytes.Clone(head), make([]byte, 8)...), 1, 0, 4<<2|packedAddress, 1, 2, 3, 4),
		"initialize as hex":     append(append(make([]byte, 16), 1, 0, 0, 0, 0), 1<<2|packedHex, 7),
		"expiry in far future":  append(make([]byte, 16), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0),
		"home too long":         appendSession(nil, &Session{Expires: testNow, Home: strings.Repeat("x", maxHome+1)}, maxPacked),
		"SID and nothing after": make([]byte, 16),
	} {
		t.Run(name, func(t *testing.T) {
			if s, ok := unpackSession(packed); ok {
				t.Errorf("got %+v", s)
			}
		})
	}
	if _, ok := unpackSession(head); !ok {
		t.Error("the head that these are made of is wrong itself")
	}
}

func TestHashService(t *testing.T) {
	// The first 8 bytes of SHA-256, which is part of the tokens' format.
	if got := HashService(config.ServiceID("abc")); got != 0xba7816bf8f01cfea {
		t.Errorf("got %x", got)
	}
}

func TestSessionIDsStayOutOfLogs(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("Test", "sealed", SealedSessionID("secret1"), "upstream", UpstreamSessionID("secret2"))
	if strings.Contains(out.String(), "secret") || strings.Count(out.String(), "[redacted]") != 2 {
		t.Error(out.String())
	}
}
