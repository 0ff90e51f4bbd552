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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

// authority signs certificates for servers.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

var serials atomic.Int64

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue returns a server's certificate.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), DNSNames: []string{"tools.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsServer is a server that remembers what it was asked for.
type tlsServer struct {
	address  string
	requests atomic.Int32
	sni      atomic.Value
	host     atomic.Value
}

func newTLSServer(t *testing.T, certificate tls.Certificate) *tlsServer {
	t.Helper()
	s := &tlsServer{}
	server := servertest.NewUnstarted(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.host.Store(r.Host)
	}))
	server.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.sni.Store(hello.ServerName)
		return &certificate, nil
	}}
	server.Config.ErrorLog = log.New(new(bytes.Buffer), "", 0)
	server.StartTLS()
	server.TLS.Certificates = nil
	t.Cleanup(server.Close)
	s.address = server.Listener.Addr().String()
	return s
}

const badCertificate = "its TLS certificate can't be verified"

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	spiffe, err := url.Parse("spiffe://cluster.local/ns/default/sa/tools")
	if err != nil {
		t.Fatal(err)
	}
	withURI := func(c *x509.Certificate) { c.URIs = []*url.URL{spiffe} }
	for _, c := range []struct {
		name        string
		certificate tls.Certificate
		tls         config.TLS
		reason      string // Empty if the request is to succeed.
	}{
		{"CA bundle", ours.issue(t, nil), config.TLS{ServerName: "tools.example.com", CABundle: ours.pem}, ""},
		{"bundle of several", ours.issue(t, nil), config.TLS{ServerName: "tools.example.com", CABundle: theirs.pem + ours.pem}, ""},
		{"wrong CA", theirs.issue(t, nil), config.TLS{ServerName: "tools.example.com", CABundle: ours.pem}, badCertificate},
		{"the system's CAs don't know it", ours.issue(t, nil), config.TLS{ServerName: "tools.example.com"}, badCertificate},
		{"hostname mismatch", ours.issue(t, nil), config.TLS{ServerName: "other.example.com", CABundle: ours.pem}, badCertificate},
		{"expired", ours.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem}, badCertificate},
		{"a client's certificate", ours.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem}, badCertificate},

		{"DNS name", ours.issue(t, nil),
			config.TLS{ServerName: "sni.example.com", CABundle: ours.pem, SubjectAltNames: []string{"DNS:tools.example.com"}}, ""},
		{"one of several names", ours.issue(t, nil),
			config.TLS{ServerName: "sni.example.com", CABundle: ours.pem, SubjectAltNames: []string{"URI:spiffe://x", "DNS:tools.example.com"}}, ""},
		{"URI", ours.issue(t, withURI),
			config.TLS{ServerName: "sni.example.com", CABundle: ours.pem, SubjectAltNames: []string{"URI:" + spiffe.String()}}, ""},
		{"another DNS name", ours.issue(t, nil),
			config.TLS{ServerName: "sni.example.com", CABundle: ours.pem, SubjectAltNames: []string{"DNS:other.example.com"}}, badCertificate},
		{"the server name does not count beside names", ours.issue(t, nil),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem, SubjectAltNames: []string{"DNS:other.example.com"}}, badCertificate},
		{"another URI", ours.issue(t, withURI),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem, SubjectAltNames: []string{"URI:spiffe://cluster.local/ns/default/sa/evil"}}, badCertificate},
		{"a name of an unknown kind", ours.issue(t, nil),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem, SubjectAltNames: []string{"tools.example.com"}}, badCertificate},
		{"names don't replace the chain", theirs.issue(t, withURI),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem, SubjectAltNames: []string{"DNS:tools.example.com", "URI:" + spiffe.String()}}, badCertificate},
		{"names and expired", ours.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem, SubjectAltNames: []string{"DNS:tools.example.com"}}, badCertificate},
		{"names and a client's certificate", ours.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			config.TLS{ServerName: "tools.example.com", CABundle: ours.pem, SubjectAltNames: []string{"DNS:tools.example.com"}}, badCertificate},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newTLSServer(t, c.certificate)
			client := newClient(t)
			target := testTarget(s.address)
			target.Port, target.TLS = 443, &c.tls
			// Twice: a connection that was refused must not be used by the next request.
			for _, stream := range []bool{false, false, true} {
				status, _, err := post(t.Context(), t, client, compile(t, client, target), &Request{Body: []byte("{}"), Stream: stream})
				switch {
				case c.reason != "":
					wantReason(t, err, c.reason)
				case err != nil || status != http.StatusOK:
					var e *Error
					_ = errors.As(err, &e)
					t.Fatalf("got %d, %v (%+v)", status, err, e)
				case s.host.Load() != "tools.default.svc.cluster.local":
					t.Errorf("Host is %v", s.host.Load())
				}
				if s.sni.Load() != c.tls.ServerName {
					t.Errorf("the server name is %v, want %s", s.sni.Load(), c.tls.ServerName)
				}
			}
			if n := s.requests.Load(); (n > 0) != (c.reason == "") {
				t.Errorf("%d requests reached the server", n)
			}
		})
	}
}

func TestTLSIsNeverLeftOut(t *testing.T) {
	t.Parallel()
	l := listen(t)
	first := make(chan []byte, 1)
	go func() {
		connection, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = connection.Close() }()
		buffer := make([]byte, 16)
		n, _ := connection.Read(buffer)
		first <- buffer[:n]
		_, _ = connection.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
	}()
	c := newClient(t)
	target := testTarget(l.Addr().String())
	target.Port, target.TLS = 80, &config.TLS{ServerName: "tools.example.com"}
	_, _, err := post(t.Context(), t, c, compile(t, c, target), &Request{Body: []byte(`{"token":1}`)})
	wantReason(t, err, "it does not speak TLS")
	if got := <-first; len(got) < 2 || got[0] != 0x16 || got[1] != 0x03 {
		t.Errorf("the first bytes are %q, want a TLS handshake", got)
	}
}

func TestPlainTextToATLSServer(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, newAuthority(t, "ours").issue(t, nil))
	c := newClient(t)
	status, _, err := post(t.Context(), t, c, compile(t, c, testTarget(s.address)), &Request{Body: []byte("{}")})
	if err != nil || status != http.StatusBadRequest {
		t.Errorf("got %d, %v", status, err)
	}
	if n := s.requests.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}
