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
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/proxy"
)

func TestProxyFlags(t *testing.T) {
	peers := func(bind, address, of string) []string {
		return []string{"--gateway", "default/agentgateway", "--peer-bind-address", bind, "--peer-address", address, "--peers", of}
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no Gateway":              {nil, "--gateway must be NAMESPACE/NAME"},
		"an admin port":           {[]string{"--gateway", "a/b", "--admin-address", "19000"}, "--admin-address must be HOST:PORT"},
		"a delay backwards":       {[]string{"--gateway", "a/b", "--shutdown-delay", "-1s"}, "--shutdown-delay must not be negative"},
		"no namespace":            {[]string{"--gateway", "a/b", "--watch-namespaces", "a,B"}, `--watch-namespaces must be names of namespaces, not "B"`},
		"other namespaces":        {[]string{"--gateway", "a/b", "--watch-namespaces", "c,d"}, "must have the namespace of the Gateway, a, among them"},
		"peers without a port":    {[]string{"--gateway", "a/b", "--peers", "x:1"}, "--peer-bind-address is required with"},
		"an address without port": {[]string{"--gateway", "a/b", "--peer-address", "10.0.0.1:1"}, "--peer-bind-address is required with"},
		"a port to bind":          {peers("15022", "", "x:1"), "--peer-bind-address must be HOST:PORT"},
		"a name to bind":          {peers("localhost:15022", "", "x:1"), "--peer-bind-address must be HOST:PORT"},
		"any port to bind":        {peers(":0", "", "x:1"), "--peer-bind-address must be HOST:PORT"},
		"no peers":                {peers(":15022", "", ""), "--peers is required with --peer-bind-address"},
		"peers that are none":     {peers(":15022", "", "x:1,http://y:1"), `--peers must be HOST:PORT, like agentgateway-peers:15022, not "http://y:1"`},
		"no address":              {peers(":15022", "", "x:1"), "--peer-address is required with --peer-bind-address where $POD_IP is not set"},
		"an address that is none": {peers(":15022", "10.0.0.1", "x:1"), "--peer-address must be IP:PORT"},
		"a name as address":       {peers(":15022", "replica-0:15022", "x:1"), "--peer-address must be IP:PORT"},
		"an address of all":       {peers(":15022", "0.0.0.0:15022", "x:1"), "--peer-address must be IP:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_IP", "")
			status, _, stderr := runCommand(t, "", append([]string{"proxy"}, test.args...)...)
			NewWithT(t).Expect(stderr).To(ContainSubstring(test.want))
			NewWithT(t).Expect(status).To(Equal(1))
		})
	}
}

func TestPeerAddress(t *testing.T) {
	for name, test := range map[string]struct{ bind, address, podIP, want string }{
		"no peer port":             {"", "", "10.0.0.1", ""},
		"of the pod":               {":15022", "", "10.0.0.1", "10.0.0.1:15022"},
		"of a pod with IPv6":       {"[::]:15022", "", "fd00::1", "[fd00::1]:15022"},
		"given":                    {"127.0.0.1:15022", "127.0.0.1:15023", "10.0.0.1", "127.0.0.1:15023"},
		"given in another writing": {":15022", "[fd00:0::1]:015022", "", "[fd00::1]:15022"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := proxy.Options{PeerBindAddress: test.bind, PeerAddress: test.address}
			if test.bind != "" {
				o.Peers = []string{"agentgateway-peers:15022"}
			}
			g.Expect(completePeers(&o, test.podIP)).To(Succeed())
			g.Expect(o.PeerAddress).To(Equal(test.want))
		})
	}
}
