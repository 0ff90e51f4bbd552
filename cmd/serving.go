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

package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// addServingFlags adds the flags that all commands with a data plane have.
func addServingFlags(f *pflag.FlagSet, origins *[]string, drain *time.Duration, drainDefault time.Duration, limits *config.Limits) {
	f.StringSliceVar(origins, "allowed-origins", nil,
		"origins, like https://example.com, that web pages may come from, besides loopback origins and the Gateway's hostnames")
	f.DurationVar(drain, "drain-timeout", drainDefault, "how long requests in flight may go on once the program has been asked to end")
	f.DurationVar(&limits.SessionLifetime, "session-lifetime", limits.SessionLifetime, "how long a session may last")
	f.Int64Var(&limits.MaxRequestBody, "max-request-body", limits.MaxRequestBody, "largest request body, in bytes")
	f.DurationVar(&limits.CallTimeout, "call-timeout", limits.CallTimeout, "how long a server may be silent while it answers a call")
}

// addProfilingFlag adds the flag of commands with an admin endpoint.
func addProfilingFlag(f *pflag.FlagSet, on *bool) {
	f.BoolVar(on, "pprof", false, "serve Go profiles on the admin endpoint, /debug/pprof, to requests from this machine only")
}

// addLogFlags adds the flags of newLogger.
func addLogFlags(f *pflag.FlagSet, level, format *string, formatDefault string) {
	f.StringVar(level, "log-level", "info", "debug, info, warn or error")
	f.StringVar(format, "log-format", formatDefault, "json or text")
}

// checkServingFlags checks what addServingFlags and --bind-address took.
func checkServingFlags(bind string, origins []string, drain time.Duration, limits *config.Limits) error {
	if bind != "" {
		if _, err := netip.ParseAddr(bind); err != nil {
			return fmt.Errorf("--bind-address must be an IP address, like 127.0.0.1, not %q", bind)
		}
	}
	if i := slices.IndexFunc(origins, func(origin string) bool { return !isOrigin(origin) }); i >= 0 {
		return fmt.Errorf("--allowed-origins must be origins, like https://example.com or http://localhost:3000, not %q", origins[i])
	}
	for _, positive := range []struct {
		flag  string
		value int64
	}{
		{"--drain-timeout", int64(drain)},
		{"--session-lifetime", int64(limits.SessionLifetime)},
		{"--max-request-body", limits.MaxRequestBody},
		{"--call-timeout", int64(limits.CallTimeout)},
	} {
		if positive.value <= 0 {
			return fmt.Errorf("%s must be positive", positive.flag)
		}
	}
	return nil
}

// flagWatchNamespaces is the same for the manager and its proxies.
const flagWatchNamespaces = "watch-namespaces"

func checkNamespaces(names []string) error {
	for _, name := range names {
		if len(validation.IsDNS1123Label(name)) > 0 {
			return fmt.Errorf("--%s must be names of namespaces, not %q", flagWatchNamespaces, name)
		}
	}
	return nil
}

func checkAdminAddress(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("--admin-address must be HOST:PORT, like 127.0.0.1:19000, not %q", address)
	}
	return nil
}

// isOrigin returns whether a text is what browsers send as Origin: scheme, host and perhaps a port.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		u.Scheme+"://"+u.Host == text
}
