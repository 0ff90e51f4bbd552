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
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
)

// world makes up clusters. Names and labels come from small sets, so that conflicts are the rule.
type world struct {
	*rand.Rand
	uids int
}

func pick[T any](w *world, values ...T) T { return values[w.Intn(len(values))] }

func (w *world) backend() *v1alpha1.Backend {
	b := &v1alpha1.Backend{}
	b.Namespace, b.Name, b.Generation = "default", "mcp", w.Int63n(9)+1
	b.Spec = v1alpha1.BackendSpec{Type: v1alpha1.BackendTypeMCP, MCP: &v1alpha1.MCPBackend{}}
	names := shuffledList(w.Rand, []string{"tools", "alpha", "beta", "shared-name"})
	for _, name := range names[:1+w.Intn(len(names))] {
		target := v1alpha1.MCPTarget{Name: name}
		if w.Intn(4) == 0 {
			target.Static = &v1alpha1.MCPStaticTarget{Host: "mcp.example.com", Port: 80}
		} else {
			target.Selector = &v1alpha1.MCPTargetSelector{
				Service: &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(w, "a", "b")}},
				Namespace: pick(w, nil, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{
					"team": "x"}}),
			}
		}
		b.Spec.MCP.Targets = append(b.Spec.MCP.Targets, target)
	}
	return b
}

func (w *world) service() corev1.Service {
	w.uids++
	s := corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace:         pick(w, "default", "default", "granted", "half-granted", "forbidden"),
		Name:              fmt.Sprintf("%s-%d", pick(w, "alpha", "beta", "gamma"), w.uids),
		UID:               types.UID(fmt.Sprintf("uid-%d", w.uids)),
		CreationTimestamp: metav1.Unix(w.Int63n(5), 0),
		Labels:            map[string]string{"app": pick(w, "a", "b", "c")},
		Annotations:       map[string]string{},
	}}
	if name := pick(w, "", "", "", "alpha", "shared-name", "gamma", "Not Valid"); name != "" {
		s.Annotations[v1alpha1.AnnotationMCPTargetName] = name
	}
	if path := pick(w, "", "", "", "/other", "bad"); path != "" {
		s.Annotations[v1alpha1.AnnotationMCPPath] = path
	}
	s.Spec.Type = pick(w, corev1.ServiceTypeClusterIP, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName)
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		s.Spec.ExternalName = pick(w, "mcp.example.com", "localhost")
	}
	for port := range 1 + w.Int31n(3) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name:        fmt.Sprintf("p%d", port),
			Port:        80 + port,
			AppProtocol: pick(w, ptr(v1alpha1.AppProtocolMCP), ptr(v1alpha1.AppProtocolMCP), ptr(v1alpha1.AppProtocolMCPSSE), nil),
		})
	}
	return s
}

func ptr[T any](v T) *T { return &v }

// addService adds a Service and perhaps endpoints and a policy for it.
func (w *world) addService(in *Inputs) {
	s := w.service()
	in.Services = append(in.Services, s)
	slice := discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, Labels: map[string]string{
			discoveryv1.LabelServiceName: s.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range s.Spec.Ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port})
	}
	for i := range w.Intn(4) {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.0.%d.%d", w.uids%250, i+1)},
			Conditions: discoveryv1.EndpointConditions{Ready: pick(w, nil, ptr(true), ptr(false))},
		})
	}
	in.EndpointSlices = append(in.EndpointSlices, slice)
	for i := range w.Intn(3) {
		p := gatewayv1.BackendTLSPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace,
			Name: fmt.Sprintf("%s-%d", s.Name, i), CreationTimestamp: metav1.Unix(w.Int63n(2), 0)}}
		p.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{
			LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: gatewayv1.ObjectName(s.Name)},
			SectionName:                pick[*gatewayv1.SectionName](w, nil, ptr[gatewayv1.SectionName]("p0"), ptr[gatewayv1.SectionName]("px")),
		}}
		p.Spec.Validation.Hostname = gatewayv1.PreciseHostname(fmt.Sprintf("p%d.example.com", i))
		p.Spec.Validation.WellKnownCACertificates = pick[*gatewayv1.WellKnownCACertificatesType](w, nil,
			ptr(gatewayv1.WellKnownCACertificatesSystem))
		in.TLSPolicies = append(in.TLSPolicies, p)
	}
}

