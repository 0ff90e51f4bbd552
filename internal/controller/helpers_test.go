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

package controller_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

// fakeProvisioner says what a test tells it to, and remembers what it was asked.
type fakeProvisioner struct {
	events chan event.GenericEvent

	mutex   sync.Mutex
	rings   map[types.NamespacedName][]string
	asked   map[types.NamespacedName]int
	states  map[types.NamespacedName]provision.State
	errors  map[types.NamespacedName]error
	ensured map[types.NamespacedName]int64
	wanted  map[types.NamespacedName]*provision.Wanted
	removed map[types.NamespacedName]bool
}

func newFakeProvisioner() *fakeProvisioner {
	return &fakeProvisioner{
		events:  make(chan event.GenericEvent, 16),
		rings:   map[types.NamespacedName][]string{},
		asked:   map[types.NamespacedName]int{},
		states:  map[types.NamespacedName]provision.State{},
		errors:  map[types.NamespacedName]error{},
		ensured: map[types.NamespacedName]int64{},
		wanted:  map[types.NamespacedName]*provision.Wanted{},
		removed: map[types.NamespacedName]bool{},
	}
}

func (p *fakeProvisioner) Ensure(_ context.Context, wanted *provision.Wanted) (provision.State, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	key := client.ObjectKeyFromObject(wanted.Gateway)
	p.ensured[key], p.wanted[key] = wanted.Gateway.Generation, wanted
	p.removed[key] = false
	return p.states[key], p.errors[key]
}

func (p *fakeProvisioner) Remove(_ context.Context, key types.NamespacedName) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.removed[key] = true
	return nil
}

// become sets a proxy's state and tells of it, as a real provisioner does.
func (p *fakeProvisioner) become(key types.NamespacedName, state provision.State, err error) {
	p.mutex.Lock()
	p.states[key], p.errors[key] = state, err
	p.mutex.Unlock()
	p.tell(key)
}

func (p *fakeProvisioner) tell(key types.NamespacedName) {
	p.events <- event.GenericEvent{Object: &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
	}}
}

func (p *fakeProvisioner) KeyRings(_ context.Context, gateway *gatewayv1.Gateway) ([]string, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	key := client.ObjectKeyFromObject(gateway)
	p.asked[key]++
	return p.rings[key], nil
}

// timesAsked is how often it was asked which key rings there are.
func (p *fakeProvisioner) timesAsked(key types.NamespacedName) int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.asked[key]
}

// have sets which key rings the ready replicas of a proxy have, and tells of it.
func (p *fakeProvisioner) have(key types.NamespacedName, rings ...string) {
	p.mutex.Lock()
	p.rings[key] = rings
	p.mutex.Unlock()
	p.tell(key)
}

// ensuredGeneration is 0 if the proxy was never asked for.
func (p *fakeProvisioner) ensuredGeneration(key types.NamespacedName) int64 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.ensured[key]
}

// lastWanted is nil if the proxy was never asked for.
func (p *fakeProvisioner) lastWanted(key types.NamespacedName) *provision.Wanted {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.wanted[key]
}

func (p *fakeProvisioner) wasRemoved(key types.NamespacedName) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.removed[key]
}

// create stores an object until the end of the spec.
func create(object client.Object) {
	GinkgoHelper()
	Expect(api.Create(ctx, object)).To(Succeed())
	DeferCleanup(func() { Expect(client.IgnoreNotFound(api.Delete(ctx, object))).To(Succeed()) })
}

// change edits an object as it is stored now.
func change[T any, P interface {
	*T
	client.Object
}](object P, edit func(P)) {
	GinkgoHelper()
	Eventually(func() error {
		fresh := P(new(T))
		if err := api.Get(ctx, client.ObjectKeyFromObject(object), fresh); err != nil {
			return err
		}
		edit(fresh)
		return api.Update(ctx, fresh)
	}).Should(Succeed())
}

// remove deletes an object and waits until it is gone.
func remove(object client.Object) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(api.Delete(ctx, object))).To(Succeed())
	Eventually(func() error {
		return api.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object))
	}).Should(MatchError(ContainSubstring("not found")))
}

// eventually waits until an object, as it is stored, meets the expectations.
func eventually[T any, P interface {
	*T
	client.Object
}](object P, expect func(g Gomega, fresh P)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		fresh := P(new(T))
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(object), fresh)).To(Succeed())
		expect(g, fresh)
	}).Should(Succeed())
}

// unchanged checks that nothing writes to an object for a while.
func unchanged[T any, P interface {
	*T
	client.Object
}](object P) {
	GinkgoHelper()
	version := func() string {
		fresh := P(new(T))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(object), fresh)).To(Succeed())
		return fresh.GetResourceVersion()
	}
	Consistently(version).Should(Equal(version()))
}

// seen waits until the manager's cache has an object as it was just written.
func seen(object client.Object) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		fresh := object.DeepCopyObject().(client.Object)
		g.Expect(cached.Get(ctx, client.ObjectKeyFromObject(object), fresh)).To(Succeed())
		g.Expect(fresh.GetResourceVersion()).To(Equal(object.GetResourceVersion()))
	}).Should(Succeed())
}

// newNamespace makes every spec's own. They stay: nothing in a bare API server empties them.
func newNamespace(labels ...string) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-", Labels: labelled(labels...)}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

