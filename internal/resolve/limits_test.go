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
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
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

// newInputs returns a Backend that selects app=mcp in its namespace.
func newInputs() Inputs {
	b := &v1alpha1.Backend{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "mcp", Generation: 1}}
	b.Spec = v1alpha1.BackendSpec{Type: v1alpha1.BackendTypeMCP, MCP: &v1alpha1.MCPBackend{Targets: []v1alpha1.MCPTarget{{
		Name:     "tools",
		Selector: &v1alpha1.MCPTargetSelector{Service: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "mcp"}}},
	}}}}
	return Inputs{Backend: b}
}

// add adds a Service created at second age, with a number of ready endpoints.
func (in *Inputs) add(name string, age int64, endpoints int) *corev1.Service {
	in.Services = append(in.Services, corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name),
			CreationTimestamp: metav1.Unix(age, 0), Labels: map[string]string{"app": "mcp"}, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "mcp", Port: 80, AppProtocol: ptr(v1alpha1.AppProtocolMCP)}}},
	})
	const perSlice = 100
	for first := 0; first < endpoints; first += perSlice {
		slice := discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("%s-%d", name, first),
				Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: ptr("mcp"), Port: ptr[int32](3001)}},
		}
		for i := first; i < min(first+perSlice, endpoints); i++ {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address(i)}})
		}
		in.EndpointSlices = append(in.EndpointSlices, slice)
	}
	return &in.Services[len(in.Services)-1]
}

func address(i int) string { return fmt.Sprintf("10.1.%d.%d", i/256, i%256) }

// addPolicy adds a BackendTLSPolicy for a Service with a bundle of its own of at least so many bytes.
func (in *Inputs) addPolicy(t testing.TB, service string, bytes int) {
	certificate := newCertificate(t)
	in.ConfigMaps = append(in.ConfigMaps, corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: service},
		Data:       map[string]string{caKey: strings.Repeat(certificate, bytes/len(certificate)+1)},
	})
	p := gatewayv1.BackendTLSPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: service}}
	p.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{
		LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: gatewayv1.ObjectName(service)}}}
	p.Spec.Validation.Hostname = "mcp.example.com"
	p.Spec.Validation.CACertificateRefs = []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: gatewayv1.ObjectName(service)}}
	in.TLSPolicies = append(in.TLSPolicies, p)
}

func newCertificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func countReasons(status v1alpha1.BackendStatus) map[string]int {
	counts := map[string]int{}
	for _, s := range status.Skipped {
		counts[s.Reason]++
	}
	return counts
}

func TestTooManyTargets(t *testing.T) {
	in := newInputs()
	for i := range v1alpha1.MaxResolvedTargets + 76 {
		in.add(fmt.Sprintf("s%04d", i), int64(1000+i), 1)
	}
	status := Backend(in)
	checkInvariants(t, rand.New(rand.NewSource(seed)), in, status)
	if len(status.Targets) != v1alpha1.MaxResolvedTargets || status.SkippedCount != 76 ||
		countReasons(status)[v1alpha1.SkipReasonTooManyTargets] != v1alpha1.MaxSkipped {
		t.Fatalf("%d targets, %d skipped, shown %v", len(status.Targets), status.SkippedCount, countReasons(status))
	}
	// An older Service does not push one out that is in use.
	in = withStatus(in, status)
	in.add("oldest", 1, 1)
	again := Backend(in)
	if !slices.EqualFunc(status.Targets, again.Targets, func(a, b v1alpha1.ResolvedTarget) bool { return a.Name == b.Name }) ||
		again.SkippedCount != 77 {
		t.Errorf("the targets changed, or %d skipped", again.SkippedCount)
	}
}

func TestEndpointsAreSharedFairly(t *testing.T) {
	in := newInputs()
	in.add("huge", 1, 6000)
	in.add("large", 2, 3000)
	for i := range 10 {
		in.add(fmt.Sprintf("small-%d", i), 3, 20)
	}
	status := Backend(in)
	checkInvariants(t, rand.New(rand.NewSource(seed)), in, status)
	got := map[string]int{}
	for _, target := range status.Targets {
		got[target.Name] = len(target.Endpoints)
	}
	if got["small-3"] != 20 || got["huge"] != (4096-200)/2 || got["large"] != (4096-200)/2 {
		t.Errorf("endpoints: %v", got)
	}
	if want := "1948 of 6000 ready endpoints are used"; !strings.Contains(status.Targets[0].Message, want) {
		t.Errorf("message %q does not say %q", status.Targets[0].Message, want)
	}
}

