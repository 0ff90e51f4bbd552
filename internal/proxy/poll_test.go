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
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

// flaky is an API server that may be away.
type flaky struct {
	client.Client
	away error
}

func newFlaky(objects ...client.Object) *flaky {
	f := &flaky{}
	f.Client = fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
				if f.away != nil {
					return f.away
				}
				return c.Get(ctx, key, o, options...)
			},
		}).Build()
	return f
}

func secretOf(data []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: provision.SecretName("gw")},
		Data:       map[string][]byte{provision.SecretKeySessionKeys: data},
	}
}

func TestPollTellsWhatChanged(t *testing.T) {
	first := newKeys(t)
	secret := secretOf(marshalled(t, first))
	api := newFlaky(secret)
	p := newPolled(api, Options{Gateway: types.NamespacedName{Namespace: "default", Name: "gw"}})
	poll := func(when string, want bool) {
		t.Helper()
		if got := p.poll(t.Context()); got != want {
			t.Errorf("%s: changed is %t", when, got)
		}
	}
	expect := func(when, id, problem string) {
		t.Helper()
		ring, err := p.keys()
		if ringID(ring) != id || !strings.Contains(errorText(err), problem) || (err == nil) != (problem == "") {
			t.Errorf("%s: got ring %q, %v", when, ringID(ring), err)
		}
	}

	api.away = errors.New("forbidden")
	poll("an API server that is away", true)
	expect("an API server that is away", "", "read the Secret default/gw-dynamic-mcp with the session keys: forbidden")
	poll("still away", false)
	api.away = nil
	poll("the first keys", true)
	expect("the first keys", first.ID(), "")
	poll("nothing new", false)
	api.away = errors.New("timeout")
	poll("an API server that went away", false)
	expect("an API server that went away", first.ID(), "")
	api.away = nil

	second := promoted(t, first)
	secret.Data[provision.SecretKeySessionKeys] = marshalled(t, second)
	secret.ResourceVersion = ""
	if err := api.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	poll("other keys", true)
	expect("other keys", second.ID(), "")
	if err := api.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	poll("no Secret", true)
	expect("no Secret", "", "not found")
	poll("still no Secret", false)
}

func TestPollOfNamespaces(t *testing.T) {
	keys := newKeys(t)
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", Labels: map[string]string{"a": "1"}}}
	other := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}}
	api := newFlaky(secretOf(marshalled(t, keys)), team, other)
	p := newPolled(api, Options{
		Gateway: types.NamespacedName{Namespace: "default", Name: "gw"}, WatchNamespaces: []string{"default", "team"},
	})
	names := func() string {
		var all []string
		for _, n := range p.namespaces() {
			all = append(all, n.Name+":"+n.Labels["a"])
		}
		return strings.Join(all, " ")
	}
	api.away = errors.New("timeout")
	if p.poll(t.Context()); names() != "" {
		t.Errorf("got %q", names())
	}
	if _, err := p.keys(); err == nil || !strings.Contains(err.Error(), "read the Namespace default: timeout") {
		t.Errorf("configurations could be made without namespaces: %v", err)
	}
	api.away = nil
	if !p.poll(t.Context()) || names() != "team:1" || p.poll(t.Context()) {
		t.Errorf("got %q", names())
	}
	team.Labels["a"] = "2"
	if err := api.Update(t.Context(), team); err != nil {
		t.Fatal(err)
	}
	if !p.poll(t.Context()) || names() != "team:2" {
		t.Errorf("got %q", names())
	}
	if err := api.Delete(t.Context(), team); err != nil {
		t.Fatal(err)
	}
	if !p.poll(t.Context()) || names() != "" || p.poll(t.Context()) {
		t.Errorf("got %q", names())
	}
}

func TestPollTellsUntilTheEnd(t *testing.T) {
	api := newFlaky()
	p := newPolled(api, Options{Gateway: types.NamespacedName{Namespace: "default", Name: "gw"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Start(ctx) }()
	told := within(t, "the news that there are no keys", p.changed)
	if told.Object.GetNamespace() != "default" || told.Object.GetName() != "gw" {
		t.Errorf("told of %v", told.Object)
	}
	if err := api.Create(t.Context(), secretOf(marshalled(t, newKeys(t)))); err != nil {
		t.Fatal(err)
	}
	within(t, "the keys", p.changed)
	cancel()
	if err := within(t, "the end", done); err != nil {
		t.Error(err)
	}
}
