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

package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCanonical(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:15022":                 "10.0.0.1:15022",
		"10.0.0.1:00080":                 "10.0.0.1:80",
		"[fd00:0::1]:15022":              "[fd00::1]:15022",
		"[::ffff:10.0.0.1]:15022":        "10.0.0.1:15022",
		"Replica-0.proxy.svc.:80":        "replica-0.proxy.svc:80",
		"[fe80::1%eth0]:80":              "",
		"":                               "",
		":80":                            "",
		"10.0.0.1":                       "",
		"10.0.0.1:0":                     "",
		"10.0.0.1:65536":                 "",
		"10.0.0.1:http":                  "",
		"0.0.0.0:80":                     "",
		"[::]:80":                        "",
		"224.0.0.1:80":                   "",
		"a..b:80":                        "",
		".:80":                           "",
		"a..:80":                         "",
		".a:80":                          "",
		"0.0.0.0.:80":                    "",
		"a b:80":                         "",
		"a/b:80":                         "",
		"user@host:80":                   "",
		strings.Repeat("a", 254) + ":80": "",
	} {
		if got, ok := Canonical(address); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", address, got, ok, want)
		}
	}
}

// FuzzCanonical tries any text: what is an address is one spelling of it.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"10.0.0.1:15022", "[::1]:80", "a.b.:1", "[fe80::1%eth0]:80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		address, ok := Canonical(in)
		if !ok {
			return
		}
		if again, ok := Canonical(address); !ok || again != address {
			t.Errorf("%q became %q and then %q", in, address, again)
		}
		if len(address) > 253+6+2 || strings.ContainsAny(address, "/@?# \r\n") {
			t.Errorf("%q became %q", in, address)
		}
	})
}

func TestAddressesAreAskedForAsSeldomAsPossible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, replicas, failure := 0, []string{"10.0.0.2:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "nonsense"}, error(nil)
		b := &addressBook{resolve: func(ctx context.Context) ([]string, error) {
			asked++
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > connectTimeout {
				t.Error("there is no deadline")
			}
			return replicas, failure
		}}
		check := func(address string, want bool, wantAsked int) {
			t.Helper()
			got, err := b.has(t.Context(), address)
			if got != want || (err != nil) != (failure != nil) || asked != wantAsked {
				t.Errorf("%s: got %v, error %v, and asked %d times, want %d", address, got, err, asked, wantAsked)
			}
		}
		check("10.0.0.1:1", true, 1)
		check("10.0.0.2:1", true, 1)
		check("10.0.0.3:1", false, 1) // What was asked a moment ago needn't be asked again.
		time.Sleep(askAgainAfter)
		check("10.0.0.1:1", true, 1)
		replicas = []string{"10.0.0.3:1"}
		check("10.0.0.3:1", true, 2) // A miss asks once more.
		check("10.0.0.1:1", false, 2)
		time.Sleep(knownFor)
		replicas = []string{"10.0.0.4:1"}
		check("10.0.0.3:1", false, 3) // An old address is no replica's any more.
		if all, err := b.all(t.Context()); err != nil || !slices.Equal(all, replicas) {
			t.Errorf("got %v and error %v", all, err)
		}
		time.Sleep(knownFor)
		replicas, failure = nil, errors.New("no such host")
		check("10.0.0.4:1", false, 4)
		check("10.0.0.4:1", false, 4)
		time.Sleep(askAgainAfter)
		replicas, failure = []string{"10.0.0.4:1"}, nil
		check("10.0.0.4:1", true, 5) // A failure is not believed for as long.
	})
}

func TestTheFirstToAskMayGoAway(t *testing.T) {
	b := &addressBook{resolve: func(ctx context.Context) ([]string, error) { return []string{"10.0.0.1:1"}, ctx.Err() }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := b.has(ctx, "10.0.0.1:1"); !got || err != nil {
		t.Errorf("got %v and error %v", got, err)
	}
}

func TestAddressesAreBounded(t *testing.T) {
	var many []string
	for i := range 3 * maxReplicas {
		many = append(many, fmt.Sprintf("10.1.%d.%d:1", i/256, i%256))
	}
	b := &addressBook{resolve: func(context.Context) ([]string, error) { return many, nil }}
	if all, err := b.all(t.Context()); err != nil || len(all) != maxReplicas {
		t.Errorf("got %d addresses and error %v", len(all), err)
	}
}