func labelled(pairs ...string) map[string]string {
	labels := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		labels[key] = value
	}
	return labels
}

// serviceOf returns a Service with one MCP port.
func serviceOf(namespace, name string, labels ...string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labelled(labels...)},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{
			Name: "mcp", Port: 3001, AppProtocol: new(v1alpha1.AppProtocolMCP),
		}}},
	}
}

// endpointsOf returns the EndpointSlice of serviceOf's Service.
func endpointsOf(service *corev1.Service, addresses ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace,
			Name:      service.Name + "-1",
			Labels:    map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new(service.Spec.Ports[0].Name), Port: new(int32(3001))}},
		Endpoints:   []discoveryv1.Endpoint{},
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
		})
	}
	return slice
}

// backendOf returns a Backend with one selector over the labels.
func backendOf(namespace, name string, labels ...string) *v1alpha1.Backend {
	return &v1alpha1.Backend{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.BackendSpec{Type: v1alpha1.BackendTypeMCP, MCP: &v1alpha1.MCPBackend{
			Targets: []v1alpha1.MCPTarget{{Name: "tools", Selector: &v1alpha1.MCPTargetSelector{
				Service: &metav1.LabelSelector{MatchLabels: labelled(labels...)},
			}}},
		}},
	}
}

// acrossNamespaces lets a Backend look at namespaces with the labels.
func acrossNamespaces(backend *v1alpha1.Backend, labels ...string) *v1alpha1.Backend {
	backend.Spec.MCP.Targets[0].Selector.Namespace = &metav1.LabelSelector{MatchLabels: labelled(labels...)}
	return backend
}

// grantOf permits references from a namespace.
func grantOf(namespace string, from gatewayv1.ReferenceGrantFrom, to gatewayv1.ReferenceGrantTo) *gatewayv1.ReferenceGrant {
	return &gatewayv1.ReferenceGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "grant"},
		Spec: gatewayv1.ReferenceGrantSpec{
			From: []gatewayv1.ReferenceGrantFrom{from}, To: []gatewayv1.ReferenceGrantTo{to},
		},
	}
}

// gatewayOf returns a Gateway with one listener that all namespaces may use.
func gatewayOf(namespace, name, class string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: gatewayv1.ObjectName(class),
			Listeners: []gatewayv1.Listener{{
				Name: "http", Port: 8080, Protocol: gatewayv1.HTTPProtocolType,
				AllowedRoutes: &gatewayv1.AllowedRoutes{
					Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromAll)},
				},
			}},
		},
	}
}

func parametersOf(namespace, name string) *v1alpha1.GatewayParameters {
	return &v1alpha1.GatewayParameters{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// routeOf returns an HTTPRoute from a Gateway to a Backend.
func routeOf(namespace, name string, gateway *gatewayv1.Gateway, backend gatewayv1.BackendObjectReference) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
				Namespace: new(gatewayv1.Namespace(gateway.Namespace)), Name: gatewayv1.ObjectName(gateway.Name),
			}}},
			Rules: []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{
				BackendRef: gatewayv1.BackendRef{BackendObjectReference: backend},
			}}}},
		},
	}
}

func toBackend(name string) gatewayv1.BackendObjectReference {
	return gatewayv1.BackendObjectReference{
		Group: new(gatewayv1.Group(v1alpha1.GroupVersion.Group)),
		Kind:  new(gatewayv1.Kind(v1alpha1.KindBackend)),
		Name:  gatewayv1.ObjectName(name),
	}
}

// createManifests creates the objects of a file in a namespace.
func createManifests(path, namespace string) {
	GinkgoHelper()
	file, err := os.Open(path)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = file.Close() }()
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		object := &unstructured.Unstructured{}
		if decoder.Decode(object) != nil {
			return
		}
		object.SetNamespace(namespace)
		create(object)
	}
}

// haveCondition matches the condition of a type by status and reason. An empty reason is any.
func haveCondition(conditionType string, status metav1.ConditionStatus, reason string) gomegatypes.GomegaMatcher {
	return WithTransform(func(conditions []metav1.Condition) string {
		c := apimeta.FindStatusCondition(conditions, conditionType)
		if c == nil {
			return "none"
		}
		return fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}, HavePrefix(strings.TrimSuffix(fmt.Sprintf("%s=%s %s", conditionType, status, reason), " ")))
}

func targetNames(backend *v1alpha1.Backend) []string {
	names := []string{}
	for _, target := range backend.Status.Targets {
		names = append(names, target.Name)
	}
	return names
}

// skippedReasons returns "reason" or "reason name" of each skipped Service.
func skippedReasons(backend *v1alpha1.Backend) []string {
	reasons := []string{}
	for _, skipped := range backend.Status.Skipped {
		reason := skipped.Reason
		if skipped.Service != nil {
			reason += " " + skipped.Service.Name
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

// reconciles returns how often a controller has reconciled so far.
func reconciles(controller string) float64 {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	total := 0.0
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "controller" && label.GetValue() == controller {
					total += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return total
}

// idle waits until a controller has nothing to do and returns its count of reconciliations.
func idle(controller string) float64 {
	GinkgoHelper()
	last := -1.0
	Eventually(func() bool {
		before := last
		last = reconciles(controller)
		return before == last
	}).WithPolling(300 * time.Millisecond).Should(BeTrue())
	return last
}

// certificate returns a new self-signed certificate in PEM.
func certificate(name string) string {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
