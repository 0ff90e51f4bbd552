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

package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/api/v1alpha1"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
	"github.com/dynamic-mcp/dynamic-mcp/internal/servertest"
)

func newKeys(t *testing.T) *session.KeyRing {
	t.Helper()
	keys, err := session.NewKeyRing()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func promoted(t *testing.T, keys *session.KeyRing) *session.KeyRing {
	t.Helper()
	next, err := keys.Promote()
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// newStatefulServer is an MCP server that knows its sessions, and answers calls at once.
func newStatefulServer(t *testing.T) []config.Target {
	t.Helper()
	var sessions sync.Map
	var count atomic.Int64
	s := servertest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.Unmarshal(body, &request)
		result := `{}`
		_, known := sessions.Load(r.Header.Get("Mcp-Session-Id"))
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case request.Method == "initialize":
			id := fmt.Sprintf("upstream-%d", count.Add(1))
			sessions.Store(id, true)
			w.Header().Set("Mcp-Session-Id", id)
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}`
		case !known:
			http.Error(w, "no such session", http.StatusNotFound)
			return
		case len(request.ID) == 0:
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, request.ID, result)
	}))
	address := s.Listener.Addr().String()
	return []config.Target{{
		Name: "tools", Service: "a", Protocol: config.StreamableHTTP, Host: "localhost", Port: 80, Path: "/mcp",
		Endpoints: []string{address},
	}}
}

// replicaSet is two replicas of one Gateway's proxy, with clients that open sessions at one and go on at any.
type replicaSet struct {
	t        *testing.T
	replicas [2]*plane
	ports    []int32
	failures chan string
	calls    atomic.Int64
}

func newReplicaSet(t *testing.T, keys *session.KeyRing) *replicaSet {
	t.Helper()
	s := &replicaSet{t: t, ports: freePorts(2), failures: make(chan string, 1000)}
	targets := newStatefulServer(t)
	for i := range s.replicas {
		s.replicas[i] = newPlane(t)
		s.replicas[i].updateKeys(keys)
		if err := s.replicas[i].apply(configOf(1, targets, listenerOn(s.ports[i], "", toolsBackend))); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// call makes a call in a session at a replica.
func (s *replicaSet) call(replica int, id string) (int, error) {
	a, err := s.replicas[replica].do(http.MethodPost, s.ports[replica], "/mcp", call, map[string]string{"Mcp-Session-Id": id})
	if err == nil && a.status == http.StatusOK && !strings.Contains(a.body, `"result"`) {
		return a.status, fmt.Errorf("answer %s", a.body)
	}
	return a.status, err
}

// mustCall expects sessions to go on at both replicas.
func (s *replicaSet) mustCall(when string, sessions ...string) {
	s.t.Helper()
	for i, id := range sessions {
		for replica := range s.replicas {
			if status, err := s.call(replica, id); status != http.StatusOK || err != nil {
				s.t.Errorf("%s: session %d at replica %d: %d, %v", when, i, replica, status, err)
			}
		}
	}
}

// client opens sessions again and again, and makes calls in the last few, until it is told to end.
func (s *replicaSet) client(number int, end <-chan struct{}) {
	var sessions []string
	for turn := number; ; turn++ {
		select {
		case <-end:
			return
		default:
		}
		replica := turn % len(s.replicas)
		a, err := s.replicas[replica].do(http.MethodPost, s.ports[replica], "/mcp", initialize, nil)
		id := a.header.Get("Mcp-Session-Id")
		if err != nil || a.status != http.StatusOK || id == "" {
			s.failures <- fmt.Sprintf("initialize at replica %d: %d, %v", replica, a.status, err)
			return
		}
		sessions = append(sessions, id)
		sessions = sessions[max(0, len(sessions)-3):]
		for _, id := range sessions {
			for replica := range s.replicas {
				if status, err := s.call(replica, id); status != http.StatusOK || err != nil {
					s.failures <- fmt.Sprintf("call at replica %d: %d, %v", replica, status, err)
					return
				}
				s.calls.Add(1)
			}
		}
	}
}

// more waits until clients have made some more calls.
func (s *replicaSet) more(calls int64) {
	s.t.Helper()
	until := s.calls.Load() + calls
	eventually(s.t, "calls", func() bool { return s.calls.Load() >= until || len(s.failures) > 0 })
}

func TestSessionsOutliveTheRotationOfKeys(t *testing.T) {
	first := newKeys(t)
	second := promoted(t, first)
	third := promoted(t, second)
	s := newReplicaSet(t, first)

	end := make(chan struct{})
	var clients sync.WaitGroup
	for number := range 4 {
		clients.Go(func() { s.client(number, end) })
	}
	beforeAll := []string{s.replicas[0].open(s.ports[0]), s.replicas[1].open(s.ports[1])}
	s.more(50)

	s.replicas[0].updateKeys(second)
	s.more(50)
	// One replica is ahead: what it seals with its current key, the other opens with its next one.
	between := []string{s.replicas[0].open(s.ports[0]), s.replicas[1].open(s.ports[1])}
	s.mustCall("while one replica is ahead", slices.Concat(beforeAll, between)...)
	s.replicas[1].updateKeys(second)
	s.more(50)
	afterOne := []string{s.replicas[0].open(s.ports[0]), s.replicas[1].open(s.ports[1])}
	s.mustCall("after the first rotation", slices.Concat(beforeAll, between, afterOne)...)
	close(end)
	clients.Wait()

	// A lifetime later, when the sessions of the first key have expired, the next rotation is done with those of the second.
	end = make(chan struct{})
	for number := range 4 {
		clients.Go(func() { s.client(number, end) })
	}
	s.more(50)
	s.replicas[1].updateKeys(third)
	s.more(50)
	ofSecond := []string{between[0], afterOne[0], afterOne[1]}
	s.mustCall("while the other replica is ahead", ofSecond...)
	s.replicas[0].updateKeys(third)
	s.more(50)
	s.mustCall("after the second rotation", ofSecond...)
	close(end)
	clients.Wait()

	close(s.failures)
	for failure := range s.failures {
		t.Error(failure)
	}
	// That is why keys rotate no more often than sessions last.
	for _, id := range []string{beforeAll[0], beforeAll[1], between[1]} {
		if status, _ := s.call(0, id); status != http.StatusNotFound {
			t.Errorf("a session of the key that is gone: %d", status)
		}
	}
}

// watched is a watcher of a Gateway without routes, and of its Secret with some session keys.
func watched(t *testing.T, p *plane, keys []byte) (*watcher, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	gateway := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gw", Generation: 1}}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: provision.SecretName("gw")},
		Data:       map[string][]byte{provision.SecretKeySessionKeys: keys},
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(gateway, secret).Build()
	key := client.ObjectKeyFromObject(gateway)
	return &watcher{Client: c, gateway: key, data: p.dataPlane, polled: newPolled(c, Options{Gateway: key})}, c
}

func marshalled(t *testing.T, keys *session.KeyRing) []byte {
	t.Helper()
	data, err := keys.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestKeysThatCantBeReadStay(t *testing.T) {
	p := newPlane(t)
	first := newKeys(t)
	p.mcp.UpdateKeys(nil) // as it begins
	w, c := watched(t, p, []byte("{"))
	reconcile := func() error {
		w.polled.poll(t.Context())
		_, err := w.Reconcile(t.Context(), ctrl.Request{})
		return err
	}
	write := func(keys []byte) {
		t.Helper()
		var secret corev1.Secret
		if err := c.Get(t.Context(), w.polled.secret, &secret); err != nil {
			t.Fatal(err)
		}
		secret.Data[provision.SecretKeySessionKeys] = keys
		if err := c.Update(t.Context(), &secret); err != nil {
			t.Fatal(err)
		}
	}
	generation := func(want int64) {
		t.Helper()
		var gateway gatewayv1.Gateway
		if err := c.Get(t.Context(), w.gateway, &gateway); err != nil {
			t.Fatal(err)
		}
		gateway.Generation = want
		if err := c.Update(t.Context(), &gateway); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := w.polled.keys(); !errors.Is(err, errNotReadYet) {
		t.Errorf("before anything was read: %v", err)
	}
	if err := reconcile(); err != nil {
		t.Errorf("without keys from the beginning: %v", err)
	}
	if err := p.ready(0); err == nil || !strings.Contains(err.Error(), "key ring in the Secret default/gw-dynamic-mcp, key session-keys.json") ||
		p.keyRing() != "" {
		t.Errorf("without keys from the beginning: %v, key ring %q", err, p.keyRing())
	}

	write(marshalled(t, first))
	if err := reconcile(); err != nil || p.ready(1) != nil || p.keyRing() != first.ID() {
		t.Fatalf("with keys: %v, %v, key ring %q", err, p.ready(1), p.keyRing())
	}

	// Configurations are still taken over, and the replica stays ready.
	bad := bytes.Replace(marshalled(t, first), []byte(`"version":1`), []byte(`"version":2`), 1)
	write(bad)
	generation(2)
	for range 2 {
		if err := reconcile(); err != nil || p.ready(2) != nil || p.keyRing() != first.ID() {
			t.Errorf("with keys that can't be read: %v, %v, key ring %q", err, p.ready(2), p.keyRing())
		}
	}
	if dump := p.dump(); dump.Problem != "" || !strings.Contains(dump.KeyProblem, `field "version" must be 1`) {
		t.Errorf("got %+v", dump)
	}
	if told := strings.Count(p.logs.String(), "Session keys can't be read; those before stay"); told != 1 {
		t.Errorf("it was told %d times", told)
	}
	if err := c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: w.polled.secret.Name}}); err != nil {
		t.Fatal(err)
	}
	if err := reconcile(); err != nil || p.ready(2) != nil || p.keyRing() != first.ID() {
		t.Errorf("without the Secret: %v, %v, key ring %q", err, p.ready(2), p.keyRing())
	}

	second := promoted(t, first)
	if err := c.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: w.polled.secret.Name, UID: types.UID("new")},
		Data:       map[string][]byte{provision.SecretKeySessionKeys: marshalled(t, second)},
	}); err != nil {
		t.Fatal(err)
	}
	if err := reconcile(); err != nil || p.keyRing() != second.ID() || p.dump().KeyProblem != "" {
		t.Errorf("with newer keys: %v, key ring %q, %+v", err, p.keyRing(), p.dump())
	}
	for _, data := range [][]byte{marshalled(t, first), bad} {
		var keys map[string]any
		_ = json.Unmarshal(data, &keys)
		if strings.Contains(p.logs.String(), keys["current"].(string)) {
			t.Error("the log has a key")
		}
	}
}