func TestEndpointsInUseStayWhenThereIsNoRoomForAll(t *testing.T) {
	in := newInputs()
	in.add("huge", 1, 5000)
	all := in.EndpointSlices
	in.EndpointSlices = all[5:]
	first := Backend(in)
	in = withStatus(in, first)
	in.EndpointSlices = all
	second := Backend(in)
	if !slices.Equal(first.Targets[0].Endpoints, second.Targets[0].Endpoints) {
		t.Error("addresses that sort before those in use took their room")
	}
	in = withStatus(in, second)
	in.EndpointSlices = append(slices.Clone(all[:20]), all[21:]...)
	third := Backend(in)
	if len(third.Targets[0].Endpoints) != v1alpha1.MaxEndpoints {
		t.Errorf("%d endpoints: the room of those that left is not used", len(third.Targets[0].Endpoints))
	}
}

func TestShares(t *testing.T) {
	for name, test := range map[string]struct {
		needs []int
		room  int
		want  []int
	}{
		"everyone gets all there is room for": {[]int{1, 2, 3}, 10, []int{1, 2, 3}},
		"the large ones share what is left":   {[]int{100, 1, 50}, 11, []int{5, 1, 5}},
		"the rest goes to the last":           {[]int{9, 9, 9}, 10, []int{3, 3, 4}},
		"nobody needs anything":               {[]int{0, 0}, 10, []int{0, 0}},
		"there is nobody":                     {nil, 10, []int{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := shares(test.needs, test.room, cmp.Compare[int])
			if !slices.Equal(got, test.want) {
				t.Errorf("shares(%v, %d) = %v, want %v", test.needs, test.room, got, test.want)
			}
		})
	}
}

func TestStatusTooLarge(t *testing.T) {
	in := newInputs()
	for i := range 200 {
		name := fmt.Sprintf("s%03d", i)
		in.add(name, int64(i), 1)
		if i%10 == 0 {
			in.addPolicy(t, name, 150<<10)
		}
	}
	in.add("sharer", 1000, 1)
	in.addPolicy(t, "sharer", 1)
	in.TLSPolicies[len(in.TLSPolicies)-1].Spec.Validation.CACertificateRefs[0].Name = "s030"
	status := Backend(in)
	checkInvariants(t, rand.New(rand.NewSource(seed)), in, status)
	var large []string
	for _, target := range status.Targets {
		if target.TLS != nil {
			large = append(large, target.Name)
		}
	}
	// There is room for six such bundles, those of the eldest, and for all small targets beside them. Sharing one of the
	// six costs nothing.
	want := []string{"s000", "s010", "s020", "s030", "s040", "s050", "sharer"}
	if !slices.Equal(large, want) || len(status.Targets) != 187 {
		t.Errorf("%d targets, of which those with a bundle are %v", len(status.Targets), large)
	}
	if status.SkippedCount != 14 || countReasons(status)[v1alpha1.SkipReasonStatusTooLarge] != 14 {
		t.Errorf("%d skipped: %v", status.SkippedCount, countReasons(status))
	}
}

func TestStatusTooLargeWithoutBundles(t *testing.T) {
	in := newInputs()
	path := "/" + strings.Repeat("p", 1000)
	for i := range v1alpha1.MaxResolvedTargets {
		in.add(fmt.Sprintf("s%04d", i), int64(i), 1).Annotations[v1alpha1.AnnotationMCPPath] = path
	}
	status := Backend(in)
	checkInvariants(t, rand.New(rand.NewSource(seed)), in, status)
	n := len(status.Targets)
	if n+int(status.SkippedCount) != v1alpha1.MaxResolvedTargets || status.Targets[n-1].Name != fmt.Sprintf("s%04d", n-1) {
		t.Errorf("%d targets up to %s, %d skipped", n, status.Targets[n-1].Name, status.SkippedCount)
	}
	if size := jsonSize(status); size < statusRoom*95/100 {
		t.Errorf("only %d bytes of the room are used", size)
	}
}

