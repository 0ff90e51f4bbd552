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
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// maxAsked bounds how many replicas of one proxy are asked at once.
const maxAsked = 16

// replicas knows what the replicas of every Gateway's proxy say about themselves. It asks them in the background, one
// goroutine for each Gateway, so that pods that don't answer hold up nobody else.
type replicas struct {
	prober *prober
	timing ProbeTiming
	// changed is called when a Gateway's replicas say something else than before.
	changed func(gateway types.NamespacedName)
	running sync.WaitGroup

	mu     sync.Mutex
	ctx    context.Context // nil until start
	byName map[types.NamespacedName]*replicaSet
}

// replicaSet is what is known of one Gateway's replicas.
type replicaSet struct {
	uid        types.UID
	generation int64
	addresses  []netip.AddrPort
	answers    map[netip.AddrPort]heard
	wake       chan struct{}
	cancel     context.CancelFunc // nil until launched
}

// heard is what a replica said last, about a generation.
type heard struct {
	answer
	generation int64
	// unanswered is how many questions it has left without an answer since.
	unanswered int
}

func newReplicas(p *prober, timing ProbeTiming, changed func(types.NamespacedName)) *replicas {
	return &replicas{prober: p, timing: timing, changed: changed, byName: map[types.NamespacedName]*replicaSet{}}
}

// run asks until the context ends.
func (r *replicas) run(ctx context.Context) {
	r.mu.Lock()
	r.ctx = ctx
	for gateway, set := range r.byName {
		r.launch(gateway, set)
	}
	r.mu.Unlock()
	<-ctx.Done()
	r.running.Wait()
}

// want says which replicas there are and which generation of the Gateway they should serve, and returns what is known of
// that: nothing if all serve it, else why not.
func (r *replicas) want(gateway types.NamespacedName, uid types.UID, generation int64, addresses []netip.AddrPort) problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.byName[gateway]
	if set == nil || set.uid != uid {
		r.end(gateway)
		set = &replicaSet{uid: uid, answers: map[netip.AddrPort]heard{}, wake: make(chan struct{}, 1)}
		r.byName[gateway] = set
		if r.ctx != nil && r.ctx.Err() == nil {
			r.launch(gateway, set)
		}
	}
	if set.generation != generation || !slices.Equal(set.addresses, addresses) {
		set.generation, set.addresses = generation, slices.Clone(addresses)
		maps.DeleteFunc(set.answers, func(address netip.AddrPort, _ heard) bool { return !slices.Contains(addresses, address) })
		poke(set.wake)
	}
	return set.problem()
}

// forget ends the questions to a Gateway's replicas.
func (r *replicas) forget(gateway types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(gateway)
}

func (r *replicas) end(gateway types.NamespacedName) {
	if set := r.byName[gateway]; set != nil && set.cancel != nil {
		set.cancel()
	}
	delete(r.byName, gateway)
}

// keyRings returns the ids of the key rings of the replicas, an empty one for a replica that has not been heard.
func (r *replicas) keyRings(gateway types.NamespacedName, uid types.UID) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.byName[gateway]
	if set == nil || set.uid != uid {
		return nil
	}
	rings := make([]string, len(set.addresses))
	for i, address := range set.addresses {
		rings[i] = set.answers[address].keyRing
	}
	return rings
}

// problem returns why not all replicas serve the generation. What one has said comes before what another may say.
func (s *replicaSet) problem() problem {
	unheard := problem{}
	for _, address := range s.addresses {
		said, found := s.answers[address]
		switch {
		case !found || said.generation != s.generation:
			unheard = problem{
				message: fmt.Sprintf("the pods have not said yet whether they serve generation %d", s.generation), undecided: true,
			}
		case !said.serving:
			return problem{message: fmt.Sprintf("the pod at %s: %s", address.Addr(), said.message)}
		}
	}
	return unheard
}

// launch begins to ask. The caller holds the lock.
func (r *replicas) launch(gateway types.NamespacedName, set *replicaSet) {
	ctx, cancel := context.WithCancel(r.ctx)
	set.cancel = cancel
	r.running.Go(func() {
		defer cancel()
		r.ask(ctx, gateway, set)
	})
}

// ask asks all replicas, again and again.
func (r *replicas) ask(ctx context.Context, gateway types.NamespacedName, set *replicaSet) {
	interval := r.timing.Min
	for {
		serving, changed := r.askOnce(ctx, set)
		if ctx.Err() != nil {
			return
		}
		if changed {
			r.changed(gateway)
		}
		pause := interval
		interval = min(2*interval, r.timing.Max)
		if serving {
			pause, interval = r.timing.Serving, r.timing.Min
		}
		timer := time.NewTimer(wait.Jitter(pause, 0.1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-set.wake:
			timer.Stop()
			interval = r.timing.Min
		case <-timer.C:
		}
	}
}

// askOnce asks all replicas once and stores what they say. It returns whether all serve, and whether any of it is new.
func (r *replicas) askOnce(ctx context.Context, set *replicaSet) (serving, changed bool) {
	r.mu.Lock()
	generation, addresses := set.generation, slices.Clone(set.addresses)
	r.mu.Unlock()

	answers, errs := make([]answer, len(addresses)), make([]error, len(addresses))
	var asking sync.WaitGroup
	free := make(chan struct{}, maxAsked)
	for i, address := range addresses {
		free <- struct{}{}
		asking.Go(func() {
			answers[i], errs[i] = r.prober.ask(ctx, address, generation)
			<-free
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return false, false
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	before := set.problem()
	for i, address := range addresses {
		if !slices.Contains(set.addresses, address) {
			continue
		}
		last := set.answers[address]
		set.answers[address] = hear(last, generation, answers[i], errs[i])
		changed = changed || last.keyRing != set.answers[address].keyRing
	}
	now := set.problem()
	return now == problem{}, changed || now != before
}

// hear returns what is known of a replica after another question. One that serves may miss a few.
func hear(before heard, generation int64, said answer, err error) heard {
	if err == nil {
		return heard{answer: said, generation: generation}
	}
	before.unanswered++
	if before.serving && before.generation == generation && before.unanswered < unansweredLimit {
		return before
	}
	before.generation, before.serving = generation, false
	before.message = "its admin port does not answer the manager (does a NetworkPolicy keep it out?): " + printable(err.Error())
	return before
}
