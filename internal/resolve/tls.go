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

package resolve

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

const (
	// caKey is where a ConfigMap has CA certificates:
	// https://gateway-api.sigs.k8s.io/api-types/backendtlspolicy/
	caKey = "ca.crt"
	// maxBundle bounds the CA certificates of one policy, in bytes, so that one policy can't take the room of all
	// other targets in status. All the certificate authorities that browsers trust fit in.
	maxBundle = 256 << 10
	// bundleHashLength is the number of hexadecimal digits of a key in caBundles.
	bundleHashLength = 16
	// Bounds of status.targets[].tls, which the Gateway API's schema keeps to as well.
	maxSubjectAltNames      = 5
	maxSubjectAltNameLength = 260
)

// tlsVerdict is what the BackendTLSPolicies say about a target. The zero value is plain text.
type tlsVerdict struct {
	tls *v1alpha1.TargetTLS
	// problem is set if the policy can't be used. tls is set even then, so that nobody takes it for plain text.
	problem string
}

// tlsResolver resolves each policy and each ConfigMap once, however many targets they are for.
type tlsResolver struct {
	ix       *index
	verdicts map[types.NamespacedName]tlsVerdict
	// bundles are the certificates of all usable policies by their hash.
	bundles map[string]string
}

func newTLSResolver(ix *index) *tlsResolver {
	return &tlsResolver{ix: ix, verdicts: map[types.NamespacedName]tlsVerdict{}, bundles: map[string]string{}}
}

// policyFor returns what the policy for the candidate's port says: one for that port before one for the whole
// Service, and among equals the older.
func (r *tlsResolver) policyFor(c *candidate, host string) tlsVerdict {
	if c.service == nil {
		return tlsVerdict{}
	}
	var policy *gatewayv1.BackendTLSPolicy
	refs := r.ix.policies[keyOf(c.service)]
	for _, section := range []string{c.port.Name, ""} {
		i := slices.IndexFunc(refs, func(ref policyRef) bool { return ref.section == section })
		if policy == nil && i >= 0 {
			policy = refs[i].policy
		}
	}
	if policy == nil {
		return tlsVerdict{}
	}
	key := keyOf(policy)
	verdict, known := r.verdicts[key]
	if !known {
		verdict = r.resolve(policy)
		r.verdicts[key] = verdict
	}
	tls := *verdict.tls
	if tls.Hostname == "" {
		tls.Hostname = host
	}
	return tlsVerdict{tls: &tls, problem: verdict.problem}
}

// notes tells of policies for ports that the Service does not have. The Gateway API says that they have no effect,
// but whoever wrote them believes that the connection is encrypted.
func (r *tlsResolver) notes(s *corev1.Service) []string {
	var notes []string
	for _, ref := range r.ix.policies[keyOf(s)] {
		if ref.section != "" && !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == ref.section }) {
			notes = append(notes, fmt.Sprintf("BackendTLSPolicy %s has no effect: sectionName %s is not the name of a port of "+
				"the Service", keyOf(ref.policy), quoted(ref.section)))
		}
	}
	return notes
}

func (r *tlsResolver) resolve(p *gatewayv1.BackendTLSPolicy) tlsVerdict {
	v := &p.Spec.Validation
	tls := &v1alpha1.TargetTLS{}
	var problems []string
	if problem := hostnameProblem(string(v.Hostname)); problem != "" {
		problems = append(problems, problem)
	} else {
		tls.Hostname = string(v.Hostname)
	}
	sans, err := subjectAltNames(v.SubjectAltNames)
	if err != nil {
		problems = append(problems, err.Error())
	}
	bundle, caProblems := r.authorities(p)
	problems = append(problems, caProblems...)
	if len(problems) > 0 {
		return tlsVerdict{tls: tls, problem: fmt.Sprintf("BackendTLSPolicy %s can't be used: %s", keyOf(p),
			strings.Join(problems, "; "))}
	}
	tls.SubjectAltNames = sans
	if bundle == "" {
		tls.WellKnownCACertificates = string(gatewayv1.WellKnownCACertificatesSystem)
		return tlsVerdict{tls: tls}
	}
	sum := sha256.Sum256([]byte(bundle))
	tls.CABundle = hex.EncodeToString(sum[:])[:bundleHashLength]
	r.bundles[tls.CABundle] = bundle
	return tlsVerdict{tls: tls}
}

func hostnameProblem(hostname string) string {
	if hostname == "" {
		return "validation.hostname is required: write the name that the server's certificate has"
	}
	if errs := validation.IsDNS1123Subdomain(hostname); len(errs) > 0 {
		return fmt.Sprintf("validation.hostname: %s is not a DNS name", quoted(hostname))
	}
	return ""
}

