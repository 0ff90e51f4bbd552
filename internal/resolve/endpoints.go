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
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/validate"
)

// endpointsOf returns the ready addresses of a candidate, sorted and each once. If there are none, it says why.
func (ix *index) endpointsOf(c *candidate) (addresses []string, problem string) {
	if c.service == nil {
		return []string{hostPort(c.entry.spec.Static.Host, c.entry.spec.Static.Port)}, ""
	}
	if c.service.Spec.Type == corev1.ServiceTypeExternalName {
		return []string{hostPort(externalHost(c.service), c.port.Port)}, ""
	}
	var seen sightings
	for _, s := range ix.slices[keyOf(c.service)] {
		addresses = ix.appendReady(addresses, s, c.port.Name, &seen)
	}
	if len(addresses) == 0 {
		return nil, noEndpointsMessage(c, seen)
	}
	slices.Sort(addresses)
	return slices.Compact(addresses), ""
}

// sightings are what there was in EndpointSlices, to tell apart why there is nothing to use.
type sightings struct {
	// endpoints of any port, those with the port, and those of them that are ready.
	endpoints, withPort, ready int
}

func (ix *index) appendReady(to []string, s *discoveryv1.EndpointSlice, portName string, seen *sightings) []string {
	if s.AddressType != discoveryv1.AddressTypeIPv4 && s.AddressType != discoveryv1.AddressTypeIPv6 {
		return to
	}
	seen.endpoints += len(s.Endpoints)
	port := slicePort(s, portName)
	if port == 0 {
		return to
	}
	seen.withPort += len(s.Endpoints)
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		// Not known means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
		if e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue
		}
		seen.ready++
		for _, address := range e.Addresses {
			// The rules for static hosts hold here as well: who may write EndpointSlices must not be able to point the
			// proxy at its own machine or at the cloud's metadata service.
			if net.ParseIP(address) != nil && validate.Host(address, ix.options.validation()) == nil {
				to = append(to, hostPort(address, port))
			}
		}
	}
	return to
}

// slicePort returns the number of the TCP port of that name, or 0.
func slicePort(s *discoveryv1.EndpointSlice, name string) int32 {
	for _, p := range s.Ports {
		if p.Port == nil || p.Protocol != nil && !isTCP(*p.Protocol) {
			continue
		}
		if p.Name == nil && name == "" || p.Name != nil && *p.Name == name {
			return *p.Port
		}
	}
	return 0
}

func hostPort(host string, port int32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func noEndpointsMessage(c *candidate, seen sightings) string {
	s := c.service
	pods := fmt.Sprintf("kubectl get pods -n %s -l '%s'", s.Namespace,
		metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: s.Spec.Selector}))
	switch {
	case seen.endpoints == 0 && len(s.Spec.Selector) == 0:
		return "the Service has no selector and no EndpointSlice with addresses: give it a selector, or create an " +
			"EndpointSlice with the label " + discoveryv1.LabelServiceName + ": " + s.Name
	case seen.endpoints == 0:
		return "no running pod matches the Service's selector: see " + pods
	case seen.withPort == 0:
		return fmt.Sprintf("the Service's EndpointSlices have no TCP port named %q: check that targetPort %s is a port of "+
			"the pods' containers", c.port.Name, targetPort(c.port))
	case seen.ready == 0 && len(s.Spec.Selector) == 0:
		return fmt.Sprintf("0 of %s in the Service's EndpointSlices ready: set conditions.ready to true, or leave it out, "+
			"where the server runs", counted(seen.withPort, "endpoint"))
	case seen.ready == 0:
		return fmt.Sprintf("0 of %s ready: check the pods' readiness probes, see %s",
			counted(seen.withPort, "endpoint"), pods)
	}
	return "the addresses of the ready endpoints can't be used: they are link-local, metadata or loopback addresses, or " +
		"none at all"
}

// targetPort returns the port of the pods as the Service has it; the default is the Service's own.
func targetPort(p *corev1.ServicePort) string {
	if p.TargetPort.StrVal == "" && p.TargetPort.IntVal == 0 {
		return strconv.Itoa(int(p.Port))
	}
	return p.TargetPort.String()
}

// shares divides room fairly: who needs less than an equal share gets all it needs, and the rest is divided among the
// others. order breaks ties, so that the result does not depend on the order of the targets.
func shares(needs []int, room int, order func(a, b int) int) []int {
	byNeed := make([]int, len(needs))
	for i := range byNeed {
		byNeed[i] = i
	}
	slices.SortFunc(byNeed, func(a, b int) int {
		return cmp.Or(cmp.Compare(needs[a], needs[b]), order(a, b))
	})
	shares := make([]int, len(needs))
	for rank, i := range byNeed {
		shares[i] = min(needs[i], room/(len(needs)-rank))
		room -= shares[i]
	}
	return shares
}

// limitEndpoints returns for each candidate the addresses that there is room for. Those that the previous status has
// stay, because live sessions are bound to them.
func limitEndpoints(seated []*candidate, addresses [][]string) [][]string {
	needs, total := make([]int, len(seated)), 0
	for i := range addresses {
		needs[i] = len(addresses[i])
		total += needs[i]
	}
	if total <= v1alpha1.MaxEndpoints {
		return addresses
	}
	rooms := shares(needs, v1alpha1.MaxEndpoints, func(a, b int) int { return cmp.Compare(seated[a].name, seated[b].name) })
	limited := make([][]string, len(addresses))
	for i := range addresses {
		limited[i] = addresses[i]
		if rooms[i] < needs[i] {
			limited[i] = keepEndpoints(addresses[i], seated[i].previous, rooms[i])
		}
	}
	return limited
}

func keepEndpoints(addresses []string, previous *v1alpha1.ResolvedTarget, room int) []string {
	inUse := map[string]bool{}
	if previous != nil {
		for _, address := range previous.Endpoints {
			inUse[address] = true
		}
	}
	kept := make([]string, 0, room)
	for _, used := range []bool{true, false} {
		for _, address := range addresses {
			if len(kept) < room && inUse[address] == used {
				kept = append(kept, address)
			}
		}
	}
	slices.Sort(kept)
	return kept
}