func (w *world) inputs() Inputs {
	in := Inputs{Backend: w.backend(), Options: Options{AllowExternalName: w.Intn(2) == 0, AllowLoopback: w.Intn(2) == 0}}
	for _, name := range []string{"default", "granted", "half-granted", "forbidden"} {
		in.Namespaces = append(in.Namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
			Labels: map[string]string{"team": pick(w, "x", "y")}}})
	}
	from := []gatewayv1.ReferenceGrantFrom{{Group: gatewayv1.Group(v1alpha1.GroupVersion.Group), Kind: "Backend", Namespace: "default"}}
	in.ReferenceGrants = []gatewayv1.ReferenceGrant{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "granted", Name: "g"}, Spec: gatewayv1.ReferenceGrantSpec{From: from,
			To: []gatewayv1.ReferenceGrantTo{{Kind: "Service"}}}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "half-granted", Name: "g"}, Spec: gatewayv1.ReferenceGrantSpec{From: from,
			To: []gatewayv1.ReferenceGrantTo{{Kind: "Service", Name: ptr[gatewayv1.ObjectName]("alpha-3")}}}},
	}
	for range 3 + w.Intn(20) {
		w.addService(&in)
	}
	return in
}

// change does something to the cluster that concerns only Services that keep says may be touched.
func (w *world) change(in *Inputs, keep func(*corev1.Service) bool) {
	in.Services = slices.Clone(in.Services)
	for range 1 + w.Intn(5) {
		i := w.Intn(len(in.Services))
		s := in.Services[i].DeepCopy()
		switch action := w.Intn(4); {
		case action == 0 || keep(s):
			w.addService(in)
			continue
		case action == 1 && len(in.Services) > 1:
			in.Services = slices.Delete(in.Services, i, i+1)
			continue
		case action == 2:
			s.Annotations[v1alpha1.AnnotationMCPTargetName] = pick(w, "alpha", "delta", "shared-name", "tools")
		default:
			s.Labels = map[string]string{"app": pick(w, "a", "b", "c")}
		}
		in.Services[i] = *s
	}
}

const seed = 20261122

func TestEveryStatusKeepsTheInvariants(t *testing.T) {
	for run := range 400 {
		w := &world{Rand: rand.New(rand.NewSource(seed + int64(run)))}
		in := w.inputs()
		for step := range 4 {
			status := Backend(in)
			checkInvariants(t, w.Rand, in, status)
			if text := fmt.Sprintf("%+v", status); strings.Contains(text, "forbidden") {
				t.Errorf("the status names a Service of a namespace without a grant: %s", text)
			}
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed+run, step)
			}
			in = withStatus(in, status)
			w.change(&in, func(*corev1.Service) bool { return false })
		}
	}
}

// TestIncumbentsKeepNameAndPlace changes a cluster around some targets, whose names and order must stay.
func TestIncumbentsKeepNameAndPlace(t *testing.T) {
	type kept struct {
		id   identity
		name string
	}
	compared := 0
	for run := range 400 {
		w := &world{Rand: rand.New(rand.NewSource(seed - int64(run)))}
		in := w.inputs()
		before := Backend(in)
		watched := map[identity]bool{}
		uids := map[types.UID]bool{}
		for i := range before.Targets {
			target := &before.Targets[i]
			if target.Service == nil || w.Intn(2) == 0 {
				watched[identityOf(target)] = true
				if target.Service != nil {
					uids[target.Service.UID] = true
				}
			}
		}
		rosterOf := func(status v1alpha1.BackendStatus) (list []kept) {
			for i := range status.Targets {
				if id := identityOf(&status.Targets[i]); watched[id] {
					list = append(list, kept{id, status.Targets[i].Name})
				}
			}
			return list
		}
		want := rosterOf(before)
		status := before
		for range 4 {
			in = withStatus(in, status)
			w.change(&in, func(s *corev1.Service) bool { return uids[s.UID] })
			status = Backend(in)
			if got := rosterOf(status); !slices.Equal(want, got) {
				t.Fatalf("seed %d: incumbents were\n%v\nand are\n%v", seed-run, want, got)
			}
			compared += len(want)
		}
	}
	if compared < 1000 {
		t.Errorf("only %d incumbents were compared: the made-up clusters are too empty", compared)
	}
}
