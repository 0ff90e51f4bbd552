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
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// What is in the Secret besides tls.crt and tls.key, which are the certificate that is served.
const (
	keyNextCert = "next.crt"
	keyNextKey  = "next.key"
	// keyTrusted has every certificate that API servers trust.
	keyTrusted = "ca.crt"

	// annotationSince is when tls.crt became what is served.
	annotationSince = "dynamic-mcp.dev/serving-since"
)

// decode reads the state from the Secret. What is missing or can't be read is left out: a new one takes its place.
func decode(secret *corev1.Secret) rotation {
	var r rotation
	current, err := parsePair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return r
	}
	r.current, r.since = current, current.created()
	if since, err := time.Parse(time.RFC3339, secret.Annotations[annotationSince]); err == nil {
		r.since = since
	}
	if next, err := parsePair(secret.Data[keyNextCert], secret.Data[keyNextKey]); err == nil {
		r.next = next
	}
	r.previous = slices.DeleteFunc(parseCertificates(secret.Data[keyTrusted]), func(c *x509.Certificate) bool {
		return c.Equal(current.certificate) || (r.next != nil && c.Equal(r.next.certificate))
	})
	return r
}

// encode writes the state to the Secret.
func encode(r rotation, secret *corev1.Secret, labels map[string]string) {
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	maps.Copy(secret.Labels, labels)
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[annotationSince] = r.since.UTC().Format(time.RFC3339)
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeTLS
	}
	secret.Data = map[string][]byte{
		corev1.TLSCertKey:       r.current.certPEM,
		corev1.TLSPrivateKeyKey: r.current.keyPEM,
		keyTrusted:              encodeCertificates(r.trusted()),
	}
	if r.next != nil {
		secret.Data[keyNextCert], secret.Data[keyNextKey] = r.next.certPEM, r.next.keyPEM
	}
}

// serverNames are the names by which API servers call the webhooks of a configuration, sorted.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook
func serverNames(configuration *admissionregistrationv1.ValidatingWebhookConfiguration) ([]string, error) {
	var names []string
	for i := range configuration.Webhooks {
		webhook := &configuration.Webhooks[i]
		switch config := webhook.ClientConfig; {
		case config.Service != nil:
			names = append(names, config.Service.Name+"."+config.Service.Namespace+".svc")
		case config.URL != nil:
			address, err := url.Parse(*config.URL)
			if err != nil || address.Hostname() == "" {
				return nil, fmt.Errorf("ValidatingWebhookConfiguration %s: webhook %s has a url without a host",
					configuration.Name, webhook.Name)
			}
			names = append(names, canonical(address.Hostname()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("ValidatingWebhookConfiguration %s has no webhooks", configuration.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func canonical(host string) string {
	if ip := net.ParseIP(host); ip != nil {
		return ip.String()
	}
	return host
}
