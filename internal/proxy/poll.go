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
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/session"
	"github.com/dynamic-mcp/dynamic-mcp/internal/provision"
)

const (
	// pollInterval is how often the Secret, and namespaces that can't be watched, are read.
	pollInterval = 10 * time.Second
	// pollSoon is how often, as long as there are no keys: nothing is served until then.
	pollSoon = time.Second
	// pollTimeout bounds each reading.
	pollTimeout = 10 * time.Second
	// pollJitter spreads the readings of replicas that started at once.
	pollJitter = 0.1
)

// polled is what the proxy reads again and again because it has no right to watch it:
//
//   - The Secret with the keys. The manager gives each proxy the right to read the one Secret of its Gateway, and the API
//     server lets nobody hand out rights that he doesn't have. So that proxies could list and watch their Secret, the manager
//     would have to have the right to list all of them. Keys change once a day.
//   - Namespaces, if only some are watched: there are no rights to list one namespace and not another.
type polled struct {
	reader         client.Reader
	gateway        types.NamespacedName
	secret         types.NamespacedName
	namespaceNames []string
	// changed tells when something else was read than before. It is written to by Start alone.
	changed chan event.GenericEvent

	mu      sync.Mutex
	ring    *session.KeyRing
	problem error // Why there is no ring.
	seen    map[string]corev1.Namespace
}

// errNotReadYet says that the proxy has just started.
var errNotReadYet = errors.New("the session keys have not been read yet")

func newPolled(reader client.Reader, o Options) *polled {
	return &polled{
		reader:         reader,
		gateway:        o.Gateway,
		secret:         types.NamespacedName{Namespace: o.Gateway.Namespace, Name: provision.SecretName(o.Gateway.Name)},
		namespaceNames: o.WatchNamespaces,
		changed:        make(chan event.GenericEvent),
		problem:        errNotReadYet,
		seen:           map[string]corev1.Namespace{},
	}
}

// Start implements manager.Runnable: it reads until the context ends.
func (p *polled) Start(ctx context.Context) error {
	for {
		if p.poll(ctx) {
			object := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: p.gateway.Namespace, Name: p.gateway.Name}}
			select {
			case p.changed <- event.GenericEvent{Object: object}:
			case <-ctx.Done():
				return nil
			}
		}
		interval := pollInterval
		if _, err := p.keys(); err != nil {
			interval = pollSoon
		}
		select {
		case <-time.After(wait.Jitter(interval, pollJitter)):
		case <-ctx.Done():
			return nil
		}
	}
}

// keys returns the keys as they were last read, or why there are none.
func (p *polled) keys() (*session.KeyRing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ring, p.problem
}

// namespaces returns the watched namespaces as they were last read, in order.
func (p *polled) namespaces() []corev1.Namespace {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := slices.Sorted(maps.Keys(p.seen))
	found := make([]corev1.Namespace, len(names))
	for i, name := range names {
		found[i] = p.seen[name]
	}
	return found
}

// poll reads everything once and returns whether something is different. An API server that is away changes nothing. The
// namespaces come first: with keys, configurations are made, and they should not be made without namespaces.
func (p *polled) poll(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	changed := false
	for _, name := range p.namespaceNames {
		different, err := p.pollNamespace(ctx, name)
		if err != nil {
			return p.unread(err) || changed
		}
		changed = changed || different
	}
	return p.pollKeys(ctx) || changed
}

func (p *polled) pollNamespace(ctx context.Context, name string) (changed bool, err error) {
	var namespace corev1.Namespace
	err = p.reader.Get(ctx, types.NamespacedName{Name: name}, &namespace)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("read the Namespace %s: %w", name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, found := p.seen[name]
	if err != nil {
		delete(p.seen, name)
		return found, nil
	}
	p.seen[name] = namespace
	return !found || !maps.Equal(before.Labels, namespace.Labels), nil
}

func (p *polled) pollKeys(ctx context.Context) (changed bool) {
	var secret corev1.Secret
	err := p.reader.Get(ctx, p.secret, &secret)
	if client.IgnoreNotFound(err) != nil {
		return p.unread(fmt.Errorf("read the Secret %s with the session keys: %w", p.secret, err))
	}
	if err != nil {
		return p.take(nil, fmt.Errorf("read the Secret %s with the session keys: %w", p.secret, err))
	}
	ring, err := session.ParseKeyRing(secret.Data[provision.SecretKeySessionKeys])
	if err != nil {
		return p.take(nil, fmt.Errorf("key ring in the Secret %s, key %s: %w", p.secret, provision.SecretKeySessionKeys, err))
	}
	return p.take(ring, nil)
}

// unread is for what could not be read. It says nothing about what is stored, so what was read before stays.
func (p *polled) unread(err error) (changed bool) {
	p.mu.Lock()
	ring := p.ring
	p.mu.Unlock()
	if ring != nil {
		return false
	}
	return p.take(nil, err)
}

// take stores the keys, or why there are none.
func (p *polled) take(ring *session.KeyRing, problem error) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = ringID(p.ring) != ringID(ring) || errorText(p.problem) != errorText(problem)
	p.ring, p.problem = ring, problem
	return changed
}

func ringID(ring *session.KeyRing) string {
	if ring == nil {
		return ""
	}
	return ring.ID()
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
