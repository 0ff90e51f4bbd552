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

package certs

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
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	// validity is long enough for a cluster that is switched off for months to have a certificate when it comes back.
	validity = 365 * 24 * time.Hour
	// backdate is for clocks of API servers that are behind ours.
	backdate = time.Hour
	// serialBits is how many random bits a serial number has.
	serialBits = 128

	pemCertificate = "CERTIFICATE"
	pemPrivateKey  = "PRIVATE KEY"
)

// pair is a certificate that trusts itself, and its key. There is no authority above it whose key could be stolen: the API
// server is told to trust this certificate and no other.
type pair struct {
	certificate *x509.Certificate
	certPEM     []byte
	keyPEM      []byte
	tls         *tls.Certificate
}

// newPair makes a certificate for a server that is called by these names, which are DNS names or IP addresses.
func newPair(names []string, now time.Time) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName, Organization: []string{organization}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return parsePair(
		pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: keyDER}),
	)
}

// parsePair reads what newPair made.
func parsePair(certPEM, keyPEM []byte) (*pair, error) {
	if len(certPEM) == 0 || len(keyPEM) == 0 {
		return nil, errors.New("there is no certificate or no key")
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	return &pair{certificate: certificate.Leaf, certPEM: certPEM, keyPEM: keyPEM, tls: &certificate}, nil
}

// created is when newPair made it.
func (p *pair) created() time.Time { return p.certificate.NotBefore.Add(backdate) }

// usable is whether a client at that time, who trusts the certificate, takes it for a server of each of these names.
func (p *pair) usable(names []string, now time.Time) bool {
	return p != nil && !now.Before(p.certificate.NotBefore) && now.Before(p.certificate.NotAfter) &&
		!slices.ContainsFunc(names, func(name string) bool { return p.certificate.VerifyHostname(name) != nil })
}

func (p *pair) same(other *pair) bool {
	return p != nil && other != nil && p.certificate.Equal(other.certificate)
}

// parseCertificates returns the certificates of a bundle, and none of a bundle that can't be read.
func parseCertificates(bundle []byte) []*x509.Certificate {
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return certificates
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		certificates = append(certificates, certificate)
	}
}

func encodeCertificates(certificates []*x509.Certificate) []byte {
	var bundle bytes.Buffer
	for _, certificate := range certificates {
		bundle.Write(pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: certificate.Raw}))
	}
	return bundle.Bytes()
}