func TestOneLargeBundleHarmsItselfAlone(t *testing.T) {
	in := newInputs()
	in.add("greedy", 1, 1)
	in.addPolicy(t, "greedy", 900<<10)
	in.add("modest", 2, 1)
	in.addPolicy(t, "modest", 200<<10)
	status := Backend(in)
	if len(status.Targets) != 2 || status.Targets[0].Reason != v1alpha1.TargetReasonInvalidTLSPolicy || !status.Targets[1].IsReady() {
		t.Errorf("targets: %+v", status.Targets)
	}
}

func TestSkippedShowsEveryReason(t *testing.T) {
	in := newInputs()
	for i := range 500 {
		in.add(fmt.Sprintf("a%03d", i), int64(i), 0).Spec.Ports[0].AppProtocol = nil
	}
	in.add("z-sse", 1, 0).Spec.Ports[0].AppProtocol = ptr(v1alpha1.AppProtocolMCPSSE)
	in.add("z-path", 1, 0).Annotations[v1alpha1.AnnotationMCPPath] = "x"
	status := Backend(in)
	checkInvariants(t, rand.New(rand.NewSource(seed)), in, status)
	counts := countReasons(status)
	if counts[v1alpha1.SkipReasonNoMCPPort] != 62 || counts[v1alpha1.SkipReasonUnsupportedProtocol] != 1 ||
		counts[v1alpha1.SkipReasonInvalidPath] != 1 || status.SkippedCount != 502 {
		t.Errorf("%d skipped, shown %v", status.SkippedCount, counts)
	}
	if status.Skipped[0].Service.Name != "a000" || status.Skipped[63].Service.Name != "z-sse" {
		t.Errorf("from %v to %v", status.Skipped[0].Service, status.Skipped[63].Service)
	}
}

// TestMessagesAreBounded has values as long as the API server takes them. The cure must survive the cut.
func TestMessagesAreBounded(t *testing.T) {
	long := strings.Repeat("\u2028<é\x00", 20000)
	in := newInputs()
	in.add("path", 1, 0).Annotations[v1alpha1.AnnotationMCPPath] = "/" + long
	in.add("name", 2, 0).Annotations[v1alpha1.AnnotationMCPTargetName] = long
	in.add("protocol", 3, 0).Spec.Ports[0].AppProtocol = &long
	external := in.add("external", 4, 0)
	external.Spec.Type, external.Spec.ExternalName = corev1.ServiceTypeExternalName, long
	selector := map[string]string{}
	for i := range 1000 {
		selector[fmt.Sprintf("label-%d", i)] = "x"
	}
	in.add("selector", 5, 0).Spec.Selector = selector
	in.Options.AllowExternalName = true
	status := Backend(in)
	checkInvariants(t, rand.New(rand.NewSource(seed)), in, status)
	if len(status.Skipped) != 3 || len(status.Targets) != 2 {
		t.Fatalf("%d skipped, %d targets", len(status.Skipped), len(status.Targets))
	}
	for service, cure := range map[string]string{"path": "remove the annotation", "protocol": "set appProtocol: kgateway.dev/mcp"} {
		for _, s := range status.Skipped {
			if s.Service.Name == service && !strings.Contains(s.Message, cure) {
				t.Errorf("%s: the message lost its cure: %s", service, s.Message)
			}
		}
	}
	in.Backend.Spec.MCP.Targets[0].Name = long
	checkInvariants(t, rand.New(rand.NewSource(seed)), in, Backend(in))
}

func BenchmarkBackend(b *testing.B) {
	for _, n := range []int{250, 1000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			in := newInputs()
			for i := range n {
				in.add(fmt.Sprintf("s%04d", i), int64(i), 4)
			}
			in = withStatus(in, Backend(in))
			b.ReportAllocs()
			for b.Loop() {
				if status := Backend(in); len(status.Targets) != n {
					b.Fatalf("%d targets", len(status.Targets))
				}
			}
		})
	}
}
