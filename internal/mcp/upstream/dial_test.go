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

package upstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address             string
		permitted, loopback bool // Permitted at all; permitted if loopback addresses are.
	}{
		{"10.1.2.3:80", true, true},
		{"192.168.1.1:8080", true, true},
		{"8.8.8.8:443", true, true},
		{"[fd00::1]:80", true, true},
		{"[2001:db8::1]:80", true, true},
		{"127.0.0.1:80", false, true},
		{"127.8.9.10:80", false, true},
		{"[::1]:80", false, true},
		{"[::ffff:127.0.0.1]:80", false, true},
		{"0.0.0.0:80", false, false},
		{"[::]:80", false, false},
		{"169.254.169.254:80", false, false},
		{"[::ffff:169.254.169.254]:80", false, false},
		{"[64:ff9b::a9fe:a9fe]:80", false, false},
		{"[fe80::1]:80", false, false},
		{"[fe80::1%eth0]:80", false, false},
		{"[fd00:ec2::254]:80", false, false},
		{"100.100.100.200:80", false, false},
		{"168.63.129.16:80", false, false},
		{"224.0.0.1:80", false, false},
		{"[ff02::1]:80", false, false},
		{"255.255.255.255:80", false, false},
		{"tools.example.com:80", false, false},
		{"10.1.2.3", false, false},
		{"", false, false},
	} {
		for _, allowLoopback := range []bool{false, true} {
			want := c.permitted || c.loopback && allowLoopback
			err := checkAddress(c.address, allowLoopback)
			if (err == nil) != want {
				t.Errorf("%s, loopback allowed %t: got %v, want permitted %t", c.address, allowLoopback, err, want)
			}
			if err != nil && !errors.Is(err, ErrAddressRefused) {
				t.Errorf("%s: %v is no ErrAddressRefused", c.address, err)
			}
		}
	}
}

func TestDialJudgesWhatNamesResolveTo(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	_, address := newServer(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	strict := newClient(t, func(o *Options) { o.AllowLoopback = false })
	for _, endpoint := range []string{"localhost:" + port, address} {
		_, _, err := post(t.Context(), t, strict, compile(t, strict, testTarget(endpoint)), &Request{})
		wantReason(t, err, "its address is not permitted")
		if !errors.Is(err, ErrAddressRefused) {
			t.Errorf("%s: %v does not wrap ErrAddressRefused", endpoint, err)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Fatalf("%d requests reached the server", n)
	}
	lenient := newClient(t)
	if status, _, err := post(t.Context(), t, lenient, compile(t, lenient, testTarget("localhost:"+port)), &Request{}); err != nil || status != 200 {
		t.Errorf("loopback allowed: %d, %v", status, err)
	}
	// Metadata addresses are refused before a packet is sent, whatever is allowed.
	_, _, err = post(t.Context(), t, lenient, compile(t, lenient, testTarget("169.254.169.254:80")), &Request{})
	wantReason(t, err, "its address is not permitted")
}

func TestRefusedAddressIsPassedOver(t *testing.T) {
	t.Parallel()
	_, address := newServer(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t)
	target := compile(t, c, testTarget("169.254.169.254:80", address))
	for range 20 {
		if _, endpoint, err := post(t.Context(), t, c, target, &Request{}); err != nil || endpoint != address {
			t.Fatalf("got %q, %v", endpoint, err)
		}
	}
}

// writes notes what is written.
type writes struct {
	net.Conn
	all [][]byte
}

func (w *writes) Write(p []byte) (int, error) {
	w.all = append(w.all, p)
	return len(p), nil
}

func TestBodiesAreNotCopied(t *testing.T) {
	t.Parallel()
	message := bytes.Repeat([]byte("x"), 100<<10)
	written := &writes{}
	limited := &io.LimitedReader{R: body{bytes.NewReader(message)}, N: int64(len(message))}
	if n, err := (connection{written}).ReadFrom(limited); n != int64(len(message)) || err != nil || limited.N != 0 {
		t.Errorf("got %d, %v; %d left", n, err, limited.N)
	}
	if len(written.all) != 1 || &written.all[0][0] != &message[0] {
		t.Errorf("it is copied, in %d writes", len(written.all))
	}
	for _, source := range []io.Reader{
		&io.LimitedReader{R: body{bytes.NewReader(message)}, N: 5}, // Less than there is.
		&io.LimitedReader{R: strings.NewReader("xxxxx"), N: 10},
		onlyReader{strings.NewReader("xxxxx")},
	} {
		written := &writes{}
		if n, err := (connection{written}).ReadFrom(source); n != 5 || err != nil || string(bytes.Join(written.all, nil)) != "xxxxx" {
			t.Errorf("got %d, %v, %q", n, err, written.all)
		}
	}
}

// onlyReader is only a Reader.
type onlyReader struct{ io.Reader }
