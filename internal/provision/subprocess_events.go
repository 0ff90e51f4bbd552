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

package provision

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// notifier tells the Gateway controller which Gateways' proxies changed. Telling never blocks: a Gateway that is not
// yet delivered is held once, however often it changes, so that no more is held than there are Gateways.
type notifier struct {
	events chan event.GenericEvent
	wake   chan struct{}

	mu      sync.Mutex
	pending []types.NamespacedName
	held    map[types.NamespacedName]struct{}
	delayed map[types.NamespacedName]struct{}
}

func newNotifier() *notifier {
	return &notifier{
		events:  make(chan event.GenericEvent),
		wake:    make(chan struct{}, 1),
		held:    map[types.NamespacedName]struct{}{},
		delayed: map[types.NamespacedName]struct{}{},
	}
}

// changed tells that the Gateway's proxy has a new state.
func (n *notifier) changed(gateway types.NamespacedName) {
	n.mu.Lock()
	if _, ok := n.held[gateway]; !ok {
		n.held[gateway] = struct{}{}
		n.pending = append(n.pending, gateway)
	}
	n.mu.Unlock()
	poke(n.wake)
}

// changedLater is changed after a delay; while one is under way for a Gateway, further calls for it do nothing.
func (n *notifier) changedLater(gateway types.NamespacedName, delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.delayed[gateway]; ok {
		return
	}
	n.delayed[gateway] = struct{}{}
	time.AfterFunc(delay, func() {
		n.mu.Lock()
		delete(n.delayed, gateway)
		n.mu.Unlock()
		n.changed(gateway)
	})
}

// run delivers until ctx ends.
func (n *notifier) run(ctx context.Context) {
	for {
		gateway, ok := n.next()
		if !ok {
			select {
			case <-n.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		object := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: gateway.Name}}
		select {
		case n.events <- event.GenericEvent{Object: object}:
		case <-ctx.Done():
			return
		}
	}
}

func (n *notifier) next() (types.NamespacedName, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pending) == 0 {
		return types.NamespacedName{}, false
	}
	gateway := n.pending[0]
	n.pending = n.pending[1:]
	delete(n.held, gateway)
	return gateway, true
}

// poke wakes whoever reads from the channel, which has room for one, and never blocks.
func poke(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
