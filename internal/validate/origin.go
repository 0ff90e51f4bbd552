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

package validate

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Origin checks an origin as browsers send it in the header Origin: scheme://host or scheme://host:port, in lowercase and
// without the port that is the scheme's default. The error says what to write instead.
func Origin(text string) error {
	const example = "like https://inspector.example.com or http://192.0.2.1:3000"
	if text == "*" {
		return fmt.Errorf("must be one origin, %s: any origin would be any web page that a user opens", example)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Opaque != "" {
		return fmt.Errorf("must be an absolute URI of scheme and host, %s", example)
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Host), u.Port()
	if scheme != "http" && scheme != "https" {
		return fmt.Errorf("must have the scheme http or https, %s", example)
	}
	if port == "80" && scheme == "http" || port == "443" && scheme == "https" || strings.HasSuffix(host, ":") {
		host = host[:strings.LastIndex(host, ":")]
	}
	if problems := hostProblems(u.Hostname(), port); problems != "" {
		return fmt.Errorf("%s: must be scheme and host, %s", problems, example)
	}
	if want := scheme + "://" + host; want != text {
		return fmt.Errorf("must be an origin as browsers send it, without user, path, query, fragment and default port, in lowercase: "+
			"write %q", want)
	}
	return nil
}

// hostProblems returns what is wrong with the host or the port of an origin.
func hostProblems(host, port string) string {
	if port != "" {
		if number, err := strconv.Atoi(port); err != nil || len(validation.IsValidPortNum(number)) > 0 {
			return fmt.Sprintf("%q is no port", port)
		}
	}
	// A zone means something on one machine only.
	if address, err := netip.ParseAddr(host); err == nil && address.Zone() == "" {
		return ""
	}
	if len(validation.IsDNS1123Subdomain(strings.ToLower(host))) > 0 {
		return fmt.Sprintf("%q is no host", host)
	}
	return ""
}
