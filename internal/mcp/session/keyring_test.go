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
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// newRing returns a fresh ring.
func newRing(t testing.TB) *KeyRing {
	t.Helper()
	ring, err := NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// promote returns the ring after ring.
func promote(t testing.TB, ring *KeyRing) *KeyRing {
	t.Helper()
	promoted, err := ring.Promote()
	if err != nil {
		t.Fatal(err)
	}
	return promoted
}

func TestMarshalledRingsComeBack(t *testing.T) {
	fresh := newRing(t)
	for name, ring := range map[string]*KeyRing{"fresh": fresh, "promoted": promote(t, fresh)} {
		t.Run(name, func(t *testing.T) {
			data, err := ring.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			back, err := ParseKeyRing(data)
			if err != nil {
				t.Fatal(err)
			}
			if back.ID() != ring.ID() {
				t.Errorf("got ring %s, want %s", back.ID(), ring.ID())
			}
			token := sealEvent(t, ring)
			if _, err := back.OpenEvent(SID{1}, token); err != nil {
				t.Errorf("the ring that came back does not open tokens: %v", err)
			}
			again, err := back.Marshal()
			if err != nil || string(again) != string(data) {
				t.Errorf("got other JSON, error %v", err)
			}
		})
	}
}

func sealEvent(t testing.TB, ring *KeyRing) string {
	t.Helper()
	token, err := ring.SealEvent(SID{1}, EventID{Service: 1, ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestPromotionKeepsTokensAlive(t *testing.T) {
	ring1 := newRing(t)
	ring2 := promote(t, ring1)
	ring3 := promote(t, ring2)
	ring4 := promote(t, ring3)
	for name, test := range map[string]struct {
		sealed, opened *KeyRing
		opens          bool
	}{
		"same ring":                       {ring1, ring1, true},
		"a token of before the promotion": {ring1, ring2, true},
		"a token of a replica that was promoted, on one that is not": {ring2, ring1, true},
		"two promotions later the key is gone":                       {ring1, ring3, false},
		"a replica two promotions behind does not know the key":      {ring3, ring1, false},
		"after several promotions, from the ring before":             {ring3, ring4, true},
		"after several promotions, from the ring after":              {ring4, ring3, true},
		"another ring":                          {newRing(t), ring1, false},
		"a ring that was promoted from another": {promote(t, newRing(t)), ring2, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := test.opened.OpenEvent(SID{1}, sealEvent(t, test.sealed)); (err == nil) != test.opens {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestRingIDsTellRingsApart(t *testing.T) {
	ring := newRing(t)
	promoted := promote(t, ring)
	ids := map[string]bool{ring.ID(): true, promoted.ID(): true, newRing(t).ID(): true}
	if len(ids) != 3 {
		t.Errorf("some of %v are the same", ids)
	}
	keys := strings.Split(ring.ID(), "-") // current, next
	if want := keys[1] + "-" + keys[0] + "-"; !strings.HasPrefix(promoted.ID(), want) {
		t.Errorf("got %s, want %s and a fresh key", promoted.ID(), want)
	}
}

func TestRingsDontPrintTheirKeys(t *testing.T) {
	ring := newRing(t)
	want := "key ring " + ring.ID()
	for _, got := range []string{fmt.Sprint(ring), fmt.Sprintf("%+v", ring), fmt.Sprintf("%#v", ring), fmt.Sprintf("%q", ring)} {
		if strings.Trim(got, `"`) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParseKeyRingSaysWhatIsWrong(t *testing.T) {
	const (
		object = `expected one JSON object with the fields "version", "current", "next" and optionally "previous"`
		format = "must be a string of 44 characters: 32 random bytes in standard base64, as from `openssl rand -base64 32`"
		key1   = "q2vYyO3EUEvUf4HHqvDqEUpXWhOl0dzyXBGTMdaQJ1E="
		key2   = "0Pm7ZTp4ANKvqZyO6jDGcHeLZl3cSGXG9LtgHM1y1Y4="
	)
	for name, test := range map[string]struct{ in, want string }{
		"empty":              {``, object},
		"no JSON":            {`secret`, object},
		"array":              {`[]`, object},
		"half":               {`{"version":1`, object},
		"half a field":       {`{"version":`, object},
		"bad key":            {`{1:1}`, object},
		"more than a ring":   {`{} {}`, object},
		"no fields":          {`{}`, `field "version" must be 1; field "current" is missing; it ` + format + `; field "next" is missing; it ` + format},
		"unknown field":      {`{"` + key1 + `":1}`, "found an unknown field; " + object},
		"case of a field":    {`{"Version":1}`, "found an unknown field; " + object},
		"duplicate":          {`{"version":1,"version":1}`, `field "version" occurs twice`},
		"version 2":          {`{"version":2,"current":"` + key1 + `","next":"` + key2 + `"}`, `field "version" must be 1`},
		"version as text":    {`{"version":"1","current":"` + key1 + `","next":"` + key2 + `"}`, `field "version" must be 1`},
		"key is a number":    {`{"version":1,"current":1,"next":"` + key2 + `"}`, `field "current" ` + format},
		"key is null":        {`{"version":1,"current":"` + key1 + `","next":null}`, `field "next" ` + format},
		"key is too short":   {`{"version":1,"current":"` + key1[4:] + `","next":"` + key2 + `"}`, `field "current" ` + format},
		"key is no base64":   {`{"version":1,"current":"!` + key1[1:] + `","next":"` + key2 + `"}`, `field "current" ` + format},
		"key with line ends": {`{"version":1,"current":"\n\n\n\n` + key1[4:] + `","next":"` + key2 + `"}`, `field "current" ` + format},
		"key with loose end": {`{"version":1,"current":"` + key1[:42] + `F=","next":"` + key2 + `"}`, `field "current" ` + format},
		"previous is empty":  {`{"version":1,"current":"` + key1 + `","next":"` + key2 + `","previous":""}`, `field "previous" ` + format},
		"zeros as key":       {`{"version":1,"current":"` + strings.Repeat("A", 43) + `=","next":"` + key2 + `"}`, `field "current" is not random: all its bytes are the same; it ` + format},
		"same key twice":     {`{"version":1,"current":"` + key1 + `","next":"` + key1 + `"}`, "two keys of the ring are the same: every key must be 32 random bytes of its own"},
		"previous is next":   {`{"version":1,"current":"` + key1 + `","next":"` + key2 + `","previous":"` + key2 + `"}`, "two keys of the ring are the same: every key must be 32 random bytes of its own"},
		"far too large":      {strings.Repeat(" ", maxKeyRingJSON+1), "found 65537 bytes; a key ring has a few hundred"},
	} {
		t.Run(name, func(t *testing.T) {
			ring, err := ParseKeyRing([]byte(test.in))
			if ring != nil || err == nil || err.Error() != "key ring: "+test.want {
				t.Fatalf("got  %v\nwant key ring: %s", err, test.want)
			}
			if strings.Contains(err.Error(), key1[4:20]) || strings.Contains(err.Error(), key2[4:20]) {
				t.Error("the error shows a key")
			}
		})
	}
	if _, err := ParseKeyRing([]byte(" {\"next\" : \"" + key2 + "\",\n \"version\": 1 , \"current\":\"" + key1 + "\"}\n")); err != nil {
		t.Errorf("a ring as people write it: %v", err)
	}
}

// TestKeysStayWhatTheyAre guards the derivation of keys and the format of tokens: replicas of two releases work together.
func TestKeysStayWhatTheyAre(t *testing.T) {
	key := func(b byte) string {
		secret := make([]byte, keySize)
		secret[0] = b
		return base64.StdEncoding.EncodeToString(secret)
	}
	ring, err := ParseKeyRing([]byte(`{"version":1,"current":"` + key(1) + `","next":"` + key(2) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ring.ID(), "c8f26c6b-3a1e42ce"; got != want {
		t.Errorf("got ring %s, want %s", got, want)
	}
	event, err := ring.OpenEvent(SID{1}, "AsjybGvZVovt6S1nG8dYNke2yGP-V-fDw021wJv08DDzX3XO4TfIgfI1cxMH5mM4xlY")
	if want := (EventID{Service: 7, Stream: "get", ID: "id-1"}); err != nil || event != want {
		t.Errorf("got %v and error %v, want %v", event, err, want)
	}
	const requestToken = "AsjybGvl7c0FH8JPi9twaUaQM8NWmktdCx2o91rkLvBgl0MSKCXyXOKUVecjFbMD1Ce2Zpqr4OuK9Q"
	request := ServerRequestID{Service: 7, Home: "10.244.1.7:15022", Upstream: 3, ID: []byte("12")}
	if got, err := ring.OpenServerRequest(SID{1}, requestToken); err != nil || !reflect.DeepEqual(got, request) {
		t.Errorf("got %v and error %v, want %v", got, err, request)
	}
	// The same request has the same id on replicas of two releases.
	if got, err := ring.SealServerRequest(SID{1}, request); err != nil || got != requestToken {
		t.Errorf("got %v and error %v, want %v", got, err, requestToken)
	}
	state, err := ring.OpenRequestState(""+
		"AsjybGveSy7g1mvbo900sR_INNfzEr4gZ7Cwx4qQlBH3ruMgWA_nVaWROhFUPCSyBQDovGlWhq6st22G3384w5mNasLt-6reSJQL"+
		"_eUUyP8Fbtz68qbAc25IeAMhXySO", testNow)
	if err != nil || state != goldenState() {
		t.Errorf("got %v and error %v", state, err)
	}
	connection, err := ring.OpenConnection("AsjybGuHjnttzDTfYfFuZM_EaMZyQU1IzunVsWo1uXSKl-t12yEqEd9d0umULrOYoR9rfBUzH4sAsUU-YseXZmy-B7qG")
	if err != nil || connection != goldenConnection() {
		t.Errorf("got %v and error %v", connection, err)
	}
	peer, err := ring.OpenPeerRequest(""+
		"AsjybGvywfDz2LoXOxUk-3bhZ_yid0G8PKkrn4jf6qzlDeomISRsuCw1RJ02cmHCpTAKptUjJTqEdTdA2PpnS7glmQd9cR4MH_1v"+
		"Ult4mQqxi-Tm", testNow)
	if err != nil || peer != goldenPeer() {
		t.Errorf("got %v and error %v", peer, err)
	}
	session, err := ring.OpenSession(""+
		"AsjybGu9HpFpjQV3IWs8QIkdSIWYFAN1YmLJQ2OsD_CAC7EgVjkyBEcmr0cOxTz7nYqjaGQnEwM4x9OnGT0ew1-z-h3_d8olJyyk"+
		"xE1ChwVds5XDpBvO1FF1Tjz-DPjd2A88yf0WyTTp9u2f5mlmcrriWDIQkuknKdBMzMI1aH0WXRedWzjaZwkgc_AeQllgiv0IRjfc"+
		"EswO8JICe0BVIy2IMe2dtvJetyXYA0l2xohtu_lXIEiwh729xH4eFccMyPDsdN_GGHDvC9FN4Gc8z7zW5v5GzHpNgatdUSwcp_Tk"+
		"JxY2XIF5ZMOXiCsSESgLsRs5NEt2JjGJIAIlw3coG2pVS5yLP847WMQJWwt-TRXTctTGtMB09ptlrWLeIXR4TUbuUxBnj5lH2Cl_"+
		"-W4L2jslT6LGJh6yI9xUa9mLE2_8-8MBrxxdXsqcBOSjAGdkKQ7WTLd3izQ", testNow)
	if err != nil {
		t.Fatal(err)
	}
	checkSession(t, session, goldenSession())
}
