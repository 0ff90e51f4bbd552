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
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// Target is a config.Target made ready for requests: one URL per endpoint, and the transport that its TLS needs.
type Target struct {
	Name      config.TargetName
	endpoints []endpoint
	host      string
	url       *url.URL
	transport *transport
}

type endpoint struct {
	address string
	url     *url.URL
	circuit *circuit // Of all targets that reach the same server in the same way.
}

// compileTarget makes a target ready. An error means that the target can't be used as it is configured.
func (c *Client) compileTarget(t *config.Target) (*Target, error) {
	scheme, standardPort := "http", int32(80)
	if t.TLS != nil {
		scheme, standardPort = "https", 443
	}
	path, err := absolutePath(t.Path)
	if err != nil {
		return nil, err
	}
	transport, err := c.transportFor(t.TLS)
	if err != nil {
		return nil, err
	}
	target := &Target{Name: t.Name, transport: transport, host: hostHeader(t.Host, t.Port, standardPort)}
	target.url = &url.URL{Scheme: scheme, Host: target.host, Path: path.Path, RawPath: path.RawPath, RawQuery: path.RawQuery}
	for _, address := range t.Endpoints {
		u := *path
		u.Scheme, u.Host = scheme, address
		target.endpoints = append(target.endpoints, endpoint{address: address, url: &u})
	}
	return target, nil
}

// absolutePath parses a path and query, of whatever host.
func absolutePath(path string) (*url.URL, error) {
	u, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") {
		return nil, errors.New("its path is not an absolute path")
	}
	return u, nil
}

// parsePath parses the path of a request.
func (t *Target) parsePath(path string) (*url.URL, *Error) {
	u, err := absolutePath(path)
	if err != nil {
		return nil, &Error{Target: t.Name, Kind: KindOther, Reason: err.Error(), Err: err}
	}
	return u, nil
}

// urlOf returns the URL of a path at the endpoint; without one, the target's.
func (e *endpoint) urlOf(path *url.URL) *url.URL {
	if path == nil {
		return e.url
	}
	u := *e.url
	u.Path, u.RawPath, u.RawQuery, u.ForceQuery = path.Path, path.RawPath, path.RawQuery, path.ForceQuery
	return &u
}

// URL returns the target's URL as the server sees it: with the host and port of the Host header, whatever is dialled.
func (t *Target) URL() *url.URL { return t.url }

// Endpoints returns how many endpoints the target lists.
func (t *Target) Endpoints() int { return len(t.endpoints) }

// Has returns whether the target lists an endpoint.
func (t *Target) Has(address string) bool {
	return slices.ContainsFunc(t.endpoints, func(e endpoint) bool { return e.address == address })
}

// Without returns the target as it is but for some endpoints, to which none of its requests go; what is known of the health of
// the others is the same.
func (t *Target) Without(addresses []string) *Target {
	some := *t
	some.endpoints = slices.DeleteFunc(slices.Clone(t.endpoints), func(e endpoint) bool { return slices.Contains(addresses, e.address) })
	return &some
}

// candidates returns the endpoints that a request may go to: all of them, or the one that it is pinned to.
func (t *Target) candidates(pinned string) ([]endpoint, *Error) {
	if len(t.endpoints) == 0 {
		return nil, &Error{Target: t.Name, Kind: KindNoEndpoints, Reason: "it has no ready endpoints"}
	}
	if pinned == "" {
		return t.endpoints, nil
	}
	for i := range t.endpoints {
		if t.endpoints[i].address == pinned {
			return t.endpoints[i : i+1], nil
		}
	}
	return nil, &Error{Target: t.Name, Kind: KindNoEndpoints, Reason: "the endpoint that holds the session is gone"}
}

// hostHeader leaves out the port where it is the scheme's own, as user agents do (RFC 9110, 7.2).
func hostHeader(host string, port, standardPort int32) string {
	if port == standardPort {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// tlsConfig returns the client configuration for a target's TLS.
func tlsConfig(t *config.TLS) (*tls.Config, error) {
	if t.ServerName == "" {
		return nil, errors.New("its TLS configuration has no server name")
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CABundle != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(t.CABundle)) {
			return nil, errors.New("its CA bundle has no certificate")
		}
	}
	if len(t.SubjectAltNames) > 0 {
		// The names replace the check against ServerName, which the standard library can't be told otherwise; the
		// chain is verified here all the same.
		conf.InsecureSkipVerify = true // #nosec G402 -- VerifyConnection does all of it
		names, roots := slices.Clone(t.SubjectAltNames), conf.RootCAs
		conf.VerifyConnection = func(state tls.ConnectionState) error { return verifyNames(state, roots, names) }
	}
	return conf, nil
}

// errCertificateRefused is for a server's certificate that does not have what the configuration asks for.
var errCertificateRefused = errors.New("certificate refused")

// verifyNames verifies the server's certificate chain, and that the certificate has one of the names.
func verifyNames(state tls.ConnectionState, roots *x509.CertPool, names []string) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: the server sent none", errCertificateRefused)
	}
	leaf := state.PeerCertificates[0]
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates}); err != nil {
		return err
	}
	for _, name := range names {
		kind, value, _ := strings.Cut(name, ":")
		switch kind {
		case "DNS":
			if leaf.VerifyHostname(value) == nil {
				return nil
			}
		case "URI":
			if slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.String() == value }) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: it has none of the names %s", errCertificateRefused, strings.Join(names, ", "))
}

// isTLS returns whether an error is about the server's certificate.
func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.Is(err, errCertificateRefused) || errors.As(err, &verification) || errors.As(err, &authority) ||
		errors.As(err, &hostname) || errors.As(err, &invalid)
}