func subjectAltNames(sans []gatewayv1.SubjectAltName) ([]string, error) {
	if len(sans) > maxSubjectAltNames {
		return nil, fmt.Errorf("validation.subjectAltNames: at most %d are possible, but there are %d", maxSubjectAltNames, len(sans))
	}
	var names []string
	for i, san := range sans {
		var name string
		switch {
		case san.Type == gatewayv1.HostnameSubjectAltNameType && san.Hostname != "":
			name = "DNS:" + string(san.Hostname)
		case san.Type == gatewayv1.URISubjectAltNameType && san.URI != "":
			name = "URI:" + string(san.URI)
		default:
			return nil, fmt.Errorf("validation.subjectAltNames[%d]: write type: Hostname with hostname, or type: URI with uri", i)
		}
		if len(name) > maxSubjectAltNameLength {
			return nil, fmt.Errorf("validation.subjectAltNames[%d]: has more than 253 characters", i)
		}
		names = append(names, name)
	}
	return names, nil
}

// authorities returns the certificates to trust, or "" for the system's.
func (r *tlsResolver) authorities(p *gatewayv1.BackendTLSPolicy) (bundle string, problems []string) {
	v := &p.Spec.Validation
	wellKnown := ""
	if v.WellKnownCACertificates != nil {
		wellKnown = string(*v.WellKnownCACertificates)
	}
	switch {
	case len(v.CACertificateRefs) > 0 && wellKnown != "":
		return "", []string{"validation has both caCertificateRefs and wellKnownCACertificates: remove one of them"}
	case len(v.CACertificateRefs) == 0 && wellKnown == "":
		return "", []string{"validation has neither caCertificateRefs nor wellKnownCACertificates: write one of them"}
	case len(v.CACertificateRefs) == 0 && wellKnown != string(gatewayv1.WellKnownCACertificatesSystem):
		return "", []string{fmt.Sprintf("validation.wellKnownCACertificates: %s is not supported: write System", quoted(wellKnown))}
	}
	for i, ref := range v.CACertificateRefs {
		pem, err := r.authority(p.Namespace, ref)
		if err != nil {
			problems = append(problems, fmt.Sprintf("validation.caCertificateRefs[%d]: %v", i, err))
		}
		bundle += pem
	}
	if len(bundle) > maxBundle {
		problems = append(problems, fmt.Sprintf("validation.caCertificateRefs: the certificates are larger than %d bytes: refer "+
			"only to those that signed the server's certificate", maxBundle))
	}
	return bundle, problems
}

func (r *tlsResolver) authority(namespace string, ref gatewayv1.LocalObjectReference) (string, error) {
	if ref.Group != corev1.GroupName || ref.Kind != "ConfigMap" {
		return "", fmt.Errorf("kind %s of group %s is not supported: use a ConfigMap with the certificate in key %s",
			quoted(string(ref.Kind)), quoted(string(ref.Group)), caKey)
	}
	cm := r.ix.configMaps[types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}]
	if cm == nil {
		return "", fmt.Errorf("there is no ConfigMap %s in namespace %s: create it with the CA certificate in key %s",
			quoted(string(ref.Name)), namespace, caKey)
	}
	data, found := cm.Data[caKey]
	if !found {
		return "", fmt.Errorf("ConfigMap %s has no key %s: put the CA certificate there", quoted(cm.Name), caKey)
	}
	certificates, err := certificatesOf(data)
	if err != nil {
		return "", fmt.Errorf("key %s of ConfigMap %s %w", caKey, quoted(cm.Name), err)
	}
	return certificates, nil
}

// certificatesOf returns the certificates of a PEM text and nothing else of it: comments have no place in status, and
// a private key that someone put there by mistake must not be shown to everyone who reads the Backend.
func certificatesOf(data string) (string, error) {
	var certificates strings.Builder
	found := 0
	for rest := []byte(data); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", fmt.Errorf("has a certificate (number %d) that can't be read: %s", found, truncated(err.Error(), maxQuoted))
		}
		certificates.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	// The decoder passes over blocks that are damaged; a bundle must not shrink silently.
	if begun := strings.Count(data, "-----BEGIN CERTIFICATE-----"); begun > found {
		return "", fmt.Errorf("has a damaged PEM block: only %d of %s can be read", found, counted(begun, "certificate"))
	}
	if found == 0 {
		return "", errors.New("has no certificate: write it in PEM, beginning with -----BEGIN CERTIFICATE-----")
	}
	return certificates.String(), nil
}
