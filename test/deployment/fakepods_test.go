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

package deployment

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/keyring"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

// adminPort is where pods are asked.
const adminPort = 19000

// fakePods answers for pods: each by its address.
type fakePods struct {
	server *httptest.Server

	mutex sync.Mutex
	next  int
	byIP  map[string]*fakePod
}

// fakePod is what a pod says of itself.
type fakePod struct {
	generation int64
	keyRing    string
	problem    string
	mute       bool
	// asked is closed when it is asked the first time, and it does not answer before release is; nil: it answers at once.
	asked, release chan struct{}
}

func newFakePods() *fakePods {
	p := &fakePods{byIP: map[string]*fakePod{}}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	return p
}

func (p *fakePods) close() { p.server.Close() }

// dial connects to the one server, which tells pods by the Host header.
func (p *fakePods) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	p.mutex.Lock()
	pod := p.byIP[host]
	p.mutex.Unlock()
	if pod == nil || pod.mute || port != strconv.Itoa(adminPort) {
		return nil, fmt.Errorf("connect to %s: no route to host", address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, p.server.Listener.Addr().String())
}

func (p *fakePods) serve(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.Host)
	p.mutex.Lock()
	pod := p.byIP[host]
	asked, release := pod.asked, pod.release
	pod.asked = nil
	p.mutex.Unlock()
	if asked != nil {
		close(asked)
	}
	if release != nil {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	generation, _ := strconv.ParseInt(r.URL.Query().Get("generation"), 10, 64)
	w.Header().Set(keyring.Header, pod.keyRing)
	switch {
	case pod.problem != "":
		http.Error(w, pod.problem, http.StatusServiceUnavailable)
	case pod.generation < generation:
		http.Error(w, fmt.Sprintf("generation %d of the Gateway is served, not yet %d", pod.generation, generation),
			http.StatusServiceUnavailable)
	}
}

// add returns the address of a new pod that serves every generation.
func (p *fakePods) add() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.next++
	ip := fmt.Sprintf("10.244.%d.%d", p.next/250, p.next%250+1)
	p.byIP[ip] = &fakePod{generation: 1 << 40}
	return ip
}

// addSlow returns the address of another one that is slow to answer.
func (p *fakePods) addSlow() (ip string, asked <-chan struct{}, release func()) {
	ip = p.add()
	first, answer := make(chan struct{}), make(chan struct{})
	p.change(ip, func(pod *fakePod) { pod.asked, pod.release = first, answer })
	return ip, first, sync.OnceFunc(func() { close(answer) })
}

// change edits what a pod says.
func (p *fakePods) change(ip string, edit func(*fakePod)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	edit(p.byIP[ip])
}

// takeKeys has pods say that they have the keys that are stored.
func (p *fakePods) takeKeys(gateway *gatewayv1.Gateway, ips ...string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: gateway.Namespace, Name: provision.SecretName(gateway.Name)}
	Expect(api.Get(ctx, key, secret)).To(Succeed())
	ring, err := session.ParseKeyRing(secret.Data[provision.SecretKeySessionKeys])
	Expect(err).NotTo(HaveOccurred())
	for _, ip := range ips {
		p.change(ip, func(pod *fakePod) { pod.keyRing = ring.ID() })
	}
}

// endpoints writes what the endpoint controller writes: the EndpointSlice of the headless Service, with ready pods, and
// others that are not.
func endpoints(gateway *gatewayv1.Gateway, ready []string, others ...string) {
	GinkgoHelper()
	service := &corev1.Service{}
	key := types.NamespacedName{Namespace: gateway.Namespace, Name: provision.PeersName(gateway.Name)}
	Eventually(func() error { return api.Get(ctx, key, service) }).Should(Succeed())
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name + "-1"},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	fill := func() {
		slice.Labels = map[string]string{}
		for name, value := range service.Labels {
			slice.Labels[name] = value
		}
		slice.Labels[discoveryv1.LabelServiceName] = service.Name
		slice.Ports = nil
		for i := range service.Spec.Ports {
			port := &service.Spec.Ports[i]
			slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: new(port.Name), Port: new(port.Port), Protocol: new(port.Protocol)})
		}
		slice.Endpoints = []discoveryv1.Endpoint{}
		for i, ip := range append(append([]string{}, ready...), others...) {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{ip},
				Conditions: discoveryv1.EndpointConditions{ // ready because of publishNotReadyAddresses
					Ready: new(true), Serving: new(i < len(ready)), Terminating: new(false),
				},
			})
		}
	}
	fill()
	if err := api.Create(ctx, slice); err == nil {
		return
	}
	Eventually(func() error {
		if err := api.Get(ctx, client.ObjectKeyFromObject(slice), slice); err != nil {
			return err
		}
		fill()
		return api.Update(ctx, slice)
	}).Should(Succeed())
}

// rollout writes what the Deployment controller writes, for the newest template.
func rollout(gateway *gatewayv1.Gateway, status appsv1.DeploymentStatus) {
	GinkgoHelper()
	Eventually(func() error {
		deployment := &appsv1.Deployment{}
		key := types.NamespacedName{Namespace: gateway.Namespace, Name: provision.ObjectName(gateway.Name)}
		if err := api.Get(ctx, key, deployment); err != nil {
			return err
		}
		deployment.Status = status
		deployment.Status.ObservedGeneration = deployment.Generation
		return api.Status().Update(ctx, deployment)
	}).Should(Succeed())
}

// allUp is the status of a Deployment whose pods are all new and available.
func allUp(replicas int32) appsv1.DeploymentStatus {
	return appsv1.DeploymentStatus{
		Replicas: replicas, UpdatedReplicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas,
	}
}

// serve makes a Gateway's pods run and serve, and returns their addresses.
func serve(gateway *gatewayv1.Gateway, replicas int) []string {
	GinkgoHelper()
	var ips []string
	for range replicas {
		ips = append(ips, pods.add())
	}
	endpoints(gateway, ips)
	rollout(gateway, allUp(int32(replicas)))
	return ips
}
